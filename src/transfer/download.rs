//! Getting one object's contents out of the store: checked against size and hash before anyone sees them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use super::PART_BYTES;
use super::buffers::{Buffer, Buffers};
use super::context::{Context, LogLevel};
use super::limits::Limits;
use super::upload::{blocking, joined};
use crate::error::{Error, IntegrityError, Result, S3Action};
use crate::fs::stage::StagedFile;
use crate::hash::{ContentHash, Hasher};
use crate::store::{ObjectKey, ObjectStore};

/// How often a body that breaks off is asked for again. Requests that fail before their body are the store's to repeat.
const BODY_ATTEMPTS: u32 = 8;
/// How often contents that are wrong are fetched again: a second copy that is wrong too is what S3 has.
const WRONG_CONTENT_ATTEMPTS: u32 = 2;
const FIRST_PAUSE: Duration = Duration::from_millis(50);

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
    /// # Errors
    /// [`Error::Integrity`] where they are not what they should be; the store's errors; those of `place`.
    pub async fn fetch_whole<T, P>(&self, download: &ObjectDownload, place: P) -> Result<T>
    where
        T: Send + 'static,
        P: FnOnce(&[Bytes]) -> Result<T> + Send + 'static,
    {
        let _room = self.limits.bytes(download.size_bytes).await;
        let (pieces, key) = self.repeat(download, |object| self.whole_body(download, object)).await?;
        let _ = key;
        blocking(move || place(&pieces)).await
    }

    async fn whole_body(&self, download: &ObjectDownload, object: &ObjectKey) -> Result<Vec<Bytes>, Failure> {
        let pieces = self.body(download, object, None).await?;
        if self.verify == Verify::Hash {
            let mut hasher = Hasher::new();
            pieces.iter().for_each(|piece| hasher.update(piece));
            self.check_hash(download, object, &hasher).inspect_err(|_| self.take_back(&pieces))?;
        }
        Ok(pieces)
    }

    /// Fetches contents of any size in ranges, several at once, into a staged file at an offset, and checks them.
    ///
    /// # Errors
    /// As [`Downloader::fetch_whole`], and where the file can't be written.
    pub async fn fetch_in_ranges(&self, download: &ObjectDownload, staged: &Arc<StagedFile>, at: u64) -> Result<()> {
        self.repeat(download, |object| self.ranges(download, object, staged, at)).await.map(drop)
    }

    async fn ranges(
        &self,
        download: &ObjectDownload,
        object: &ObjectKey,
        staged: &Arc<StagedFile>,
        at: u64,
    ) -> Result<(), Failure> {
        let mut hasher = Hasher::new();
        let (mut start, mut taken) = (0, 0);
        let mut under_way: VecDeque<RangeTask> = VecDeque::new();
        loop {
            let length = PART_BYTES.min(download.size_bytes - start);
            // Room is taken in order, before the request is made, so that the first range never waits for the later ones.
            let next = tokio::select! {
                biased;
                done = first_done(&mut under_way), if !under_way.is_empty() => Some(done),
                room = self.limits.bytes(length), if length > 0 => {
                    let task = self.clone().range_task(download.clone(), object.clone(), start, (Arc::clone(staged), at));
                    under_way.push_back(RangeTask(tokio::spawn(task), room));
                    start += length;
                    None
                }
                else => break,
            };
            if let Some(done) = next {
                let pieces = done?;
                taken += pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
                hasher = self.hash_pieces(hasher, pieces).await?;
                under_way.pop_front();
            }
        }
        if self.verify == Verify::Hash {
            let outcome = self.check_hash(download, object, &hasher);
            return outcome.inspect_err(|_| self.context.progress.take_back_bytes(taken));
        }
        Ok(())
    }

    /// Fetches one range and writes it where it belongs.
    async fn range_task(
        self,
        download: ObjectDownload,
        object: ObjectKey,
        start: u64,
        (staged, at): (Arc<StagedFile>, u64),
    ) -> Result<Vec<Bytes>, Failure> {
        let length = PART_BYTES.min(download.size_bytes - start);
        let pieces = self.one_range(&download, &object, start..start + length).await?;
        write(staged, pieces.clone(), at + start).await.map_err(Failure::Final)?;
        Ok(pieces)
    }

    async fn hash_pieces(&self, mut hasher: Hasher, pieces: Vec<Bytes>) -> Result<Hasher, Failure> {
        if self.verify != Verify::Hash {
            return Ok(hasher);
        }
        let work = move || {
            pieces.iter().for_each(|piece| hasher.update(piece));
            Ok(hasher)
        };
        blocking(work).await.map_err(Failure::Final)
    }

    /// One range, asked for again where its body breaks off.
    async fn one_range(
        &self,
        download: &ObjectDownload,
        object: &ObjectKey,
        range: std::ops::Range<u64>,
    ) -> Result<Vec<Bytes>, Failure> {
        let mut attempt = 0;
        loop {
            match self.body(download, object, Some(range.clone())).await {
                Err(Failure::Body(error)) if attempt + 1 < BODY_ATTEMPTS => {
                    self.pause(attempt, &error).await;
                    attempt += 1;
                }
                other => return other,
            }
        }
    }

    /// One request and its body. Bytes are counted as they come and taken back if the body breaks off.
    async fn body(
        &self,
        download: &ObjectDownload,
        object: &ObjectKey,
        range: Option<std::ops::Range<u64>>,
    ) -> Result<Vec<Bytes>, Failure> {
        let _permit = self.limits.request().await;
        let expected = range.as_ref().map_or(download.size_bytes, |range| range.end - range.start);
        let answer = self.store.get(object, range, S3Action::DownloadingFile).await;
        let mut body = answer.map_err(|error| match error {
            Error::S3Client(_) => Failure::Body(error),
            _ => Failure::Final(error),
        })?;
        if self.verify != Verify::Off && (body.length_bytes != expected || body.info.size_bytes != download.size_bytes)
        {
            return Err(Failure::Wrong(wrong_size(download, object, body.info.size_bytes)));
        }
        let mut collected = Collected::new(&self.buffers, body.length_bytes);
        loop {
            match body.chunks.next_chunk().await {
                Ok(Some(piece)) => {
                    self.context.progress.add_bytes(piece.len() as u64);
                    collected.push(piece);
                }
                Ok(None) if collected.received == body.length_bytes => break,
                Ok(None) => {
                    self.context.progress.take_back_bytes(collected.received);
                    let text = format!("the body ended after {} of {} bytes", collected.received, body.length_bytes);
                    return Err(Failure::Body(cut_off(object, text)));
                }
                Err(error) => {
                    self.context.progress.take_back_bytes(collected.received);
                    return Err(Failure::Body(error));
                }
            }
        }
        let pieces = collected.finish();
        self.limits.report(self.store.as_ref());
        Ok(pieces)
    }

    /// Tries again what is worth it, and the other key where the first has nothing.
    async fn repeat<'a, T, F, R>(&self, download: &'a ObjectDownload, attempt: F) -> Result<(T, &'a ObjectKey)>
    where
        F: Fn(&'a ObjectKey) -> R,
        R: Future<Output = Result<T, Failure>>,
    {
        let mut object = &download.object;
        let (mut broken, mut wrong) = (0, 0);
        loop {
            match attempt(object).await {
                Ok(value) => return Ok((value, object)),
                Err(Failure::Body(error)) => {
                    broken += 1;
                    if broken >= BODY_ATTEMPTS {
                        return Err(error);
                    }
                    self.pause(broken, &error).await;
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

    async fn pause(&self, attempt: u32, error: &Error) {
        self.context.log(LogLevel::Debug, "download", || format!("{error}; asking again"));
        tokio::time::sleep(FIRST_PAUSE * 2_u32.pow(attempt.min(6))).await;
    }

    fn take_back(&self, pieces: &[Bytes]) {
        self.context.progress.take_back_bytes(pieces.iter().map(|piece| piece.len() as u64).sum());
    }

    fn check_hash(&self, download: &ObjectDownload, object: &ObjectKey, hasher: &Hasher) -> Result<(), Failure> {
        let found = hasher.finish();
        if found == download.expected {
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
}

/// A body as it comes in.
///
/// Frames are copied into a buffer that is used again: to keep them would keep the connection's read buffers alive behind
/// them, and fresh pages cost several times what the copy does.
struct Collected {
    buffer: Option<Buffer>,
    pieces: Vec<Bytes>,
    expected: u64,
    received: u64,
    buffers: Buffers,
}

impl Collected {
    fn new(buffers: &Buffers, expected: u64) -> Self {
        Self { buffer: None, pieces: Vec::new(), expected, received: 0, buffers: buffers.clone() }
    }

    fn push(&mut self, piece: Bytes) {
        let start = usize::try_from(self.received).unwrap_or(usize::MAX);
        self.received += piece.len() as u64;
        // A body that came whole needs no buffer; one that is larger than was said, or than a part, is kept as it comes.
        let fits = self.received <= self.expected && self.expected <= PART_BYTES;
        if !fits || (start == 0 && self.received == self.expected) {
            self.pieces.push(piece);
            return;
        }
        let length = usize::try_from(self.expected).unwrap_or(usize::MAX);
        let buffer = self.buffer.get_or_insert_with(|| self.buffers.take(length));
        buffer.as_mut()[start..start + piece.len()].copy_from_slice(&piece);
    }

    fn finish(self) -> Vec<Bytes> {
        self.buffer.map_or(self.pieces, |buffer| vec![buffer.freeze()])
    }
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
    crate::error::S3ClientError {
        action: S3Action::DownloadingFile,
        bucket: object.bucket.clone(),
        key: object.key.clone(),
        details,
        source: None,
    }
    .into()
}

/// A range on its way, and the room that its bytes take until they are hashed. It ends with whoever waits for it.
struct RangeTask(
    tokio::task::JoinHandle<Result<Vec<Bytes>, Failure>>,
    #[expect(dead_code, reason = "held")] Option<OwnedSemaphorePermit>,
);

impl Drop for RangeTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Waits for the first range; the others go on meanwhile.
async fn first_done(under_way: &mut VecDeque<RangeTask>) -> Result<Vec<Bytes>, Failure> {
    let Some(RangeTask(task, _)) = under_way.front_mut() else { return Ok(Vec::new()) };
    match task.await {
        Ok(outcome) => outcome,
        Err(error) => Err(match joined::<()>(Err(error)) {
            Err(error) => Failure::Final(error),
            Ok(()) => Failure::Final(Error::Cancelled("File download cancelled.".to_owned())),
        }),
    }
}
