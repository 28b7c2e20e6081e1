//! Bodies as they come in.

use std::sync::Arc;

use bytes::Bytes;

use crate::hash::{ContentHash, Hasher};
use crate::transfer::buffers::{Buffer, Buffers};
use crate::transfer::progress::Progress;
use crate::transfer::sizes::PART_BYTES;

/// Bytes that progress was told of. Unless they are kept, they are taken back: they have to come again.
#[derive(Debug)]
pub(super) struct Counted {
    progress: Arc<Progress>,
    bytes: u64,
}

impl Counted {
    pub(super) fn new(progress: &Arc<Progress>) -> Self {
        Self { progress: Arc::clone(progress), bytes: 0 }
    }

    pub(super) fn add(&mut self, bytes: u64) {
        self.progress.add_bytes(bytes);
        self.bytes += bytes;
    }

    /// Takes over what another has counted.
    pub(super) fn absorb(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }

    /// The bytes are right and stay counted.
    pub(super) fn keep(mut self) {
        self.bytes = 0;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.progress.take_back_bytes(self.bytes);
        }
    }
}

/// A body that came whole.
pub(super) struct Received {
    pub(super) pieces: Vec<Bytes>,
    pub(super) counted: Counted,
    /// What the body hashed to, where it was hashed.
    pub(super) hash: Option<ContentHash>,
}

/// A body on its way.
///
/// Frames are copied into a buffer that is used again: to keep them would keep the connection's read buffers alive behind
/// them, and fresh pages cost several times what the copy does.
pub(super) struct Receiving {
    buffer: Option<Buffer>,
    pieces: Vec<Bytes>,
    expected: u64,
    pub(super) received: u64,
    buffers: Buffers,
    counted: Counted,
    /// Takes in what comes, frame by frame, while it is in the processor's cache.
    hasher: Option<Hasher>,
}

impl Receiving {
    /// Begins a body that should have `expected` bytes; it is hashed as it comes where a hasher is given.
    pub(super) fn new(buffers: &Buffers, progress: &Arc<Progress>, expected: u64, hasher: Option<Hasher>) -> Self {
        let counted = Counted::new(progress);
        Self { buffer: None, pieces: Vec::new(), expected, received: 0, buffers: buffers.clone(), counted, hasher }
    }

    /// Takes the next bytes; `false` where there are more than there should be.
    #[must_use]
    pub(super) fn push(&mut self, piece: &Bytes) -> bool {
        let start = usize::try_from(self.received).unwrap_or(usize::MAX);
        self.received += piece.len() as u64;
        if self.received > self.expected {
            return false;
        }
        self.counted.add(piece.len() as u64);
        if let Some(hasher) = &mut self.hasher {
            hasher.update(piece);
        }
        // A body that came in one frame needs no buffer; one that is larger than a part is kept as it comes.
        if self.expected > PART_BYTES || (start == 0 && self.received == self.expected) {
            self.pieces.push(piece.clone());
            return true;
        }
        let length = usize::try_from(self.expected).unwrap_or(usize::MAX);
        let buffer = self.buffer.get_or_insert_with(|| self.buffers.take(length));
        buffer.as_mut()[start..start + piece.len()].copy_from_slice(piece);
        true
    }

    /// Whether all bytes are there.
    pub(super) const fn is_complete(&self) -> bool {
        self.received == self.expected
    }

    pub(super) fn finish(self) -> Received {
        let pieces = self.buffer.map_or(self.pieces, |buffer| vec![buffer.freeze()]);
        Received { pieces, counted: self.counted, hash: self.hasher.map(|hasher| hasher.finish()) }
    }
}
