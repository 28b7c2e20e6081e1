//! File descriptors: how many this process may still open, and what to do when there are none.
//!
//! A process has 1,024 by default, and programs that load this crate (a DCC with hundreds of textures open) use most of them.

use std::sync::OnceLock;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit};

/// Taken for the limit where the system has none or won't say.
const ASSUMED_LIMIT: usize = 4096;
/// Taken for what is open where the system won't say.
const ASSUMED_IN_USE: usize = 64;
/// The soft limit is raised to this, where the hard one allows it: more than this crate and its host use together, and
/// few enough for programs that close every possible descriptor in a loop before they run another.
const RAISED_LIMIT: usize = 4096;
/// So many may be used above the limit as it was found, if there are not that many below it. Below it is better: `select`
/// takes no descriptor above 1,023, and a host that uses it gets the lowest ones that are free.
const ROOM_AT_LEAST: usize = 256;
/// How often a call that found no free descriptor is tried again, and for how long it waits before: 10 s in all.
const ATTEMPTS: u32 = 60;
const FIRST_PAUSE: Duration = Duration::from_millis(4);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// The limits of the process, as they were found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Descriptors {
    /// The soft limit before it was raised.
    found: usize,
    /// The soft limit now.
    limit: usize,
}

impl Descriptors {
    /// The limits of this process. The first call raises the soft one, where the hard one allows it.
    #[must_use]
    pub(crate) fn of_process() -> Self {
        // A forked process has its parent's limits.
        static LIMITS: OnceLock<Descriptors> = OnceLock::new();
        *LIMITS.get_or_init(Self::raise)
    }

    fn raise() -> Self {
        let limits = rustix::process::getrlimit(Resource::Nofile);
        let number = |limit: Option<u64>| limit.and_then(|limit| usize::try_from(limit).ok());
        let Some(found) = number(limits.current) else { return Self { found: ASSUMED_LIMIT, limit: ASSUMED_LIMIT } };
        let wanted = number(limits.maximum).map_or(RAISED_LIMIT, |most| most.min(RAISED_LIMIT));
        if wanted <= found {
            return Self { found, limit: found };
        }
        let raised = Rlimit { current: Some(wanted as u64), maximum: limits.maximum };
        // Where a sandbox refuses, the limit is what it was.
        let limit = rustix::process::setrlimit(Resource::Nofile, raised).map_or(found, |()| wanted);
        Self { found, limit }
    }

    /// How many this crate may use now beside what is open.
    #[must_use]
    pub(crate) fn left(&self) -> usize {
        self.left_beside(in_use().unwrap_or(ASSUMED_IN_USE))
    }

    fn left_beside(&self, in_use: usize) -> usize {
        let below_found = self.found.saturating_sub(in_use);
        below_found.max(self.limit.saturating_sub(in_use).min(ROOM_AT_LEAST))
    }
}

/// How many are open; `None` where the system won't say, also because there is none left to ask with.
fn in_use() -> Option<usize> {
    let path = if cfg!(target_os = "linux") { "/proc/self/fd" } else { "/dev/fd" };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = match rustix::fs::open(path, flags, Mode::empty()) {
        Err(Errno::MFILE) => return Some(usize::MAX),
        other => other.ok()?,
    };
    // Without `.`, `..` and the folder itself.
    Some(rustix::fs::Dir::new(folder).ok()?.count().saturating_sub(3))
}

/// Whether a call failed because the process, or the system, has no free descriptor.
#[must_use]
pub(crate) fn is_shortage(error: Errno) -> bool {
    matches!(error, Errno::MFILE | Errno::NFILE)
}

/// Makes a call that opens something. Where no descriptor is free it waits, on this thread, for others of the process to
/// close theirs: they do so within moments.
///
/// # Errors
/// The call's; `EMFILE` or `ENFILE` once ten seconds brought no free descriptor.
pub(crate) fn patiently<T>(open: impl FnMut() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    with_pauses(open, std::thread::sleep)
}

fn with_pauses<T>(
    mut open: impl FnMut() -> rustix::io::Result<T>,
    mut pause: impl FnMut(Duration),
) -> rustix::io::Result<T> {
    let mut attempt = 0;
    loop {
        match open() {
            Err(error) if is_shortage(error) && attempt < ATTEMPTS => {
                pause((FIRST_PAUSE * 2_u32.pow(attempt.min(10))).min(LONGEST_PAUSE));
                attempt += 1;
            }
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_stays_below_the_limit_as_it_was_found_unless_that_is_too_little() {
        let left = |found, limit, in_use| Descriptors { found, limit }.left_beside(in_use);
        assert_eq!(left(1024, 4096, 24), 1000);
        assert_eq!(left(1024, 4096, 900), ROOM_AT_LEAST);
        assert_eq!(left(1024, 1024, 900), 124, "it could not be raised");
        assert_eq!(left(64, 64, 20), 44);
        assert_eq!(left(1024, 1024, usize::MAX), 0);
    }

    #[test]
    fn what_is_open_is_counted() {
        let files: Vec<_> = (0..50).map(|_| tempfile::tempfile().unwrap()).collect();
        assert!(in_use().unwrap() >= files.len());
    }

    #[test]
    fn a_call_without_a_free_descriptor_is_made_again_and_fails_in_the_end() {
        let mut waited = Duration::ZERO;
        let mut calls = 0;
        let open = || {
            calls += 1;
            if calls < 5 { Err(Errno::MFILE) } else { Ok(calls) }
        };
        assert_eq!(with_pauses(open, |pause| waited += pause), Ok(5));
        assert_eq!(waited, FIRST_PAUSE * 15);
        let mut waited = Duration::ZERO;
        assert_eq!(with_pauses(|| Err::<(), _>(Errno::NFILE), |pause| waited += pause), Err(Errno::NFILE));
        assert!((9..=13).contains(&waited.as_secs()), "{waited:?}");
        assert_eq!(
            with_pauses(|| Err::<(), _>(Errno::NOENT), |_| panic!("there was nothing to wait for")),
            Err(Errno::NOENT)
        );
    }
}
