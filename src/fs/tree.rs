//! Looking at and hashing the files below one root, with as few system calls a file as will do.
//!
//! A file without links on its way is one `statat` relative to its opened folder; its resolved path is then the resolved root
//! and its own name, for nothing more. To hash it takes an open, a read, an `fstat` and a close. Where a link is on the way, the
//! path is resolved first and the result opened without following links.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::beneath::{Links, open_beneath};
use super::leases::GoesOn;
use super::open::{FileStamp, LinkPolicy, OpenedFile};
use super::read_ahead;
use crate::descriptors::patiently;
use crate::error::{Error, PathProblem, Result, SourceProblem};
use crate::hash::{ContentHash, Hasher, hash_bytes};
use crate::path::{ManifestPath, PathFormat, wtf8_from_os_str};

/// Files up to this size are read in one go; larger ones in pieces of this size, which stay in a core's cache between the
/// copy from the kernel and the hash.
const PIECE_BYTES: usize = 256 * 1024;

/// What a second thread is started for.
const WORTH_HELP_BYTES: u64 = 32 * 1024 * 1024;

/// How often a file is hashed again when it changes meanwhile.
const ATTEMPTS: usize = 3;

/// A root directory, open, with its resolved path.
#[derive(Debug)]
pub(crate) struct TreeRoot {
    directory: OwnedFd,
    path: PathBuf,
    resolved: PathBuf,
    links: LinkPolicy,
}

/// A regular file as it was when it was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeenFile {
    /// Size, times, inode and mode.
    pub stamp: FileStamp,
    /// The resolved path, where a link is on the way; else it is the resolved root and the file's own path.
    pub resolved: Option<PathBuf>,
    /// When it was looked at.
    pub at: Instant,
}

/// A file's hash, and the one state of the file that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileHash {
    /// The hash.
    pub hash: ContentHash,
    /// The file's stamp before and after it was read.
    pub stamp: FileStamp,
    /// Whether the file's clock had moved on from that stamp before reading began: any later write then shows in the stamp,
    /// so the hash may be kept.
    pub is_settled: bool,
}

/// A part of a file, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    /// The first byte.
    pub start: u64,
    /// How many.
    pub length: u64,
}

impl Part {
    /// All of a file, however long.
    pub(crate) const WHOLE: Self = Self { start: 0, length: u64::MAX };

    /// The part of a file of this size. A size of zero is not trusted: files of the kernel's own say so.
    const fn within(self, size_bytes: u64) -> Self {
        if size_bytes == 0 {
            return self;
        }
        let rest = size_bytes.saturating_sub(self.start);
        Self { start: self.start, length: if self.length < rest { self.length } else { rest } }
    }
}

/// A longer tick than this is not waited for.
const LONGEST_WAIT: Duration = Duration::from_millis(20);

impl TreeRoot {
    /// Opens a root. Links on the way to it are followed.
    ///
    /// # Errors
    /// [`Error::Io`] where it is no directory or can't be opened.
    pub(crate) fn open(path: &Path, links: LinkPolicy) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fail = |error: std::io::Error| Error::io("open directory", path, error);
        let directory =
            patiently(|| rustix::fs::open(path, flags, Mode::empty())).map_err(|error| fail(error.into()))?;
        let resolved = path.canonicalize().map_err(fail)?;
        Ok(Self { directory, path: path.to_path_buf(), resolved, links })
    }

    /// The same root, opened once more.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn reopen(&self) -> Result<Self> {
        let directory =
            self.directory.try_clone().map_err(|error| Error::io("open directory", self.path.as_path(), error))?;
        Ok(Self { directory, path: self.path.clone(), resolved: self.resolved.clone(), links: self.links })
    }

    /// The root as it was given.
    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The resolved path of a file that was seen, in WTF-8: the key of the hash cache.
    #[must_use]
    pub(crate) fn resolved_key(&self, path: &[u8], seen: &SeenFile) -> Vec<u8> {
        if let Some(resolved) = &seen.resolved {
            return wtf8_from_os_str(resolved.as_os_str());
        }
        let mut key = wtf8_from_os_str(self.resolved.as_os_str());
        key.reserve(path.len() + 1);
        for part in ManifestPath::from_wtf8(path).components() {
            if key.last() != Some(&b'/') {
                key.push(b'/');
            }
            key.extend_from_slice(part);
        }
        key
    }
}

/// Looks at and hashes files below a root, one after another: each thread has its own. It is quickest when files of one folder
/// come together.
#[derive(Debug)]
pub(crate) struct TreeReader<'a> {
    root: &'a TreeRoot,
    /// The folder of the last file, below the root, and what opening it gave.
    folder: Option<(Vec<u8>, Folder)>,
    buffer: Vec<u8>,
    has_helper: bool,
    waits: GoesOn,
}

