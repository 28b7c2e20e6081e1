//! Manifest paths: relative, `/`-separated, in generalised UTF-8 (WTF-8).
//!
//! File names on POSIX are bytes. Python shows bytes that are no UTF-8 as lone surrogates (`\udc80`…`\udcff`, PEP 383), and the
//! reference writes these into manifests. So a manifest path is a sequence of code points that may hold lone surrogates;
//! here it is held as UTF-8 in which a surrogate is encoded like any other code point (Python's `surrogatepass`).

use std::cmp::Ordering;
use std::ffi::{OsStr, OsString};
use std::fmt;

use crate::error::{Error, PathProblem, Result};

/// Whose rules a path follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PathFormat {
    /// `/` separates; a drive letter and a backslash are ordinary characters.
    Posix,
    /// `\` and `/` separate; drive letters and UNC prefixes exist.
    Windows,
}

impl PathFormat {
    /// The format of the machine that this runs on.
    #[must_use]
    pub const fn host() -> Self {
        if cfg!(windows) { Self::Windows } else { Self::Posix }
    }
}

/// A borrowed manifest path: WTF-8 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ManifestPath<'a>(&'a [u8]);

impl<'a> ManifestPath<'a> {
    /// Takes bytes that are known to be WTF-8, as the manifest decoder and the Python boundary make them.
    #[must_use]
    pub(crate) const fn from_wtf8(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The WTF-8 bytes.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The path for messages: lone surrogates show as U+FFFD.
    #[must_use]
    pub fn display(self) -> String {
        String::from_utf8_lossy(self.0).into_owned()
    }

    /// The components, without empty ones and `.` (as `pathlib` drops them).
    #[must_use]
    pub fn components(self) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        self.0.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".")
    }

    /// Whether the path begins at the top of the host's file system instead of at a root.
    #[must_use]
    pub fn is_absolute(self) -> bool {
        self.0.first() == Some(&b'/')
    }

    /// Checks that the path stays below whatever root it is joined to, by its text alone.
    ///
    /// # Errors
    /// [`Error::PathOutsideRoot`] with the reason.
    pub(crate) fn check(self, format: PathFormat) -> Result<()> {
        self.problem(format).map_or(Ok(()), |problem| Err(Error::PathOutsideRoot { path: self.display(), problem }))
    }

    /// Why the path can't be used below a root, if it can't. Links are another matter: opens see to them.
    #[must_use]
    pub(crate) fn problem(self, format: PathFormat) -> Option<PathProblem> {
        let bytes = self.0;
        if bytes.contains(&0) {
            return Some(PathProblem::Nul);
        }
        if self.is_absolute() {
            return Some(PathProblem::Absolute);
        }
        if format == PathFormat::Windows
            && let Some(problem) = windows_problem(bytes)
        {
            return Some(problem);
        }
        if self.components().any(|part| part == b"..") {
            return Some(PathProblem::ParentComponent);
        }
        if self.components().next().is_none() {
            return Some(PathProblem::Empty);
        }
        if format == PathFormat::Posix && unescape_surrogates(bytes).is_none() {
            return Some(PathProblem::Surrogate);
        }
        None
    }

    /// The path as the host's file system takes it; `\udc80`…`\udcff` become the bytes that they stand for (PEP 383).
    ///
    /// # Errors
    /// [`Error::PathOutsideRoot`] where no file can have this name.
    pub fn to_os_string(self) -> Result<OsString> {
        os_string_from_wtf8(self.0)
            .ok_or_else(|| Error::PathOutsideRoot { path: self.display(), problem: PathProblem::Surrogate })
    }
}

impl fmt::Debug for ManifestPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.display())
    }
}

/// Names that Windows takes for devices or streams, and separators that it adds.
fn windows_problem(bytes: &[u8]) -> Option<PathProblem> {
    if bytes.get(1) == Some(&b':') && bytes[0].is_ascii_alphabetic() {
        return Some(PathProblem::Drive);
    }
    if bytes.contains(&b'\\') {
        return Some(PathProblem::Backslash);
    }
    if bytes.contains(&b':') {
        return Some(PathProblem::Device);
    }
    bytes.split(|byte| *byte == b'/').any(is_windows_device).then_some(PathProblem::Device)
}

/// Reserved device names, with any extension:
/// <https://learn.microsoft.com/windows/win32/fileio/naming-a-file#naming-conventions>.
fn is_windows_device(component: &[u8]) -> bool {
    let stem = component.split(|byte| *byte == b'.').next().unwrap_or_default();
    let stem = stem.trim_ascii_end().to_ascii_uppercase();
    match stem.as_slice() {
        b"CON" | b"PRN" | b"AUX" | b"NUL" => true,
        [b'C', b'O', b'M', digit] | [b'L', b'P', b'T', digit] => digit.is_ascii_digit(),
        _ => false,
    }
}

