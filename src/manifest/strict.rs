//! What a manifest must fulfil to be used without surprises; decoding alone accepts more, as the reference does.

use super::canonical::canonical_order;
use super::table::{Content, FileTable, Manifest};
use crate::error::{Error, ManifestProblem, Result};
use crate::path::{ManifestPath, PathFormat};

/// Refuses what the reference lets pass: duplicate paths, a path that is both a file and a directory, paths that would lead
/// out of a root (by the host's rules), negative sizes, and a `totalSize` that is not the sum of the sizes.
///
/// # Errors
/// [`Error::ManifestInvalid`] that names the first entry found wrong; [`Error::PathOutsideRoot`] for a hostile path.
pub(crate) fn check_strictly(manifest: &Manifest) -> Result<()> {
    let files = &manifest.files;
    for row in 0..files.len() {
        let path = files.path(row);
        path.check(PathFormat::host()).map_err(|error| Error::manifest(ManifestProblem::Entry, error.to_string()))?;
        if path.components().ne(path.as_bytes().split(|byte| *byte == b'/')) {
            return Err(Error::manifest(ManifestProblem::Entry, format!("path {} is not normalised", path.display())));
        }
        if files.size_bytes(row) < 0 {
            return Err(Error::manifest(
                ManifestProblem::Entry,
                format!("size of path {} is negative", path.display()),
            ));
        }
    }
    check_names(files)?;
    let total = files.sum_of_sizes();
    if i128::from(manifest.total_size_bytes) != total {
        let given = manifest.total_size_bytes;
        return Err(Error::manifest(
            ManifestProblem::Total,
            format!("totalSize is {given}, but the sizes add up to {total}"),
        ));
    }
    Ok(())
}

/// Finds paths that are there twice, or are a file and a directory at once.
fn check_names(files: &FileTable) -> Result<()> {
    let order = canonical_order(files);
    let row = |position: usize| order.as_ref().map_or(position, |order| order[position] as usize);
    // Whether a directory of `path` is a file: all paths below `d` follow `d` in any order by code units, but not at once:
    // `d-x` comes between `d` and `d/x`. So each directory of a path is looked up.
    let find = |name: &[u8]| {
        let (mut low, mut high) = (0, files.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match crate::path::compare_utf16(files.path(row(middle)).as_bytes(), name) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Some(row(middle)),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    };
    let mut previous: Option<ManifestPath<'_>> = None;
    for position in 0..files.len() {
        let path = files.path(row(position));
        if previous == Some(path) {
            return Err(Error::manifest(
                ManifestProblem::Entry,
                format!("path {} is there more than once", path.display()),
            ));
        }
        let bytes = path.as_bytes();
        let known = previous.map_or(0, |before| common_directory(before.as_bytes(), bytes));
        for end in (known..bytes.len()).filter(|end| bytes[*end] == b'/') {
            let Some(file) = find(&bytes[..end]) else { continue };
            if files.content(file) != Content::Deleted {
                let directory = ManifestPath::from_wtf8(&bytes[..end]).display();
                return Err(Error::manifest(
                    ManifestProblem::Entry,
                    format!("path {directory} is both a file and a directory"),
                ));
            }
        }
        previous = Some(path);
    }
    Ok(())
}

/// How long the directories are, with the last slash, that two paths have in common.
fn common_directory(left: &[u8], right: &[u8]) -> usize {
    let same = left.iter().zip(right).take_while(|(a, b)| a == b).count();
    left[..same].iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1)
}
