//! Permissions of downloaded files: bits and a group, added through open descriptors and never through paths.

use std::os::fd::AsFd;

use rustix::fs::{Gid, Mode};

/// Adds permission bits to those that a file or directory has.
///
/// # Errors
/// The system's.
#[allow(clippy::useless_conversion, reason = "the type of modes differs between systems")]
pub fn add_mode(file: impl AsFd, bits: u32) -> rustix::io::Result<()> {
    let stat = rustix::fs::fstat(&file)?;
    let mode = Mode::from_raw_mode(stat.st_mode) | Mode::from_bits_truncate(bits.try_into().unwrap_or_default());
    rustix::fs::fchmod(&file, mode & Mode::from_bits_truncate(0o7777))
}

/// Gives a file exactly these permission bits.
///
/// # Errors
/// The system's.
#[allow(clippy::useless_conversion, reason = "the type of modes differs between systems")]
pub fn set_mode(file: impl AsFd, bits: u32) -> rustix::io::Result<()> {
    rustix::fs::fchmod(&file, Mode::from_bits_truncate(bits.try_into().unwrap_or_default()))
}

/// Gives a file or directory to a group.
///
/// # Errors
/// The system's: the caller has to be a member of the group.
pub fn set_group(file: impl AsFd, group: u32) -> rustix::io::Result<()> {
    rustix::fs::fchown(file, None, Some(Gid::from_raw(group)))
}

/// Makes a file executable for whoever may read it.
///
/// # Errors
/// The system's.
pub fn make_executable(file: impl AsFd) -> rustix::io::Result<()> {
    let mode = rustix::fs::fstat(&file)?.st_mode;
    add_mode(file, (mode & 0o444) >> 2)
}

/// Gives a file or directory to a group, if there is one, and adds permission bits.
///
/// # Errors
/// The system's.
pub fn add(file: impl AsFd, group: Option<u32>, bits: u32) -> rustix::io::Result<()> {
    if let Some(group) = group {
        set_group(&file, group)?;
    }
    add_mode(file, bits)
}
