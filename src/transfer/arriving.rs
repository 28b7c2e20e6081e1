//! Bodies on their way into a staged file: hashed in their order, and written behind whoever receives them.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot::{self, error::TryRecvError};
use tokio::task::JoinHandle;

use super::kept::{CHUNK_BYTES, Kept};
use super::progress::Progress;
use super::received::Counted;
use super::tasks::{blocking, finished};
use crate::error::{Error, Result};
use crate::fs::stage::StagedFile;
use crate::hash::Hasher;

/// So much is written at a time. By then it is still in the processor's cache, and handing it over costs little beside it.
const BATCH_BYTES: usize = CHUNK_BYTES;
/// So much waits for a disk that is slower than the network; then the network waits.
const MOST_BEHIND_BYTES: usize = 2 * 1024 * 1024;

/// The hasher of an object goes from range to range: once it comes, it has seen everything before the range.
pub(super) type HasherInTurn = oneshot::Receiver<Box<Hasher>>;

/// A range on its way.
pub(super) struct Arriving {
    expected: u64,
    received: u64,
    hashing: Hashing,
    behind: WriteBehind,
    counted: Counted,
}

enum Hashing {
    Off,
    /// Ranges before it come first: what comes is kept until then.
    Later(HasherInTurn, Kept),
    /// Frame by frame as they come, while they are in the processor's cache.
    Now(Box<Hasher>),
}

impl Arriving {
    /// Begins a range of `expected` bytes that goes to an offset of a staged file. It is not hashed if no hasher is to come.
    pub(super) fn new(
        (staged, offset): (&Arc<StagedFile>, u64),
        expected: u64,
        hasher: Option<(HasherInTurn, Kept)>,
        progress: &Arc<Progress>,
    ) -> Self {
        Self {
            expected,
            received: 0,
            hashing: hasher.map_or(Hashing::Off, |(in_turn, kept)| Hashing::Later(in_turn, kept)),
            behind: WriteBehind::new(Arc::clone(staged), offset),
            counted: Counted::new(progress),
        }
    }

    /// How many bytes the range has.
    pub(super) const fn expected(&self) -> u64 {
        self.expected
    }

    /// How many bytes came.
    pub(super) const fn received(&self) -> u64 {
        self.received
    }

    /// How many bytes are still to come.
    pub(super) const fn missing(&self) -> u64 {
        self.expected - self.received
    }

    /// Takes the next bytes; `false`, and nothing is taken, where there are more than there should be.
    ///
    /// # Errors
    /// What came before could not be written. [`Error::Cancelled`]: a range before this one came to nothing.
    pub(super) async fn push(&mut self, piece: Bytes) -> Result<bool> {
        let length = piece.len() as u64;
        if length > self.missing() {
            return Ok(false);
        }
        self.received += length;
        self.counted.add(length);
        self.take_turn().await?;
        match &mut self.hashing {
            Hashing::Off => self.behind.push(piece).await?,
            Hashing::Now(hasher) => {
                hasher.update(&piece);
                self.behind.push(piece).await?;
            }
            Hashing::Later(_, kept) => {
                for chunk in kept.push(piece) {
                    self.behind.push(chunk).await?;
                }
            }
        }
        Ok(true)
    }

    /// Hashes what was kept, if it is the range's turn now.
    async fn take_turn(&mut self) -> Result<()> {
        let Hashing::Later(in_turn, kept) = &mut self.hashing else { return Ok(()) };
        let mut hasher = match in_turn.try_recv() {
            Ok(hasher) => hasher,
            Err(TryRecvError::Closed) => return Err(no_turn()),
            Err(TryRecvError::Empty) => return Ok(()),
        };
        if let Some(rest) = kept.flush() {
            self.behind.push(rest).await?;
        }
        kept.chunks().iter().for_each(|chunk| hasher.update(chunk));
        self.hashing = Hashing::Now(hasher);
        Ok(())
    }

    /// Writes the rest; at the same time waits for the range's turn, hashes it if it was not as it came, and hands the hasher
    /// to the `next` range. When this returns, nothing writes to the file on behalf of this range.
    ///
    /// # Errors
    /// [`Error::Cancelled`]: a range before this one came to nothing.
    pub(super) async fn finish(self, next: oneshot::Sender<Box<Hasher>>) -> Result<Counted> {
        let Self { mut hashing, mut behind, counted, .. } = self;
        if let Hashing::Later(_, kept) = &mut hashing
            && let Some(rest) = kept.flush()
        {
            behind.push(rest).await?;
        }
        let (written, hashed) = tokio::join!(behind.flush(), hashing.pass_on(next));
        written.and(hashed)?;
        Ok(counted)
    }

    /// Waits for what is being written; the rest is not.
    pub(super) async fn give_up(mut self) {
        // Another error is being told already.
        let _ = self.behind.settle().await;
    }
}

impl Hashing {
    async fn pass_on(self, next: oneshot::Sender<Box<Hasher>>) -> Result<()> {
        let hasher = match self {
            Self::Off => return Ok(()),
            Self::Now(hasher) => hasher,
            Self::Later(in_turn, kept) => {
                let mut hasher = in_turn.await.map_err(|_| no_turn())?;
                let hash = move || {
                    kept.chunks().iter().for_each(|chunk| hasher.update(chunk));
                    hasher
                };
                blocking(hash).await
            }
        };
        // Nobody waits for it where the download has failed meanwhile.
        let _ = next.send(hasher);
        Ok(())
    }
}

fn no_turn() -> Error {
    Error::Cancelled("A part of the file before this one could not be fetched.".to_owned())
}

/// Writes to a staged file on threads that may block, a batch at a time and in order, while more comes.
struct WriteBehind {
    staged: Arc<StagedFile>,
    /// Where the batch goes.
    offset: u64,
    batch: Vec<Bytes>,
    batch_bytes: usize,
    under_way: Option<JoinHandle<Result<()>>>,
}

impl WriteBehind {
    fn new(staged: Arc<StagedFile>, offset: u64) -> Self {
        Self { staged, offset, batch: Vec::new(), batch_bytes: 0, under_way: None }
    }

    /// Takes what came. A batch grows while the one before it is being written.
    async fn push(&mut self, piece: Bytes) -> Result<()> {
        self.batch_bytes += piece.len();
        self.batch.push(piece);
        let is_free = self.under_way.as_ref().is_none_or(JoinHandle::is_finished);
        if self.batch_bytes >= if is_free { BATCH_BYTES } else { MOST_BEHIND_BYTES } {
            self.settle().await?;
            self.begin();
        }
        Ok(())
    }

    fn begin(&mut self) {
        let (staged, batch) = (Arc::clone(&self.staged), std::mem::take(&mut self.batch));
        let mut offset = self.offset;
        self.offset += std::mem::take(&mut self.batch_bytes) as u64;
        self.under_way = Some(tokio::task::spawn_blocking(move || {
            for piece in batch {
                staged.write_at(&piece, offset)?;
                offset += piece.len() as u64;
            }
            Ok(())
        }));
    }

    /// Waits for the batch that is being written.
    async fn settle(&mut self) -> Result<()> {
        let Some(task) = &mut self.under_way else { return Ok(()) };
        let stopped = || Err(Error::Cancelled("The runtime was stopped while a file was being written.".to_owned()));
        let outcome = finished(task.await).unwrap_or_else(stopped);
        self.under_way = None;
        outcome
    }

    /// Writes what is left, and waits for it.
    async fn flush(&mut self) -> Result<()> {
        self.settle().await?;
        if !self.batch.is_empty() {
            self.begin();
        }
        self.settle().await
    }
}
