//! Paths as text, by the rules of either system, on any host: what Python's `PurePosixPath` and `PureWindowsPath` make of
//! them, which is what the reference matches and joins.
//!
//! Texts are WTF-8, see [`crate::path`].

use crate::path::PathFormat;

/// How the beginning of a Windows path is read. Python's `pathlib` changed its mind in 3.12.
///
/// The two differ for network paths without a share, for `\\?\` and `\\.\` paths and for drives that are no letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum WindowsPrefixes {
    /// As Python 3.12 and later: `\\server` is a prefix of its own, and anything before a colon is a drive.
    #[default]
    Current,
    /// As Python 3.11 and earlier: a network path needs its share, and a drive is a letter.
    Classic,
}

/// A path in parts: what roots it (a drive, a share, a slash; empty for a relative path), and the names below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PureParts<'a> {
    /// Drive and root as they are written, but with `\` for `/` on Windows: `/`, `//`, `C:`, `C:\`, `\\server\share\`.
    pub anchor: Vec<u8>,
    /// The names, without empty ones and `.`; `..` stays.
    pub names: Vec<&'a [u8]>,
}

impl<'a> PureParts<'a> {
    /// Takes a path apart.
    #[must_use]
    pub(crate) fn new(path: &'a [u8], format: PathFormat, prefixes: WindowsPrefixes) -> Self {
        let is_separator = |byte: &u8| *byte == b'/' || (format == PathFormat::Windows && *byte == b'\\');
        let (anchor, rest) = match (format, prefixes) {
            (PathFormat::Posix, _) => posix_anchor(path),
            (PathFormat::Windows, WindowsPrefixes::Current) => current_anchor(path),
            (PathFormat::Windows, WindowsPrefixes::Classic) => classic_anchor(path),
        };
        let names = rest.split(is_separator).filter(|name| !name.is_empty() && *name != b".").collect();
        Self { anchor, names }
    }

    /// All parts, the anchor first if there is one, as `PurePath.parts`.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let anchor = (!self.anchor.is_empty()).then_some(self.anchor.as_slice());
        anchor.into_iter().chain(self.names.iter().copied())
    }
}

/// The text of a path in parts; `.` for one without any, as `str(PurePath())`.
#[must_use]
pub(crate) fn join(anchor: &[u8], names: &[&[u8]], format: PathFormat) -> Vec<u8> {
    let separator: &[u8] = match format {
        PathFormat::Posix => b"/",
        PathFormat::Windows => b"\\",
    };
    let mut text = anchor.to_vec();
    text.extend(names.join(separator));
    if text.is_empty() {
        text.push(b'.');
    }
    text
}

/// One slash, or two: POSIX lets a path that begins with exactly two mean something else
/// (<https://pubs.opengroup.org/onlinepubs/9699919799/basedefs/V1_chap04.html#tag_04_13>).
fn posix_anchor(path: &[u8]) -> (Vec<u8>, &[u8]) {
    let slashes = path.iter().take_while(|byte| **byte == b'/').count();
    let anchor: &[u8] = match slashes {
        0 => b"",
        2 => b"//",
        _ => b"/",
    };
    (anchor.to_vec(), &path[slashes..])
}

const fn is_windows_separator(byte: u8) -> bool {
    matches!(byte, b'/' | b'\\')
}

/// Where the next separator stands at or after `from`.
fn find_separator(path: &[u8], from: usize) -> Option<usize> {
    let rest = path.get(from..)?;
    rest.iter().position(|byte| is_windows_separator(*byte)).map(|at| at + from)
}

/// A prefix with `\` for `/`, as `pathlib` writes it.
fn backslashes(prefix: &[u8]) -> Vec<u8> {
    prefix.iter().map(|byte| if *byte == b'/' { b'\\' } else { *byte }).collect()
}

