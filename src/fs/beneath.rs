//! Opening paths below a directory without ever being led out of it.
//!
//! On Linux, `openat2` resolves a path in the kernel with `RESOLVE_BENEATH`, so that no link on the way, not even one that is
//! swapped in at that moment, leads out of the directory. Kernels before 5.6 and some sandboxes don't have the call. There,
//! and on other systems, [`components`] takes the path one component at a time, with the same outcome: the same file, or the
//! same error.

mod components;
mod links;
#[cfg(target_os = "linux")]
mod openat2;

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

pub(crate) use self::links::Links;
use crate::descriptors::patiently;

/// Opens `path` below `directory`; it never leads out, whatever links there are.
///
/// # Errors
/// The system's error: `EXDEV` where the path or a link leads out, `ELOOP` for a link that is refused and for more links than
/// the kernel follows.
pub(crate) fn open_beneath(
    directory: BorrowedFd<'_>,
    path: &Path,
    flags: OFlags,
    mode: Mode,
    links: Links,
) -> rustix::io::Result<OwnedFd> {
    patiently(|| open_now(directory, path, flags, mode, links))
}

fn open_now(
    directory: BorrowedFd<'_>,
    path: &Path,
    flags: OFlags,
    mode: Mode,
    links: Links,
) -> rustix::io::Result<OwnedFd> {
    #[cfg(target_os = "linux")]
    if let Some(answer) = openat2::HERE.open(directory, path, flags, mode, links) {
        return answer;
    }
    components::open(directory, path, flags, mode, links)
}

#[cfg(test)]
mod tests;
