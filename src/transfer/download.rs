//! Getting one object's contents out of the store: checked against size and hash before anyone sees them.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::PART_BYTES;
use super::arriving::{Arriving, HasherInTurn};
use super::buffers::Buffers;
use super::context::{CancellationToken, Context, LogLevel};
use super::disk_pace::DiskPace;
use super::kept::Kept;
use super::limits::{Limits, Room};
use super::look_again::LookAgain;
use super::ranges_at_once::RangesAtOnce;
use super::received::{Counted, Received, Receiving};
use super::tasks::{blocking, finished, heard};
use super::writer::Writer;
use crate::error::{Error, IntegrityError, Result, S3Action, S3ClientError};
use crate::fs::stage::StagedFile;
use crate::hash::{ContentHash, Hasher};
use crate::permits::Permit;
use crate::store::backoff::Backoff;
use crate::store::{ObjectBody, ObjectKey, ObjectStore};

/// How often a body that breaks off is asked for again. Requests that fail before their body are the store's to repeat.
const BODY_ATTEMPTS: u32 = 8;
/// How often contents that are wrong are fetched again: a second copy that is wrong too is what S3 has.
const WRONG_CONTENT_ATTEMPTS: u32 = 2;
/// A whole body in memory that has another length than the manifest says has at most this.
const MOST_UNCHECKED_BYTES: u64 = 8 * PART_BYTES;
const CANCELLED: &str = "File download cancelled.";

/// What is checked of what arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Verify {
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
pub(crate) struct ObjectDownload {
    /// Where they are.
    pub object: ObjectKey,
    /// Where they may be if not there: keys of old farms have no suffix.
    pub fallback: Option<ObjectKey>,
    /// What they hash to.
    pub expected: ContentHash,
    /// Their size in bytes.
    pub size_bytes: u64,
    /// Asked before each request.
    pub look_again: Option<LookAgain>,
}

/// How a download without an error ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fetched {
    /// The contents were fetched, checked and handed over.
    Placed,
    /// They were there before all of them were asked for; nothing was handed over.
    FoundThere,
}

/// Everything that many downloads share. Clones are cheap.
#[derive(Clone)]
pub(crate) struct Downloader {
    /// Where from.
    pub store: Arc<dyn ObjectStore>,
    /// How much at once.
    pub limits: Limits,
    /// Buffers for bodies.
    pub buffers: Buffers,
    /// How writes go.
    pub pace: DiskPace,
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
    /// Nothing has to be done any more.
    FoundThere,
}