/// Compares two WTF-8 texts by their UTF-16 code units, the order of `paths` in a manifest: UTF-16BE bytes.
///
/// It differs from code point order where a character above U+FFFF meets one in U+E000…U+FFFF.
#[must_use]
pub(crate) fn compare_utf16(left: &[u8], right: &[u8]) -> Ordering {
    let at = common_length(left, right);
    if at == left.len().min(right.len()) {
        return left.len().cmp(&right.len());
    }
    // Lead bytes below 0xED begin characters below U+D000: there code unit order is byte order.
    if left[at].max(right[at]) < 0xED && is_boundary(left[at]) && is_boundary(right[at]) {
        return left[at].cmp(&right[at]);
    }
    let start = (0..=at).rev().find(|index| is_boundary(left[*index])).unwrap_or(0);
    utf16_units(&left[start..]).cmp(utf16_units(&right[start..]))
}

/// How many bytes two texts have in common at their beginning. Neighbours in a manifest have most: eight are compared at once.
fn common_length(left: &[u8], right: &[u8]) -> usize {
    let (left_words, right_words) = (left.as_chunks::<8>().0, right.as_chunks::<8>().0);
    let mut length = 0;
    for (a, b) in left_words.iter().zip(right_words) {
        let different = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if different != 0 {
            return length + (different.trailing_zeros() / 8) as usize;
        }
        length += 8;
    }
    length + left[length..].iter().zip(&right[length..]).take_while(|(a, b)| a == b).count()
}

const fn is_boundary(byte: u8) -> bool {
    byte & 0xC0 != 0x80
}

/// The UTF-16 code units of WTF-8 text.
pub(crate) fn utf16_units(bytes: &[u8]) -> impl Iterator<Item = u16> {
    code_points(bytes).flat_map(|point| {
        let (first, second) = split_units(point);
        std::iter::once(first).chain(second)
    })
}

/// One or two UTF-16 code units for a code point, lone surrogates included.
#[must_use]
#[allow(clippy::cast_possible_truncation, reason = "both arms fit 16 bits by the range checks")]
pub(crate) const fn split_units(point: u32) -> (u16, Option<u16>) {
    if point < 0x1_0000 {
        (point as u16, None)
    } else {
        let offset = point - 0x1_0000;
        (0xD800 + (offset >> 10) as u16, Some(0xDC00 + (offset & 0x3FF) as u16))
    }
}

/// The code points of WTF-8 text, lone surrogates included.
pub(crate) fn code_points(bytes: &[u8]) -> impl Iterator<Item = u32> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (point, length) = first_code_point(rest)?;
        rest = rest.get(length..).unwrap_or_default();
        Some(point)
    })
}

/// The first code point of WTF-8 text and its length in bytes.
#[must_use]
pub(crate) fn first_code_point(bytes: &[u8]) -> Option<(u32, usize)> {
    let first = *bytes.first()?;
    let tail = |index: usize| u32::from(bytes.get(index).copied().unwrap_or(0x80) & 0x3F);
    let lead = u32::from(first);
    Some(match first {
        0..=0x7F => (lead, 1),
        0x80..=0xDF => ((lead & 0x1F) << 6 | tail(1), 2),
        0xE0..=0xEF => ((lead & 0x0F) << 12 | tail(1) << 6 | tail(2), 3),
        _ => ((lead & 0x07) << 18 | tail(1) << 12 | tail(2) << 6 | tail(3), 4),
    })
}

/// Appends a code point, a lone surrogate too, as WTF-8.
pub(crate) fn push_code_point(out: &mut Vec<u8>, point: u32) {
    if let Some(character) = char::from_u32(point) {
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    } else {
        let byte = |bits: u32| u8::try_from(bits & 0xFF).unwrap_or_default();
        out.extend([byte(0xE0 | point >> 12), byte(0x80 | (point >> 6 & 0x3F)), byte(0x80 | (point & 0x3F))]);
    }
}

/// POSIX bytes for WTF-8 text: surrogates U+DC80…U+DCFF become single bytes, others have no byte form.
fn unescape_surrogates(bytes: &[u8]) -> Option<std::borrow::Cow<'_, [u8]>> {
    if std::str::from_utf8(bytes).is_ok() {
        return Some(bytes.into());
    }
    let mut out = Vec::with_capacity(bytes.len());
    for point in code_points(bytes) {
        match point {
            0xDC80..=0xDCFF => out.push(u8::try_from(point - 0xDC00).unwrap_or_default()),
            0xD800..=0xDFFF => return None,
            _ => push_code_point(&mut out, point),
        }
    }
    Some(out.into())
}

