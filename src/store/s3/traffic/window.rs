//! How many requests may be under way at one endpoint: as many as come through, fewer where they stall.

use std::time::Duration;

use crate::permits::{Permit, Permits};
use crate::sync::{Arc, Instant, Mutex, MutexGuard};

/// Requests under way at the start. A link of 256 kbit/s bears as many bodies of 64 KiB; from 16 on, connections were seen to
/// break there. At 30 ms the window has 512 after three round trips.
const FIRST_REQUESTS: usize = 8;
/// An exchange that took less, its bodies included, makes room for three more until the first fall: the window quadruples every
/// round trip.
const SWIFT: Duration = Duration::from_millis(250);
/// One that took less makes room for one more, one that took longer for none: more at a time would not be faster.
const STEADY: Duration = Duration::from_secs(1);
/// So many requests at a time fill a link, however slow it is.
const FEWEST_CROWDED: usize = 4;
/// One fall for one burst: what was under way before it says nothing new.
const FALL_INTERVAL: Duration = Duration::from_millis(500);

/// The window of one endpoint. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Window(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    permits: Permits,
    most: usize,
    history: Mutex<History>,
}

#[derive(Debug, Default)]
struct History {
    /// Since the window rose last.
    successes: usize,
    last_fall: Option<Instant>,
}

impl Window {
    /// A window that opens up to `most` requests.
    #[must_use]
    pub(crate) fn new(most: usize) -> Self {
        let most = most.max(1);
        let permits = Permits::new(FIRST_REQUESTS.min(most));
        Self(Arc::new(Inner { permits, most, history: Mutex::default() }))
    }

    /// How many requests may be under way now.
    #[must_use]
    pub(crate) fn size(&self) -> usize {
        self.0.permits.size()
    }

    /// Waits for the right to have one under way.
    pub(crate) async fn enter(&self) -> Permit {
        self.0.permits.take().await
    }

    /// A success that took so long, its bodies included. Until the first fall the window grows with each one, then by one for
    /// every window's worth of them.
    pub(crate) fn succeeded(&self, took: Duration) {
        let size = self.size();
        if size >= self.0.most || took >= STEADY {
            return;
        }
        let mut history = self.lock();
        let size = self.size();
        history.successes += 1;
        if history.last_fall.is_some() && history.successes < size {
            return;
        }
        history.successes = 0;
        let more = if history.last_fall.is_none() && took < SWIFT { 3 } else { 1 };
        self.0.permits.resize((size + more).min(self.0.most));
    }

    /// A third less, once a burst: fewer at a time may each be faster.
    pub(crate) fn fall(&self) {
        self.fall_to(1);
    }

    /// A third less where requests come through and take long. A few at a time fill any link.
    pub(crate) fn crowded(&self) {
        self.fall_to(FEWEST_CROWDED);
    }

    fn fall_to(&self, fewest: usize) {
        let mut history = self.lock();
        let size = self.size();
        if size <= fewest {
            return;
        }
        if history.last_fall.is_some_and(|at| at.elapsed() < FALL_INTERVAL) {
            return;
        }
        history.last_fall = Some(Instant::now());
        self.0.permits.resize((size * 2 / 3).max(fewest));
    }

    fn lock(&self) -> MutexGuard<'_, History> {
        self.0.history.lock()
    }
}