#[derive(Debug)]
enum Folder {
    Open(OwnedFd),
    /// A link is on the way.
    Linked,
}

impl<'a> TreeReader<'a> {
    /// A reader that has opened nothing yet. Files that others hold leases on are waited for.
    #[must_use]
    pub(crate) const fn new(root: &'a TreeRoot, waits: GoesOn) -> Self {
        Self { root, folder: None, buffer: Vec::new(), has_helper: false, waits }
    }

    /// The same reader, which hashes a large file with a second thread: for when there are fewer files than processors.
    #[must_use]
    pub(crate) const fn with_helper(mut self, has_helper: bool) -> Self {
        self.has_helper = has_helper;
        self
    }

    /// Looks at a file below the root; `path` is WTF-8 and relative.
    ///
    /// # Errors
    /// [`Error::PathOutsideRoot`] for a hostile path, [`Error::SourceFile`] where no regular file is there.
    pub(crate) fn look(&mut self, path: &[u8]) -> Result<SeenFile> {
        let full = self.full_path(path)?;
        let name = OsStr::new(full.file_name().unwrap_or_default()).to_owned();
        let directory = match self.folder_of(path, &full)? {
            Folder::Linked => return self.look_through_links(&full),
            Folder::Open(directory) => directory.as_fd(),
        };
        let stat = rustix::fs::statat(directory, &name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| Error::source_file(&full, &error.into()))?;
        if FileType::from_raw_mode(stat.st_mode).is_symlink() {
            return self.look_through_links(&full);
        }
        check_regular(&stat, &full)?;
        Ok(SeenFile { stamp: FileStamp::from_stat(&stat), resolved: None, at: Instant::now() })
    }

    /// Hashes a file that was seen. The result belongs to one state of the file: its stamp was the same before and after, and
    /// reading began no sooner than a tick of the file's clock after the stamp was taken.
    ///
    /// `progress` hears of each piece and may stop the work; a negative number takes back what was read in vain.
    ///
    /// # Errors
    /// [`Error::SourceFile`], among them [`SourceProblem::Unstable`] for a file that changed each time; and what `progress`
    /// returns.
    pub(crate) fn hash(
        &mut self,
        path: &[u8],
        seen: &SeenFile,
        part: Part,
        progress: &mut dyn FnMut(i64) -> Result<()>,
    ) -> Result<FileHash> {
        let full = self.full_path(path)?;
        let mut seen = seen.clone();
        for _ in 0..ATTEMPTS {
            let is_settled = wait_for_tick(&seen);
            let opened = self.open(path, &full, &seen)?;
            let mut done = 0;
            let part = part.within(seen.stamp.size_bytes);
            let hash = self.hash_opened(&opened, &full, part, &mut |bytes| {
                done += bytes;
                progress(bytes)
            });
            let after = stamp_of(&opened, &full)?;
            if hash.is_ok() && after == seen.stamp {
                return Ok(FileHash { hash: hash?, stamp: after, is_settled });
            }
            progress(-done)?;
            if after == seen.stamp || hash.as_ref().is_err_and(Error::is_cancelled) {
                hash?;
            }
            drop(opened);
            seen = self.look(path)?;
        }
        Err(Error::SourceFile { path: full, problem: SourceProblem::Unstable })
    }

    fn open(&mut self, path: &[u8], full: &Path, seen: &SeenFile) -> Result<OwnedFd> {
        let waits = self.waits.clone();
        if seen.resolved.is_some() {
            return Ok(OpenedFile::open(full, &waits)?.file.into());
        }
        let name = full.file_name().unwrap_or_default().to_owned();
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW;
        match self.folder_of(path, full)? {
            Folder::Open(directory) => {
                let open = || patiently(|| rustix::fs::openat(directory.as_fd(), &name, flags, Mode::empty()));
                waits.open(open)?.map_err(|error| Error::source_file(full, &error.into()))
            }
            Folder::Linked => Ok(OpenedFile::open(full, &waits)?.file.into()),
        }
    }