/// WTF-8 text for POSIX bytes: bytes that are no UTF-8 become U+DC80…U+DCFF, one each, as `os.fsdecode` makes them.
#[must_use]
pub(crate) fn escape_bytes(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.extend_from_slice(chunk.valid().as_bytes());
        for byte in chunk.invalid() {
            push_code_point(&mut out, 0xDC00 + u32::from(*byte));
        }
    }
    out
}

/// A host path for WTF-8 text. Where no file can have this name, lone surrogates show as U+FFFD.
#[must_use]
pub(crate) fn path_from_wtf8(bytes: &[u8]) -> std::path::PathBuf {
    os_string_from_wtf8(bytes).unwrap_or_else(|| String::from_utf8_lossy(bytes).into_owned().into()).into()
}

/// A host path for WTF-8 text, or `None` where no file can have this name.
#[must_use]
#[cfg(unix)]
pub(crate) fn os_string_from_wtf8(bytes: &[u8]) -> Option<OsString> {
    use std::os::unix::ffi::OsStringExt;
    unescape_surrogates(bytes).map(|bytes| OsString::from_vec(bytes.into_owned()))
}

/// WTF-8 text for a host path.
#[must_use]
#[cfg(unix)]
pub(crate) fn wtf8_from_os_str(path: &OsStr) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    escape_bytes(path.as_bytes())
}

/// A host path for WTF-8 text, or `None` where no file can have this name.
#[must_use]
#[cfg(windows)]
pub fn os_string_from_wtf8(bytes: &[u8]) -> Option<OsString> {
    use std::os::windows::ffi::OsStringExt;
    Some(OsString::from_wide(&utf16_units(bytes).collect::<Vec<_>>()))
}

/// WTF-8 text for a host path.
#[must_use]
#[cfg(windows)]
pub fn wtf8_from_os_str(path: &OsStr) -> Vec<u8> {
    use std::os::windows::ffi::OsStrExt;
    let mut out = Vec::new();
    for unit in char::decode_utf16(path.encode_wide()) {
        push_code_point(&mut out, unit.map_or_else(|error| u32::from(error.unpaired_surrogate()), u32::from));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(path: &str, format: PathFormat) -> Option<PathProblem> {
        ManifestPath::from_wtf8(path.as_bytes()).problem(format)
    }

    #[test]
    fn order_is_that_of_utf16_code_units() {
        let emoji = "\u{1F600}".as_bytes();
        let ligature = "\u{FB33}".as_bytes();
        assert_eq!(compare_utf16(emoji, ligature), Ordering::Less);
        assert_eq!(compare_utf16(ligature, emoji), Ordering::Greater);
        assert_eq!(compare_utf16(b"a", b"ab"), Ordering::Less);
        assert_eq!(compare_utf16(emoji, emoji), Ordering::Equal);
        let lone = escape_bytes(b"\xff");
        assert_eq!(compare_utf16(&lone, ligature), Ordering::Less);
        assert_eq!(compare_utf16(&lone, emoji), Ordering::Greater, "DCFF comes after the high surrogate D83D");
    }

    #[test]
    fn bytes_that_are_no_utf8_survive() {
        let name = b"caf\xe9/\xff\xfe.exr";
        let wtf8 = escape_bytes(name);
        assert_eq!(unescape_surrogates(&wtf8).unwrap().as_ref(), name);
        assert!(unescape_surrogates(b"\xed\xa0\x80").is_none(), "U+D800 stands for no byte");
    }

    #[test]
    fn hostile_paths_are_refused() {
        use PathFormat::{Posix, Windows};
        for path in ["../a", "a/../../b", "a/..", ".."] {
            assert_eq!(problem(path, Posix), Some(PathProblem::ParentComponent), "{path}");
        }
        for path in ["", ".", "./"] {
            assert_eq!(problem(path, Posix), Some(PathProblem::Empty), "{path:?}");
        }
        assert_eq!(problem("/etc/passwd", Posix), Some(PathProblem::Absolute));
        assert_eq!(problem("a\0b", Posix), Some(PathProblem::Nul));
        assert_eq!(problem("C:/x", Windows), Some(PathProblem::Drive));
        assert_eq!(problem("a\\..\\b", Windows), Some(PathProblem::Backslash));
        assert_eq!(problem("dir/nul.txt", Windows), Some(PathProblem::Device));
        assert_eq!(problem("file.txt:stream", Windows), Some(PathProblem::Device));
        for path in ["a/b.exr", "C:x", "a\\b", "..a/b..", "nul"] {
            assert_eq!(problem(path, Posix), None, "{path}");
        }
    }
}
