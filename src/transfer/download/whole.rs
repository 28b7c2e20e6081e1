//! Contents that fit one request and are handed over in memory.

use bytes::Bytes;

use super::body::{Received, Receiving};
use super::downloader::{Downloader, next_piece};
use super::failure::{Failure, broke_off, check_hash, wrong_size};
use super::object::{Fetched, ObjectDownload, Verify};
use crate::error::Result;
use crate::hash::Hasher;
use crate::store::ObjectKey;
use crate::transfer::sizes::PART_BYTES;
use crate::transfer::tasks::blocking;

/// A whole body in memory that has another length than the manifest says has at most this.
const MOST_UNCHECKED_BYTES: u64 = 8 * PART_BYTES;

impl Downloader {
    /// Fetches contents that fit one request, checks them, and hands them to `place` on a thread that may block.
    ///
    /// Where the operation is cancelled, what `place` has begun is waited for: nothing goes on behind the caller's back.
    ///
    /// # Errors
    /// [`Error::Integrity`] where they are not what they should be; the store's errors; those of `place`.
    pub(crate) async fn fetch_whole<P>(&self, download: &ObjectDownload, place: P) -> Result<Fetched>
    where
        P: FnOnce(&[Bytes]) -> Result<()> + Send + 'static,
    {
        let stop = &self.context.cancel;
        let _room = self.unless(stop, self.limits.bytes(download.size_bytes)).await.map_err(Failure::into_error)?;
        let received = self.repeat(download, |object| self.whole_body(download, object)).await?;
        let Some(Received { pieces, counted, .. }) = received else { return Ok(Fetched::FoundThere) };
        blocking(move || place(&pieces)).await?;
        counted.keep();
        Ok(Fetched::Placed)
    }

    async fn whole_body(&self, download: &ObjectDownload, object: &ObjectKey) -> Result<Received, Failure> {
        let received = self.unless(&self.context.cancel, self.body_in_memory(download, object)).await??;
        if let Some(found) = &received.hash {
            check_hash(download, object, found)?;
        }
        Ok(received)
    }

    /// A whole body, hashed as it comes. Bytes are counted as they come.
    async fn body_in_memory(&self, download: &ObjectDownload, object: &ObjectKey) -> Result<Received, Failure> {
        let _permit = self.limits.request().await;
        let mut body = self.reply(download, object, None).await?;
        // Where nothing is checked, a body may be longer than the manifest says, but memory has an end.
        let expected = body.length_bytes.unwrap_or(download.size_bytes);
        if expected > download.size_bytes.max(MOST_UNCHECKED_BYTES) {
            return Err(Failure::Wrong(wrong_size(download, object, expected)));
        }
        let hasher = (self.verify == Verify::Hash).then(Hasher::new);
        let mut receiving = Receiving::new(&self.buffers, &self.context.progress, expected, hasher);
        while let Some(piece) = next_piece(&mut body).await? {
            if !receiving.push(&piece) {
                break;
            }
        }
        if !receiving.is_complete() {
            return Err(match body.length_bytes {
                Some(length) => broke_off(object, receiving.received, length),
                // It came to its end, as far as anyone can tell.
                None => Failure::Wrong(wrong_size(download, object, receiving.received)),
            });
        }
        Ok(receiving.finish())
    }
}
