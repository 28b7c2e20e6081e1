//! Writing files so that nothing wrong is ever seen at a final path: a temporary file beside the target, then a rename.
//!
//! A temporary file holds a lock while its writer lives; one whose lock is free belongs to a run that was killed, and the next
//! run that comes to that directory removes it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::{AtFlags, FallocateFlags, FlockOperation, Mode, OFlags, RenameFlags, Timestamps};
use rustix::io::Errno;

use super::target::Target;
use crate::error::{Error, Result};

/// How names of temporary files begin. They are hidden, short (a target's name may be 255 bytes already) and ours alone.
const TEMPORARY_PREFIX: &str = ".rusty-attachments-";
/// How long after its making a temporary file may be without its lock.
const LOCKED_WITHIN: Duration = Duration::from_mins(1);

/// What a commit did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// The file is at its name.
    Yes,
    /// Something else is there, and replacing was not asked for. The staged file can be committed elsewhere.
    NameTaken,
}

impl Target {
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
                    // Waits for a moment if another process is just looking whether the file is locked. Where the file
                    // system has no locks, the process id in the name has to do.
                    let _ = rustix::fs::flock(&descriptor, FlockOperation::LockExclusive);
                    return Ok(StagedFile {
                        target: self.clone(),
                        name: Some(name),
                        file: File::from(descriptor),
                        writing: Mutex::default(),
                    });
                }
                Err(Errno::EXIST) => {}
                Err(error) => return Err(Error::io("create a file for", self.path(), error)),
            }
        }
    }

    /// Makes a symbolic link at the target, over what is there if `replace`.
    ///
    /// # Errors
    /// [`Error::Io`] naming the target.
    pub fn link_to(&self, destination: &Path, replace: bool) -> Result<Committed> {
        let fail = |error: Errno| Error::io("create symbolic link", self.path(), error);
        if !replace {
            return match rustix::fs::symlinkat(destination, &self.directory, &self.name) {
                Ok(()) => Ok(Committed::Yes),
                Err(Errno::EXIST) => Ok(Committed::NameTaken),
                Err(error) => Err(fail(error)),
            };
        }
        let name = temporary_name();
        rustix::fs::symlinkat(destination, &self.directory, &name).map_err(fail)?;
        rustix::fs::renameat(&self.directory, &name, &self.directory, &self.name).map_err(|error| {
            let _ = rustix::fs::unlinkat(&self.directory, &name, AtFlags::empty());
            fail(error)
        })?;
        Ok(Committed::Yes)
    }
}

/// A file on its way to its target. Dropped without a commit, it is gone.
#[derive(Debug)]
pub struct StagedFile {
    target: Target,
    /// The temporary name, until the file is committed.
    name: Option<OsString>,
    file: File,
    writing: Mutex<()>,
}

/// The right to write to a staged file. The kernel lets one thread write to a file at a time, and has the others spin.
#[derive(Debug)]
pub struct WriteTurn<'file> {
    staged: &'file StagedFile,
    _turn: MutexGuard<'file, ()>,
}

impl StagedFile {
    /// Sets aside room for the whole file, so that a full disk shows now and not at the end.
    ///
    /// # Errors
    /// [`Error::Io`] naming the target.
    pub fn reserve(&self, size_bytes: u64) -> Result<()> {
        let outcome = room_in_memory(&self.file, size_bytes)
            .unwrap_or_else(|| rustix::fs::fallocate(&self.file, FallocateFlags::empty(), 0, size_bytes));
        match outcome {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => Ok(()),
            Err(error) => Err(Error::io("make room for", self.target.path(), error)),
        }
    }

