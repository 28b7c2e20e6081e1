//! Getting one object's contents out of the store: checked against size and hash before anyone sees them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use super::PART_BYTES;
use super::buffers::Buffers;
use super::context::{CancellationToken, Context, LogLevel};
use super::limits::Limits;
use super::received::{Counted, Received, Receiving};
use super::tasks::{blocking, finished};
use crate::error::{Error, IntegrityError, Result, S3Action, S3ClientError};
use crate::fs::stage::StagedFile;
use crate::hash::{ContentHash, Hasher};
use crate::store::{ObjectKey, ObjectStore};

/// How often a body that breaks off is asked for again. Requests that fail before their body are the store's to repeat.
const BODY_ATTEMPTS: u32 = 8;
/// How often contents that are wrong are fetched again: a second copy that is wrong too is what S3 has.
const WRONG_CONTENT_ATTEMPTS: u32 = 2;
/// How many ranges of an object are under way at the least, and at the start.
const FEWEST_RANGES: usize = 3;
/// A range that comes in less, 8 MiB at 260 MB/s, shows a network that is faster than what is done with the bytes: more at a
/// time would only grow cold in memory. S3 gives a connection about 90 MB/s (its guide "Performance design patterns").
const SWIFT_RANGE: Duration = Duration::from_millis(32);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const CANCELLED: &str = "File download cancelled.";

/// What is checked of what arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verify {
    /// Nothing: for contents that are checked elsewhere.
    Off,
    /// The size.
    Size,
    /// Size and hash.
    #[default]
    Hash,
}

/// One object's contents, and what they should be.
#[derive(Debug, Clone)]
pub struct ObjectDownload {
    /// Where they are.
    pub object: ObjectKey,
    /// Where they may be if not there: keys of old farms have no suffix.
    pub fallback: Option<ObjectKey>,
    /// What they hash to.
    pub expected: ContentHash,
    /// Their size in bytes.
    pub size_bytes: u64,
}

/// Everything that many downloads share. Clones are cheap.
#[derive(Clone)]
pub struct Downloader {
    /// Where from.
    pub store: Arc<dyn ObjectStore>,
    /// How much at once.
    pub limits: Limits,
    /// Buffers for bodies.
    pub buffers: Buffers,
    /// Progress, cancellation, log.
    pub context: Context,
    /// What to check.
    pub verify: Verify,
}

/// Why an attempt came to nothing.
enum Failure {
    /// The body broke off: ask again.
    Body(Error),
    /// The contents are not right: ask once more.
    Wrong(Error),
    /// Nothing to be done.
    Final(Error),
}

impl Downloader {
    /// Fetches contents that fit one request, checks them, and hands them to `place` on a thread that may block.
    ///
    /// Where the operation is cancelled, what `place` has begun is waited for: nothing goes on behind the caller's back.
    ///
    /// # Errors
    /// [`Error::Integrity`] where they are not what they should be; the store's errors; those of `place`.
    pub async fn fetch_whole<T, P>(&self, download: &ObjectDownload, place: P) -> Result<T>
    where
        T: Send + 'static,
        P: FnOnce(&[Bytes]) -> Result<T> + Send + 'static,
    {
        let stop = &self.context.cancel;
        let _room = self.unless(stop, self.limits.bytes(download.size_bytes)).await.map_err(Failure::into_error)?;
        let received = self.repeat(download, |object| self.whole_body(download, object)).await?;
        let Received { pieces, counted, .. } = received;
        let placed = blocking(move || place(&pieces)).await?;
        counted.keep();
        Ok(placed)
    }

    async fn whole_body(&self, download: &ObjectDownload, object: &ObjectKey) -> Result<Received, Failure> {
        let received = self.whole_or_range(download, object, None, &self.context.cancel).await?;
        if let Some(found) = &received.hash {
            check_hash(download, object, found)?;
        }
        Ok(received)
    }

    /// Fetches contents of any size in ranges, several at once, into a staged file at an offset, and checks them. When this
    /// returns, nothing writes to the file any more.
    ///
    /// # Errors
    /// As [`Downloader::fetch_whole`], and where the file can't be written.
    pub async fn fetch_in_ranges(&self, download: &ObjectDownload, staged: &Arc<StagedFile>, at: u64) -> Result<()> {
        let counted = self.repeat(download, |object| self.ranges(download, object, (staged, at))).await?;
        counted.keep();
        Ok(())
    }

