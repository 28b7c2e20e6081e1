//! Permissions of downloaded files: bits and a group, added through open descriptors and never through paths.
//!
//! File systems without permissions of their own refuse to change them. What is there already is therefore not asked for.

use std::os::fd::AsFd;

use rustix::fs::{Gid, Mode, Stat};
use rustix::io::Result;

use super::calls::{self, means_cannot};

/// What became of something that can be done without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Applied {
    /// It is so.
    Yes,
    /// The file system can't do that, or not for this user.
    Refused,
}

impl Applied {
    fn from_result(result: Result<()>) -> Result<Self> {
        match result {
            Ok(()) => Ok(Self::Yes),
            Err(error) if means_cannot(error) => Ok(Self::Refused),
            Err(error) => Err(error),
        }
    }
}

/// Adds permission bits to those that a file or directory has.
///
/// # Errors
/// The system's.
pub(crate) fn add_mode(file: impl AsFd, bits: u32) -> Result<()> {
    let stat = rustix::fs::fstat(&file)?;
    change_mode(&file, &stat, mode_of(&stat) | from_bits(bits))
}

/// Gives a file exactly these permission bits, if the file system can do that.
///
/// # Errors
/// The system's.
pub(crate) fn set_mode(file: impl AsFd, bits: u32) -> Result<Applied> {
    let stat = rustix::fs::fstat(&file)?;
    Applied::from_result(change_mode(&file, &stat, from_bits(bits)))
}

/// Makes a file executable for whoever may read it, if the file system can do that.
///
/// # Errors
/// The system's.
pub(crate) fn make_executable(file: impl AsFd) -> Result<Applied> {
    let stat = rustix::fs::fstat(&file)?;
    let readable = mode_of(&stat) & from_bits(0o444);
    let wanted = mode_of(&stat) | Mode::from_bits_truncate(readable.bits() >> 2);
    Applied::from_result(change_mode(&file, &stat, wanted))
}

/// Gives a file or directory to a group, if there is one, and adds permission bits.
///
/// # Errors
/// The system's: to give it to a group, the caller has to be a member.
pub(crate) fn add(file: impl AsFd, group: Option<u32>, bits: u32) -> Result<()> {
    let Some(group) = group else { return add_mode(file, bits) };
    let stat = rustix::fs::fstat(&file)?;
    if stat.st_gid == group {
        return change_mode(&file, &stat, mode_of(&stat) | from_bits(bits));
    }
    calls::set_group(&file, Gid::from_raw(group))?;
    // A new group may have cost some bits: they are looked at again.
    add_mode(file, bits)
}

fn change_mode(file: impl AsFd, stat: &Stat, wanted: Mode) -> Result<()> {
    let wanted = wanted & from_bits(0o7777);
    if mode_of(stat) == wanted { Ok(()) } else { calls::set_mode(file, wanted) }
}

fn mode_of(stat: &Stat) -> Mode {
    Mode::from_raw_mode(stat.st_mode) & from_bits(0o7777)
}

#[allow(clippy::useless_conversion, reason = "the type of modes differs between systems")]
fn from_bits(bits: u32) -> Mode {
    Mode::from_bits_truncate(bits.try_into().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;
    use crate::fs::calls::refusals;

    const EVERY_REFUSAL: [Errno; 5] = [Errno::PERM, Errno::OPNOTSUPP, Errno::NOSYS, Errno::INVAL, Errno::ACCESS];

    fn mode(file: &std::fs::File) -> u32 {
        mode_of(&rustix::fs::fstat(file).unwrap()).bits()
    }

    #[test]
    fn what_is_so_already_is_not_asked_for() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(set_mode(&file, 0o664), Ok(Applied::Yes));
        let group = rustix::fs::fstat(&file).unwrap().st_gid;
        refusals::set(&[("fchmod", Errno::PERM), ("fchown", Errno::PERM)]);
        add(&file, Some(group), 0o060).unwrap();
        add(&file, None, 0o600).unwrap();
        assert_eq!(set_mode(&file, 0o664), Ok(Applied::Yes));
        assert_eq!((refusals::count("fchmod"), refusals::count("fchown")), (0, 0));
        // What somebody has asked for, and can't be had, is an error.
        assert_eq!(add(&file, Some(group), 0o001), Err(Errno::PERM));
        assert_eq!(add(&file, Some(group + 1), 0), Err(Errno::PERM));
        refusals::set(&[]);
    }

    #[test]
    fn bits_that_nobody_needs_are_done_without() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(set_mode(&file, 0o640), Ok(Applied::Yes));
        for error in EVERY_REFUSAL {
            refusals::set(&[("fchmod", error)]);
            assert_eq!(make_executable(&file), Ok(Applied::Refused), "{error}");
            assert_eq!(set_mode(&file, 0o600), Ok(Applied::Refused), "{error}");
        }
        refusals::set(&[("fchmod", Errno::IO)]);
        assert_eq!(make_executable(&file), Err(Errno::IO));
        refusals::set(&[]);
        assert_eq!((make_executable(&file), mode(&file)), (Ok(Applied::Yes), 0o750));
    }
}
