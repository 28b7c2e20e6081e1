//! Roots that files are written below.
//!
//! Everything is opened relative to the root and stays below it, so that a link that is swapped in leads nowhere.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

mod look;

pub(crate) use look::Existing;

use super::beneath::{Links, open_beneath};
use super::calls::sync_if_possible;
use super::directory::Directory;
use super::leftovers::remove_stale;
use super::open::FileStamp;
use super::target::Target;
use crate::descriptors::{Descriptors, patiently};
use crate::error::{Error, PathProblem, Result};
use crate::path::{ManifestPath, PathFormat};

/// How many directories are kept open in the process, at most.
const MOST_OPEN_DIRECTORIES: usize = 256;
/// Of the descriptors that are left, one in so many is for a directory.
const DESCRIPTORS_PER_DIRECTORY: usize = 8;
/// How many directories are kept open in the process now, the roots apart.
static OPEN_DIRECTORIES: AtomicUsize = AtomicUsize::new(0);

/// A root directory that files are written below.
#[derive(Debug)]
pub(crate) struct TargetRoot {
    directory: Arc<Directory>,
    path: PathBuf,
    is_new: bool,
    /// Which links on the way to a file are followed.
    links: Links,
    open: Mutex<HashMap<Vec<u8>, Arc<Directory>>>,
    /// How many directories the process may keep open, as this root found it when it was opened.
    most_open: usize,
    /// Directories in which temporary files of killed runs were looked for, by [`crate::hash::quick_hash`] of their paths.
    swept: Mutex<HashSet<u64>>,
}

