//! What has changed in a tree since a manifest was made of it, by sizes and times alone.

use std::collections::HashMap;

use crate::error::Result;
use crate::fs::tree::SeenFile;
use crate::manifest::{Content, FileTable, Manifest};
use crate::ops::survey::{CANCELLED, Survey};
use crate::transfer::context::Context;

/// How a file differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Difference {
    /// The manifest has no such file.
    New,
    /// Its size is another.
    Size,
    /// Its modification time is another.
    ModificationTime,
}

/// What differs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct TreeDiff {
    /// Files of the tree, by their index in the survey, with how they differ; in the survey's order.
    pub changed: Vec<(usize, Difference)>,
    /// Entries of the manifest that the tree doesn't have, by index; in the manifest's order.
    pub deleted: Vec<usize>,
}

/// Times may be off by this much: restoring a time through other units can cost a microsecond, as in the reference.
const TOLERANCE_MICROS: i64 = 1;

/// What is compared.
#[derive(Clone, Copy)]
pub(crate) struct DiffTreeRequest<'a> {
    /// The files as they are now.
    pub survey: &'a Survey,
    /// A manifest of the same root.
    pub manifest: &'a Manifest,
}

/// Compares a survey with a manifest of the same root. Linear in the number of files.
///
/// # Errors
/// [`crate::Error::Cancelled`].
pub(crate) fn diff_tree(request: &DiffTreeRequest<'_>, context: &Context) -> Result<TreeDiff> {
    context.check_cancelled(CANCELLED)?;
    let DiffTreeRequest { survey, manifest } = *request;
    let files = &manifest.files;
    let mut diff = TreeDiff::default();
    for (index, row) in rows(survey, manifest).into_iter().enumerate() {
        let difference = match row {
            None => Some(Difference::New),
            Some(row) if matches!(files.content(row), Content::Symlink(_)) => None,
            Some(row) => difference(&survey.seen[index], files, row),
        };
        diff.changed.extend(difference.map(|difference| (index, difference)));
    }
    let in_tree: std::collections::HashSet<&[u8]> = survey.files.iter().collect();
    diff.deleted = (0..files.len()).filter(|index| !in_tree.contains(files.path(*index).as_bytes())).collect();
    Ok(diff)
}

/// For each file of a survey the row of a manifest that has the same size and time, and contents; or `None`.
#[must_use]
pub(crate) fn unchanged_rows(survey: &Survey, manifest: &Manifest) -> Vec<Option<usize>> {
    let files = &manifest.files;
    let mut rows = rows(survey, manifest);
    for (row, seen) in rows.iter_mut().zip(&survey.seen) {
        let has_contents = |row: usize| matches!(files.content(row), Content::Hash(_) | Content::Chunks(_));
        *row = row.filter(|row| has_contents(*row) && difference(seen, files, *row).is_none());
    }
    rows
}

/// The manifest's row for each file of a survey; of duplicates the last.
fn rows(survey: &Survey, manifest: &Manifest) -> Vec<Option<usize>> {
    let files = &manifest.files;
    let entries: Vec<Vec<u8>> = (0..files.len()).map(|index| normalised(files.path(index).as_bytes())).collect();
    let by_path: HashMap<&[u8], usize> =
        entries.iter().enumerate().map(|(index, path)| (path.as_slice(), index)).collect();
    survey.files.iter().map(|path| by_path.get(path).copied()).collect()
}

fn difference(seen: &SeenFile, files: &FileTable, row: usize) -> Option<Difference> {
    if seen.stamp.size_bytes.cast_signed() != files.size_bytes(row) {
        return Some(Difference::Size);
    }
    // Beyond the year 2540 a double is off by more than the tolerance: the time as it is counts, too.
    let known = files.mtime_micros(row);
    let off = float_micros(seen.stamp.mtime_ns).abs_diff(known).min(seen.stamp.mtime_micros().abs_diff(known));
    (off > TOLERANCE_MICROS.unsigned_abs()).then_some(Difference::ModificationTime)
}

/// `trunc(st_mtime_ns / 1000)` as Python computes it, through a double.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "the loss is what is being reproduced")]
fn float_micros(mtime_ns: i128) -> i64 {
    (mtime_ns.div_euclid(1000) as f64 + mtime_ns.rem_euclid(1000) as f64 / 1000.0).trunc() as i64
}

/// `Path(os.path.normpath(path)).as_posix()`.
fn normalised(path: &[u8]) -> Vec<u8> {
    let is_plain = path.split(|byte| *byte == b'/').all(|part| !matches!(part, b"" | b"." | b".."));
    if is_plain {
        return path.to_vec();
    }
    let mut out: Vec<&[u8]> = Vec::new();
    let is_absolute = path.first() == Some(&b'/');
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if out.last().is_some_and(|last| *last != b"..") => {
                out.pop();
            }
            b".." if is_absolute => {}
            part => out.push(part),
        }
    }
    let joined = out.join(&b'/');
    match (is_absolute, joined.is_empty()) {
        (true, _) => [b"/".as_slice(), &joined].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => joined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn microseconds_go_through_a_double() {
        assert_eq!(float_micros(1_700_000_000_123_456_789), 1_700_000_000_123_456);
        // math.trunc(1700000000123456999 / 1000) with CPython.
        assert_eq!(float_micros(1_700_000_000_123_456_999), 1_700_000_000_123_457);
        assert_eq!(float_micros(0), 0);
    }

    #[test]
    fn manifest_paths_are_normalised_by_text() {
        for (path, expected) in [
            ("a/b", "a/b"),
            ("./a//b/", "a/b"),
            ("a/../b", "b"),
            ("../a", "../a"),
            ("", "."),
            ("/../a", "/a"),
            ("a/..", "."),
        ] {
            assert_eq!(normalised(path.as_bytes()), expected.as_bytes(), "{path}");
        }
    }
}
