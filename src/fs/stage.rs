//! Writing files so that nothing wrong is ever seen at a final path: a temporary file beside the target, then a rename.
//!
//! Everything is done relative to descriptors of directories that were opened below the root, so that a link that is swapped
//! in leads nowhere. A temporary file holds a lock while its writer lives; one whose lock is free belongs to a run that
//! was killed, and the next run that comes to that directory removes it.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{AtFlags, FallocateFlags, FileType, FlockOperation, Mode, OFlags, RenameFlags, Timespec, Timestamps};
use rustix::io::Errno;

use super::open::{Links, open_beneath};
use crate::error::{Error, Result};
use crate::path::{ManifestPath, PathFormat, PathProblem};

/// How names of temporary files begin. They are hidden, short (a target's name may be 255 bytes already) and ours alone.
const TEMPORARY_PREFIX: &str = ".rusty-attachments-";
/// How many directories are kept open. Descriptors are scarce: 1,024 a process by default.
const OPEN_DIRECTORIES: usize = 64;

/// A root directory that files are written below.
#[derive(Debug)]
pub struct TargetRoot {
    directory: Arc<OwnedFd>,
    path: PathBuf,
    is_new: bool,
    open: Mutex<HashMap<Vec<u8>, Arc<OwnedFd>>>,
}

/// Where a file goes: a directory, held open, and a name in it.
#[derive(Debug, Clone)]
pub struct Target {
    directory: Arc<OwnedFd>,
    /// The directory's path, for messages and results.
    directory_path: PathBuf,
    /// The last component.
    pub name: OsString,
}

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Nothing.
    Nothing,
    /// A regular file, or a link to one, of this many bytes.
    File {
        /// Its size.
        size_bytes: u64,
    },
    /// A directory.
    Directory,
    /// Anything else.
    Other,
}

/// What a commit did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// The file is at its name.
    Yes,
    /// Something else is there, and replacing was not asked for. The staged file can be committed elsewhere.
    NameTaken,
}

impl TargetRoot {
    /// Opens a root directory, and makes it if it is not there.
    ///
    /// # Errors
    /// [`Error::Io`] where it can't be made or opened; the text is the reference's.
    pub fn create(path: &Path) -> Result<Self> {
        // Made before anything is opened; the root's own parents are the caller's, not a manifest's.
        let is_new = match std::fs::create_dir(path) {
            Ok(()) => true,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                std::fs::create_dir_all(path).map_err(|error| Error::io(CREATE, path, error))?;
                true
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && path.is_dir() => false,
            Err(error) => return Err(Error::io(CREATE, path, error)),
        };
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        let directory =
            rustix::fs::open(path, flags, Mode::empty()).map_err(|error| Error::io("open directory", path, error))?;
        Ok(Self { directory: Arc::new(directory), path: path.to_path_buf(), is_new, open: Mutex::default() })
    }

    /// The root as it was given.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the root was not there before, so that nothing is in it.
    #[must_use]
    pub const fn is_new(&self) -> bool {
        self.is_new
    }

    /// Device and inode of the root: two paths with one identity are one directory.
    ///
    /// # Errors
    /// [`Error::Io`] where the system won't say.
    pub fn identity(&self) -> Result<(u64, u64)> {
        let stat =
            rustix::fs::fstat(&self.directory).map_err(|error| Error::io("look at", self.path.clone(), error))?;
        #[allow(clippy::unnecessary_cast, clippy::cast_sign_loss, reason = "the types differ between platforms")]
        Ok((stat.st_dev as u64, stat.st_ino as u64))
    }

    /// Opens a directory below the root that is there already; the empty path is the root itself.
    ///
    /// # Errors
    /// [`Error::PathOutsideRoot`] where a link leads out; [`Error::Io`].
    pub fn open_existing(&self, relative: &Path) -> Result<Arc<OwnedFd>> {
        let shown = crate::path::wtf8_from_os_str(relative.as_os_str());
        self.open_directory(relative, ManifestPath::from_wtf8(&shown))
    }

