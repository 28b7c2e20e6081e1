//! What `openat2` does with `RESOLVE_BENEATH`, by steps that every system has.
//!
//! Each component is opened relative to the descriptor of the one before it, without following links; a link's text is read
//! and takes the link's place in the path. So every descriptor on the way is below the directory, whatever is renamed or
//! swapped meanwhile. `..` goes back to the descriptor that the walk came from. The system's own `..` would be wherever
//! somebody has just moved the directory to.
//!
//! Not asked for are `fs.protected_symlinks` and mounts with `nosymfollow`: links that lead out are not followed anyway.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::links::Links;

/// As many links as Linux follows in one path (`MAXSYMLINKS`).
const MOST_LINKS: usize = 40;
/// Linux takes no longer path, its NUL included (`PATH_MAX`). Without a limit, what works here would fail there.
const LONGEST_PATH_BYTES: usize = 4096;
/// How often one component may change its kind between two looks at it.
const ATTEMPTS: usize = 128;

/// Directories on the way. Others can then not be listed, but passed through, as it is for the kernel.
#[cfg(target_os = "linux")]
const STEP: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
const STEP: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens `path` below `directory`.
///
/// # Errors
/// As [`super::open_beneath`].
pub(super) fn open(
    directory: BorrowedFd<'_>,
    path: &Path,
    flags: OFlags,
    mode: Mode,
    links: Links,
) -> rustix::io::Result<OwnedFd> {
    let text = path.as_os_str().as_bytes();
    if text.is_empty() {
        return Err(Errno::NOENT);
    }
    if text.len() >= LONGEST_PATH_BYTES {
        return Err(Errno::NAMETOOLONG);
    }
    // Few paths have a `..` in a link that goes back further than the walk remembers: only then are the descriptors of all
    // directories on the way held, since they are scarce.
    for keeps_ancestors in [false, true] {
        let mut walk = Walk {
            base: directory,
            below: Vec::new(),
            depth: 0,
            keeps_ancestors,
            path: text.to_vec(),
            at: 0,
            links,
            links_followed: 0,
        };
        match walk.run(flags, mode) {
            Err(Stop::ForgottenAncestor) => {}
            Err(Stop::System(error)) => return Err(error),
            Ok(found) => return Ok(found),
        }
    }
    Err(Errno::XDEV)
}

/// Why a walk ends before its end.
enum Stop {
    /// The system's error, or that which it would give.
    System(Errno),
    /// A `..` leads back to a directory that was closed.
    ForgottenAncestor,
}

impl From<Errno> for Stop {
    fn from(error: Errno) -> Self {
        Self::System(error)
    }
}

/// A walk on its way.
struct Walk<'a> {
    base: BorrowedFd<'a>,
    /// The directories from below the base to the current one; the current one alone, unless ancestors are kept.
    below: Vec<OwnedFd>,
    /// How many components the current directory is below the base.
    depth: usize,
    keeps_ancestors: bool,
    /// The path, links' texts in the place of links.
    path: Vec<u8>,
    /// Where in the path the walk is.
    at: usize,
    links: Links,
    links_followed: usize,
}

/// Where a component begins and ends in the path.
#[derive(Clone, Copy)]
struct Component {
    start: usize,
    end: usize,
    is_last: bool,
    /// Whether a slash comes after it.
    has_slash: bool,
}