    fn hash_opened(
        &mut self,
        file: &OwnedFd,
        full: &Path,
        Part { mut start, mut length }: Part,
        progress: &mut dyn FnMut(i64) -> Result<()>,
    ) -> Result<ContentHash> {
        if self.has_helper && length != u64::MAX && length >= WORTH_HELP_BYTES {
            let read_at = |buffer: &mut [u8], at: u64| read_full(file, buffer, at, full);
            return read_ahead::hash(&read_at, start, length, progress);
        }
        self.buffer.resize(PIECE_BYTES, 0);
        let mut read_piece = |buffer: &mut [u8]| {
            let wanted = usize::try_from(length).unwrap_or(usize::MAX).min(buffer.len());
            let got = read_full(file, &mut buffer[..wanted], start, full)?;
            progress(signed(got))?;
            start += got as u64;
            length = if got < wanted { 0 } else { length - got as u64 };
            Ok::<_, Error>((got, length == 0))
        };
        let (got, is_last) = read_piece(&mut self.buffer)?;
        if is_last {
            return Ok(hash_bytes(&self.buffer[..got]));
        }
        let mut hasher = Hasher::new();
        hasher.update(&self.buffer[..got]);
        loop {
            let (got, is_last) = read_piece(&mut self.buffer)?;
            hasher.update(&self.buffer[..got]);
            if is_last {
                return Ok(hasher.finish());
            }
        }
    }

    fn look_through_links(&self, full: &Path) -> Result<SeenFile> {
        let fail = |error: &std::io::Error| Error::source_file(full, error);
        let resolved = full.canonicalize().map_err(|error| fail(&error))?;
        if self.root.links == LinkPolicy::Confine && !resolved.starts_with(&self.root.resolved) {
            let problem = SourceProblem::LinkEscapes(self.root.path.display().to_string());
            return Err(Error::SourceFile { path: full.to_path_buf(), problem });
        }
        let stat = rustix::fs::stat(&resolved).map_err(|error| fail(&error.into()))?;
        check_regular(&stat, full)?;
        Ok(SeenFile { stamp: FileStamp::from_stat(&stat), resolved: Some(resolved), at: Instant::now() })
    }

    fn full_path(&self, path: &[u8]) -> Result<PathBuf> {
        let path = ManifestPath::from_wtf8(path);
        path.check(PathFormat::host())?;
        Ok(self.root.path.join(path.to_os_string()?))
    }

    /// The open folder of a file. Links on the way to it show here.
    fn folder_of(&mut self, path: &[u8], full: &Path) -> Result<&Folder> {
        let end = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        let wanted = &path[..end];
        let same = self.folder.as_ref().is_some_and(|(folder, _)| folder == wanted);
        if !same {
            let folder = self.open_folder(wanted).map_err(|error| Error::source_file(full, &error.into()))?;
            self.folder = Some((wanted.to_vec(), folder));
        }
        match &self.folder {
            Some((_, folder)) => Ok(folder),
            None => Err(Error::PathOutsideRoot {
                path: ManifestPath::from_wtf8(path).display(),
                problem: PathProblem::Empty,
            }),
        }
    }

    fn open_folder(&self, folder: &[u8]) -> rustix::io::Result<Folder> {
        let name = ManifestPath::from_wtf8(folder).to_os_string().map_err(|_| Errno::NOENT)?;
        let name = if name.is_empty() { OsStr::new(".") } else { &name };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match open_beneath(self.root.directory.as_fd(), Path::new(name), flags, Mode::empty(), Links::Refuse) {
            Ok(directory) => Ok(Folder::Open(directory)),
            Err(Errno::LOOP) => Ok(Folder::Linked),
            Err(error) => Err(error),
        }
    }
}

/// Waits until a write can't hide behind the stamp that was seen. A clock that is too coarse is not waited for.
fn wait_for_tick(seen: &SeenFile) -> bool {
    if seen.stamp.is_settled(SystemTime::now()) {
        return true;
    }
    let tick = seen.stamp.clock_tick();
    std::thread::sleep(tick.min(LONGEST_WAIT).saturating_sub(seen.at.elapsed()));
    seen.at.elapsed() >= tick
}

fn check_regular(stat: &rustix::fs::Stat, full: &Path) -> Result<()> {
    let problem = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => return Ok(()),
        FileType::Directory => SourceProblem::IsDirectory,
        _ => SourceProblem::NotRegular,
    };
    Err(Error::SourceFile { path: full.to_path_buf(), problem })
}

fn stamp_of(file: &OwnedFd, full: &Path) -> Result<FileStamp> {
    let stat = rustix::fs::fstat(file).map_err(|error| Error::source_file(full, &error.into()))?;
    Ok(FileStamp::from_stat(&stat))
}

/// Reads from `start` until the buffer is full or the file ends.
fn read_full(file: &OwnedFd, buffer: &mut [u8], start: u64, full: &Path) -> Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match rustix::io::pread(file, &mut buffer[length..], start + length as u64) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(Errno::INTR) => {}
            Err(error) => return Err(Error::source_file(full, &error.into())),
        }
    }
    Ok(length)
}

fn signed(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