impl TargetRoot {
    /// Opens a root directory, and makes it if it is not there.
    ///
    /// # Errors
    /// [`Error::Io`] where it can't be made or opened.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        // The root's own parents are the caller's, not a manifest's.
        let is_new = match std::fs::create_dir(path) {
            Ok(()) => true,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                std::fs::create_dir_all(path).map_err(|error| Error::download_directory(path, error))?;
                true
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && path.is_dir() => false,
            Err(error) => return Err(Error::download_directory(path, error)),
        };
        let directory = patiently(|| rustix::fs::open(path, DIRECTORY, Mode::empty()))
            .map_err(|error| Error::download_directory(path, error))?;
        Ok(Self::over(directory, path, is_new))
    }

    /// Opens a root directory that is there.
    ///
    /// # Errors
    /// [`Error::Io`] where it can't be opened.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let directory = patiently(|| rustix::fs::open(path, DIRECTORY, Mode::empty()))
            .map_err(|error| Error::io("open directory", path, error))?;
        Ok(Self::over(directory, path, false))
    }

    /// The top of the file system, for files whose paths are absolute and resolved already: below it no link on the way to a
    /// file is followed, so that one that is swapped in leads nowhere.
    ///
    /// # Errors
    /// [`Error::Io`] where it can't be opened.
    pub(crate) fn top() -> Result<Self> {
        let mut top = Self::open(Path::new("/"))?;
        top.links = Links::Refuse;
        Ok(top)
    }

    fn over(directory: OwnedFd, path: &Path, is_new: bool) -> Self {
        let share = Descriptors::of_process().left() / DESCRIPTORS_PER_DIRECTORY;
        Self {
            directory: Arc::new(Directory::new(directory)),
            path: path.to_path_buf(),
            is_new,
            links: Links::Beneath,
            open: Mutex::default(),
            most_open: (OPEN_DIRECTORIES.load(Ordering::Relaxed) + share).min(MOST_OPEN_DIRECTORIES),
            swept: Mutex::default(),
        }
    }

    /// The root as it was given.
    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the root was not there before, so that nothing is in it.
    #[must_use]
    pub(crate) const fn is_new(&self) -> bool {
        self.is_new
    }

    /// Whether this is [`TargetRoot::top`].
    #[must_use]
    pub(crate) fn is_top(&self) -> bool {
        self.links == Links::Refuse
    }

    /// Device and inode of the root: two paths with one identity are one directory.
    ///
    /// # Errors
    /// [`Error::Io`] where the system won't say.
    pub(crate) fn identity(&self) -> Result<(u64, u64)> {
        let stat =
            rustix::fs::fstat(&self.directory).map_err(|error| Error::io("look at", self.path.clone(), error))?;
        #[allow(clippy::unnecessary_cast, clippy::cast_sign_loss, reason = "the types differ between platforms")]
        Ok((stat.st_dev as u64, stat.st_ino as u64))
    }

    /// Opens a directory below the root, or makes it; the empty path is the root itself.
    ///
    /// # Errors
    /// [`Error::PathOutsideRoot`] where a link leads out; [`Error::Io`].
    pub(crate) fn directory(&self, relative: &Path) -> Result<Arc<Directory>> {
        let shown = crate::path::wtf8_from_os_str(relative.as_os_str());
        self.open_directory(relative, ManifestPath::from_wtf8(&shown))
    }

    /// Finds where a file goes, making its parent directories.
    ///
    /// # Errors
    /// [`Error::PathOutsideRoot`] for a hostile path or where a link leads out; [`Error::Io`] where a directory can't be made.
    pub(crate) fn target(&self, path: ManifestPath<'_>) -> Result<Target> {
        path.check(PathFormat::host())?;
        let relative = normalised(path)?;
        let name = relative.file_name().unwrap_or_default().to_os_string();
        let parent = relative.parent().unwrap_or_else(|| Path::new(""));
        let directory = self.open_directory(parent, path)?;
        Ok(Target { directory, directory_path: self.path.join(parent), name })
    }

    /// As [`TargetRoot::target`], where no directory on the way may be a link: a relative link that is made there then leads
    /// where its text says.
    ///
    /// # Errors
    /// As [`TargetRoot::target`].
    pub(crate) fn target_without_links(&self, path: ManifestPath<'_>) -> Result<Target> {
        let target = self.target(path)?;
        let parent = normalised(path)?.parent().map(Path::to_path_buf).unwrap_or_default();
        if parent.as_os_str().is_empty() {
            return Ok(target);
        }
        let directory = open_beneath(self.directory.as_fd(), &parent, DIRECTORY, Mode::empty(), Links::Refuse)
            .map_err(|error| directory_error(error, &self.path.join(&parent), path))?;
        Ok(Target { directory: Arc::new(Directory::new(directory)), ..target })
    }

    /// Makes a directory and its parents.
    ///
    /// # Errors
    /// As [`TargetRoot::target`].
    pub(crate) fn make_directory(&self, path: ManifestPath<'_>) -> Result<()> {
        path.check(PathFormat::host())?;
        self.open_directory(&normalised(path)?, path).map(drop)
    }

    /// Opens a file that is there for reading. `None` where there is no regular file, or a link in its place.
    #[must_use]
    pub(crate) fn open_file(&self, path: ManifestPath<'_>) -> Option<(File, FileStamp)> {
        let relative = normalised(path).ok()?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let found = open_beneath(self.directory.as_fd(), &relative, flags, Mode::empty(), self.links).ok()?;
        let stat = rustix::fs::fstat(&found).ok()?;
        FileType::from_raw_mode(stat.st_mode).is_file().then(|| (File::from(found), FileStamp::from_stat(&stat)))
    }

    /// Opens whatever file or directory is at a path, to change what the system knows about it.
    ///
    /// # Errors
    /// As [`TargetRoot::target`].
    pub(crate) fn open_any(&self, path: ManifestPath<'_>) -> Result<OwnedFd> {
        let relative = normalised(path)?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let relative = if relative.as_os_str().is_empty() { Path::new(".") } else { &relative };
        open_beneath(self.directory.as_fd(), relative, flags, Mode::empty(), Links::Beneath).map_err(
            |error| match error {
                Errno::XDEV | Errno::LOOP => {
                    Error::PathOutsideRoot { path: path.display(), problem: PathProblem::LinkEscapes }
                }
                _ => Error::io("open", self.path.join(relative), error),
            },
        )
    }

    /// Removes temporary files of killed runs from a directory, if it is there. Each directory is looked through once.
    pub(crate) fn sweep(&self, relative: &Path) {
        if !self.is_first_sweep(relative) {
            return;
        }
        let path = if relative.as_os_str().is_empty() { Path::new(".") } else { relative };
        // What can't be opened now is in nobody's way, or is told of when something is to be written there.
        if let Ok(found) = open_beneath(self.directory.as_fd(), path, DIRECTORY, Mode::empty(), self.links) {
            remove_stale(&Directory::new(found));
        }
    }

    /// Waits until the names in a directory below the root are on the disk.
    ///
    /// # Errors
    /// [`Error::Io`] naming the directory.
    pub(crate) fn sync(&self, relative: &Path) -> Result<()> {
        let directory = self.directory(relative)?;
        sync_if_possible(&*directory).map_err(|error| Error::io("write", self.path.join(relative), error))
    }

    /// The error for a directory where a file should go.
    #[must_use]
    pub(crate) fn is_a_directory(&self, path: ManifestPath<'_>) -> Error {
        let full = path.to_os_string().map_or_else(|_| self.path.join(path.display()), |path| self.path.join(path));
        Error::io("write", full, Errno::ISDIR)
    }

    fn is_first_sweep(&self, relative: &Path) -> bool {
        let key = crate::hash::quick_hash(relative.as_os_str().as_bytes());
        self.swept.lock().insert(key)
    }

    fn open_directory(&self, relative: &Path, shown: ManifestPath<'_>) -> Result<Arc<Directory>> {
        if relative.as_os_str().is_empty() {
            return Ok(Arc::clone(&self.directory));
        }
        let key = relative.as_os_str().as_bytes();
        if let Some(found) = self.lock().get(key) {
            return Ok(Arc::clone(found));
        }
        let opened = Arc::new(Directory::new(self.open_or_make(relative, shown)?));
        self.keep_open(key, &opened);
        Ok(opened)
    }

    /// Keeps a directory open for the next file in it, if the process may have one more open.
    fn keep_open(&self, key: &[u8], directory: &Arc<Directory>) {
        let mut open = self.lock();
        if OPEN_DIRECTORIES.load(Ordering::Relaxed) >= self.most_open {
            OPEN_DIRECTORIES.fetch_sub(open.len(), Ordering::Relaxed);
            open.clear();
        }
        // Other roots may still have as many as there may be.
        if OPEN_DIRECTORIES.load(Ordering::Relaxed) < self.most_open
            && open.insert(key.to_vec(), Arc::clone(directory)).is_none()
        {
            OPEN_DIRECTORIES.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn open_or_make(&self, relative: &Path, shown: ManifestPath<'_>) -> Result<OwnedFd> {
        let full = self.path.join(relative);
        match open_beneath(self.directory.as_fd(), relative, DIRECTORY, Mode::empty(), self.links) {
            Ok(found) => return Ok(found),
            Err(Errno::NOENT) => {}
            Err(error) => return Err(directory_error(error, &full, shown)),
        }
        let parent = relative.parent().unwrap_or_else(|| Path::new(""));
        let name = relative.file_name().unwrap_or_default();
        let above = self.open_directory(parent, shown)?;
        match rustix::fs::mkdirat(&above, name, Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(directory_error(error, &full, shown)),
        }
        open_beneath(above.as_fd(), Path::new(name), DIRECTORY, Mode::empty(), self.links)
            .map_err(|error| directory_error(error, &full, shown))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Arc<Directory>>> {
        self.open.lock()
    }
}

impl Drop for TargetRoot {
    fn drop(&mut self) {
        OPEN_DIRECTORIES.fetch_sub(self.lock().len(), Ordering::Relaxed);
    }
}

/// How directories are opened.
const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC).union(OFlags::RDONLY);

fn directory_error(error: Errno, full: &Path, shown: ManifestPath<'_>) -> Error {
    match error {
        Errno::XDEV | Errno::LOOP => {
            Error::PathOutsideRoot { path: shown.display(), problem: PathProblem::LinkEscapes }
        }
        _ => Error::download_directory(full, error),
    }
}

/// Without empty components and `.`.
fn normalised(path: ManifestPath<'_>) -> Result<PathBuf> {
    let whole = PathBuf::from(path.to_os_string()?);
    Ok(whole.components().filter(|part| matches!(part, std::path::Component::Normal(_))).collect())
}
