//! Buffers that are used again: fresh memory costs a page fault every 4 KiB, more than hashing it does.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};

/// Smaller buffers than this come from the allocator, which keeps them at hand itself.
const POOLED_FROM: usize = 256 * 1024;

/// Buffers of a transfer. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

impl Buffers {
    /// A buffer of exactly `length` bytes; what is in it is of no use.
    #[must_use]
    pub(crate) fn take(&self, length: usize) -> Buffer {
        let mut bytes = if length >= POOLED_FROM { self.pooled(length) } else { None }.unwrap_or_default();
        bytes.resize(length, 0);
        Buffer { bytes, home: self.clone() }
    }

    /// One that is there and fits. Where none does, one is given up for the one to be made, so that buffers of one size don't
    /// stay beside those of the next.
    fn pooled(&self, length: usize) -> Option<Vec<u8>> {
        let mut pool = self.lock();
        let fits = |bytes: &Vec<u8>| (length..=2 * length).contains(&bytes.capacity());
        let fitting = pool.iter().rposition(fits).map(|index| pool.swap_remove(index));
        if fitting.is_none() {
            drop(pool.pop());
        }
        fitting
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock()
    }
}

/// A buffer that goes back when it is dropped.
#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    home: Buffers,
}

impl Buffer {
    /// The buffer as bytes that can be sent; it goes back once all of their clones are gone.
    #[must_use]
    pub(crate) fn freeze(self) -> Bytes {
        if self.bytes.is_empty() { Bytes::new() } else { Bytes::from_owner(self) }
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl AsMut<[u8]> for Buffer {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.bytes.capacity() >= POOLED_FROM {
            let bytes = std::mem::take(&mut self.bytes);
            self.home.lock().push(bytes);
        }
    }
}
