//! A limit of bytes a second that a caller has set.

use std::pin::Pin;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, Sleep};

/// Time that was not used counts for so long: after a rest, so much passes at once.
const BURST: Duration = Duration::from_millis(50);
/// A frame takes at most this part of a second's bytes, so that bodies share a low rate evenly.
const FRAMES_PER_SECOND: u64 = 5;

/// How many bytes a second the bodies of one client may take in one direction. All of them share it, in the order in which they
/// ask.
#[derive(Debug)]
pub(in crate::store::s3) struct RateLimit {
    bytes_per_second: u64,
    /// When all that was taken so far will have had its time.
    paid: Mutex<Instant>,
}

/// The limits of a client.
#[derive(Debug)]
pub(in crate::store::s3) struct RateLimits {
    pub(super) up: RateLimit,
    pub(super) down: RateLimit,
}

impl RateLimits {
    /// The same limit for each direction.
    pub(in crate::store::s3) fn new(bytes_per_second: u64) -> Self {
        Self { up: RateLimit::new(bytes_per_second), down: RateLimit::new(bytes_per_second) }
    }
}

impl RateLimit {
    fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second: bytes_per_second.max(1), paid: Mutex::new(Instant::now()) }
    }

    /// Takes time for bytes; what waits until they may pass, unless they may at once.
    pub(super) fn take(&self, bytes: usize) -> Option<Pin<Box<Sleep>>> {
        let now = Instant::now();
        let until = self.take_at(bytes as u64, now);
        (until > now).then(|| Box::pin(tokio::time::sleep_until(until)))
    }

    /// As [`Self::take`], for a body that passes at once.
    pub(super) fn take_all(&self, bytes: u64) -> Option<Pin<Box<Sleep>>> {
        if bytes == 0 { None } else { self.take(usize::try_from(bytes).unwrap_or(usize::MAX)) }
    }

    fn take_at(&self, bytes: u64, now: Instant) -> Instant {
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_per_second);
        let cost = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let mut paid = self.paid.lock();
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        *paid = (*paid).max(earliest) + cost;
        *paid
    }

    /// The most bytes to pass at a time.
    pub(super) fn frame_bytes(&self, most: usize) -> usize {
        let in_time = self.bytes_per_second / FRAMES_PER_SECOND;
        usize::try_from(in_time).unwrap_or(most).clamp(1024.min(most), most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_held_and_rest_is_no_credit() {
        let limit = RateLimit::new(1_000_000);
        let begin = *limit.paid.lock() + Duration::from_secs(10);
        let mut until = begin;
        for _ in 0..100 {
            until = limit.take_at(50_000, begin);
        }
        assert_eq!(until - begin, Duration::from_secs(5).saturating_sub(BURST));
        let later = begin + Duration::from_mins(1);
        assert!(limit.take_at(50_000, later) <= later, "a burst");
        assert_eq!(limit.take_at(100_000, later) - later, Duration::from_millis(100));
    }

    #[test]
    fn frames_are_small_where_the_rate_is_low() {
        let frame = |rate| RateLimit::new(rate).frame_bytes(64 * 1024);
        assert_eq!((frame(1), frame(100_000), frame(1_000_000_000)), (1024, 20_000, 64 * 1024));
    }
}
