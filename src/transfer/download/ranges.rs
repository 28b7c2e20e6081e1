//! Contents that go into a staged file, in one range or in several at once.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::body::Counted;
use super::downloader::{BODY_ATTEMPTS, Downloader, next_piece};
use super::failure::{Failure, broke_off, cancelled, check_hash};
use super::object::{Fetched, ObjectDownload, Verify};
use super::range::{HasherInTurn, InOrder, RangeBody};
use super::range_concurrency::RangeConcurrency;
use super::reorder_buffer::ReorderBuffer;
use super::write_behind::WriteBehind;
use crate::error::Result;
use crate::fs::stage::StagedFile;
use crate::hash::Hasher;
use crate::store::ObjectKey;
use crate::transfer::context::CancellationToken;
use crate::transfer::limits::Room;
use crate::transfer::sizes::PART_BYTES;
use crate::transfer::tasks::{blocking, finished, heard};

impl Downloader {
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
            let destination =
                Destination { object: object.clone(), staged: Arc::clone(&staged), at: 0, stop: stop.clone() };
            let (turn, hashed) = Turn::take(first_hasher(), mpsc::unbounded_channel().0);
            let counted = self.range(download, &destination, 0..download.size_bytes, turn).await?;
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
        let counted = self.repeat(download, |object| self.ranges(download, object, staged, at)).await?;
        let Some(counted) = counted else { return Ok(Fetched::FoundThere) };
        counted.keep();
        Ok(Fetched::Placed)
    }

    async fn ranges(
        &self,
        download: &ObjectDownload,
        object: &ObjectKey,
        staged: &Arc<StagedFile>,
        at: u64,
    ) -> Result<Counted, Failure> {
        let stop = self.context.cancel.child_token();
        // If this future is dropped, its ranges stop too.
        let _stops = stop.clone().drop_guard();
        let destination = Destination { object: object.clone(), staged: Arc::clone(staged), at, stop: stop.clone() };
        let mut under_way = VecDeque::new();
        let outcome = self.ranges_in_order(download, &destination, &mut under_way).await;
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
        destination: &Destination,
        under_way: &mut VecDeque<RangeTask>,
    ) -> Result<Counted, Failure> {
        let mut counted = Counted::new(&self.context.progress);
        let mut hasher = first_hasher();
        let (report, mut reports) = mpsc::unbounded_channel();
        let (mut start, mut concurrency) = (0, RangeConcurrency::default());
        loop {
            let length = PART_BYTES.min(download.size_bytes - start);
            if length == 0 && under_way.is_empty() {
                break;
            }
            let may_begin = length > 0 && concurrency.allow_another(under_way.len());
            // Room is taken in order, before the request is made, so that the first range never waits for the later ones.
            tokio::select! {
                biased;
                () = destination.stop.cancelled() => return Err(cancelled()),
                done = first_done(under_way), if !under_way.is_empty() => {
                    under_way.pop_front();
                    counted.absorb(done?);
                }
                Some(took) = reports.recv() => concurrency.finished(took),
                room = self.limits.bytes(length), if may_begin => {
                    let (turn, next) = Turn::take(hasher, report.clone());
                    let (job, download, destination) = (self.clone(), download.clone(), destination.clone());
                    let bytes = start..start + length;
                    let task = async move { job.range(&download, &destination, bytes, turn).await };
                    under_way.push_back(RangeTask { task: tokio::spawn(heard(task)), _room: room });
                    hasher = next;
                    start += length;
                    concurrency.started();
                }
            }
        }
        self.check(download, &destination.object, hasher).await?;
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
        destination: &Destination,
        bytes: Range<u64>,
        turn: Turn,
    ) -> Result<Counted, Failure> {
        let buffer = || ReorderBuffer::new(self.limits.clone(), self.buffers.clone());
        let hasher = (self.verify == Verify::Hash).then(|| InOrder { hasher: turn.hasher, buffer: buffer() });
        let writer = WriteBehind::new(
            Arc::clone(&destination.staged),
            destination.at + bytes.start,
            self.write_throughput.clone(),
        );
        let mut range_body = RangeBody::new(writer, bytes.end - bytes.start, hasher, &self.context.progress);
        let since = Instant::now();
        if let Err(failure) = self.all_of_range(download, destination, bytes, &mut range_body).await {
            range_body.give_up().await;
            return Err(failure);
        }
        // Nobody listens where the download has failed meanwhile, or is of one range.
        let _ = turn.finished.send(since.elapsed());
        range_body.finish(turn.next).await.map_err(Failure::Final)
    }

    /// Asks for a range, and for the rest of it where its body breaks off.
    async fn all_of_range(
        &self,
        download: &ObjectDownload,
        destination: &Destination,
        bytes: Range<u64>,
        range_body: &mut RangeBody,
    ) -> Result<(), Failure> {
        let mut broken = 0;
        loop {
            let rest = bytes.start + range_body.received()..bytes.end;
            let asked = self.body_into_file(download, &destination.object, rest, range_body);
            match self.unless(&destination.stop, asked).await? {
                Err(Failure::Body(error)) if range_body.missing() > 0 => {
                    broken += 1;
                    if broken >= BODY_ATTEMPTS {
                        return Err(Failure::Final(error));
                    }
                    self.pause(broken, &error, &destination.stop).await?;
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
        range_body: &mut RangeBody,
    ) -> Result<(), Failure> {
        let _permit = self.limits.request().await;
        let range = (bytes != (0..download.size_bytes)).then_some(bytes);
        let mut body = self.reply(download, object, range).await?;
        while let Some(piece) = next_piece(&mut body).await? {
            if !range_body.push(piece).await.map_err(Failure::Final)? {
                return Err(broke_off(object, range_body.received(), range_body.expected()));
            }
        }
        if range_body.missing() > 0 {
            return Err(broke_off(object, range_body.received(), range_body.expected()));
        }
        Ok(())
    }
}

/// Where ranges go, and what stops them.
#[derive(Clone)]
struct Destination {
    object: ObjectKey,
    staged: Arc<StagedFile>,
    at: u64,
    stop: CancellationToken,
}

/// What a range is given and gives on.
struct Turn {
    /// The hasher, once it has seen everything before the range.
    hasher: HasherInTurn,
    /// Gets how long the range took to come, before it is all written and hashed.
    finished: mpsc::UnboundedSender<Duration>,
    /// Gets the hasher.
    next: oneshot::Sender<Box<Hasher>>,
}

impl Turn {
    /// A turn, and how the hasher comes to the turn after it.
    fn take(hasher: HasherInTurn, finished: mpsc::UnboundedSender<Duration>) -> (Self, HasherInTurn) {
        let (next, after) = oneshot::channel();
        (Self { hasher, finished, next }, after)
    }
}

/// The hasher for the first range.
fn first_hasher() -> HasherInTurn {
    let (give, hasher) = oneshot::channel();
    // The receiver is alive, so `send` cannot fail.
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
