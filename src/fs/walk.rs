//! Walking a tree on several threads.
//!
//! The `ignore` crate does the walking, with all its filters off: dot files are listed, and no `.gitignore` is obeyed. What is
//! passed over is the caller's choice.

use std::fs::Metadata;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use ignore::{DirEntry, ParallelVisitor, ParallelVisitorBuilder, WalkBuilder, WalkState};
use parking_lot::Mutex;

use super::path_list::PathList;
use crate::error::{Error, Result};
use crate::path::wtf8_from_os_str;
use crate::threads;

/// What an entry of a tree is; a link that is followed is what it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, where links are not followed.
    Symlink,
    /// A FIFO, a socket or a device.
    Special,
}

/// What to do with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Choice {
    /// List it.
    pub take: bool,
    /// Walk what is below it, if it is a directory.
    pub enter: bool,
}

/// What to walk.
pub(crate) struct WalkRequest<'a> {
    /// The directory.
    pub root: &'a Path,
    /// Whether links to directories are walked, and links to files are files.
    pub follow_links: bool,
    /// Decides about an entry by its path below the root (WTF-8). Called from several threads.
    pub choose: &'a (dyn Fn(&[u8], EntryKind) -> Choice + Sync),
    /// Whether to stop. Called from several threads.
    pub is_cancelled: &'a (dyn Fn() -> bool + Sync),
}

/// What was found, in no order.
#[derive(Debug, Default)]
pub(crate) struct Walked {
    /// Files that were taken.
    pub files: PathList,
    /// Directories that were taken.
    pub directories: PathList,
    /// Links that were taken.
    pub symlinks: PathList,
    /// Links that lead back to a directory above them, which are not walked again; as full paths.
    pub loops: Vec<PathBuf>,
}

/// Walks a tree. A root that is no directory has no entries.
///
/// # Errors
/// [`Error::Io`] for a directory that can't be read, the root or one above it included.
pub(crate) fn walk(request: &WalkRequest<'_>) -> Result<Walked> {
    if !look(request.root)?.is_some_and(|found| found.is_dir()) {
        return Ok(Walked::default());
    }
    let mut builder = WalkBuilder::new(request.root);
    builder.standard_filters(false).hidden(false).follow_links(request.follow_links);
    let shared = Shared { request, outcome: Mutex::default() };
    // The parallel walker panics where the system makes no thread for it.
    match threads::most_at_once(std::thread::available_parallelism().map_or(1, std::num::NonZero::get)) {
        0 => walk_alone(&builder, &shared),
        threads => builder.threads(threads).build_parallel().visit(&mut &shared),
    }
    let (found, error) = shared.outcome.into_inner();
    error.map_or(Ok(found), Err)
}

/// Walks on the caller's thread. Also walks what is below directories that are not entered, and passes it over.
fn walk_alone(builder: &WalkBuilder, shared: &Shared<'_>) {
    let mut visitor = Visitor { shared, walked: Walked::default(), error: None };
    let mut passed_over: Option<PathBuf> = None;
    for entry in builder.build() {
        let path = entry.as_ref().map_or_else(path_of, |entry| Some(entry.path())).map(Path::to_path_buf);
        if let (Some(path), Some(folder)) = (&path, &passed_over)
            && path.starts_with(folder)
        {
            continue;
        }
        match visitor.visit(entry) {
            WalkState::Quit => break,
            WalkState::Skip => passed_over = path,
            WalkState::Continue => {}
        }
    }
}

/// What is at a path, links followed; `None` where nothing can be.
///
/// # Errors
/// [`Error::Io`] where the system won't say: to take that for nothing would leave a gap.
pub(super) fn look(path: &Path) -> Result<Option<Metadata>> {
    match std::fs::metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) => match error.kind() {
            // A name with a NUL.
            ErrorKind::InvalidInput => Ok(None),
            _ if leads_nowhere(&error) => Ok(None),
            _ => Err(Error::io("look at", path, error)),
        },
    }
}

struct Shared<'a> {
    request: &'a WalkRequest<'a>,
    outcome: Mutex<(Walked, Option<Error>)>,
}

impl<'s> ParallelVisitorBuilder<'s> for &'s Shared<'_> {
    fn build(&mut self) -> Box<dyn ParallelVisitor + 's> {
        Box::new(Visitor { shared: self, walked: Walked::default(), error: None })
    }
}

/// One thread's part of the walk; what it found is added to the whole when it ends.
struct Visitor<'s> {
    shared: &'s Shared<'s>,
    walked: Walked,
    error: Option<Error>,
}

impl ParallelVisitor for Visitor<'_> {
    fn visit(&mut self, entry: Result<DirEntry, ignore::Error>) -> WalkState {
        if (self.shared.request.is_cancelled)() {
            return WalkState::Quit;
        }
        match entry {
            Ok(entry) => self.visit_entry(&entry),
            Err(error) => self.visit_error(&error),
        }
    }
}