impl Downloader {
    /// Waits for the right to work on an object of the process.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub(crate) async fn object(&self) -> Result<Permit> {
        self.unless(&self.context.cancel, self.limits.object()).await.map_err(Failure::into_error)
    }

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

    /// Fetches contents that fit one request into a staged file, which is made once there is room, and checks them. `None` where
    /// they were found to be there.
    ///
    /// # Errors
    /// As [`Downloader::fetch_whole`], and where the file can't be made or written.
    pub(crate) async fn fetch_part<S>(&self, download: &ObjectDownload, stage: S) -> Result<Option<Arc<StagedFile>>>
    where
        S: FnOnce() -> Result<StagedFile> + Send + 'static,
    {
        let stop = &self.context.cancel;
        let _room = self.unless(stop, self.limits.bytes(download.size_bytes)).await.map_err(Failure::into_error)?;
        let staged = Arc::new(blocking(stage).await?);
        let attempt = async |object: &ObjectKey| {
            let place = Place { object: object.clone(), staged: Arc::clone(&staged), at: 0, stop: stop.clone() };
            let (turn, hashed) = Turn::take(first_hasher(), mpsc::unbounded_channel().0);
            let counted = self.range(download, &place, 0..download.size_bytes, turn).await?;
            self.check(download, object, hashed).await?;
            Ok(counted)
        };
        let Some(counted) = self.repeat(download, attempt).await? else { return Ok(None) };
        counted.keep();
        Ok(Some(staged))
    }

    /// Fetches contents of any size in ranges, several at once, into a staged file at an offset, and checks them. When this
    /// returns, nothing writes to the file any more.
    ///
    /// # Errors
    /// As [`Downloader::fetch_whole`], and where the file can't be written.
    pub(crate) async fn fetch_in_ranges(
        &self,
        download: &ObjectDownload,
        staged: &Arc<StagedFile>,
        at: u64,
    ) -> Result<Fetched> {
        let counted = self.repeat(download, |object| self.ranges(download, object, (staged, at))).await?;
        let Some(counted) = counted else { return Ok(Fetched::FoundThere) };
        counted.keep();
        Ok(Fetched::Placed)
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

    /// Keeps ranges coming; the hasher goes from each to the next.
    async fn ranges_in_order(
        &self,
        download: &ObjectDownload,
        place: &Place,
        under_way: &mut VecDeque<RangeTask>,
    ) -> Result<Counted, Failure> {
        let mut counted = Counted::new(&self.context.progress);
        let mut hasher = first_hasher();
        let (tell, mut told) = mpsc::unbounded_channel();
        let (mut start, mut at_once) = (0, RangesAtOnce::default());
        loop {
            let length = PART_BYTES.min(download.size_bytes - start);
            if length == 0 && under_way.is_empty() {
                break;
            }
            let may_begin = length > 0 && at_once.allow_another(under_way.len());
            // Room is taken in order, before the request is made, so that the first range never waits for the later ones.
            tokio::select! {
                biased;
                () = place.stop.cancelled() => return Err(cancelled()),
                done = first_done(under_way), if !under_way.is_empty() => {
                    under_way.pop_front();
                    counted.absorb(done?);
                }
                Some(took) = told.recv() => at_once.came(took),
                room = self.limits.bytes(length), if may_begin => {
                    let (turn, next) = Turn::take(hasher, tell.clone());
                    let (job, download, place) = (self.clone(), download.clone(), place.clone());
                    let bytes = start..start + length;
                    let task = async move { job.range(&download, &place, bytes, turn).await };
                    under_way.push_back(RangeTask { task: tokio::spawn(heard(task)), _room: room });
                    hasher = next;
                    start += length;
                    at_once.began();
                }
            }
        }
        self.check(download, &place.object, hasher).await?;
        Ok(counted)
    }

    async fn check(&self, download: &ObjectDownload, object: &ObjectKey, hasher: HasherInTurn) -> Result<(), Failure> {
        if self.verify != Verify::Hash {
            return Ok(());
        }
        // Without its hasher a range before has failed, and that is what is told.
        let hasher = hasher.await.map_err(|_| cancelled())?;
        check_hash(download, object, &hasher.finish())
    }

    /// Fetches one range to where it belongs. When this returns, nothing writes there any more.
    async fn range(
        &self,
        download: &ObjectDownload,
        place: &Place,
        bytes: Range<u64>,
        turn: Turn,
    ) -> Result<Counted, Failure> {
        let kept = || Kept::new(self.limits.clone(), self.buffers.clone());
        let hasher = (self.verify == Verify::Hash).then(|| (turn.hasher, kept()));
        let writer = Writer::new(Arc::clone(&place.staged), place.at + bytes.start, self.pace.clone());
        let mut arriving = Arriving::new(writer, bytes.end - bytes.start, hasher, &self.context.progress);
        let since = Instant::now();
        if let Err(failure) = self.all_of_range(download, place, bytes, &mut arriving).await {
            arriving.give_up().await;
            return Err(failure);
        }
        // Nobody listens where the download has failed meanwhile, or is of one range.
        let _ = turn.came.send(since.elapsed());
        arriving.finish(turn.next).await.map_err(Failure::Final)
    }

    /// Asks for a range, and for the rest of it where its body breaks off.
    async fn all_of_range(
        &self,
        download: &ObjectDownload,
        place: &Place,
        bytes: Range<u64>,
        arriving: &mut Arriving,
    ) -> Result<(), Failure> {
        let mut broken = 0;
        loop {
            let rest = bytes.start + arriving.received()..bytes.end;
            let asked = self.body_into_file(download, &place.object, rest, arriving);
            match self.unless(&place.stop, asked).await? {
                Err(Failure::Body(error)) if arriving.missing() > 0 => {
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

    async fn body_into_file(
        &self,
        download: &ObjectDownload,
        object: &ObjectKey,
        bytes: Range<u64>,
        arriving: &mut Arriving,
    ) -> Result<(), Failure> {
        let _permit = self.limits.request().await;
        let range = (bytes != (0..download.size_bytes)).then_some(bytes);
        let mut body = self.reply(download, object, range).await?;
        while let Some(piece) = next_piece(&mut body).await? {
            if !arriving.push(piece).await.map_err(Failure::Final)? {
                return Err(broke_off(object, (arriving.received(), arriving.expected())));
            }
        }
        if arriving.missing() > 0 {
            return Err(broke_off(object, (arriving.received(), arriving.expected())));
        }
        Ok(())
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
                Some(length) => broke_off(object, (receiving.received, length)),
                // It came to its end, as far as anyone can tell.
                None => Failure::Wrong(wrong_size(download, object, receiving.received)),
            });
        }
        Ok(receiving.finish())
    }

    /// The reply to one request, if it is as long as it should be.
    async fn reply(
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
    async fn repeat<'a, T, F, R>(&self, download: &'a ObjectDownload, attempt: F) -> Result<Option<T>>
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

    async fn pause(&self, attempt: u32, error: &Error, stop: &CancellationToken) -> Result<(), Failure> {
        self.context.log(LogLevel::Debug, "download", || format!("{error}; asking again"));
        self.unless(stop, tokio::time::sleep(Backoff::OF_BODIES.wait(attempt))).await
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
            Self::FoundThere => Error::Cancelled(CANCELLED.to_owned()),
        }
    }
}

