//! Whether writing to a file takes no longer than copying to memory, or has to wait for a disk.

use std::time::Duration;

use crate::sync::{Arc, AtomicU64, Ordering};

/// Of so many bytes, the last ones, the time is known. Older ones fade away.
const REMEMBERED_BYTES: u64 = 4 * 1024 * 1024;
/// Less for all of them, 260 MB/s, is a copy to the page cache. A thread that loses its processor for a few milliseconds now and
/// then stays below it; a disk that makes its writers wait does not.
const FAST: Duration = Duration::from_millis(16);

/// How writes went lately. Clones share it.
///
/// An unknown disk is not swift: the first megabytes show what it is.
#[derive(Debug, Clone)]
pub(crate) struct WriteThroughput(Arc<AtomicU64>);

impl Default for WriteThroughput {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(nanos(FAST * 2))))
    }
}

impl WriteThroughput {
    /// Whether a write is likely to take no longer than a copy in memory does.
    #[must_use]
    pub(crate) fn is_fast(&self) -> bool {
        self.0.load(Ordering::Relaxed) < nanos(FAST)
    }

    /// Records a write; concurrent updates may be lost, because this is an estimate.
    pub(crate) fn record(&self, bytes: usize, took: Duration) {
        let bytes = (bytes as u64).max(1);
        let counted = bytes.min(REMEMBERED_BYTES);
        let before = self.0.load(Ordering::Relaxed);
        let after = before - share(before, counted, REMEMBERED_BYTES);
        self.0.store(after.saturating_add(share(nanos(took), counted, bytes)), Ordering::Relaxed);
    }
}

/// `part` of `whole` of a number, without overflow; `part` is no more than `whole`.
fn share(number: u64, part: u64, whole: u64) -> u64 {
    u64::try_from(u128::from(number) * u128::from(part) / u128::from(whole)).unwrap_or(number)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH: usize = 256 * 1024;
    const COPIED: Duration = Duration::from_micros(150);

    /// How many batches are written in this time until the disk counts as swift.
    fn until_swift(throughput: &WriteThroughput, took: Duration) -> Option<usize> {
        (0..1000).find(|_| {
            let is_fast = throughput.is_fast();
            throughput.record(BATCH, took);
            is_fast
        })
    }

    #[test]
    fn a_disk_must_show_that_it_is_fast() {
        assert!((4..32).contains(&until_swift(&WriteThroughput::default(), COPIED).unwrap()));
        assert_eq!(until_swift(&WriteThroughput::default(), Duration::from_millis(2)), None);
    }

    #[test]
    fn a_thread_that_lost_its_processor_makes_no_slow_disk_and_a_pause_does_for_a_while() {
        let throughput = WriteThroughput::default();
        (0..100).for_each(|_| throughput.record(BATCH, COPIED));
        for _ in 0..100 {
            throughput.record(BATCH, Duration::from_millis(4));
            assert!(throughput.is_fast());
            (0..9).for_each(|_| throughput.record(BATCH, COPIED));
        }
        throughput.record(16 * 1024, Duration::from_millis(200));
        assert!(!throughput.is_fast());
        assert!(
            (16..100).contains(&until_swift(&throughput, COPIED).unwrap()),
            "a long pause is remembered, not for ever"
        );
    }

    #[test]
    fn what_counts_is_the_time_for_bytes_in_pieces_of_any_size() {
        for piece in [1, 1000, 16 * 1024, 64 * BATCH] {
            let throughput = WriteThroughput::default();
            let at = |bytes_per_second: u64| Duration::from_nanos(piece as u64 * 1_000_000_000 / bytes_per_second);
            (0..32 * 1024 * 1024 / piece).for_each(|_| throughput.record(piece, at(200_000_000)));
            assert!(!throughput.is_fast(), "{piece}");
            (0..32 * 1024 * 1024 / piece).for_each(|_| throughput.record(piece, at(400_000_000)));
            assert!(throughput.is_fast(), "{piece}");
        }
    }
}
