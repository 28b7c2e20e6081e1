//! System calls that a kernel, a sandbox or a file system may refuse, in this crate's terms.
//!
//! Unit tests have them refused by name: `refusals` stands in for file systems that no test machine has.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd};

use rustix::fs::{AtFlags, FallocateFlags, FlockOperation, Gid, Mode, OFlags, Timespec, Timestamps};
use rustix::io::{Errno, Result};

/// Gives the error that a test wants of a call, before the call is made.
macro_rules! refusable {
    ($call:literal) => {
        #[cfg(test)]
        if let Some(error) = refusals::of($call) {
            return Err(error);
        }
    };
}

/// Whether an error says that a call is not to be had here, and not that it was tried and failed. What matters is then done
/// in another way, which shows a true lack of rights as well.
pub(super) fn means_cannot(error: Errno) -> bool {
    // Kernel code that means EOPNOTSUPP lets this number out now and then, NFS's among it.
    const INTERNAL_NOTSUPP: i32 = 524;
    matches!(
        error,
        Errno::ACCESS
            | Errno::BADF
            | Errno::INVAL
            | Errno::MLINK
            | Errno::NODEV
            | Errno::NOLCK
            | Errno::NOSYS
            | Errno::NOTTY
            | Errno::OPNOTSUPP
            | Errno::PERM
            | Errno::XDEV
    ) || error.raw_os_error() == INTERNAL_NOTSUPP
}

/// Waits until a file, or the names in a directory, are on the disk, where that can be waited for.
pub(super) fn sync_if_possible(file: impl AsFd) -> Result<()> {
    match sync(file) {
        Err(error) if means_cannot(error) => Ok(()),
        other => other,
    }
}

/// Creates a file that is not there yet.
pub(super) fn create_new(directory: impl AsFd, name: &OsStr, mode: u32) -> Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::io::retry_on_intr(|| {
        refusable!("create");
        #[allow(clippy::useless_conversion, reason = "the type of modes differs between systems")]
        rustix::fs::openat(&directory, name, flags, Mode::from_bits_truncate(mode.try_into().unwrap_or_default()))
    })
}

/// Waits for the lock of a file.
pub(super) fn lock(file: impl AsFd) -> Result<()> {
    rustix::io::retry_on_intr(|| {
        refusable!("flock");
        rustix::fs::flock(&file, FlockOperation::LockExclusive)
    })
}

/// Takes the lock of a file, or fails at once with `EWOULDBLOCK`.
pub(super) fn try_lock(file: impl AsFd) -> Result<()> {
    refusable!("flock");
    #[cfg(test)]
    if refusals::is_granted("flock") {
        return Ok(());
    }
    rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive)
}

/// Sets room aside for a file.
pub(super) fn allocate(file: impl AsFd, size_bytes: u64) -> Result<()> {
    refusable!("fallocate");
    rustix::fs::fallocate(file, FallocateFlags::empty(), 0, size_bytes)
}

/// Sets both times of a file to one.
pub(super) fn set_times(file: impl AsFd, time: Timespec) -> Result<()> {
    refusable!("futimens");
    rustix::fs::futimens(file, &Timestamps { last_access: time, last_modification: time })
}

/// Sets the permission bits of a file.
pub(super) fn set_mode(file: impl AsFd, mode: Mode) -> Result<()> {
    refusable!("fchmod");
    rustix::fs::fchmod(file, mode)
}

/// Gives a file to a group.
pub(super) fn set_group(file: impl AsFd, group: Gid) -> Result<()> {
    refusable!("fchown");
    rustix::fs::fchown(file, None, Some(group))
}

/// Waits until a file, or the names in a directory, are where they will stay.
pub(super) fn sync(file: impl AsFd) -> Result<()> {
    rustix::io::retry_on_intr(|| {
        refusable!("fsync");
        rustix::fs::fsync(&file)
    })
}

/// Closes a duplicate of a descriptor. Network file systems send what they hold of a file when any of its descriptors is
/// closed, and say only then that a quota is used up. The descriptor itself stays, and with it the file's lock.
pub(super) fn close_duplicate(file: impl AsFd) -> Result<()> {
    // A signal may end the sending early; a duplicate can be closed again.
    rustix::io::retry_on_intr(|| {
        refusable!("dup");
        close(rustix::io::fcntl_dupfd_cloexec(&file, 0)?)
    })
}