    /// Writes bytes at an offset, once no other thread writes.
    ///
    /// # Errors
    /// [`Error::Io`] naming the target.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.turn_to_write().write_at(bytes, offset)
    }

    /// Waits until no other thread writes.
    pub fn turn_to_write(&self) -> WriteTurn<'_> {
        WriteTurn { staged: self, _turn: self.writing.lock().unwrap_or_else(PoisonError::into_inner) }
    }

    /// The right to write, unless another thread has it.
    #[must_use]
    pub fn try_turn_to_write(&self) -> Option<WriteTurn<'_>> {
        match self.writing.try_lock() {
            Ok(turn) => Some(WriteTurn { staged: self, _turn: turn }),
            Err(TryLockError::Poisoned(turn)) => Some(WriteTurn { staged: self, _turn: turn.into_inner() }),
            Err(TryLockError::WouldBlock) => None,
        }
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
        let time = super::times::from_micros(mtime_micros);
        rustix::fs::futimens(&self.file, &Timestamps { last_access: time, last_modification: time })
            .map_err(|error| Error::io("set the time of", self.target.path(), error))
    }

    /// Makes the file executable for whoever may read it.
    ///
    /// # Errors
    /// [`Error::Io`] naming the target.
    pub fn make_executable(&self) -> Result<()> {
        super::permissions::make_executable(&self.file)
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

    /// Waits until the contents are on the disk. The name is there once the directory was synced too.
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

impl WriteTurn<'_> {
    /// Writes bytes at an offset.
    ///
    /// # Errors
    /// [`Error::Io`] naming the target.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let StagedFile { target, file, .. } = self.staged;
        file.write_all_at(bytes, offset).map_err(|error| Error::io("write", target.path(), error))
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

/// Whether a file system that is memory (tmpfs) has room for a file; `None` on others. To set it aside there takes each page
/// at once, on one thread, while everyone who writes to the file waits: the writers take them as they go.
#[cfg(target_os = "linux")]
fn room_in_memory(file: &File, size_bytes: u64) -> Option<rustix::io::Result<()>> {
    const TMPFS: u64 = 0x0102_1994; // `f_type` of statfs(2)
    let stat = rustix::fs::fstatfs(file).ok()?;
    #[allow(
        clippy::cast_sign_loss,
        clippy::cast_lossless,
        clippy::unnecessary_cast,
        reason = "the types differ by target"
    )]
    let (file_system_type, block_bytes) = (stat.f_type as u64, stat.f_bsize as u64);
    if file_system_type != TMPFS {
        return None;
    }
    // Without a limit of its own it says 0 blocks.
    let has_room = stat.f_blocks == 0 || stat.f_bavail.saturating_mul(block_bytes) >= size_bytes;
    Some(if has_room { Ok(()) } else { Err(Errno::NOSPC) })
}

#[cfg(not(target_os = "linux"))]
fn room_in_memory(_file: &File, _size_bytes: u64) -> Option<rustix::io::Result<()>> {
    None
}

/// What tells this process's temporary files from those of an earlier one with the same number, as containers have them.
fn process_mark() -> &'static str {
    static MARK: OnceLock<String> = OnceLock::new();
    MARK.get_or_init(|| format!("{:x}", UNIX_EPOCH.elapsed().map_or(0, |time| time.as_nanos())))
}

fn temporary_name() -> OsString {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("{TEMPORARY_PREFIX}{}-{}-{number:x}.part", std::process::id(), process_mark()).into()
}

/// Whether the writer of a temporary file may be alive and about to take its lock, or on a file system without locks.
fn writer_may_live(name: &[u8]) -> bool {
    let mut parts = name[TEMPORARY_PREFIX.len()..].split(|byte| *byte == b'-');
    let number = parts.next().and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<i32>().ok());
    let Some(process) = number.and_then(rustix::process::Pid::from_raw) else { return false };
    if u32::try_from(process.as_raw_nonzero().get()) == Ok(std::process::id()) {
        return parts.next() == Some(process_mark().as_bytes());
    }
    rustix::process::test_kill_process(process) != Err(Errno::SRCH)
}

/// Removes temporary files whose writers are gone. Best effort: what can't be removed is in nobody's way.
pub(super) fn remove_stale(directory: &OwnedFd) {
    let Ok(entries) = rustix::fs::Dir::read_from(directory) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if name.to_bytes().starts_with(TEMPORARY_PREFIX.as_bytes()) && is_stale(directory, name) {
            let _ = rustix::fs::unlinkat(directory, name, AtFlags::empty());
        }
    }
}

fn is_stale(directory: &OwnedFd, name: &std::ffi::CStr) -> bool {
    let Ok(stat) = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) else { return false };
    let may_live = writer_may_live(name.to_bytes());
    if !rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file() {
        // A link on its way to its name is there for less than a moment.
        return !may_live;
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let Ok(file) = rustix::fs::openat(directory, name, flags, Mode::empty()) else { return false };
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        // A process with the writer's number may be another one by now: the lock decides, once there was time to take it.
        Ok(()) => !may_live || is_older_than(&stat, LOCKED_WITHIN),
        Err(Errno::WOULDBLOCK) => false,
        Err(_) => !may_live,
    }
}

fn is_older_than(stat: &rustix::fs::Stat, age: Duration) -> bool {
    let changed = super::open::FileStamp::from_stat(stat).ctime_ns;
    let now = UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(changed).is_ok_and(|changed| Duration::from_nanos(changed) + age < now)
}

#[cfg(test)]
mod tests {
    use crate::fs::target::TargetRoot;
    use crate::path::ManifestPath;

    #[test]
    fn a_file_that_no_disk_holds_is_refused_at_once() {
        // tmpfs is asked another way than disks are.
        for folder in [std::env::temp_dir(), "/dev/shm".into()].iter().filter(|folder| folder.is_dir()) {
            let root = tempfile::tempdir_in(folder).unwrap();
            let target = TargetRoot::open(root.path()).unwrap().target(ManifestPath::from_wtf8(b"big")).unwrap();
            let staged = target.stage().unwrap();
            staged.reserve(1024 * 1024).unwrap();
            let error = staged.reserve(1 << 60).unwrap_err().to_string();
            assert!(error.contains("make room for") && error.contains("big"), "{error}");
        }
    }
}
