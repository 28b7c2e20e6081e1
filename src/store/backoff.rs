//! How long a failure is waited out before the next attempt.

use std::time::Duration;

/// Waits that double, up to a limit, and are drawn by chance: clients that failed together do not come back together
/// (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>, "full jitter").
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    /// The longest wait after the first failure.
    pub first: Duration,
    /// The longest wait of all.
    pub longest: Duration,
}

impl Backoff {
    /// For bodies that break off.
    pub(crate) const OF_BODIES: Self = Self { first: Duration::from_millis(200), longest: Duration::from_secs(5) };

    /// How long to wait after so many failures.
    #[must_use]
    pub(crate) fn wait(self, failures: u32) -> Duration {
        self.most(failures).mul_f64(fastrand::f64())
    }

    fn most(self, failures: u32) -> Duration {
        let doubled = 2_u32.checked_pow(failures.saturating_sub(1)).and_then(|factor| self.first.checked_mul(factor));
        doubled.unwrap_or(self.longest).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_vary() {
        let backoff = Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(5) };
        let most = [0, 1, 2, 3, 7, 60, u32::MAX].map(|failures| backoff.most(failures).as_millis());
        assert_eq!(most, [100, 100, 200, 400, 5000, 5000, 5000]);
        let waits: Vec<Duration> = (0..100).map(|_| backoff.wait(3)).collect();
        assert!(waits.iter().all(|wait| *wait < Duration::from_millis(400)));
        assert!(waits.iter().any(|wait| *wait != waits[0]), "{waits:?}");
    }
}
