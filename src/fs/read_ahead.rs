//! Hashing one large file with two threads.
//!
//! Copying from the page cache takes several times as long as hashing. So a helper only reads, and the caller hashes what has
//! been read, in order, and reads too whenever the next block is not there yet.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, channel, sync_channel};
use std::thread::ScopedJoinHandle;

use crate::error::{Error, Result};
use crate::hash::{ContentHash, Hasher};
use crate::threads;

/// The unit that the threads take and hand over.
pub(super) const BLOCK_BYTES: usize = 1024 * 1024;
/// How many blocks that were read may wait with the helper, and how many with the caller.
const BLOCKS_AHEAD: usize = 3;

/// Reads at an offset until the buffer is full or the file ends.
pub(super) type ReadAt<'a> = &'a (dyn Fn(&mut [u8], u64) -> Result<usize> + Sync);

/// Hashes `length` bytes from `start` on, or as many as there are. `progress` hears of each block and may stop the work.
pub(super) fn hash(
    read_at: ReadAt<'_>,
    start: u64,
    length: u64,
    progress: &mut dyn FnMut(i64) -> Result<()>,
) -> Result<ContentHash> {
    let blocks = &Blocks { start, length, next: AtomicU64::new(0), read_at };
    let (full, read) = sync_channel(BLOCKS_AHEAD);
    let (used, empty) = channel();
    std::thread::scope(|scope| {
        let helper = threads::helper(scope, move || help(blocks, &full, &empty));
        let is_alone = helper.is_none();
        let mut ahead = Ahead { blocks, read, is_alone, waiting: BTreeMap::new(), spare: Vec::new() };
        let mut hasher = Hasher::new();
        let mut outcome = Ok(());
        for index in 0..blocks.count() {
            let (block, got) = match ahead.block(index) {
                Ok(Some(read)) => read,
                // The helper has failed, and tells of it when it is joined.
                Ok(None) => break,
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            };
            hasher.update(&block[..got]);
            if ahead.spare.len() < BLOCKS_AHEAD {
                ahead.spare.push(block);
            } else {
                // The helper may be through.
                let _ = used.send(block);
            }
            outcome = progress(i64::try_from(got).unwrap_or(i64::MAX));
            if outcome.is_err() || got < blocks.bytes(index) {
                break;
            }
        }
        drop((ahead, used));
        match helper.map(ScopedJoinHandle::join) {
            None => outcome,
            Some(Ok(end)) => outcome.and(end),
            Some(Err(panic)) => std::panic::resume_unwind(panic),
        }
        .map(|()| hasher.finish())
    })
}

/// A buffer, and how many bytes of it were read.
type Block = (Vec<u8>, usize);

/// What the caller has to hash next, or soon.
struct Ahead<'a> {
    blocks: &'a Blocks<'a>,
    read: Receiver<(u64, Block)>,
    /// Whether the system made no thread for a helper.
    is_alone: bool,
    /// By index.
    waiting: BTreeMap<u64, Block>,
    spare: Vec<Vec<u8>>,
}

impl Ahead<'_> {
    /// A block, once it is there; reads blocks while it is not. `None` where it never comes.
    fn block(&mut self, index: u64) -> Result<Option<Block>> {
        loop {
            if let Some(block) = self.waiting.remove(&index) {
                return Ok(Some(block));
            }
            let came = match self.read.try_recv() {
                Ok(came) => Some(came),
                Err(TryRecvError::Disconnected) if self.is_alone => self.read_one()?,
                // The helper is gone. Blocks are taken in order, so this one was its own, and never comes.
                Err(TryRecvError::Disconnected) => None,
                Err(TryRecvError::Empty) if self.waiting.len() < BLOCKS_AHEAD => {
                    self.read_one()?.or_else(|| self.read.recv().ok())
                }
                Err(TryRecvError::Empty) => self.read.recv().ok(),
            };
            let Some((at, block)) = came else { return Ok(None) };
            self.waiting.insert(at, block);
        }
    }

    fn read_one(&mut self) -> Result<Option<(u64, Block)>> {
        self.blocks.read_next(|| self.spare.pop())
    }
}

fn help(blocks: &Blocks<'_>, full: &SyncSender<(u64, Block)>, empty: &Receiver<Vec<u8>>) -> Result<(), Error> {
    while let Some(block) = blocks.read_next(|| empty.try_recv().ok())? {
        // Nobody receives any more: the caller has stopped.
        if full.send(block).is_err() {
            break;
        }
    }
    Ok(())
}

