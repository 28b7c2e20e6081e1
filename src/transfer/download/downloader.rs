//! Requests for an object: which are made again, and what is refused before its body.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::failure::{Failure, cancelled, wrong_size};
use super::object::{ObjectDownload, Verify};
use super::write_throughput::WriteThroughput;
use crate::error::{Error, Result, S3Action};
use crate::permits::Permit;
use crate::store::backoff::Backoff;
use crate::store::{ObjectBody, ObjectKey, ObjectStore};
use crate::transfer::buffers::Buffers;
use crate::transfer::context::{CancellationToken, Context, LogLevel};
use crate::transfer::limits::Limits;

/// How often a body that breaks off is asked for again. Requests that fail before their body are the store's to repeat.
pub(super) const BODY_ATTEMPTS: u32 = 8;
/// How often contents that are wrong are fetched again: a second copy that is wrong too is what S3 has.
const WRONG_CONTENT_ATTEMPTS: u32 = 2;

/// Everything that many downloads share. Clones are cheap.
#[derive(Clone)]
pub(crate) struct Downloader {
    /// Where from.
    pub store: Arc<dyn ObjectStore>,
    /// How much at once.
    pub limits: Limits,
    /// Buffers for bodies.
    pub buffers: Buffers,
    /// How fast writes to files are.
    pub write_throughput: WriteThroughput,
    /// Progress, cancellation, log.
    pub context: Context,
    /// What to check.
    pub verify: Verify,
}

impl Downloader {
    /// Waits for the right to work on an object of the process.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub(crate) async fn object(&self) -> Result<Permit> {
        self.unless(&self.context.cancel, self.limits.object()).await.map_err(Failure::into_error)
    }

    /// The reply to one request, if it is as long as it should be.
    pub(super) async fn reply(
        &self,
        download: &ObjectDownload,
        object: &ObjectKey,
        range: Option<Range<u64>>,
    ) -> Result<ObjectBody, Failure> {
        if let Some(look) = &download.look_again
            && look.is_there().await.map_err(Failure::Final)?
        {
            return Err(Failure::FoundThere);
        }
        let expected = range.as_ref().map_or(download.size_bytes, |range| range.end - range.start);
        // Errors before the body are final: the store has repeated what is worth it.
        let answer = self.store.get(object, range, S3Action::DownloadingFile).await;
        let body = answer.map_err(|error| match error {
            Error::Integrity(_) => Failure::Wrong(error),
            _ => Failure::Final(error),
        })?;
        // Lengths that the server does not say are counted as they come.
        let is_right = |length: Option<u64>, right: u64| length.is_none_or(|length| length == right);
        let (length, size) = (body.length_bytes, body.info.size_bytes);
        if self.verify != Verify::Off && !(is_right(length, expected) && is_right(size, download.size_bytes)) {
            return Err(Failure::Wrong(wrong_size(download, object, size.or(length).unwrap_or_default())));
        }
        Ok(body)
    }

    /// Tries again what is worth it, and the other key where the first has nothing. `None` where the contents were found to be
    /// there.
    pub(super) async fn repeat<'a, T, F, R>(&self, download: &'a ObjectDownload, attempt: F) -> Result<Option<T>>
    where
        F: Fn(&'a ObjectKey) -> R,
        R: Future<Output = Result<T, Failure>>,
    {
        let mut object = &download.object;
        let (mut broken, mut wrong) = (0, 0);
        loop {
            match attempt(object).await {
                Ok(value) => return Ok(Some(value)),
                Err(Failure::FoundThere) => return Ok(None),
                Err(Failure::Body(error)) => {
                    broken += 1;
                    if broken >= BODY_ATTEMPTS {
                        return Err(error);
                    }
                    self.pause(broken, &error, &self.context.cancel).await.map_err(Failure::into_error)?;
                }
                Err(Failure::Wrong(error)) => {
                    wrong += 1;
                    if wrong >= WRONG_CONTENT_ATTEMPTS {
                        return Err(error);
                    }
                    self.context.log(LogLevel::Warning, "download", || format!("{error}; fetching it once more"));
                }
                Err(Failure::Final(error)) => match &download.fallback {
                    Some(other) if error.status_code() == Some(404) && object != other => object = other,
                    _ => return Err(error),
                },
            }
        }
    }

    pub(super) async fn pause(&self, attempt: u32, error: &Error, stop: &CancellationToken) -> Result<(), Failure> {
        self.context.log(LogLevel::Debug, "download", || format!("{error}; asking again"));
        self.unless(stop, tokio::time::sleep(Backoff::OF_BODIES.wait(attempt))).await
    }

    /// What work gives, unless it is stopped first.
    pub(super) async fn unless<T>(
        &self,
        stop: &CancellationToken,
        work: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = stop.cancelled() => Err(cancelled()),
            value = work => Ok(value),
        }
    }
}

pub(super) async fn next_piece(body: &mut ObjectBody) -> Result<Option<Bytes>, Failure> {
    body.chunks.next_chunk().await.map_err(Failure::Body)
}
