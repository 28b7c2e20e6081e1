//! Permits whose number can change while some are taken: for requests, objects and calls under way.

use crate::sync::{Arc, Mutex, MutexGuard, OwnedSemaphorePermit, Semaphore};

/// A number of permits, given out in the order in which they were asked for. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Permits(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    semaphore: Arc<Semaphore>,
    size: Mutex<Size>,
}

/// Permits in circulation are always `permits` and `owed` together: they change under one lock, or a fall and a rise at the
/// same time would leave a permit more than there should be, for good.
#[derive(Debug)]
struct Size {
    permits: usize,
    /// Permits to take out of circulation as they come back.
    owed: usize,
}

/// One permit. It goes back when it is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    permit: Option<OwnedSemaphorePermit>,
    home: Permits,
}

impl Permits {
    /// This many permits.
    #[must_use]
    pub(crate) fn new(permits: usize) -> Self {
        let semaphore = Arc::new(Semaphore::new(permits));
        Self(Arc::new(Inner { semaphore, size: Mutex::new(Size { permits, owed: 0 }) }))
    }

    /// How many there are.
    #[must_use]
    pub(crate) fn size(&self) -> usize {
        self.lock().permits
    }

    /// How many are taken now.
    #[must_use]
    pub(crate) fn taken(&self) -> usize {
        let size = self.lock();
        (size.permits + size.owed).saturating_sub(self.0.semaphore.available_permits())
    }

    /// Waits for a permit.
    pub(crate) async fn take(&self) -> Permit {
        // The semaphore is never closed, so there is always a permit in the end.
        let permit = Arc::clone(&self.0.semaphore).acquire_owned().await.ok();
        Permit { permit, home: self.clone() }
    }

    /// Changes how many there are. Where more are taken than that, they are not replaced as they come back.
    pub(crate) fn resize(&self, permits: usize) {
        let mut size = self.lock();
        if permits < size.permits {
            size.owed += size.permits - permits;
        } else {
            let more = permits - size.permits;
            let repaid = more.min(size.owed);
            size.owed -= repaid;
            if more > repaid {
                self.0.semaphore.add_permits(more - repaid);
            }
        }
        size.permits = permits;
    }

    fn lock(&self) -> MutexGuard<'_, Size> {
        self.0.size.lock()
    }
}

/// What one kind of work may have of something that is limited, such as descriptors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    /// How much each piece of the work takes.
    pub each: usize,
    /// So many pieces may be under way however little is left.
    pub fewest: usize,
    /// So many may be however much is left.
    pub most: usize,
}

impl Share {
    /// Permits for what is left.
    #[must_use]
    pub(crate) fn permits(&self, left: usize) -> Permits {
        Permits::new(self.of(left))
    }

    /// As many permits as fit what is left now, beside what those that are taken hold.
    pub(crate) fn fit(&self, permits: &Permits, left: usize) {
        permits.resize(self.of(left + permits.taken() * self.each));
    }

    fn of(&self, left: usize) -> usize {
        (left / self.each).clamp(self.fewest, self.most)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        let mut size = self.home.lock();
        if size.owed > 0 {
            size.owed -= 1;
            permit.forget();
        }
    }
}
