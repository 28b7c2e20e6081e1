//! Looking at what is at a path below a root, without making anything.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::{TargetRoot, normalised};
use crate::error::{Error, Result};
use crate::fs::beneath::{Links, open_beneath};
use crate::path::{ManifestPath, PathFormat};

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// Nothing.
    Nothing,
    /// A regular file, or a link to one, of this many bytes.
    File {
        /// Its size.
        size_bytes: u64,
    },
    /// A directory, or a link to one.
    Directory,
    /// A symbolic link to nothing.
    DanglingLink,
    /// The path leads out of the root through a symbolic link.
    Outside,
    /// Anything else.
    Other,
}

impl TargetRoot {
    /// What is at a path, without making anything. Links that stay below the root are followed.
    ///
    /// # Errors
    /// [`Error::PathOutsideRoot`] for a hostile path; [`Error::Io`] where the system won't say.
    pub(crate) fn look(&self, path: ManifestPath<'_>) -> Result<Existing> {
        path.check(PathFormat::host())?;
        let relative = normalised(path)?;
        if self.is_top() {
            return self.look_in_folder(&relative);
        }
        let open = |flags: OFlags| {
            let flags = OFlags::PATH_FLAG | OFlags::CLOEXEC | flags;
            open_beneath(self.directory.as_fd(), &relative, flags, Mode::empty(), Links::Beneath)
        };
        match open(OFlags::empty()) {
            Ok(found) => rustix::fs::fstat(&found)
                .map(|stat| existing(&stat))
                .map_err(|error| Error::io("look at", self.path.join(&relative), error)),
            Err(Errno::NOENT) if open(OFlags::NOFOLLOW).is_ok() => Ok(Existing::DanglingLink),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(Existing::Nothing),
            Err(Errno::XDEV) => Ok(Existing::Outside),
            Err(Errno::LOOP) => Ok(Existing::Other),
            Err(error) => Err(Error::io("look at", self.path.join(&relative), error)),
        }
    }

    /// As [`TargetRoot::look`], where a link is followed in the last place alone, wherever it leads: nothing is written
    /// through it.
    fn look_in_folder(&self, relative: &Path) -> Result<Existing> {
        let fail = |error: Errno| Error::io("look at", self.path.join(relative), error);
        let parent =
            relative.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        let name = relative.file_name().unwrap_or_default();
        let flags = OFlags::PATH_FLAG | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = match open_beneath(self.directory.as_fd(), parent, flags, Mode::empty(), Links::Refuse) {
            Ok(found) => found,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Existing::Nothing),
            Err(Errno::LOOP) => return Ok(Existing::Outside),
            Err(error) => return Err(fail(error)),
        };
        match rustix::fs::statat(&folder, name, AtFlags::empty()) {
            Ok(stat) => Ok(existing(&stat)),
            Err(Errno::NOENT) if rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok() => {
                Ok(Existing::DanglingLink)
            }
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(Existing::Nothing),
            Err(Errno::LOOP) => Ok(Existing::Other),
            Err(error) => Err(fail(error)),
        }
    }

    /// As [`TargetRoot::look`], where a link in the last place is not followed: it is [`Existing::Other`], wherever it leads.
    ///
    /// # Errors
    /// As [`TargetRoot::look`].
    pub(crate) fn look_at_link(&self, path: ManifestPath<'_>) -> Result<Existing> {
        path.check(PathFormat::host())?;
        let relative = normalised(path)?;
        let flags = OFlags::PATH_FLAG | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fail = |error: Errno| Error::io("look at", self.path.join(&relative), error);
        match open_beneath(self.directory.as_fd(), &relative, flags, Mode::empty(), self.links) {
            Ok(found) => rustix::fs::fstat(&found).map(|stat| existing(&stat)).map_err(fail),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(Existing::Nothing),
            Err(Errno::XDEV) => Ok(Existing::Outside),
            Err(Errno::LOOP) => Ok(Existing::Other),
            Err(error) => Err(fail(error)),
        }
    }
}

fn existing(stat: &rustix::fs::Stat) -> Existing {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Existing::File { size_bytes: u64::try_from(stat.st_size).unwrap_or(0) },
        FileType::Directory => Existing::Directory,
        _ => Existing::Other,
    }
}

/// `O_PATH` where there is one.
trait PathFlag {
    const PATH_FLAG: OFlags;
}

impl PathFlag for OFlags {
    #[cfg(target_os = "linux")]
    const PATH_FLAG: OFlags = OFlags::PATH;
    #[cfg(not(target_os = "linux"))]
    const PATH_FLAG: OFlags = OFlags::RDONLY;
}