/// `ntpath.splitroot`, and the root that `PureWindowsPath` gives to a bare share.
fn current_anchor(path: &[u8]) -> (Vec<u8>, &[u8]) {
    let starts = |at: usize| path.get(at).is_some_and(|byte| is_windows_separator(*byte));
    if starts(0) && starts(1) {
        let normal = backslashes(&path[..path.len().min(8)]);
        let start = if normal.eq_ignore_ascii_case(br"\\?\UNC\") { 8 } else { 2 };
        let end = find_separator(path, start).and_then(|server| find_separator(path, server + 1));
        if let Some(end) = end {
            return (backslashes(&path[..=end]), &path[end + 1..]);
        }
        let mut anchor = backslashes(path);
        if is_bare_share(&anchor) {
            anchor.push(b'\\');
        }
        return (anchor, b"");
    }
    if starts(0) {
        return (b"\\".to_vec(), &path[1..]);
    }
    let first = first_character_length(path);
    if path.get(first) == Some(&b':') {
        let end = if starts(first + 1) { first + 2 } else { first + 1 };
        return (backslashes(&path[..end]), &path[end..]);
    }
    (Vec::new(), path)
}

/// `\\server\share` and `\\?\UNC\server\share`, not `\\.\device` and not with a separator at the end.
fn is_bare_share(prefix: &[u8]) -> bool {
    if prefix.last() == Some(&b'\\') {
        return false;
    }
    let parts: Vec<&[u8]> = prefix.split(|byte| *byte == b'\\').collect();
    match parts.len() {
        // An empty third part is "in" Python's string '?.' too.
        4 => !matches!(parts[2], b"" | b"?" | b"." | b"?."),
        6 => true,
        _ => false,
    }
}

/// The length in bytes of the first character.
fn first_character_length(path: &[u8]) -> usize {
    crate::path::first_code_point(path).map_or(0, |(_, length)| length)
}

/// `pathlib`'s own reading until Python 3.11.
fn classic_anchor(path: &[u8]) -> (Vec<u8>, &[u8]) {
    let (prefix, rest, is_unc) = classic_extended(path);
    // For `\\?\UNC\server\…` the reading goes on as if at `\\server\…`, so the separator before it counts twice.
    let at = |index: usize| -> Option<u8> {
        let index = if is_unc { index.checked_sub(1) } else { Some(index) };
        index.map_or(Some(b'\\'), |index| rest.get(index).copied()).map(|byte| if byte == b'/' { b'\\' } else { byte })
    };
    let is_separator = |index: usize| at(index) == Some(b'\\');
    if is_separator(0) && is_separator(1) && !is_separator(2) {
        let from = if is_unc { 1 } else { 2 };
        if let Some(server) = find_separator(rest, from) {
            let next = find_separator(rest, server + 1);
            if next != Some(server + 1) {
                let share = next.unwrap_or(rest.len());
                let mut anchor = backslashes(&path[..prefix]);
                anchor.extend(backslashes(&rest[..share]));
                anchor.push(b'\\');
                return (anchor, rest.get(share + 1..).unwrap_or_default());
            }
        }
    }
    let mut anchor = backslashes(&path[..prefix]);
    let mut rest = rest;
    if !is_unc && rest.len() >= 2 && rest[0].is_ascii_alphabetic() && rest[1] == b':' {
        anchor.extend_from_slice(&rest[..2]);
        rest = &rest[2..];
    }
    if rest.first().is_some_and(|byte| is_windows_separator(*byte)) || is_unc {
        anchor.push(b'\\');
    }
    (anchor, rest)
}

/// How much of a path is the prefix `\\?\` or `\\?\UNC`, the rest, and whether it is the latter.
fn classic_extended(path: &[u8]) -> (usize, &[u8], bool) {
    let normal = backslashes(&path[..path.len().min(8)]);
    if normal == br"\\?\UNC\" {
        (7, &path[7..], true)
    } else if normal.starts_with(br"\\?\") {
        (4, &path[4..], false)
    } else {
        (0, path, false)
    }
}
