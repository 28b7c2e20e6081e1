//! Opening files below a root without being led out of it, and reading them as they were when they were opened.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::beneath::{Links, open_beneath};
use super::leases::GoesOn;
use crate::descriptors::patiently;
use crate::error::{Error, Result, SourceProblem};
use crate::path::{ManifestPath, PathFormat};

/// What to do with symbolic links among inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LinkPolicy {
    /// Follow them, wherever they lead, as the reference does.
    #[default]
    Follow,
    /// Follow them below the root; refuse those that lead out.
    Confine,
}

/// What tells that a file is still the one that was looked at. Two equal stamps mean no write in between, within the
/// granularity of the file system's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FileStamp {
    /// Size in bytes.
    pub size_bytes: u64,
    /// Modification time in nanoseconds since the epoch. File systems keep years that 64 bits don't reach.
    pub mtime_ns: i128,
    /// Status change time in nanoseconds since the epoch. Unlike the modification time, programs can't set it.
    pub ctime_ns: i64,
    /// Inode number.
    pub inode: u64,
    /// Permission bits.
    pub mode: u32,
}

/// A regular file, open for reading.
#[derive(Debug)]
pub(crate) struct OpenedFile {
    /// The open file.
    pub file: File,
    /// Its stamp at the time of opening.
    pub stamp: FileStamp,
}

/// The root of a tree of inputs, held open.
#[derive(Debug)]
pub(crate) struct SourceRoot {
    directory: OwnedFd,
    path: PathBuf,
    links: LinkPolicy,
    waits: GoesOn,
}

impl SourceRoot {
    /// Opens a root directory. Links on the way to it are followed. Files below it that others hold leases on are waited for.
    ///
    /// # Errors
    /// [`Error::Io`] where it is no directory or can't be opened.
    pub(crate) fn open(path: &Path, links: LinkPolicy, waits: GoesOn) -> Result<Self> {
        let flags = OFlags::PATH_OR_RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = patiently(|| rustix::fs::open(path, flags, Mode::empty()))
            .map_err(|error| Error::io("open directory", path, error))?;
        Ok(Self { directory, path: path.to_path_buf(), links, waits })
    }

    /// The root as it was given.
    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file below the root, for messages.
    ///
    /// # Errors
    /// [`Error::PathOutsideRoot`] where no file can have that name.
    pub(crate) fn join(&self, path: ManifestPath<'_>) -> Result<PathBuf> {
        Ok(self.path.join(path.to_os_string()?))
    }

    /// Opens a file below the root for reading.
    ///
    /// # Errors
    /// [`Error::PathOutsideRoot`] for a hostile path, [`Error::SourceFile`] where the file is missing, not regular, not
    /// readable, or a link that may not be followed.
    pub(crate) fn open_file(&self, path: ManifestPath<'_>) -> Result<OpenedFile> {
        path.check(PathFormat::host())?;
        let relative = PathBuf::from(path.to_os_string()?);
        let full = self.path.join(&relative);
        let opened = match self.waits.open(|| self.open_beneath(&relative, Links::Refuse))? {
            Err(Errno::LOOP) => self.open_through_links(&relative, &full)?,
            other => other.map_err(|error| Error::source_file(&full, &error.into()))?,
        };
        OpenedFile::from_descriptor(opened, &full)
    }

    /// The slow way, for a path with links in it.
    fn open_through_links(&self, relative: &Path, full: &Path) -> Result<OwnedFd> {
        if self.links == LinkPolicy::Follow {
            return open_resolved(full, &self.waits);
        }
        self.waits.open(|| self.open_beneath(relative, Links::Beneath))?.map_err(|error| {
            if error == Errno::XDEV {
                let problem = SourceProblem::LinkEscapes(self.path.display().to_string());
                Error::SourceFile { path: full.to_path_buf(), problem }
            } else {
                Error::source_file(full, &error.into())
            }
        })
    }

    fn open_beneath(&self, relative: &Path, links: Links) -> rustix::io::Result<OwnedFd> {
        open_beneath(self.directory.as_fd(), relative, READ, Mode::empty(), links)
    }
}

impl OpenedFile {
    /// Opens any file: links are resolved first, and the resolved path is opened without following links. A file that others hold
    /// a lease on is waited for.
    ///
    /// # Errors
    /// [`Error::SourceFile`] as for [`SourceRoot::open_file`].
    pub(crate) fn open(path: &Path, waits: &GoesOn) -> Result<Self> {
        Self::from_descriptor(open_resolved(path, waits)?, path)
    }