    /// Finds where a file goes, making its parent directories.
    ///
    /// # Errors
    /// [`Error::PathOutsideRoot`] for a hostile path or where a link leads out; [`Error::Io`] where a directory can't be made.
    pub fn target(&self, path: ManifestPath<'_>) -> Result<Target> {
        path.check(PathFormat::host())?;
        let relative = normalised(path)?;
        let name = relative.file_name().unwrap_or_default().to_os_string();
        let parent = relative.parent().unwrap_or_else(|| Path::new(""));
        let directory = self.open_directory(parent, path)?;
        Ok(Target { directory, directory_path: self.path.join(parent), name })
    }

    /// Makes a directory and its parents.
    ///
    /// # Errors
    /// As [`TargetRoot::target`].
    pub fn make_directory(&self, path: ManifestPath<'_>) -> Result<()> {
        path.check(PathFormat::host())?;
        self.open_directory(&normalised(path)?, path).map(drop)
    }

    /// What is at a path, without making anything.
    ///
    /// # Errors
    /// As [`TargetRoot::target`].
    pub fn look(&self, path: ManifestPath<'_>) -> Result<Existing> {
        path.check(PathFormat::host())?;
        let relative = normalised(path)?;
        let flags = OFlags::PATH_FLAG | OFlags::CLOEXEC;
        match open_beneath(self.directory.as_fd(), &relative, flags, Mode::empty(), Links::Beneath) {
            Ok(found) => rustix::fs::fstat(&found)
                .map(|stat| existing(&stat))
                .map_err(|error| Error::io("look at", self.path.join(&relative), error)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(Existing::Nothing),
            Err(Errno::XDEV | Errno::LOOP) => Ok(Existing::Other),
            Err(error) => Err(Error::io("look at", self.path.join(&relative), error)),
        }
    }

    fn open_directory(&self, relative: &Path, shown: ManifestPath<'_>) -> Result<Arc<OwnedFd>> {
        if relative.as_os_str().is_empty() {
            return Ok(Arc::clone(&self.directory));
        }
        let key = relative.as_os_str().as_bytes();
        if let Some(found) = self.lock().get(key) {
            return Ok(Arc::clone(found));
        }
        let opened = Arc::new(self.open_or_make(relative, shown)?);
        let mut open = self.lock();
        if open.len() >= OPEN_DIRECTORIES {
            open.clear();
        }
        open.insert(key.to_vec(), Arc::clone(&opened));
        Ok(opened)
    }

    fn open_or_make(&self, relative: &Path, shown: ManifestPath<'_>) -> Result<OwnedFd> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        let full = self.path.join(relative);
        match open_beneath(self.directory.as_fd(), relative, flags, Mode::empty(), Links::Beneath) {
            Ok(found) => {
                remove_stale(&found);
                return Ok(found);
            }
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
        open_beneath(above.as_fd(), Path::new(name), flags, Mode::empty(), Links::Beneath)
            .map_err(|error| directory_error(error, &full, shown))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Vec<u8>, Arc<OwnedFd>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const CREATE: &str = "create download directory";

fn directory_error(error: Errno, full: &Path, shown: ManifestPath<'_>) -> Error {
    match error {
        Errno::XDEV | Errno::LOOP => {
            Error::PathOutsideRoot { path: shown.display(), problem: PathProblem::LinkEscapes }
        }
        _ => Error::io(CREATE, full, error),
    }
}

/// Without empty components and `.`.
fn normalised(path: ManifestPath<'_>) -> Result<PathBuf> {
    let whole = PathBuf::from(path.to_os_string()?);
    Ok(whole.components().filter(|part| matches!(part, std::path::Component::Normal(_))).collect())
}

fn existing(stat: &rustix::fs::Stat) -> Existing {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Existing::File { size_bytes: u64::try_from(stat.st_size).unwrap_or(0) },
        FileType::Directory => Existing::Directory,
        _ => Existing::Other,
    }
}

impl Target {
    /// The whole path, for messages and results.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.directory_path.join(&self.name)
    }

    /// The same directory with another name.
    #[must_use]
    pub fn with_name(&self, name: OsString) -> Self {
        Self { name, ..self.clone() }
    }

    /// What is at the target now; links are followed, as `Path.is_file` does.
    ///
    /// # Errors
    /// [`Error::Io`] where the system won't say.
    pub fn look(&self) -> Result<Existing> {
        match rustix::fs::statat(&self.directory, &self.name, AtFlags::empty()) {
            Ok(stat) => Ok(existing(&stat)),
            Err(Errno::NOENT) => Ok(Existing::Nothing),
            Err(Errno::LOOP) => Ok(Existing::Other),
            Err(error) => Err(Error::io("look at", self.path(), error)),
        }
    }

    /// Opens the file at the target for reading, not following a link.
    ///
    /// # Errors
    /// The system's.
    pub fn open(&self) -> std::io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        Ok(File::from(rustix::fs::openat(&self.directory, &self.name, flags, Mode::empty())?))
    }

    /// The name of the `number`th copy: `stem (n).suffix`, split at the last suffix as `pathlib` does.
    #[must_use]
    pub fn copy_name(&self, number: u64) -> Self {
        let name = self.name.as_bytes();
        // A leading dot begins no suffix, and neither does a dot at the end (pathlib's rules).
        let dot = name.iter().rposition(|byte| *byte == b'.').filter(|at| *at > 0 && at + 1 < name.len());
        let dot = dot.filter(|at| name[..*at].iter().any(|byte| *byte != b'.'));
        let (stem, suffix) = name.split_at(dot.unwrap_or(name.len()));
        let mut copy = stem.to_vec();
        copy.extend_from_slice(format!(" ({number})").as_bytes());
        copy.extend_from_slice(suffix);
        self.with_name(OsString::from_vec(copy))
    }

    /// Begins a file that will be at this target.
    ///
    /// # Errors
    /// [`Error::Io`] naming the target.
    pub fn stage(&self) -> Result<StagedFile> {
        loop {
            let name = temporary_name();
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            match rustix::fs::openat(&self.directory, &name, flags, Mode::from_raw_mode(0o666)) {
                Ok(descriptor) => {
                    // Where the file system has no locks, stale files stay until somebody removes them.
                    let _ = rustix::fs::flock(&descriptor, FlockOperation::NonBlockingLockExclusive);
                    return Ok(StagedFile { target: self.clone(), name: Some(name), file: File::from(descriptor) });
                }
                Err(Errno::EXIST) => {}
                Err(error) => return Err(Error::io("create a file for", self.path(), error)),
            }
        }
    }

    /// Makes a symbolic link at the target, replacing a link or file that is there.
    ///
    /// # Errors
    /// [`Error::Io`] naming the target.
    pub fn link_to(&self, destination: &Path) -> Result<()> {
        let name = temporary_name();
        let fail = |error: Errno| Error::io("create symbolic link", self.path(), error);
        rustix::fs::symlinkat(destination, &self.directory, &name).map_err(fail)?;
        rustix::fs::renameat(&self.directory, &name, &self.directory, &self.name).map_err(|error| {
            let _ = rustix::fs::unlinkat(&self.directory, &name, AtFlags::empty());
            fail(error)
        })
    }
}

/// A file on its way to its target. Dropped without a commit, it is gone.
#[derive(Debug)]
pub struct StagedFile {
    target: Target,
    /// The temporary name, until the file is committed.
    name: Option<OsString>,
    file: File,
}

impl StagedFile {
    /// Sets aside room for the whole file, so that a full disk shows now and not at the end.
    ///
    /// # Errors
    /// [`Error::Io`] naming the target.
    pub fn reserve(&self, size_bytes: u64) -> Result<()> {
        match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), 0, size_bytes) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => Ok(()),
            Err(error) => Err(Error::io("make room for", self.target.path(), error)),
        }
    }

    /// Writes bytes at an offset. May be called from several threads.
    ///
    /// # Errors
    /// [`Error::Io`] naming the target.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.file.write_all_at(bytes, offset).map_err(|error| Error::io("write", self.target.path(), error))
    }

    /// The open file: for cloning, permissions and reading back.
    #[must_use]
    pub const fn file(&self) -> &File {
        &self.file
    }

    /// Where the file will be.
    #[must_use]
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// Sets access and modification time, both, as the reference does.
    ///
    /// # Errors
    /// [`Error::Io`] naming the target.
    pub fn set_mtime_micros(&self, mtime_micros: i64) -> Result<()> {
        let time =
            Timespec { tv_sec: mtime_micros.div_euclid(1_000_000), tv_nsec: mtime_micros.rem_euclid(1_000_000) * 1000 };
        rustix::fs::futimens(&self.file, &Timestamps { last_access: time, last_modification: time })
            .map_err(|error| Error::io("set the time of", self.target.path(), error))
    }

    /// Adds permission bits to those that the file has.
    ///
    /// # Errors
    /// [`Error::Io`] naming the target.
    pub fn add_mode(&self, bits: u32) -> Result<()> {
        super::permissions::add_mode(&self.file, bits)
            .map_err(|error| Error::io("set the permissions of", self.target.path(), error))
    }

    /// Fills the file with another's contents: a reflink where the file system can, else a copy within the kernel.
    ///
    /// # Errors
    /// [`Error::Io`] naming the target.
    pub fn clone_from(&self, source: &File, size_bytes: u64) -> Result<()> {
        #[cfg(target_os = "linux")]
        if rustix::fs::ioctl_ficlone(&self.file, source).is_ok() {
            return Ok(());
        }
        let fail = |error: std::io::Error| Error::io("write", self.target.path(), error);
        let mut offset = 0_u64;
        let mut buffer = Vec::new();
        while offset < size_bytes {
            if buffer.is_empty() {
                match copy_in_kernel(source, &self.file, offset, size_bytes - offset) {
                    Ok(copied) if copied > 0 => {
                        offset += copied;
                        continue;
                    }
                    _ => buffer.resize(1024 * 1024, 0),
                }
            }
            let read = source.read_at(&mut buffer, offset).map_err(fail)?;
            if read == 0 {
                return Err(fail(std::io::ErrorKind::UnexpectedEof.into()));
            }
            self.file.write_all_at(&buffer[..read], offset).map_err(fail)?;
            offset += read as u64;
        }
        Ok(())
    }

    /// Waits until the contents are on the disk.
    ///
    /// # Errors
    /// [`Error::Io`] naming the target.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_all().map_err(|error| Error::io("write", self.target.path(), error))
    }

    /// Gives the file its name, over whatever file is there.
    ///
    /// # Errors
    /// [`Error::Io`] naming the target.
    pub fn commit_over(&mut self) -> Result<()> {
        let target = self.target.clone();
        self.rename(&target, RenameFlags::empty()).map_err(|error| Error::io("write", target.path(), error))
    }

    /// Gives the file a name in its directory, if that name is free.
    ///
    /// # Errors
    /// [`Error::Io`] naming the target.
    pub fn commit_new(&mut self, target: &Target) -> Result<Committed> {
        match self.rename(target, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(Committed::Yes),
            Err(Errno::EXIST) => Ok(Committed::NameTaken),
            // The file system can't rename exclusively (NFS, some FUSE): a hard link can, and fails on a taken name.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => self.link_new(target),
            Err(error) => Err(Error::io("write", target.path(), error)),
        }
    }

    fn link_new(&mut self, target: &Target) -> Result<Committed> {
        let Some(name) = &self.name else { return Ok(Committed::Yes) };
        let directory = &self.target.directory;
        match rustix::fs::linkat(directory, name, &target.directory, &target.name, AtFlags::empty()) {
            Ok(()) => {
                let _ = rustix::fs::unlinkat(directory, name, AtFlags::empty());
                self.name = None;
                self.target = target.clone();
                Ok(Committed::Yes)
            }
            Err(Errno::EXIST) => Ok(Committed::NameTaken),
            Err(error) => Err(Error::io("write", target.path(), error)),
        }
    }

    fn rename(&mut self, target: &Target, flags: RenameFlags) -> rustix::io::Result<()> {
        if let Some(name) = &self.name {
            rename_with(&self.target.directory, name, target, flags)?;
            self.name = None;
            self.target = target.clone();
        }
        Ok(())
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            // Nothing to do about a failure here: the next run removes it.
            let _ = rustix::fs::unlinkat(&self.target.directory, name, AtFlags::empty());
        }
    }
}

