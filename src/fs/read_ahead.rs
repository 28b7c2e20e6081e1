//! Hashing one large file with two threads.
//!
//! Copying from the page cache takes about three times as long as hashing. So a helper reads two blocks of three ahead, and
//! the caller reads the third and hashes all of them, in order.

use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};

use crate::error::{Error, Result};
use crate::hash::{ContentHash, Hasher};

/// The unit that the threads hand over.
pub(super) const BLOCK_BYTES: usize = 1024 * 1024;
/// How far the helper reads ahead.
const BLOCKS_AHEAD: usize = 4;

/// Reads at an offset until the buffer is full or the file ends.
pub(super) type ReadAt<'a> = &'a (dyn Fn(&mut [u8], u64) -> Result<usize> + Sync);

/// Hashes `length` bytes from `start` on, or as many as there are. `progress` hears of each block and may stop the work.
pub(super) fn hash(
    read_at: ReadAt<'_>,
    start: u64,
    length: u64,
    progress: &mut dyn FnMut(i64) -> Result<()>,
) -> Result<ContentHash> {
    let blocks = Blocks { start, length };
    let (full, read) = sync_channel(BLOCKS_AHEAD);
    let (used, empty) = channel();
    std::thread::scope(|scope| {
        let helper = scope.spawn(move || help(read_at, &blocks, &full, &empty));
        let mut hasher = Hasher::new();
        let mut own = Vec::new();
        let mut outcome = Ok(());
        for index in 0..blocks.count() {
            let wanted = blocks.bytes(index);
            let got = if is_helpers(index) {
                // A helper that is gone has failed, and tells of it when it is joined.
                let Ok((block, got)) = read.recv() else { break };
                hasher.update(slice(&block, got));
                let _ = used.send(block);
                got
            } else {
                own.resize(BLOCK_BYTES, 0);
                match read_at(&mut own[..wanted], blocks.offset(index)) {
                    Ok(got) => {
                        hasher.update(&own[..got]);
                        got
                    }
                    Err(error) => {
                        outcome = Err(error);
                        break;
                    }
                }
            };
            outcome = progress(i64::try_from(got).unwrap_or(i64::MAX));
            if outcome.is_err() || got < wanted {
                break;
            }
        }
        drop((read, used));
        match helper.join() {
            Ok(end) => outcome.and(end),
            Err(panic) => std::panic::resume_unwind(panic),
        }
        .map(|()| hasher.finish())
    })
}

type Block = Vec<u8>;

fn help(
    read_at: ReadAt<'_>,
    blocks: &Blocks,
    full: &SyncSender<(Block, usize)>,
    empty: &Receiver<Block>,
) -> Result<(), Error> {
    for index in (0..blocks.count()).filter(|index| is_helpers(*index)) {
        let mut block = empty.try_recv().unwrap_or_else(|_| vec![0; BLOCK_BYTES]);
        let got = read_at(&mut block[..blocks.bytes(index)], blocks.offset(index))?;
        // Nobody receives any more: the caller has stopped.
        if full.send((block, got)).is_err() {
            break;
        }
    }
    Ok(())
}

const fn is_helpers(index: u64) -> bool {
    !index.is_multiple_of(3)
}

fn slice(block: &[u8], length: usize) -> &[u8] {
    &block[..length.min(block.len())]
}

#[derive(Debug, Clone, Copy)]
struct Blocks {
    start: u64,
    length: u64,
}

impl Blocks {
    const fn count(self) -> u64 {
        self.length.div_ceil(BLOCK_BYTES as u64)
    }

    const fn offset(self, index: u64) -> u64 {
        self.start + index * BLOCK_BYTES as u64
    }

    fn bytes(self, index: u64) -> usize {
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
}
