//! How much may be under way at once: requests, which adapt to what the endpoint bears, and bytes in memory, which don't.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

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
    /// How many requests may be under way now.
    window: AtomicUsize,
    /// Permits to take out of circulation as they come back.
    owed: AtomicUsize,
    successes: AtomicUsize,
    seen_throttles: AtomicU64,
    last_fall: Mutex<Option<Instant>>,
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
            window: AtomicUsize::new(window),
            owed: AtomicUsize::new(0),
            successes: AtomicUsize::new(0),
            seen_throttles: AtomicU64::new(store.throttles()),
            last_fall: Mutex::new(None),
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
        self.0.window.load(Ordering::Relaxed)
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
        let mut last = self.0.last_fall.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|at| at.elapsed() < FALL_INTERVAL) {
            return;
        }
        *last = Some(Instant::now());
        let window = self.0.window.load(Ordering::Relaxed);
        let lower = (window * 2 / 3).max(1);
        self.0.window.store(lower, Ordering::Relaxed);
        self.0.owed.fetch_add(window - lower, Ordering::Relaxed);
    }

    /// One more for every success until the first complaint, then one more for every window's worth of successes.
    fn rise(&self) {
        let window = self.0.window.load(Ordering::Relaxed);
        if window >= self.0.most_requests {
            return;
        }
        let fell = self.0.last_fall.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if fell && !self.0.successes.fetch_add(1, Ordering::Relaxed).is_multiple_of(window.max(1)) {
            return;
        }
        if self.0.window.compare_exchange(window, window + 1, Ordering::Relaxed, Ordering::Relaxed).is_ok()
            && !self.repay()
        {
            self.0.requests.add_permits(1);
        }
    }

    /// Takes one owed permit off the books, if any is owed.
    fn repay(&self) -> bool {
        self.0.owed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |owed| owed.checked_sub(1)).is_ok()
    }
}

impl Drop for RequestPermit {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take()
            && self.limits.repay()
        {
            permit.forget();
        }
    }
}