#[cfg(target_os = "linux")]
fn rename_with(from: &OwnedFd, name: &OsStr, to: &Target, flags: RenameFlags) -> rustix::io::Result<()> {
    if flags.is_empty() {
        return rustix::fs::renameat(from, name, &to.directory, &to.name);
    }
    rustix::fs::renameat_with(from, name, &to.directory, &to.name, flags)
}

#[cfg(not(target_os = "linux"))]
fn rename_with(from: &OwnedFd, name: &OsStr, to: &Target, flags: RenameFlags) -> rustix::io::Result<()> {
    if flags.is_empty() { rustix::fs::renameat(from, name, &to.directory, &to.name) } else { Err(Errno::NOSYS) }
}

#[cfg(target_os = "linux")]
fn copy_in_kernel(source: &File, target: &File, offset: u64, length: u64) -> rustix::io::Result<u64> {
    let (mut from, mut to) = (offset, offset);
    let length = usize::try_from(length).unwrap_or(usize::MAX).min(1 << 30);
    rustix::fs::copy_file_range(source, Some(&mut from), target, Some(&mut to), length).map(|copied| copied as u64)
}

#[cfg(not(target_os = "linux"))]
fn copy_in_kernel(_source: &File, _target: &File, _offset: u64, _length: u64) -> rustix::io::Result<u64> {
    Err(Errno::NOSYS)
}

