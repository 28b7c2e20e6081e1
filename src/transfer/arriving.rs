//! Bodies on their way into a staged file: hashed in their order, and written behind whoever receives them.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::buffers::{Buffer, Buffers};
use super::progress::Progress;
use super::received::Counted;
use super::tasks::{blocking, finished};
use crate::error::{Error, Result};
use crate::fs::stage::StagedFile;
use crate::hash::Hasher;

/// So much is written at a time. By then it is still in the processor's cache, and handing it over costs little beside it.
const BATCH_BYTES: usize = 256 * 1024;
/// So much waits for a disk that is slower than the network; then the network waits.
const MOST_BEHIND_BYTES: usize = 2 * 1024 * 1024;

/// The hasher of an object goes from range to range: once it comes, it has seen everything before the range.
pub(super) type HasherInTurn = oneshot::Receiver<Box<Hasher>>;

/// A range on its way.
pub(super) struct Arriving {
    expected: u64,
    received: u64,
    hashing: Hashing,
    buffers: Buffers,
    behind: WriteBehind,
    counted: Counted,
}

enum Hashing {
    Off,
    /// Nothing has come yet.
    NotBegun(HasherInTurn),
    /// Frame by frame as they come, while they are in the processor's cache.
    Now(Box<Hasher>),
    /// Other ranges come first: kept until then, in a buffer that is used again. To keep the frames would keep the
    /// connection's read buffers alive behind them, and fresh pages cost several times what the copy does.
    Later(HasherInTurn, Buffer),
}

impl Arriving {
    /// Begins a range of `expected` bytes that goes to an offset of a staged file. It is not hashed if no hasher is to come.
    pub(super) fn new(
        (staged, offset): (&Arc<StagedFile>, u64),
        expected: u64,
        hasher: Option<HasherInTurn>,
        (buffers, progress): (&Buffers, &Arc<Progress>),
    ) -> Self {
        Self {
            expected,
            received: 0,
            hashing: hasher.map_or(Hashing::Off, Hashing::NotBegun),
            buffers: buffers.clone(),
            behind: WriteBehind::new(Arc::clone(staged), offset),
            counted: Counted::new(progress),
        }
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
    /// What came before could not be written.
    pub(super) async fn push(&mut self, piece: Bytes) -> Result<bool> {
        let length = piece.len() as u64;
        if length > self.missing() {
            return Ok(false);
        }
        self.hash(&piece);
        self.received += length;
        self.counted.add(length);
        self.behind.push(piece).await?;
        Ok(true)
    }

    fn hash(&mut self, piece: &[u8]) {
        let mut hashing = std::mem::replace(&mut self.hashing, Hashing::Off);
        if let Hashing::NotBegun(mut in_turn) = hashing {
            hashing = match in_turn.try_recv() {
                Ok(hasher) => Hashing::Now(hasher),
                Err(_) => Hashing::Later(in_turn, self.buffers.take(usize::try_from(self.expected).unwrap_or(0))),
            };
        }
        match &mut hashing {
            Hashing::Now(hasher) => hasher.update(piece),
            Hashing::Later(_, kept) => {
                let start = usize::try_from(self.received).unwrap_or(usize::MAX);
                kept.as_mut()[start..start + piece.len()].copy_from_slice(piece);
            }
            Hashing::Off | Hashing::NotBegun(_) => {}
        }
        self.hashing = hashing;
    }

    /// Writes the rest; at the same time waits for the range's turn, hashes it if it was not as it came, and hands the hasher
    /// to the `next` range. When this returns, nothing writes to the file on behalf of this range.
    ///
    /// # Errors
    /// [`Error::Cancelled`]: a range before this one came to nothing.
    pub(super) async fn finish(self, next: oneshot::Sender<Box<Hasher>>) -> Result<Counted> {
        let Self { hashing, mut behind, counted, .. } = self;
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
        let before = |_| Error::Cancelled("A part of the file before this one could not be fetched.".to_owned());
        let hasher = match self {
            Self::Off => return Ok(()),
            Self::Now(hasher) => hasher,
            Self::NotBegun(in_turn) => in_turn.await.map_err(before)?,
            Self::Later(in_turn, kept) => {
                let mut hasher = in_turn.await.map_err(before)?;
                let hash = move || {
                    hasher.update(kept.as_ref());
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