    async fn ranges(
        &self,
        download: &ObjectDownload,
        object: &ObjectKey,
        (staged, at): (&Arc<StagedFile>, u64),
    ) -> Result<Counted, Failure> {
        let stop = self.context.cancel.child_token();
        // If this future is dropped, its ranges stop too.
        let _stops = stop.clone().drop_guard();
        let place = Place { object: object.clone(), staged: Arc::clone(staged), at, stop: stop.clone() };
        let mut under_way = VecDeque::new();
        let outcome = self.ranges_in_order(download, &place, &mut under_way).await;
        if outcome.is_err() {
            stop.cancel();
            for RangeTask { task, .. } in under_way {
                let _ = task.await;
            }
        }
        outcome
    }

    /// Keeps ranges coming and hashes them in their order.
    async fn ranges_in_order(
        &self,
        download: &ObjectDownload,
        place: &Place,
        under_way: &mut VecDeque<RangeTask>,
    ) -> Result<Counted, Failure> {
        let mut hasher = Hasher::new();
        let mut counted = Counted::new(&self.context.progress);
        let (mut start, mut most) = (0, FEWEST_RANGES);
        loop {
            let length = PART_BYTES.min(download.size_bytes - start);
            if length == 0 && under_way.is_empty() {
                break;
            }
            // Room is taken in order, before the request is made, so that the first range never waits for the later ones.
            tokio::select! {
                biased;
                () = place.stop.cancelled() => return Err(cancelled()),
                done = first_done(under_way), if !under_way.is_empty() => {
                    let first = under_way.pop_front();
                    let (received, took) = done?;
                    most = if took < SWIFT_RANGE { FEWEST_RANGES.max(most - 1) } else { most + 1 };
                    counted.absorb(received.counted);
                    hasher = self.hash_pieces(hasher, received.pieces).await?;
                    drop(first);
                }
                room = self.limits.bytes(length), if length > 0 && under_way.len() < most => {
                    let task = self.clone().range_task(download.clone(), place.clone(), start);
                    under_way.push_back(RangeTask { task: tokio::spawn(task), _room: room });
                    start += length;
                }
            }
        }
        if self.verify == Verify::Hash {
            check_hash(download, &place.object, &hasher.finish())?;
        }
        Ok(counted)
    }

    /// Fetches one range and writes it where it belongs. Gives what came, and how long that took to come.
    async fn range_task(self, download: ObjectDownload, place: Place, start: u64) -> Result<ReceivedIn, Failure> {
        let length = PART_BYTES.min(download.size_bytes - start);
        let since = Instant::now();
        let received = self.one_range(&download, &place, start..start + length).await?;
        let took = since.elapsed();
        write(place.staged, received.pieces.clone(), place.at + start).await.map_err(Failure::Final)?;
        Ok((received, took))
    }

    async fn hash_pieces(&self, mut hasher: Hasher, pieces: Vec<Bytes>) -> Result<Hasher, Failure> {
        if self.verify != Verify::Hash {
            return Ok(hasher);
        }
        let work = move || {
            for piece in &pieces {
                hasher.update(piece);
            }
            Ok(hasher)
        };
        blocking(work).await.map_err(Failure::Final)
    }

    /// One range, asked for again where its body breaks off.
    async fn one_range(
        &self,
        download: &ObjectDownload,
        place: &Place,
        range: std::ops::Range<u64>,
    ) -> Result<Received, Failure> {
        let mut broken = 0;
        loop {
            match self.whole_or_range(download, &place.object, Some(range.clone()), &place.stop).await {
                Err(Failure::Body(error)) => {
                    broken += 1;
                    if broken >= BODY_ATTEMPTS {
                        return Err(Failure::Final(error));
                    }
                    self.pause(broken, &error, &place.stop).await?;
                }
                other => return other,
            }
        }
    }

    async fn whole_or_range(
        &self,
        download: &ObjectDownload,
        object: &ObjectKey,
        range: Option<std::ops::Range<u64>>,
        stop: &CancellationToken,
    ) -> Result<Received, Failure> {
        self.unless(stop, self.body(download, object, range)).await?
    }