impl Visitor<'_> {
    fn visit_entry(&mut self, entry: &DirEntry) -> WalkState {
        let Ok(below) = entry.path().strip_prefix(self.shared.request.root) else { return WalkState::Continue };
        if below.as_os_str().is_empty() {
            return WalkState::Continue;
        }
        let kind = entry.file_type().map_or(EntryKind::Special, |kind| {
            if kind.is_file() {
                EntryKind::File
            } else if kind.is_dir() {
                EntryKind::Directory
            } else if kind.is_symlink() {
                EntryKind::Symlink
            } else {
                EntryKind::Special
            }
        });
        let path = wtf8_from_os_str(below.as_os_str());
        let choice = (self.shared.request.choose)(&path, kind);
        if choice.take {
            match kind {
                EntryKind::File => self.walked.files.push(&path),
                EntryKind::Directory => self.walked.directories.push(&path),
                EntryKind::Symlink => self.walked.symlinks.push(&path),
                EntryKind::Special => {}
            }
        }
        if choice.enter { WalkState::Continue } else { WalkState::Skip }
    }

    fn visit_error(&mut self, error: &ignore::Error) -> WalkState {
        let path = path_of(error).unwrap_or(self.shared.request.root);
        if let Some(link) = looping_link(error) {
            self.walked.loops.push(link.to_path_buf());
            return WalkState::Continue;
        }
        let Some(reason) = io_error(error) else { return WalkState::Continue };
        // A link that leads nowhere, or where we may not look, is no file; what vanished meanwhile is not there. Anything else
        // would leave a gap.
        let is_directory = || std::fs::metadata(path).is_ok_and(|metadata| metadata.is_dir());
        let is_no_file = leads_nowhere(reason) || reason.kind() == ErrorKind::PermissionDenied;
        if is_no_file && !is_directory() {
            return WalkState::Continue;
        }
        let copy = reason.raw_os_error().map_or_else(|| reason.kind().into(), std::io::Error::from_raw_os_error);
        self.error.get_or_insert(Error::io("read directory", path, copy));
        WalkState::Quit
    }
}

impl Drop for Visitor<'_> {
    fn drop(&mut self) {
        let mut outcome = self.shared.outcome.lock();
        let (all, first_error) = &mut *outcome;
        for (all, own) in [
            (&mut all.files, &self.walked.files),
            (&mut all.directories, &self.walked.directories),
            (&mut all.symlinks, &self.walked.symlinks),
        ] {
            all.extend(own);
        }
        all.loops.append(&mut self.walked.loops);
        if let Some(error) = self.error.take() {
            first_error.get_or_insert(error);
        }
    }
}

/// Whether nothing can be at a path, as the system says when it is asked to follow the links on it.
pub(super) fn leads_nowhere(reason: &std::io::Error) -> bool {
    // An invalid file name is one that is longer than names can be, also in the text of a link.
    matches!(reason.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename)
        || reason.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

fn path_of(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } => path_of(err),
        _ => None,
    }
}

fn looping_link(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::Loop { child, .. } => Some(child),
        ignore::Error::WithPath { err, .. } | ignore::Error::WithDepth { err, .. } => looping_link(err),
        _ => None,
    }
}

fn io_error(error: &ignore::Error) -> Option<&std::io::Error> {
    error.io_error()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_alone_finds_what_a_parallel_one_finds() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["a/b/c/file", "a/skipped/d/file", "a/skipped.txt", "a/z", "top", "skipped/file"] {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "contents").unwrap();
        }
        let choose = |path: &[u8], _| Choice { take: true, enter: !path.ends_with(b"skipped") };
        let request = WalkRequest { root: folder.path(), follow_links: true, choose: &choose, is_cancelled: &|| false };
        let sorted = |paths: &PathList| {
            let mut paths: Vec<Vec<u8>> = paths.iter().map(<[u8]>::to_vec).collect();
            paths.sort();
            paths
        };
        let parallel = walk(&request).unwrap();
        let shared = Shared { request: &request, outcome: Mutex::default() };
        let mut builder = WalkBuilder::new(request.root);
        walk_alone(builder.standard_filters(false).hidden(false).follow_links(true), &shared);
        let (alone, error) = shared.outcome.into_inner();
        assert!(error.is_none());
        assert_eq!(sorted(&alone.files), sorted(&parallel.files));
        assert_eq!(sorted(&alone.directories), sorted(&parallel.directories));
        assert_eq!(sorted(&alone.files), [&b"a/b/c/file"[..], b"a/skipped.txt", b"a/z", b"top"]);
    }
}
