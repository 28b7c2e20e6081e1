//! The modules under test, and what they share and wait for.

/// In the place of the engine's.
pub mod sizes {
    pub const PART_BYTES: u64 = 8 << 20;
}

#[path = "../../src/transfer/limits.rs"]
pub mod limits;
#[path = "../../src/transfer/once_per_key.rs"]
pub mod once_per_key;
#[path = "../../src/permits.rs"]
pub mod permits;
#[path = "../../src/store/s3/traffic/window.rs"]
pub mod window;

/// In the place of `src/sync.rs`.
pub mod sync {
    use std::time::Duration;

    pub use shuttle::sync::atomic::{AtomicUsize, Ordering};
    pub use shuttle::sync::{Arc, MutexGuard};

    /// shuttle's mutex, which is not poisoned either.
    #[derive(Debug, Default)]
    pub struct Mutex<T>(shuttle::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub fn new(value: T) -> Self {
            Self(shuttle::sync::Mutex::new(value))
        }

        pub fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
        }
    }

    /// The scheduler may let someone else go on here.
    pub fn switch() {
        if !std::thread::panicking() {
            AtomicUsize::new(0).load(Ordering::SeqCst);
        }
    }

    /// A clock that the scheduler sets: half the time a second has passed, else nothing.
    #[derive(Debug, Clone, Copy)]
    pub struct Instant;

    impl Instant {
        pub fn now() -> Self {
            Self
        }

        #[allow(clippy::unused_self, clippy::trivially_copy_pass_by_ref, reason = "as the real one is called")]
        pub fn elapsed(&self) -> Duration {
            Duration::from_secs(crate::below(2) as u64)
        }
    }

    #[derive(Debug)]
    pub struct Semaphore(Arc<tokio::sync::Semaphore>);

    #[derive(Debug)]
    pub struct OwnedSemaphorePermit(Option<tokio::sync::OwnedSemaphorePermit>);

    impl Semaphore {
        pub fn new(permits: usize) -> Self {
            Self(Arc::new(tokio::sync::Semaphore::new(permits)))
        }

        pub async fn acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, tokio::sync::AcquireError> {
            self.acquire_many_owned(1).await
        }

        pub async fn acquire_many_owned(
            self: Arc<Self>,
            permits: u32,
        ) -> Result<OwnedSemaphorePermit, tokio::sync::AcquireError> {
            switch();
            let permit = OwnedSemaphorePermit(Some(Arc::clone(&self.0).acquire_many_owned(permits).await?));
            switch();
            Ok(permit)
        }

        pub fn try_acquire_many_owned(
            self: Arc<Self>,
            permits: u32,
        ) -> Result<OwnedSemaphorePermit, tokio::sync::TryAcquireError> {
            switch();
            let permit = Arc::clone(&self.0).try_acquire_many_owned(permits)?;
            switch();
            Ok(OwnedSemaphorePermit(Some(permit)))
        }

        pub fn available_permits(&self) -> usize {
            switch();
            self.0.available_permits()
        }

        pub fn add_permits(&self, permits: usize) {
            switch();
            self.0.add_permits(permits);
            switch();
        }
    }

    impl OwnedSemaphorePermit {
        pub fn forget(mut self) {
            if let Some(permit) = self.0.take() {
                permit.forget();
            }
        }
    }

    impl Drop for OwnedSemaphorePermit {
        fn drop(&mut self) {
            switch();
            self.0 = None;
            switch();
        }
    }

    pub mod watch {
        use super::switch;

        #[derive(Debug)]
        pub struct Sender<T>(Option<tokio::sync::watch::Sender<T>>);

        #[derive(Debug, Clone)]
        pub struct Receiver<T>(tokio::sync::watch::Receiver<T>);

        pub fn channel<T>(first: T) -> (Sender<T>, Receiver<T>) {
            let (sender, receiver) = tokio::sync::watch::channel(first);
            (Sender(Some(sender)), Receiver(receiver))
        }

        impl<T> Sender<T> {
            pub fn send(&self, value: T) -> Result<(), tokio::sync::watch::error::SendError<T>> {
                switch();
                let sent = self.0.as_ref().map_or(Ok(()), |sender| sender.send(value));
                switch();
                sent
            }
        }

        impl<T> Drop for Sender<T> {
            fn drop(&mut self) {
                switch();
                self.0 = None;
                switch();
            }
        }

        impl<T> Receiver<T> {
            pub async fn wait_for(
                &mut self,
                is_it: impl FnMut(&T) -> bool,
            ) -> Result<(), tokio::sync::watch::error::RecvError> {
                switch();
                let outcome = self.0.wait_for(is_it).await.map(drop);
                switch();
                outcome
            }

            pub fn borrow(&self) -> tokio::sync::watch::Ref<'_, T> {
                self.0.borrow()
            }
        }
    }
}