    /// One request and its body. Bytes are counted as they come.
    async fn body(
        &self,
        download: &ObjectDownload,
        object: &ObjectKey,
        range: Option<std::ops::Range<u64>>,
    ) -> Result<Received, Failure> {
        let _permit = self.limits.request().await;
        let expected = range.as_ref().map_or(download.size_bytes, |range| range.end - range.start);
        let is_whole = range.is_none();
        // Errors before the body are final: the store has repeated what is worth it.
        let answer = self.store.get(object, range, S3Action::DownloadingFile).await;
        let mut body = answer.map_err(|error| match error {
            Error::Integrity(_) => Failure::Wrong(error),
            _ => Failure::Final(error),
        })?;
        if self.verify != Verify::Off && (body.length_bytes != expected || body.info.size_bytes != download.size_bytes)
        {
            return Err(Failure::Wrong(wrong_size(download, object, body.info.size_bytes)));
        }
        // Ranges are hashed in their order, once they are all there.
        let hasher = (is_whole && self.verify == Verify::Hash).then(Hasher::new);
        let mut receiving = Receiving::new(&self.buffers, &self.context.progress, body.length_bytes, hasher);
        loop {
            match body.chunks.next_chunk().await {
                Ok(Some(piece)) if receiving.push(&piece) => {}
                Ok(None) if receiving.is_complete() => break,
                Ok(_) => {
                    let received = receiving.received;
                    let text = format!("the body ended after {received} of {} bytes", body.length_bytes);
                    self.limits.complain();
                    return Err(Failure::Body(cut_off(object, text)));
                }
                Err(error) => {
                    self.limits.complain();
                    return Err(Failure::Body(error));
                }
            }
        }
        self.limits.report(self.store.as_ref());
        Ok(receiving.finish())
    }

    /// Tries again what is worth it, and the other key where the first has nothing.
    async fn repeat<'a, T, F, R>(&self, download: &'a ObjectDownload, attempt: F) -> Result<T>
    where
        F: Fn(&'a ObjectKey) -> R,
        R: Future<Output = Result<T, Failure>>,
    {
        let mut object = &download.object;
        let (mut broken, mut wrong) = (0, 0);
        loop {
            match attempt(object).await {
                Ok(value) => return Ok(value),
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

    async fn pause(&self, attempt: u32, error: &Error, stop: &CancellationToken) -> Result<(), Failure> {
        self.context.log(LogLevel::Debug, "download", || format!("{error}; asking again"));
        self.unless(stop, tokio::time::sleep(FIRST_PAUSE * 2_u32.pow(attempt.min(6)))).await
    }

    /// What work gives, unless it is stopped first.
    async fn unless<T>(&self, stop: &CancellationToken, work: impl Future<Output = T>) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = stop.cancelled() => Err(cancelled()),
            value = work => Ok(value),
        }
    }
}

impl Failure {
    fn into_error(self) -> Error {
        match self {
            Self::Body(error) | Self::Wrong(error) | Self::Final(error) => error,
        }
    }
}

fn cancelled() -> Failure {
    Failure::Final(Error::Cancelled(CANCELLED.to_owned()))
}

fn check_hash(download: &ObjectDownload, object: &ObjectKey, found: &ContentHash) -> Result<(), Failure> {
    if *found == download.expected {
        return Ok(());
    }
    let error = IntegrityError {
        subject: object.url(),
        expected: download.expected.text().into_owned(),
        found: found.text().into_owned(),
        place: None,
    };
    Err(Failure::Wrong(error.into()))
}

async fn write(staged: Arc<StagedFile>, pieces: Vec<Bytes>, mut offset: u64) -> Result<()> {
    blocking(move || {
        for piece in &pieces {
            staged.write_at(piece, offset)?;
            offset += piece.len() as u64;
        }
        Ok(())
    })
    .await
}

fn wrong_size(download: &ObjectDownload, object: &ObjectKey, found: u64) -> Error {
    IntegrityError {
        subject: object.url(),
        expected: format!("{} bytes", download.size_bytes),
        found: format!("{found} bytes"),
        place: None,
    }
    .into()
}

fn cut_off(object: &ObjectKey, details: String) -> Error {
    S3ClientError::new(S3Action::DownloadingFile, &object.bucket, &object.key, details).into()
}

/// Where ranges go, and what stops them.
#[derive(Clone)]
struct Place {
    object: ObjectKey,
    staged: Arc<StagedFile>,
    at: u64,
    stop: CancellationToken,
}

/// A range, and how long it took to come.
type ReceivedIn = (Received, Duration);

/// A range on its way, and the room that its bytes take until they are hashed.
struct RangeTask {
    task: tokio::task::JoinHandle<Result<ReceivedIn, Failure>>,
    _room: Option<OwnedSemaphorePermit>,
}

/// Waits for the first range; the others go on meanwhile.
async fn first_done(under_way: &mut VecDeque<RangeTask>) -> Result<ReceivedIn, Failure> {
    let Some(first) = under_way.front_mut() else { return Err(cancelled()) };
    finished((&mut first.task).await).unwrap_or_else(|| Err(cancelled()))
}
