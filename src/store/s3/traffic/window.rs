//! How many requests may be under way at one endpoint: as many as come through, fewer where they stall.

use std::time::Duration;

use crate::permits::{Permit, Permits};
use crate::sync::{Arc, Instant, Mutex, MutexGuard, PoisonError};

/// Requests under way at the start. The window doubles every round trip while nothing stalls; a thousand small files at
/// 30 ms take a tenth of a second less from here than from 16, and S3 takes thousands of requests a second per prefix.
const FIRST_REQUESTS: usize = 64;
/// One fall for one burst: what was under way before it says nothing new.
const FALL_INTERVAL: Duration = Duration::from_millis(500);

/// The window of one endpoint. Clones share it.
#[derive(Debug, Clone)]
pub struct Window(Arc<Inner>);

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
    pub fn new(most: usize) -> Self {
        let most = most.max(1);
        let permits = Permits::new(FIRST_REQUESTS.min(most));
        Self(Arc::new(Inner { permits, most, history: Mutex::default() }))
    }

    /// How many requests may be under way now.
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.permits.size()
    }

    /// Waits for the right to have one under way.
    pub async fn enter(&self) -> Permit {
        self.0.permits.take().await
    }

    /// One more for every success until the first fall, then one more for every window's worth of successes.
    pub fn succeeded(&self) {
        let mut history = self.lock();
        let size = self.size();
        if size >= self.0.most {
            return;
        }
        history.successes += 1;
        if history.last_fall.is_some() && history.successes < size {
            return;
        }
        history.successes = 0;
        self.0.permits.resize(size + 1);
    }

    /// A third less, once a burst: fewer at a time may each be faster.
    pub fn fall(&self) {
        let mut history = self.lock();
        if history.last_fall.is_some_and(|at| at.elapsed() < FALL_INTERVAL) {
            return;
        }
        history.last_fall = Some(Instant::now());
        self.0.permits.resize((self.size() * 2 / 3).max(1));
    }

    fn lock(&self) -> MutexGuard<'_, History> {
        self.0.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