fn temporary_name() -> OsString {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let clock = std::time::UNIX_EPOCH.elapsed().map_or(0, |time| time.subsec_nanos());
    format!("{TEMPORARY_PREFIX}{}-{clock:x}-{number:x}.part", std::process::id()).into()
}

/// Whether the process in a temporary file's name is alive on this machine. It may be about to take its lock.
fn writer_lives(name: &[u8]) -> bool {
    let digits = name[TEMPORARY_PREFIX.len()..].split(|byte| *byte == b'-').next().unwrap_or_default();
    let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    let process = number.and_then(rustix::process::Pid::from_raw);
    process.is_some_and(|process| rustix::process::test_kill_process(process) != Err(Errno::SRCH))
}

/// Removes temporary files whose writers are gone. Best effort: what can't be removed is in nobody's way.
fn remove_stale(directory: &OwnedFd) {
    let Ok(entries) = rustix::fs::Dir::read_from(directory) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if !name.to_bytes().starts_with(TEMPORARY_PREFIX.as_bytes()) || writer_lives(name.to_bytes()) {
            continue;
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let Ok(file) = rustix::fs::openat(directory, name, flags, Mode::empty()) else { continue };
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _ = rustix::fs::unlinkat(directory, name, AtFlags::empty());
        }
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

impl TargetRoot {
    /// Removes temporary files of killed runs from the root directory itself; other directories are seen to as they are
    /// opened.
    pub fn remove_stale(&self) {
        remove_stale(&self.directory);
    }
}
