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

use super::glob_component::Component;
use super::path_list::PathList;
use super::walk::{Choice, EntryKind, WalkRequest, walk};
use crate::error::{Error, Result};
use crate::path::{os_string_from_wtf8, wtf8_from_os_str};

/// Which files to find.
pub struct GlobRequest<'a> {
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
pub struct Globbed {
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
pub fn glob(request: &GlobRequest<'_>) -> Result<Globbed> {
    let include = Patterns::new(request.include);
    let exclude = Patterns::new(request.exclude);
    let excluded_elsewhere = exclude.find_one_by_one(request.root)?;
    let choose = |path: &[u8], kind: EntryKind| {
        let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
        match kind {
            EntryKind::Directory => {
                Choice { take: false, enter: include.plain.iter().any(|it| it.may_match_below(&parts)) }
            }
            EntryKind::File => {
                let matches = |patterns: &Patterns| patterns.plain.iter().any(|it| it.matches(&parts));
                Choice { take: matches(&include) && !matches(&exclude), enter: false }
            }
            EntryKind::Symlink | EntryKind::Special => Choice { take: false, enter: false },
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
                let parts: Vec<&[u8]> = below.split(|byte| *byte == b'/').collect();
                if !exclude.plain.iter().any(|it| it.matches(&parts)) {
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

/// Patterns that stay below a root, for one walk of it.
pub struct Selection {
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
}

impl Selection {
    /// Reads patterns (WTF-8).
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a pattern that is absolute or has a `..`.
    pub fn new(include: &[Vec<u8>], exclude: &[Vec<u8>]) -> Result<Self> {
        let read = |texts: &[Vec<u8>]| -> Result<Vec<Pattern>> {
            let below = texts.iter().filter(|text| !names_directories(text));
            below
                .map(|text| {
                    if text.starts_with(b"/") || has_parent(text) {
                        let text = String::from_utf8_lossy(text);
                        return Err(Error::InvalidArgument(format!("The pattern '{text}' leads out of the root")));
                    }
                    Ok(Pattern::new(text))
                })
                .collect()
        };
        Ok(Self { include: read(include)?, exclude: read(exclude)? })
    }

    /// Whether the path with these components is selected.
    #[must_use]
    pub fn takes(&self, parts: &[&[u8]]) -> bool {
        self.include.iter().any(|it| it.matches(parts)) && !self.exclude.iter().any(|it| it.matches(parts))
    }

    /// Whether something below the directory with these components may be selected.
    #[must_use]
    pub fn may_take_below(&self, parts: &[&[u8]]) -> bool {
        self.include.iter().any(|it| it.may_match_below(parts))
    }
}

/// Whether a pattern can only find directories, and those are not listed.
fn names_directories(text: &[u8]) -> bool {
    text.is_empty() || matches!(text.rsplit(|byte| *byte == b'/').next(), Some(b"" | b"." | b".."))
}

fn has_parent(text: &[u8]) -> bool {
    text.split(|byte| *byte == b'/').any(|part| part == b"..")
}

/// Patterns, by how they are looked for.
struct Patterns {
    /// Those that one walk of the root answers.
    plain: Vec<Pattern>,
    /// Those without wildcards, with `..` or an absolute path: looked for one by one, as Python does.
    odd: Vec<Vec<u8>>,
}

impl Patterns {
    fn new(texts: &[Vec<u8>]) -> Self {
        let mut patterns = Self { plain: Vec::new(), odd: Vec::new() };
        for text in texts {
            if names_directories(text) {
                continue;
            }
            let pattern = Pattern::new(text);
            let is_literal = pattern.components.iter().all(|component| matches!(component, Component::Literal(_)));
            if text.starts_with(b"/") || has_parent(text) || is_literal {
                patterns.odd.push(text.clone());
            } else {
                patterns.plain.push(pattern);
            }
        }
        patterns
    }

    /// The files that the odd patterns find, as normalised absolute paths.
    fn find_one_by_one(&self, root: &Path) -> Result<BTreeSet<PathBuf>> {
        let mut found = BTreeSet::new();
        for text in &self.odd {
            let pattern = Pattern::new(text);
            let start = if text.starts_with(b"/") { Path::new("/") } else { root };
            let mut finder = Finder { found: &mut found, above: Vec::new() };
            finder.find(start, &pattern.components)?;
        }
        Ok(found)
    }
}

/// A pattern relative to some directory.
struct Pattern {
    components: Vec<Component>,
}

impl Pattern {
    /// Empty components and `.` mean nothing and are dropped.
    fn new(text: &[u8]) -> Self {
        let parts = text.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
        Self { components: parts.map(Component::new).collect() }
    }

    /// Whether the file with these components matches.
    fn matches(&self, parts: &[&[u8]]) -> bool {
        self.states_after(parts)[self.components.len()]
    }

    /// Whether something below the directory with these components may match.
    fn may_match_below(&self, parts: &[&[u8]]) -> bool {
        let states = self.states_after(parts);
        states[..self.components.len()].contains(&true)
    }

    /// At which components of the pattern one may stand after the path's; the last state is past them all.
    fn states_after(&self, parts: &[&[u8]]) -> Vec<bool> {
        let length = self.components.len();
        let mut states = vec![false; length + 1];
        states[0] = true;
        for part in parts {
            let mut next = vec![false; length + 1];
            for at in 0..length {
                // `**` may stand for no directory, but where it ends a pattern it stands for at least one name.
                if states[at] && self.components[at].is_recursive() && at + 1 < length {
                    states[at + 1] = true;
                }
                if !states[at] || !self.components[at].matches(part) {
                    continue;
                }
                if self.components[at].is_recursive() {
                    next[at] = true;
                    next[length] |= at + 1 == length;
                } else {
                    next[at + 1] = true;
                }
            }
            states = next;
        }
        states
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
            if directory.is_file() {
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
            if path.is_dir() {
                self.find_recursively(&path, rest)?;
            }
        }
        self.above.pop();
        Ok(())
    }
}

fn names_in(directory: &Path) -> Result<Vec<std::ffi::OsString>> {
    if !directory.is_dir() {
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
pub fn normalised(path: &Path) -> PathBuf {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        Pattern::new(pattern.as_bytes()).matches(&path.as_bytes().split(|byte| *byte == b'/').collect::<Vec<_>>())
    }

    #[test]
    fn components_match_as_pythons_glob_has_them() {
        let yes = [
            ("**/*", "a"),
            ("**/*", "a/b/c"),
            ("**", "a/b"),
            ("a/**", "a/b/c"),
            ("a/**/c", "a/c"),
            ("a/**/c", "a/x/y/c"),
            ("**/**", "a"),
            ("*/.hidden", "a/.hidden"),
            ("./a//*.exr", "a/b.exr"),
            ("a**", "abc"),
        ];
        for (pattern, path) in yes {
            assert!(matches(pattern, path), "{pattern} should match {path}");
        }
        let no = [
            ("*", "a/b"),
            ("**/*", ".hidden"),
            ("**/*", ".folder/a"),
            ("**/.hidden/*", ".folder/.hidden/a"),
            ("*/**", "a"),
            ("a/**", "a"),
            ("a**", "a/b"),
            ("{a,b}", "a"),
        ];
        for (pattern, path) in no {
            assert!(!matches(pattern, path), "{pattern} should not match {path}");
        }
    }

    #[test]
    fn folders_that_no_pattern_needs_are_not_entered() {
        let pattern = Pattern::new(b"renders/*/beauty/*.exr");
        let enters =
            |path: &str| pattern.may_match_below(&path.as_bytes().split(|byte| *byte == b'/').collect::<Vec<_>>());
        assert!(enters("renders") && enters("renders/v1") && enters("renders/v1/beauty"));
        assert!(!enters("scenes") && !enters("renders/v1/depth") && !enters("renders/v1/beauty/sub"));
    }
}
