//! How much may be under way at once: what all operations of the process share, and what one of them may take of it.
//!
//! Whoever waits for one of these holds only those before it in this order: an object, bytes, a request. So nobody waits for
//! somebody who waits for him, however many operations share them. How many requests the endpoint bears at a time is for the
//! store to find out.

use crate::permits::{Permit, Permits, Share};
use crate::sync::{Arc, Mutex, OwnedSemaphorePermit, Semaphore};

/// Bytes of bodies in memory at once in one operation, unless an option says otherwise.
pub(crate) const DEFAULT_BUFFER_BYTES: u64 = 48 * 1024 * 1024;
/// Bytes of bodies in memory at once in the whole process, unless one of its operations may have more by itself.
const PROCESS_BUFFER_BYTES: u64 = 64 * 1024 * 1024;
/// The bytes semaphore counts in these, since its permits are 32 bits.
const BYTES_PER_PERMIT: u64 = 4096;
/// Objects under way, of the descriptors that are left: besides its file an object has a connection, and perhaps a directory or
/// a file that is cloned.
const OBJECTS: Share = Share { each: 4, fewest: 2, most: 512 };

/// What all operations of a process share. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    objects: Permits,
    bytes: Arc<Semaphore>,
    byte_permits: Mutex<u32>,
}

/// The limits of one operation. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Limits(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    budget: Budget,
    requests: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    total_byte_permits: u32,
    most_requests: usize,
}

/// The right to have one request under way.
#[derive(Debug)]
pub(crate) struct RequestPermit {
    #[expect(dead_code, reason = "held")]
    permit: Option<OwnedSemaphorePermit>,
}

/// Room for a body in memory.
#[derive(Debug)]
pub(crate) struct Room {
    #[expect(dead_code, reason = "held")]
    permits: [Option<OwnedSemaphorePermit>; 2],
}

impl Budget {
    /// A budget for a process that may open so many more files and connections.
    #[must_use]
    pub(crate) fn new(descriptors: usize) -> Self {
        let total = byte_permits(PROCESS_BUFFER_BYTES);
        Self(Arc::new(Shared {
            objects: OBJECTS.permits(descriptors),
            bytes: Arc::new(Semaphore::new(total as usize)),
            byte_permits: Mutex::new(total),
        }))
    }

    /// Takes notice of how many descriptors are left now, beside those of objects under way.
    pub(crate) fn fit(&self, descriptors: usize) {
        OBJECTS.fit(&self.0.objects, descriptors);
    }

    /// The largest share that an operation was promised is what the process has.
    fn grow(&self, permits: u32) {
        let mut total = self.0.byte_permits.lock();
        if permits > *total {
            self.0.bytes.add_permits((permits - *total) as usize);
            *total = permits;
        }
    }
}

fn byte_permits(bytes: u64) -> u32 {
    u32::try_from(bytes / BYTES_PER_PERMIT).unwrap_or(u32::MAX >> 4)
}

impl Limits {
    /// An operation's share of a budget: as many requests at once as its store takes, and this many bytes of bodies.
    #[must_use]
    pub(crate) fn within(budget: &Budget, most_requests: usize, buffer_bytes: u64) -> Self {
        let most_requests = most_requests.max(1);
        let total = byte_permits(buffer_bytes.max(super::sizes::PART_BYTES));
        budget.grow(total);
        Self(Arc::new(Inner {
            budget: budget.clone(),
            requests: Arc::new(Semaphore::new(most_requests)),
            bytes: Arc::new(Semaphore::new(total as usize)),
            total_byte_permits: total,
            most_requests,
        }))
    }

    /// How many requests may ever be under way at once.
    #[must_use]
    pub(crate) fn most_requests(&self) -> usize {
        self.0.most_requests
    }

    /// Waits for the right to work on an object: all of it, from its first request to its file's name.
    pub(crate) async fn object(&self) -> Permit {
        self.0.budget.0.objects.take().await
    }

    /// Waits for room for a body. A body that is larger than the whole share gets all of it.
    pub(crate) async fn bytes(&self, bytes: u64) -> Room {
        let permits = self.permits_for(bytes);
        let own = Arc::clone(&self.0.bytes).acquire_many_owned(permits).await.ok();
        let shared = Arc::clone(&self.0.budget.0.bytes).acquire_many_owned(permits).await.ok();
        Room { permits: [own, shared] }
    }

    /// Room for a body, if there is room now.
    #[must_use]
    pub(crate) fn try_bytes(&self, bytes: u64) -> Option<Room> {
        let permits = self.permits_for(bytes);
        let own = Arc::clone(&self.0.bytes).try_acquire_many_owned(permits).ok()?;
        let shared = Arc::clone(&self.0.budget.0.bytes).try_acquire_many_owned(permits).ok()?;
        Some(Room { permits: [Some(own), Some(shared)] })
    }

    /// Waits for the right to make a request.
    pub(crate) async fn request(&self) -> RequestPermit {
        // The semaphore is never closed, so there is always a permit in the end.
        RequestPermit { permit: Arc::clone(&self.0.requests).acquire_owned().await.ok() }
    }

    /// Whether no more than half of the room for bodies is taken, of this operation's and of the process's.
    #[must_use]
    pub(crate) fn has_half_of_its_room(&self) -> bool {
        let half = self.0.total_byte_permits as usize / 2;
        self.0.bytes.available_permits() >= half && self.0.budget.0.bytes.available_permits() >= half
    }

    fn permits_for(&self, bytes: u64) -> u32 {
        let permits = u32::try_from(bytes.div_ceil(BYTES_PER_PERMIT)).unwrap_or(u32::MAX).max(1);
        permits.min(self.0.total_byte_permits)
    }
}