/// The blocks of a file, each of which one thread reads.
struct Blocks<'a> {
    start: u64,
    length: u64,
    /// The first that nobody has taken.
    next: AtomicU64,
    read_at: ReadAt<'a>,
}

impl Blocks<'_> {
    /// Takes the next block and reads it; `None` where all are taken.
    fn read_next(&self, spare: impl FnOnce() -> Option<Vec<u8>>) -> Result<Option<(u64, Block)>> {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        if index >= self.count() {
            return Ok(None);
        }
        let mut block = spare().unwrap_or_else(|| vec![0; BLOCK_BYTES]);
        let got = (self.read_at)(&mut block[..self.bytes(index)], self.start + index * BLOCK_BYTES as u64)?;
        Ok(Some((index, (block, got))))
    }

    const fn count(&self) -> u64 {
        self.length.div_ceil(BLOCK_BYTES as u64)
    }

    fn bytes(&self, index: u64) -> usize {
        let rest = self.length - index * BLOCK_BYTES as u64;
        usize::try_from(rest).unwrap_or(BLOCK_BYTES).min(BLOCK_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::hash_bytes;

    fn contents(length: usize) -> Vec<u8> {
        (0..length).map(|at| u8::try_from(at * 7 % 253).unwrap()).collect()
    }

    #[test]
    fn blocks_come_together_in_order() {
        for length in [1, BLOCK_BYTES, BLOCK_BYTES + 1, 5 * BLOCK_BYTES, 7 * BLOCK_BYTES - 3] {
            let data = contents(length);
            let read_at = |buffer: &mut [u8], at: u64| {
                let at = usize::try_from(at).unwrap();
                buffer.copy_from_slice(&data[at..at + buffer.len()]);
                Ok(buffer.len())
            };
            let mut seen = 0;
            let hash = hash(&read_at, 0, length as u64, &mut |bytes| {
                seen += bytes;
                Ok(())
            });
            assert_eq!(hash.unwrap(), hash_bytes(&data));
            assert_eq!(seen, i64::try_from(length).unwrap());
        }
    }

    #[test]
    fn errors_and_cancellation_end_it_whichever_thread_they_come_from() {
        let fail_at = |block: u64| {
            move |buffer: &mut [u8], at: u64| {
                if at == block * BLOCK_BYTES as u64 { Err(Error::Sync(block.to_string())) } else { Ok(buffer.len()) }
            }
        };
        for block in [0, 1, 2, 3, 7] {
            let error = hash(&fail_at(block), 0, 20 * BLOCK_BYTES as u64, &mut |_| Ok(())).unwrap_err();
            assert_eq!(error.to_string(), block.to_string());
        }
        let read_at = |buffer: &mut [u8], _: u64| Ok(buffer.len());
        let error = hash(&read_at, 0, 20 * BLOCK_BYTES as u64, &mut |_| Err(Error::Cancelled("stop".to_owned())));
        assert!(error.unwrap_err().is_cancelled());
    }

    #[test]
    fn after_an_error_no_more_is_read_than_may_wait() {
        for block in 0..8 {
            let reads = AtomicU64::new(0);
            let read_at = |buffer: &mut [u8], at: u64| {
                reads.fetch_add(1, Ordering::Relaxed);
                if at == block * BLOCK_BYTES as u64 { Err(Error::Sync("full".to_owned())) } else { Ok(buffer.len()) }
            };
            assert!(hash(&read_at, 0, 100 * BLOCK_BYTES as u64, &mut |_| Ok(())).is_err());
            // Those before it, it, those that wait on either side, and one in each thread's hands.
            assert!(reads.into_inner() <= block + 1 + 2 * BLOCKS_AHEAD as u64 + 2, "{block}");
        }
    }

    #[test]
    fn a_file_that_ends_early_is_hashed_as_far_as_it_goes() {
        for length in [0, 1, BLOCK_BYTES, 2 * BLOCK_BYTES + 7] {
            let data = contents(length);
            let read_at = |buffer: &mut [u8], at: u64| {
                let rest = data.get(usize::try_from(at).unwrap()..).unwrap_or_default();
                let got = rest.len().min(buffer.len());
                buffer[..got].copy_from_slice(&rest[..got]);
                Ok(got)
            };
            let hash = hash(&read_at, 0, 20 * BLOCK_BYTES as u64, &mut |_| Ok(()));
            assert_eq!(hash.unwrap(), hash_bytes(&data));
        }
    }
}