/// Closes a descriptor and gives the file system's answer, which dropping it does not.
#[allow(unsafe_code, reason = "the only way to see what close(2) says")]
fn close(descriptor: OwnedFd) -> Result<()> {
    // SAFETY: the number is owned here and used no more, whatever the outcome: Linux frees it before it asks the file system.
    let closed = unsafe { rustix::io::try_close(descriptor.into_raw_fd()) };
    refusable!("close");
    closed
}

/// A name in a directory.
#[derive(Debug, Clone, Copy)]
pub(super) struct DirectoryEntry<'a> {
    pub(super) directory: BorrowedFd<'a>,
    pub(super) name: &'a OsStr,
}

impl<'a> DirectoryEntry<'a> {
    pub(super) fn new(directory: &'a impl AsFd, name: &'a OsStr) -> Self {
        Self { directory: directory.as_fd(), name }
    }
}

/// Renames, over whatever file is there.
pub(super) fn rename(from: DirectoryEntry<'_>, to: DirectoryEntry<'_>) -> Result<()> {
    #[cfg(test)]
    if rustix::fs::statat(to.directory, to.name, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
        refusable!("replace");
    }
    refusable!("rename");
    rustix::fs::renameat(from.directory, from.name, to.directory, to.name)
}

/// Renames, unless there is something of that name.
#[cfg(target_os = "linux")]
pub(super) fn rename_new(from: DirectoryEntry<'_>, to: DirectoryEntry<'_>) -> Result<()> {
    refusable!("renameat2");
    rustix::fs::renameat_with(from.directory, from.name, to.directory, to.name, rustix::fs::RenameFlags::NOREPLACE)
}

/// Renames, unless there is something of that name.
#[cfg(not(target_os = "linux"))]
pub(super) fn rename_new(_from: DirectoryEntry<'_>, _to: DirectoryEntry<'_>) -> Result<()> {
    Err(Errno::NOSYS)
}

/// Gives a file a second name.
pub(super) fn link(from: DirectoryEntry<'_>, to: DirectoryEntry<'_>) -> Result<()> {
    refusable!("link");
    rustix::fs::linkat(from.directory, from.name, to.directory, to.name, AtFlags::empty())
}

/// Takes a name away.
pub(super) fn unlink(directory: impl AsFd, name: &OsStr) -> Result<()> {
    rustix::fs::unlinkat(directory, name, AtFlags::empty())
}

/// System calls that a test wants refused on its thread, and how often they were asked for.
#[cfg(test)]
pub(super) mod refusals {
    use std::cell::{Cell, RefCell};
    use std::collections::HashMap;
    use std::ops::Range;

    use rustix::io::Errno;

    thread_local! {
        static REFUSED: RefCell<HashMap<&'static str, (Errno, Range<usize>)>> = RefCell::default();
        static GRANTED: Cell<Option<&'static str>> = const { Cell::new(None) };
        static CALLS: RefCell<HashMap<&'static str, usize>> = RefCell::default();
    }

    /// The error of a call, if it is to be refused.
    pub(in crate::fs) fn of(call: &'static str) -> Option<Errno> {
        let number = CALLS.with_borrow_mut(|calls| {
            let number = calls.entry(call).or_default();
            *number += 1;
            *number
        });
        REFUSED.with_borrow(|refused| {
            let (error, numbers) = refused.get(call)?;
            numbers.contains(&number).then_some(*error)
        })
    }

    /// Has these calls refused, and no others, on this thread; forgets how often calls were made.
    pub(in crate::fs) fn set(calls: &[(&'static str, Errno)]) {
        REFUSED.with_borrow_mut(|refused| {
            *refused = calls.iter().map(|(call, error)| (*call, (*error, 1..usize::MAX))).collect();
        });
        CALLS.with_borrow_mut(HashMap::clear);
        GRANTED.set(None);
    }

    /// Has one of the calls refused, counted from 1.
    pub(in crate::fs) fn set_nth(number: usize, call: &'static str, error: Errno) {
        REFUSED.with_borrow_mut(|refused| refused.insert(call, (error, number..number + 1)));
    }

    /// Has a call succeed without doing anything.
    pub(in crate::fs) fn grant(call: &'static str) {
        set(&[]);
        GRANTED.set(Some(call));
    }

    pub(in crate::fs) fn is_granted(call: &'static str) -> bool {
        GRANTED.get() == Some(call)
    }

    /// How often a call was made since [`set`].
    pub(in crate::fs) fn count(call: &'static str) -> usize {
        CALLS.with_borrow(|calls| calls.get(call).copied().unwrap_or_default())
    }
}