impl Walk<'_> {
    fn run(&mut self, flags: OFlags, mode: Mode) -> Result<OwnedFd, Stop> {
        if self.path.first() == Some(&b'/') {
            return Err(Errno::XDEV.into());
        }
        loop {
            let next = self.next();
            match self.name(next) {
                // Nothing but slashes can't be left, since a path and a link's text begin with a name.
                name @ (b"" | b"." | b"..") => {
                    let goes_back = name == b"..";
                    self.check_search()?;
                    if goes_back {
                        self.go_back()?;
                    }
                    if next.is_last {
                        return Ok(rustix::fs::openat(self.current(), ".", flags, mode)?);
                    }
                    self.at = next.end;
                }
                _ if next.is_last => {
                    if let Some(found) = self.open_last(next, flags, mode)? {
                        return Ok(found);
                    }
                }
                _ => self.enter(next)?,
            }
        }
    }

    fn next(&self) -> Component {
        let not_slash = |from: usize| self.path[from..].iter().position(|byte| *byte != b'/').map(|more| from + more);
        let start = not_slash(self.at).unwrap_or(self.path.len());
        let length = self.path[start..].iter().position(|byte| *byte == b'/');
        let end = length.map_or(self.path.len(), |length| start + length);
        Component { start, end, is_last: not_slash(end).is_none(), has_slash: end < self.path.len() }
    }

    fn name(&self, component: Component) -> &[u8] {
        &self.path[component.start..component.end]
    }

    fn current(&self) -> BorrowedFd<'_> {
        self.below.last().map_or(self.base, AsFd::as_fd)
    }

    /// Whatever is looked for in a directory, the right to search it comes first: also for `.` and `..`.
    fn check_search(&self) -> rustix::io::Result<()> {
        rustix::fs::openat(self.current(), ".", STEP, Mode::empty()).map(drop)
    }

    fn go_back(&mut self) -> Result<(), Stop> {
        match self.depth {
            0 => return Err(Errno::XDEV.into()),
            1 => self.below.clear(),
            _ if self.keeps_ancestors => drop(self.below.pop()),
            _ => return Err(Stop::ForgottenAncestor),
        }
        self.depth -= 1;
        Ok(())
    }

    /// Goes into a directory, or puts a link's text in the link's place.
    fn enter(&mut self, next: Component) -> Result<(), Stop> {
        for _ in 0..ATTEMPTS {
            match rustix::fs::openat(self.current(), self.name(next), STEP, Mode::empty()) {
                Ok(directory) => {
                    if !self.keeps_ancestors {
                        self.below.clear();
                    }
                    self.below.push(directory);
                    self.depth += 1;
                    self.at = next.end;
                    return Ok(());
                }
                Err(error) => {
                    if let Some(text) = self.link_behind(error, next)? {
                        return Ok(self.follow(text, next)?);
                    }
                }
            }
        }
        Err(Errno::AGAIN.into())
    }

    /// Opens the last component; `None` where it is a link, whose text is now to come.
    fn open_last(&mut self, last: Component, flags: OFlags, mode: Mode) -> Result<Option<OwnedFd>, Stop> {
        let creates = flags.contains(OFlags::CREATE);
        if last.has_slash && creates {
            self.check_search()?;
            return Err(Errno::ISDIR.into());
        }
        let stays = flags.contains(OFlags::NOFOLLOW) || (creates && flags.contains(OFlags::EXCL));
        // A slash at the end asks for a directory, and for the link to be followed.
        let (follows, asked) = if last.has_slash { (true, OFlags::DIRECTORY) } else { (!stays, OFlags::empty()) };
        let flags = flags | asked | OFlags::NOFOLLOW;
        for _ in 0..ATTEMPTS {
            let opened = rustix::fs::openat(self.current(), self.name(last), flags, mode);
            if !follows {
                return Ok(Some(opened?));
            }
            let text = match opened {
                Ok(found) if !is_open_link(&found, flags)? => return Ok(Some(found)),
                Ok(_) => self.link_behind(Errno::LOOP, last)?,
                Err(error) => self.link_behind(error, last)?,
            };
            if let Some(text) = text {
                self.follow(text, last)?;
                return Ok(None);
            }
        }
        Err(Errno::AGAIN.into())
    }

    /// The text of the link that may be behind an error of an open that follows no link. `None` where the entry is another one
    /// by now, so that it should be opened again.
    ///
    /// `O_DIRECTORY | O_NOFOLLOW` on a link says `ENOTDIR`, `O_NOFOLLOW` alone `ELOOP`; and `EMLINK` on some systems.
    fn link_behind(&self, error: Errno, component: Component) -> rustix::io::Result<Option<Vec<u8>>> {
        if !matches!(error, Errno::NOTDIR | Errno::LOOP | Errno::MLINK) {
            return Err(error);
        }
        let name = self.name(component);
        match rustix::fs::readlinkat(self.current(), name, Vec::new()) {
            Ok(text) => Ok(Some(text.into_bytes())),
            Err(Errno::INVAL) if error == Errno::NOTDIR => {
                let stat = rustix::fs::statat(self.current(), name, AtFlags::SYMLINK_NOFOLLOW)?;
                let kind = FileType::from_raw_mode(stat.st_mode);
                if kind.is_dir() || kind.is_symlink() { Ok(None) } else { Err(error) }
            }
            Err(Errno::INVAL) => Ok(None),
            Err(other) => Err(other),
        }
    }

    fn follow(&mut self, mut text: Vec<u8>, link: Component) -> rustix::io::Result<()> {
        if self.links == Links::Refuse || self.links_followed == MOST_LINKS || self.is_magic(&text) {
            return Err(Errno::LOOP);
        }
        self.links_followed += 1;
        if text.first() == Some(&b'/') {
            return Err(Errno::XDEV);
        }
        text.extend_from_slice(&self.path[link.end..]);
        (self.path, self.at) = (text, 0);
        Ok(())
    }

    /// Whether a link's text is only for show, as in `/proc/self/fd`: the kernel takes such a link right to its file.
    #[cfg(target_os = "linux")]
    fn is_magic(&self, text: &[u8]) -> bool {
        const PROC: u64 = 0x9fa0; // `f_type` of statfs(2)
        // Such as "/tmp/file", "pipe:[23]" and "mnt:[4026531840]". Plain links of this file system are relative.
        let may_be = text.first() == Some(&b'/') || text.windows(2).any(|pair| pair == b":[");
        #[allow(clippy::cast_sign_loss, clippy::cast_lossless, clippy::unnecessary_cast, reason = "differs by target")]
        let is_proc = || rustix::fs::fstatfs(self.current()).is_ok_and(|stat| stat.f_type as u64 == PROC);
        may_be && is_proc()
    }

    #[cfg(not(target_os = "linux"))]
    fn is_magic(&self, _text: &[u8]) -> bool {
        false
    }
}

/// `O_PATH | O_NOFOLLOW` opens the link itself.
#[cfg(target_os = "linux")]
fn is_open_link(found: &OwnedFd, flags: OFlags) -> rustix::io::Result<bool> {
    if !flags.contains(OFlags::PATH) || flags.contains(OFlags::DIRECTORY) {
        return Ok(false);
    }
    Ok(FileType::from_raw_mode(rustix::fs::fstat(found)?.st_mode).is_symlink())
}

#[cfg(not(target_os = "linux"))]
fn is_open_link(_found: &OwnedFd, _flags: OFlags) -> rustix::io::Result<bool> {
    Ok(false)
}
