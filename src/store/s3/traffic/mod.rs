//! Every attempt at a request, the first and those that repeat it, passes through here: it waits until the process and the
//! endpoint have room for one more, and what becomes of it decides how many more there may be.
//!
//! The order in which an attempt takes what it needs is the same for all, and it waits for nothing else afterwards: the
//! endpoint's window, its turn in the endpoint's pace, room for its body on the link, a connection. While an attempt's failure
//! is waited out, it holds nothing of all that.

mod attempt;
mod link;
mod pace;
mod rate;
mod signals;
mod window;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub(super) use attempt::{Gate, GatedClient};
pub(super) use link::{Link, MOST_CONNECTIONS};
pub(super) use rate::RateLimits;
pub(in crate::store) use signals::RetryingFailure;
pub(super) use signals::{Signals, is_answer, is_failure};

use self::pace::Pace;
use self::window::Window;
use crate::permits::Permit;

/// What the clients of one endpoint share.
#[derive(Debug)]
pub(super) struct Route {
    began: Instant,
    window: Window,
    pace: Pace,
    /// When an attempt last had success, in milliseconds since `began`, and one more; 0 before the first.
    last_success_ms: AtomicU64,
}

impl Route {
    pub(super) fn new() -> Self {
        let window = Window::new(MOST_CONNECTIONS);
        Self { began: Instant::now(), window, pace: Pace::new(), last_success_ms: AtomicU64::new(0) }
    }

    /// An attempt had success.
    pub(super) fn note_success(&self) {
        let now_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.last_success_ms.store(now_ms + 1, Ordering::Relaxed);
    }

    /// When an attempt last had success.
    pub(super) fn last_success(&self) -> Option<Instant> {
        let ms = self.last_success_ms.load(Ordering::Relaxed).checked_sub(1)?;
        self.began.checked_add(Duration::from_millis(ms))
    }
}

/// What an attempt holds until its reply's body has come.
#[derive(Debug)]
struct Held {
    _window: Permit,
    _connection: Permit,
    exchange: Arc<link::Exchange>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEADY: Duration = Duration::from_millis(500);

    #[test]
    fn a_fall_lowers_the_window_once_a_burst_and_successes_raise_it_again() {
        let window = Window::new(MOST_CONNECTIONS);
        let first = window.size();
        (0..10).for_each(|_| window.succeeded(STEADY));
        assert_eq!(window.size(), first + 10, "one more for each success, at first");
        (0..10).for_each(|_| window.succeeded(Duration::ZERO));
        assert_eq!(window.size(), first + 40, "three more, where it was swift");
        (0..10).for_each(|_| window.fall());
        let fallen = window.size();
        assert_eq!(fallen, (first + 40) * 2 / 3);
        (0..=2 * fallen).for_each(|_| window.succeeded(Duration::ZERO));
        assert_eq!(window.size(), fallen + 2, "one more for a window's worth");
        (0..MOST_CONNECTIONS * MOST_CONNECTIONS).for_each(|_| window.succeeded(STEADY));
        assert_eq!(window.size(), MOST_CONNECTIONS);
    }

    #[test]
    fn what_takes_long_opens_no_window() {
        let window = Window::new(MOST_CONNECTIONS);
        let first = window.size();
        (0..1000).for_each(|_| window.succeeded(Duration::from_secs(1)));
        assert_eq!(window.size(), first);
    }

    #[test]
    fn a_crowded_link_keeps_a_few_at_a_time() {
        for (most, left) in [(1, 1), (4, 4), (6, 4), (8, 5)] {
            let window = Window::new(most);
            window.crowded();
            assert_eq!(window.size(), left, "of {most}");
        }
    }
}
