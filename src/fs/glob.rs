//! Finding files by patterns, with the meaning that Python's `glob.glob(…, recursive=True)` gives them.
//!
//! `*` and `?` match within one component, `[…]` and `[!…]` one character of a set, `**` as a component any number of
//! directories. There is no escape character (`[*]` stands for a star) and no `{a,b}`. Names that begin with a dot are
//! matched only by components that do, and never by `**`. Links to directories are followed. Only files are listed.
//!
//! Other than in Python, a directory that can't be read is an error; a link back to a directory above it is not followed
//! again (Python follows it until the system's limit of 40 links); and the root's own name is never taken for a pattern.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Component as PathComponent, Path, PathBuf};

use super::path_list::PathList;
use super::walk::{Choice, EntryKind, WalkRequest, look, walk};
use crate::error::{Error, Result};
use crate::glob::{Component, GlobPattern, PatternSet, has_parent, names_directories};
use crate::path::{os_string_from_wtf8, wtf8_from_os_str};

/// Which files to find.
pub(crate) struct GlobRequest<'a> {
    /// The directory, absolute and normalised.
    pub root: &'a Path,
    /// Files that match any of these patterns (WTF-8) …
    pub include: &'a [Vec<u8>],
    /// … and none of these.
    pub exclude: &'a [Vec<u8>],
    /// Whether to stop. Called from several threads.
    pub is_cancelled: &'a (dyn Fn() -> bool + Sync),
}

/// The files that were found.
#[derive(Debug, Default)]
pub(crate) struct Globbed {
    /// Files below the root, relative to it, sorted.
    pub files: PathList,
    /// Files elsewhere, which absolute patterns and `..` lead to: absolute, sorted.
    pub outside: PathList,
    /// Links back to a directory above them, which were not followed.
    pub loops: Vec<PathBuf>,
}

/// Finds files.
///
/// # Errors
/// [`Error::Io`] for a directory that can't be read.
pub(crate) fn glob(request: &GlobRequest<'_>) -> Result<Globbed> {
    let include = Patterns::new(request.include);
    let exclude = Patterns::new(request.exclude);
    let excluded_elsewhere = exclude.find_one_by_one(request.root)?;
    let choose = |path: &[u8], kind: EntryKind| {
        let is_file = kind == EntryKind::File;
        Choice {
            take: is_file && include.plain.matches(path) && !exclude.plain.matches(path),
            enter: kind == EntryKind::Directory && include.plain.may_match_below(path),
        }
    };
    let mut found = if include.plain.is_empty() {
        super::walk::Walked::default()
    } else {
        let walk_request =
            WalkRequest { root: request.root, follow_links: true, choose: &choose, is_cancelled: request.is_cancelled };
        walk(&walk_request)?
    };
    let mut outside = BTreeSet::new();
    for path in include.find_one_by_one(request.root)? {
        match path.strip_prefix(request.root) {
            Ok(below) => {
                let below = wtf8_from_os_str(below.as_os_str());
                if !exclude.plain.matches(&below) {
                    found.files.push(&below);
                }
            }
            Err(_) => drop(outside.insert(path)),
        }
    }
    let is_kept = |path: &Path| !excluded_elsewhere.contains(path);
    let mut files = found.files.sorted_unique();
    if !excluded_elsewhere.is_empty() {
        let kept = |path: &&[u8]| os_string_from_wtf8(path).is_none_or(|path| is_kept(&request.root.join(path)));
        files = files.iter().filter(kept).collect();
    }
    let outside = outside.iter().filter(|path| is_kept(path)).map(|path| wtf8_from_os_str(path.as_os_str())).collect();
    Ok(Globbed { files, outside, loops: found.loops })
}

/// Patterns, by how they are looked for.
struct Patterns {
    /// Those that one walk of the root answers.
    plain: PatternSet,
    /// Those without wildcards, with `..` or an absolute path: looked for one by one, as Python does.
    singly: Vec<Vec<u8>>,
}

impl Patterns {
    fn new(texts: &[Vec<u8>]) -> Self {
        let (mut plain, mut singly) = (Vec::new(), Vec::new());
        for text in texts {
            if names_directories(text) {
                continue;
            }
            let pattern = GlobPattern::new(text);
            let is_literal = pattern.components.iter().all(|component| matches!(component, Component::Literal(_)));
            if text.starts_with(b"/") || has_parent(text) || is_literal {
                singly.push(text.clone());
            } else {
                plain.push(pattern);
            }
        }
        Self { plain: PatternSet::new(plain), singly }
    }

    /// The files that these patterns find, as normalised absolute paths.
    fn find_one_by_one(&self, root: &Path) -> Result<BTreeSet<PathBuf>> {
        let mut found = BTreeSet::new();
        for text in &self.singly {
            let pattern = GlobPattern::new(text);
            let start = if text.starts_with(b"/") { Path::new("/") } else { root };
            let mut finder = Finder { found: &mut found, above: Vec::new() };
            finder.find(start, &pattern.components)?;
        }
        Ok(found)
    }
}

/// Looks for one pattern the way that Python does: component by component.
struct Finder<'a> {
    found: &'a mut BTreeSet<PathBuf>,
    /// The resolved directories in which a `**` stands, outermost first, to see a loop.
    above: Vec<PathBuf>,
}

impl Finder<'_> {
    fn find(&mut self, directory: &Path, rest: &[Component]) -> Result<()> {
        let Some((component, rest)) = rest.split_first() else {
            if look(directory)?.is_some_and(|found| found.is_file()) {
                self.found.insert(normalised(directory));
            }
            return Ok(());
        };
        match component {
            Component::Literal(name) => match os_string_from_wtf8(name) {
                Some(name) => self.find(&directory.join(name), rest),
                None => Ok(()),
            },
            Component::Recursive => self.find_recursively(directory, rest),
            Component::Wild(_) => {
                for name in names_in(directory)? {
                    if component.matches(&wtf8_from_os_str(&name)) {
                        self.find(&directory.join(name), rest)?;
                    }
                }
                Ok(())
            }
        }
    }

    fn find_recursively(&mut self, directory: &Path, rest: &[Component]) -> Result<()> {
        if look(directory)?.is_none() {
            return Ok(());
        }
        let Ok(resolved) = directory.canonicalize() else { return Ok(()) };
        if self.above.contains(&resolved) {
            return Ok(());
        }
        self.above.push(resolved);
        if !rest.is_empty() {
            self.find(directory, rest)?;
        }
        for name in names_in(directory)? {
            let path = directory.join(&name);
            if wtf8_from_os_str(&name).starts_with(b".") {
                continue;
            }
            if rest.is_empty() {
                self.find(&path, rest)?;
            }
            if look(&path)?.is_some_and(|found| found.is_dir()) {
                self.find_recursively(&path, rest)?;
            }
        }
        self.above.pop();
        Ok(())
    }
}

fn names_in(directory: &Path) -> Result<Vec<std::ffi::OsString>> {
    if !look(directory)?.is_some_and(|found| found.is_dir()) {
        return Ok(Vec::new());
    }
    let fail = |error| Error::io("read directory", directory, error);
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(fail)?,
    };
    entries.map(|entry| entry.map(|entry| entry.file_name()).map_err(fail)).collect()
}

/// `os.path.normpath` of an absolute path: `.` and `..` are resolved by text alone.
#[must_use]
pub(crate) fn normalised(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            PathComponent::ParentDir => {
                out.pop();
            }
            PathComponent::CurDir => {}
            PathComponent::RootDir => out.push("/"),
            other => out.push(AsRef::<OsStr>::as_ref(&other)),
        }
    }
    out
}