async fn next_piece(body: &mut ObjectBody) -> Result<Option<Bytes>, Failure> {
    body.chunks.next_chunk().await.map_err(Failure::Body)
}

/// Of a body, or of a range whose rest was asked for: what came in all, and what should have.
fn broke_off(object: &ObjectKey, (received, expected): (u64, u64)) -> Failure {
    let details = format!("the body ended after {received} of {expected} bytes");
    Failure::Body(S3ClientError::new(S3Action::DownloadingFile, &object.bucket, &object.key, details).into())
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

fn wrong_size(download: &ObjectDownload, object: &ObjectKey, found: u64) -> Error {
    IntegrityError {
        subject: object.url(),
        expected: format!("{} bytes", download.size_bytes),
        found: format!("{found} bytes"),
        place: None,
    }
    .into()
}

/// Where ranges go, and what stops them.
#[derive(Clone)]
struct Place {
    object: ObjectKey,
    staged: Arc<StagedFile>,
    at: u64,
    stop: CancellationToken,
}

/// What a range is given and gives on.
struct Turn {
    /// The hasher, once it has seen everything before the range.
    hasher: HasherInTurn,
    /// Told how long the range took to come, before it is all written and hashed.
    came: mpsc::UnboundedSender<Duration>,
    /// Gets the hasher.
    next: oneshot::Sender<Box<Hasher>>,
}

impl Turn {
    /// A turn, and how the hasher comes to the turn after it.
    fn take(hasher: HasherInTurn, came: mpsc::UnboundedSender<Duration>) -> (Self, HasherInTurn) {
        let (next, after) = oneshot::channel();
        (Self { hasher, came, next }, after)
    }
}

/// The hasher for the first range.
fn first_hasher() -> HasherInTurn {
    let (give, hasher) = oneshot::channel();
    // Whoever takes it is still there.
    let _ = give.send(Box::default());
    hasher
}

/// A range on its way, and the room that its bytes take until they are hashed.
struct RangeTask {
    task: tokio::task::JoinHandle<Result<Counted, Failure>>,
    _room: Room,
}

/// Waits for the first range; the others go on meanwhile.
async fn first_done(under_way: &mut VecDeque<RangeTask>) -> Result<Counted, Failure> {
    let Some(first) = under_way.front_mut() else { return Err(cancelled()) };
    finished((&mut first.task).await).unwrap_or_else(|| Err(cancelled()))
}
