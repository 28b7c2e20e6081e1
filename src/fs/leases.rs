//! Files that another process holds a lease on (`fcntl(2)`, `F_SETLEASE`), as file servers do for their clients.
//!
//! Opening such a file asks the holder to give it up, and the kernel takes the lease away after a while (45 seconds, or what
//! `/proc/sys/fs/lease-break-time` says). A plain `open` sleeps until then and can't be cancelled; one with `O_NONBLOCK` asks as
//! well, and fails with `EAGAIN` meanwhile.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;

use crate::error::Result;

/// How often it is tried again, and for how long it rests before: for ten minutes in all.
const ATTEMPTS: u32 = 12_000;
const PAUSE: Duration = Duration::from_millis(50);

/// What the system says to an attempt.
type Answer = rustix::io::Result<OwnedFd>;

/// Whether a wait goes on: asked before each attempt, and an error ends it.
#[derive(Clone)]
pub(crate) struct GoesOn(Arc<dyn Fn() -> Result<()> + Send + Sync>);

impl GoesOn {
    /// A wait that ends with this error, once there is one.
    pub(crate) fn unless(stopped: impl Fn() -> Result<()> + Send + Sync + 'static) -> Self {
        Self(Arc::new(stopped))
    }

    /// Opens a file without blocking, as often as it takes until nobody holds a lease on it, and gives the last answer.
    ///
    /// # Errors
    /// What ends the wait.
    pub(super) fn open(&self, open: impl FnMut() -> Answer) -> Result<Answer> {
        self.open_with(open, std::thread::sleep)
    }

    fn open_with(&self, mut open: impl FnMut() -> Answer, mut pause: impl FnMut(Duration)) -> Result<Answer> {
        let mut attempt = 0;
        loop {
            match open() {
                Err(Errno::AGAIN) if attempt < ATTEMPTS => {
                    (self.0)()?;
                    pause(PAUSE);
                    attempt += 1;
                }
                answer => return Ok(answer),
            }
        }
    }
}

impl Default for GoesOn {
    /// A wait that nothing ends early.
    fn default() -> Self {
        Self::unless(|| Ok(()))
    }
}

impl std::fmt::Debug for GoesOn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GoesOn")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::error::Error;

    fn leased_for(times: u32) -> impl FnMut() -> Answer {
        let mut opened = 0;
        move || {
            opened += 1;
            if opened <= times { Err(Errno::AGAIN) } else { Ok(tempfile::tempfile().unwrap().into()) }
        }
    }

    #[test]
    fn a_leased_file_is_waited_for() {
        let mut waited = Duration::ZERO;
        let waits = GoesOn::default();
        waits.open_with(leased_for(3), |pause| waited += pause).unwrap().unwrap();
        assert_eq!(waited, 3 * PAUSE);
        assert_eq!(waits.open_with(leased_for(u32::MAX), |_| {}).unwrap().unwrap_err(), Errno::AGAIN);
        let missing = waits.open_with(|| Err(Errno::NOENT), |_| panic!("there is nothing to wait for"));
        assert_eq!(missing.unwrap().unwrap_err(), Errno::NOENT);
    }

    #[test]
    fn a_wait_ends_with_the_operation() {
        static STOPPED: AtomicBool = AtomicBool::new(false);
        let waits = GoesOn::unless(|| {
            if STOPPED.load(Ordering::Relaxed) { Err(Error::Cancelled("stopped".to_owned())) } else { Ok(()) }
        });
        let stop = |_| STOPPED.store(true, Ordering::Relaxed);
        let error = waits.open_with(leased_for(u32::MAX), stop).unwrap_err();
        assert!(error.is_cancelled(), "{error}");
    }
}
