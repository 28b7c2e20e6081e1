//! Manifests of version 2025-12-04-beta: also directories, symbolic links, execute bits, chunks and deletions.
//!
//! No published implementation round-trips this format in full; the rules are those of `docs/compatibility.md`. In short:
//! names are written `$N/rest` where their directory is entry N of `dirs`; so a name that really begins with `$digits/` is
//! written only together with its directories, and is then never ambiguous.

pub(super) mod decode;
pub(super) mod encode;
mod entry;

use crate::path::ManifestPath;

/// The longest path that a name may expand to: what Windows allows in UTF-16 units, and far beyond Linux' 4096 bytes.
pub(crate) const LONGEST_PATH_BYTES: usize = 32_767;

/// How often a directory's path may be repeated by names that refer to it, measured by the document's length: a short
/// document must not unfold to terabytes. Real trees stay below 5.
const LARGEST_EXPANSION: usize = 64;

/// Why a path can't be a name in a manifest of this version, if it can't.
#[must_use]
pub(crate) fn name_problem(path: &[u8]) -> Option<&'static str> {
    if path.is_empty() {
        return Some("is empty");
    }
    if path.contains(&0) {
        return Some("holds a NUL character");
    }
    if path[0] == b'/' {
        return Some("is absolute");
    }
    if path.len() > LONGEST_PATH_BYTES {
        return Some("is longer than 32767 bytes");
    }
    path.split(|byte| *byte == b'/').find_map(|component| match component {
        b"" => Some("has an empty component"),
        b"." => Some("has a '.' component"),
        b".." => Some("has a '..' component"),
        _ => None,
    })
}

/// Why a path can't be a link's target, if it can't: targets are relative to the root, and read on any system.
#[must_use]
pub(crate) fn target_problem(path: &[u8]) -> Option<&'static str> {
    if path.starts_with(b"\\\\") {
        return Some("is a UNC path");
    }
    if path.get(1) == Some(&b':') && path[0].is_ascii_alphabetic() {
        return Some("names a drive");
    }
    name_problem(path)
}

/// The directory of a path and the rest, or `None` for a path without a slash.
pub(super) fn split_parent(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let slash = path.iter().rposition(|byte| *byte == b'/')?;
    Some((&path[..slash], &path[slash + 1..]))
}

/// The number and the rest of `$N/rest`.
pub(super) fn split_reference(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let after = name.strip_prefix(b"$")?;
    let slash = after.iter().position(|byte| *byte == b'/')?;
    let (digits, rest) = (&after[..slash], &after[slash + 1..]);
    (!digits.is_empty() && digits.iter().all(u8::is_ascii_digit)).then_some((digits, rest))
}

/// A path for messages.
pub(super) fn show(path: &[u8]) -> String {
    ManifestPath::from_wtf8(path).display()
}