    fn from_descriptor(descriptor: OwnedFd, path: &Path) -> Result<Self> {
        let stat = rustix::fs::fstat(&descriptor).map_err(|error| Error::source_file(path, &error.into()))?;
        let problem = match rustix::fs::FileType::from_raw_mode(stat.st_mode) {
            rustix::fs::FileType::RegularFile => {
                let stamp = FileStamp::from_stat(&stat);
                return Ok(Self { file: File::from(descriptor), stamp });
            }
            rustix::fs::FileType::Directory => SourceProblem::IsDirectory,
            _ => SourceProblem::NotRegular,
        };
        Err(Error::SourceFile { path: path.to_path_buf(), problem })
    }
}

impl FileStamp {
    /// The stamp in a `stat` structure.
    #[must_use]
    #[allow(clippy::unnecessary_cast, clippy::cast_possible_wrap, clippy::cast_sign_loss, clippy::cast_lossless)]
    pub(crate) fn from_stat(stat: &rustix::fs::Stat) -> Self {
        // The fields' types differ between platforms; sizes are never negative.
        Self {
            size_bytes: stat.st_size as u64,
            mtime_ns: i128::from(stat.st_mtime as i64) * 1_000_000_000 + i128::from(stat.st_mtime_nsec as i64),
            ctime_ns: (stat.st_ctime as i64).saturating_mul(1_000_000_000).saturating_add(stat.st_ctime_nsec as i64),
            inode: stat.st_ino as u64,
            mode: stat.st_mode as u32 & 0o7777,
        }
    }

    /// How far the file system's clock moves at a time. Two writes within one tick leave the same times.
    #[must_use]
    pub(crate) const fn clock_tick(&self) -> Duration {
        // A kernel's clock for files moves every 1 to 10 ms. File systems that keep no fractions of a second move by up to
        // two seconds (FAT).
        if self.ctime_ns % 1_000_000_000 == 0 { Duration::from_secs(2) } else { Duration::from_millis(20) }
    }

    /// Whether the file had rested for a tick by `now`, so that any later write shows in its stamp. Also false where the
    /// file's clock is ahead of this machine's.
    #[must_use]
    pub(crate) fn is_settled(&self, now: SystemTime) -> bool {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(self.ctime_ns).is_ok_and(|ctime| Duration::from_nanos(ctime) + self.clock_tick() <= now)
    }

    /// The modification time as manifests hold it: whole microseconds, rounded down.
    #[must_use]
    pub(crate) fn mtime_micros(&self) -> i64 {
        let micros = self.mtime_ns.div_euclid(1000);
        i64::try_from(micros).unwrap_or(if micros < 0 { i64::MIN } else { i64::MAX })
    }
}

/// Non-blocking, so that opening a FIFO that nobody writes to returns; regular files take no notice of it.
const READ: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// Resolves all links, then opens the result without following any: a link that is swapped in between is refused.
fn open_resolved(path: &Path, waits: &GoesOn) -> Result<OwnedFd> {
    let fail = |error: &std::io::Error| Error::source_file(path, error);
    let resolved = path.canonicalize().map_err(|error| fail(&error))?;
    let flags = OFlags::PATH_OR_RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = patiently(|| rustix::fs::open("/", flags, Mode::empty())).map_err(|error| fail(&error.into()))?;
    let relative = resolved.strip_prefix("/").unwrap_or(&resolved);
    let relative = if relative.as_os_str().is_empty() { Path::new(".") } else { relative };
    let opened = waits.open(|| open_beneath(root.as_fd(), relative, READ, Mode::empty(), Links::Refuse))?;
    opened.map_err(|error| fail(&error.into()))
}

/// `O_PATH` where there is one: a directory can then be used as a base without the right to list it.
trait PathOrRdonly {
    const PATH_OR_RDONLY: OFlags;
}

impl PathOrRdonly for OFlags {
    #[cfg(target_os = "linux")]
    const PATH_OR_RDONLY: OFlags = OFlags::PATH;
    #[cfg(not(target_os = "linux"))]
    const PATH_OR_RDONLY: OFlags = OFlags::RDONLY;
}
