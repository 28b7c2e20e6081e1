//! The kernel's own way, and whether it is there.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::links::Links;

/// What this process knows of the call. Once it is known to be missing, it is not asked for again: a kernel does not learn it,
/// and a sandbox does not take a rule back.
pub(super) static HERE: Availability = Availability(AtomicU8::new(Availability::UNKNOWN));

/// How often the kernel may say "try again" (openat2(2): something on the way was renamed meanwhile).
const ATTEMPTS: usize = 64;

/// Whether the call is there.
#[derive(Debug)]
pub(super) struct Availability(AtomicU8);

impl Availability {
    const UNKNOWN: u8 = 0;
    const WORKS: u8 = 1;
    const MISSING: u8 = 2;

    /// What the call answers, or `None` where it can't be asked.
    pub(super) fn open(
        &self,
        directory: BorrowedFd<'_>,
        path: &Path,
        flags: OFlags,
        mode: Mode,
        links: Links,
    ) -> Option<rustix::io::Result<OwnedFd>> {
        let known = self.0.load(Ordering::Relaxed);
        if known == Self::MISSING {
            return None;
        }
        for _ in 0..ATTEMPTS {
            match rustix::fs::openat2(directory, path, flags, mode, resolve(links)) {
                Err(Errno::AGAIN) => {}
                Err(error) if is_refusal(error, known)? => {
                    self.0.store(Self::MISSING, Ordering::Relaxed);
                    return None;
                }
                answer => {
                    if known == Self::UNKNOWN {
                        // Unless another thread has found it missing: a thread can have a sandbox of its own.
                        let _ = self.0.compare_exchange(known, Self::WORKS, Ordering::Relaxed, Ordering::Relaxed);
                    }
                    return Some(answer);
                }
            }
        }
        None
    }
}

pub(super) fn resolve(links: Links) -> ResolveFlags {
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    if links == Links::Refuse { beneath | ResolveFlags::NO_SYMLINKS } else { beneath }
}

/// Whether an error means that the call is missing, and not something about the path; `None` where that can't be found out.
///
/// Kernels without it say `ENOSYS`. Sandboxes say `EPERM`, or another error if they are told to; but a file can be refused
/// with these as well (FUSE, security modules). So the call is asked for something that nobody has a reason to refuse.
fn is_refusal(error: Errno, known: u8) -> Option<bool> {
    match error {
        Errno::NOSYS => Some(true),
        Errno::PERM => works_for_root().map(|works| !works),
        Errno::ACCESS | Errno::INVAL | Errno::OPNOTSUPP if known == Availability::UNKNOWN => {
            works_for_root().map(|works| !works)
        }
        _ => Some(false),
    }
}

/// `None` where something else is in the way, such as that no descriptor is left.
fn works_for_root() -> Option<bool> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open("/", flags, Mode::empty()).ok()?;
    match rustix::fs::openat2(root, ".", flags, Mode::empty(), ResolveFlags::BENEATH) {
        Ok(_) => Some(true),
        Err(Errno::NOSYS | Errno::PERM | Errno::ACCESS | Errno::INVAL | Errno::OPNOTSUPP) => Some(false),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd, AsRawFd};

    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    };

    use super::*;

    /// The number of the call on every machine.
    const OPENAT2: i64 = 437;

    /// Runs in a thread of its own, where the call is refused with an error: for one directory, or always.
    fn refused(error: Errno, directory: Option<&OwnedFd>, test: impl FnOnce() + Send) {
        let rules = directory.into_iter().map(|directory| {
            let number = u64::from(directory.as_raw_fd().unsigned_abs());
            let is_it = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, number).unwrap();
            SeccompRule::new(vec![is_it]).unwrap()
        });
        let answer = SeccompAction::Errno(error.raw_os_error().unsigned_abs());
        let machine = std::env::consts::ARCH.try_into().unwrap();
        let filter = [(OPENAT2, rules.collect())].into_iter().collect();
        let filter: BpfProgram =
            SeccompFilter::new(filter, SeccompAction::Allow, answer, machine).unwrap().try_into().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                seccompiler::apply_filter(&filter).unwrap();
                test();
            });
        });
    }

    fn ask(availability: &Availability, directory: &OwnedFd) -> Option<rustix::io::Result<()>> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let answer = availability.open(directory.as_fd(), Path::new("."), flags, Mode::empty(), Links::Beneath);
        answer.map(|opened| opened.map(drop))
    }

    fn directory() -> OwnedFd {
        rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap()
    }

    const fn unknown() -> Availability {
        Availability(AtomicU8::new(Availability::UNKNOWN))
    }

    #[test]
    fn a_call_that_is_missing_is_not_made_again() {
        let directory = directory();
        for error in [Errno::NOSYS, Errno::PERM, Errno::ACCESS, Errno::INVAL, Errno::OPNOTSUPP] {
            let availability = unknown();
            refused(error, None, || assert_eq!(ask(&availability, &directory), None, "{error}"));
            // Here it would be answered.
            assert_eq!(ask(&availability, &directory), None, "{error}");
        }
    }

    #[test]
    fn a_sandbox_that_is_entered_late_is_noticed() {
        let directory = directory();
        for error in [Errno::NOSYS, Errno::PERM] {
            let availability = Availability(AtomicU8::new(Availability::WORKS));
            refused(error, None, || assert_eq!(ask(&availability, &directory), None));
            assert_eq!(ask(&availability, &directory), None);
        }
    }

    #[test]
    fn one_path_that_is_refused_does_not_make_the_call_missing() {
        let (refused_one, other) = (directory(), directory());
        if rustix::fs::openat2(&other, ".", OFlags::PATH, Mode::empty(), ResolveFlags::BENEATH).is_err() {
            // A machine without the call has nothing to tell apart.
            assert!(super::super::tests::may_lack_openat2());
            return;
        }
        for error in [Errno::PERM, Errno::ACCESS, Errno::INVAL] {
            for is_known in [false, true] {
                let availability = unknown();
                if is_known {
                    assert_eq!(ask(&availability, &other), Some(Ok(())));
                }
                refused(error, Some(&refused_one), || {
                    assert_eq!(ask(&availability, &refused_one), Some(Err(error)));
                    assert_eq!(ask(&availability, &other), Some(Ok(())));
                });
            }
        }
    }
}
