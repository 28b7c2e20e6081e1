//! Bodies on their way into a staged file: hashed in their order, and written as they come.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot::{self, error::TryRecvError};

use super::body::Counted;
use super::reorder_buffer::ReorderBuffer;
use super::write_behind::WriteBehind;
use crate::error::{Error, Result};
use crate::hash::Hasher;
use crate::transfer::progress::Progress;
use crate::transfer::tasks::blocking;

/// The hasher of an object goes from range to range: once it comes, it has seen everything before the range.
pub(super) type HasherInTurn = oneshot::Receiver<Box<Hasher>>;

/// The hasher of a range that may have to wait for the ranges before it, and what keeps the range's bytes until then.
pub(super) struct InOrder {
    pub(super) hasher: HasherInTurn,
    pub(super) buffer: ReorderBuffer,
}

/// A range on its way.
pub(super) struct RangeBody {
    expected: u64,
    received: u64,
    hashing: Hashing,
    writer: WriteBehind,
    counted: Counted,
}

enum Hashing {
    Off,
    /// Ranges before it come first: what comes is kept until then.
    Later(InOrder),
    /// Frame by frame as they come, while they are in the processor's cache.
    Now(Box<Hasher>),
}

impl RangeBody {
    /// Begins a range of `expected` bytes that goes to where the writer begins. It is not hashed if no hasher is to come.
    pub(super) fn new(writer: WriteBehind, expected: u64, in_order: Option<InOrder>, progress: &Arc<Progress>) -> Self {
        Self {
            expected,
            received: 0,
            hashing: in_order.map_or(Hashing::Off, Hashing::Later),
            writer,
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
            Hashing::Off => self.writer.push(piece).await?,
            Hashing::Now(hasher) => {
                hasher.update(&piece);
                self.writer.push(piece).await?;
            }
            Hashing::Later(InOrder { buffer, .. }) => {
                for chunk in buffer.push(piece) {
                    self.writer.push(chunk).await?;
                }
            }
        }
        Ok(true)
    }

    /// Hashes what was kept, if it is the range's turn now.
    async fn take_turn(&mut self) -> Result<()> {
        let Hashing::Later(InOrder { hasher: in_turn, buffer }) = &mut self.hashing else { return Ok(()) };
        let mut hasher = match in_turn.try_recv() {
            Ok(hasher) => hasher,
            Err(TryRecvError::Closed) => return Err(no_turn()),
            Err(TryRecvError::Empty) => return Ok(()),
        };
        if let Some(rest) = buffer.flush() {
            self.writer.push(rest).await?;
        }
        buffer.chunks().iter().for_each(|chunk| hasher.update(chunk));
        self.hashing = Hashing::Now(hasher);
        Ok(())
    }

    /// Writes the rest; at the same time waits for the range's turn, hashes it if it was not as it came, and hands the hasher
    /// to the `next` range. When this returns, nothing writes to the file on behalf of this range.
    ///
    /// # Errors
    /// [`Error::Cancelled`]: a range before this one came to nothing.
    pub(super) async fn finish(self, next: oneshot::Sender<Box<Hasher>>) -> Result<Counted> {
        let Self { mut hashing, mut writer, counted, .. } = self;
        if let Hashing::Later(InOrder { buffer, .. }) = &mut hashing
            && let Some(rest) = buffer.flush()
        {
            writer.push(rest).await?;
        }
        let (written, hashed) = tokio::join!(writer.flush(), hashing.pass_on(next));
        written.and(hashed)?;
        Ok(counted)
    }

    /// Waits for what is being written; the rest is not.
    pub(super) async fn give_up(mut self) {
        // Another error is being told already.
        let _ = self.writer.settle().await;
    }
}

impl Hashing {
    async fn pass_on(self, next: oneshot::Sender<Box<Hasher>>) -> Result<()> {
        let hasher = match self {
            Self::Off => return Ok(()),
            Self::Now(hasher) => hasher,
            Self::Later(InOrder { hasher: in_turn, buffer }) => {
                let mut hasher = in_turn.await.map_err(|_| no_turn())?;
                let hash = move || {
                    buffer.chunks().iter().for_each(|chunk| hasher.update(chunk));
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
