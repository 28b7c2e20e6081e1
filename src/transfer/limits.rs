//! How much may be under way at once: requests, which adapt to what the endpoint bears, and bytes in memory, which don't.

use std::time::Duration;

use super::sync::{Arc, AtomicU64, Instant, Mutex, MutexGuard, Ordering, OwnedSemaphorePermit, PoisonError, Semaphore};
use crate::store::ObjectStore;

/// Bytes of bodies in memory at once, unless an option says otherwise.
pub const DEFAULT_BUFFER_BYTES: u64 = 48 * 1024 * 1024;
/// The bytes semaphore counts in these, since its permits are 32 bits.
const BYTES_PER_PERMIT: u64 = 4096;
/// Requests under way at the start. The window doubles every round trip while nothing complains; a thousand small files at
/// 30 ms take a tenth of a second less from here than from 16, and S3 takes thousands of requests a second per prefix.
const FIRST_REQUESTS: usize = 64;
/// One fall for one burst: replies to requests that were sent before it say nothing new.
const FALL_INTERVAL: Duration = Duration::from_millis(500);

/// The limits of one operation. Clones share them.
#[derive(Debug, Clone)]
pub struct Limits(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    requests: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    total_byte_permits: u32,
    most_requests: usize,
    seen_throttles: AtomicU64,
    window: Mutex<Window>,
}

/// Permits in circulation are always `requests` and `owed` together: they change under one lock, or a fall and a rise at the
/// same time would leave a permit more than there should be, for good.
#[derive(Debug)]
struct Window {
    /// How many requests may be under way now.
    requests: usize,
    /// Permits to take out of circulation as they come back.
    owed: usize,
    successes: usize,
    last_fall: Option<Instant>,
}

/// The right to have one request under way.
#[derive(Debug)]
pub struct RequestPermit {
    permit: Option<OwnedSemaphorePermit>,
    limits: Limits,
}

impl Limits {
    /// Limits for a store, with this many bytes of bodies in memory.
    #[must_use]
    pub fn new(store: &dyn ObjectStore, buffer_bytes: u64) -> Self {
        let most_requests = store.max_connections().max(1);
        let window = FIRST_REQUESTS.min(most_requests);
        let total = u32::try_from(buffer_bytes.max(super::PART_BYTES) / BYTES_PER_PERMIT).unwrap_or(u32::MAX >> 4);
        Self(Arc::new(Inner {
            requests: Arc::new(Semaphore::new(window)),
            bytes: Arc::new(Semaphore::new(total as usize)),
            total_byte_permits: total,
            most_requests,
            seen_throttles: AtomicU64::new(store.throttles()),
            window: Mutex::new(Window { requests: window, owed: 0, successes: 0, last_fall: None }),
        }))
    }

    /// How many requests may ever be under way at once.
    #[must_use]
    pub fn most_requests(&self) -> usize {
        self.0.most_requests
    }

    /// How many requests may be under way now.
    #[must_use]
    pub fn window(&self) -> usize {
        self.lock().requests
    }

    /// Waits for the right to make a request.
    pub async fn request(&self) -> RequestPermit {
        // The semaphore is never closed, so there is always a permit in the end.
        let permit = Arc::clone(&self.0.requests).acquire_owned().await.ok();
        RequestPermit { permit, limits: self.clone() }
    }

    /// Waits for room for a body. A body that is larger than the whole budget gets all of it.
    pub async fn bytes(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let permits = u32::try_from(bytes.div_ceil(BYTES_PER_PERMIT)).unwrap_or(u32::MAX).max(1);
        let permits = permits.min(self.0.total_byte_permits);
        Arc::clone(&self.0.bytes).acquire_many_owned(permits).await.ok()
    }

    /// Whether no more than half of the room for bodies is taken.
    #[must_use]
    pub fn has_half_of_its_room(&self) -> bool {
        self.0.bytes.available_permits() >= self.0.total_byte_permits as usize / 2
    }

    /// Tells of a request that came through, and how often the store was asked to slow down until now.
    pub fn report(&self, store: &dyn ObjectStore) {
        let throttles = store.throttles();
        if throttles > self.0.seen_throttles.swap(throttles, Ordering::Relaxed) {
            self.fall();
        } else {
            self.rise();
        }
    }

    /// Tells of a body that broke off or stalled: fewer at a time may each be faster.
    pub fn complain(&self) {
        self.fall();
    }

    /// A third less, once a burst.
    fn fall(&self) {
        let mut window = self.lock();
        if window.last_fall.is_some_and(|at| at.elapsed() < FALL_INTERVAL) {
            return;
        }
        window.last_fall = Some(Instant::now());
        let lower = (window.requests * 2 / 3).max(1);
        window.owed += window.requests - lower;
        window.requests = lower;
    }

    /// One more for every success until the first complaint, then one more for every window's worth of successes.
    fn rise(&self) {
        let mut window = self.lock();
        if window.requests >= self.0.most_requests {
            return;
        }
        window.successes += 1;
        if window.last_fall.is_some() && !window.successes.is_multiple_of(window.requests) {
            return;
        }
        window.requests += 1;
        if !window.repay() {
            self.0.requests.add_permits(1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Window> {
        self.0.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    /// Takes one owed permit off the books, if any is owed.
    const fn repay(&mut self) -> bool {
        let is_owed = self.owed > 0;
        self.owed = self.owed.saturating_sub(1);
        is_owed
    }
}

impl Drop for RequestPermit {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take()
            && self.limits.lock().repay()
        {
            permit.forget();
        }
    }
}
