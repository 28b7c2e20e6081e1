//! What differs between two manifests.

use super::distinct::DistinctPaths;
use super::table::{FileTable, Manifest};
use crate::path::ManifestPath;

/// How a file stands to a reference manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileStatus {
    /// In both with the same contents.
    Unchanged,
    /// Only in the compared manifest.
    New,
    /// In both with different contents.
    Modified,
    /// Only in the reference manifest.
    Deleted,
}

/// One file of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference {
    /// How it stands to the reference manifest.
    pub status: FileStatus,
    /// Its row in the compared manifest, or in the reference manifest if it is deleted.
    pub row: u32,
}

/// Compares by contents, as the reference's `compare_manifest` does: size and time don't count. For version 2025-12-04-beta
/// chunks, link targets, deletions and the execute bit count as contents do; directories are left out.
///
/// First come the files of `compared` in its order, unchanged ones too, then those that only `reference` has, in its order.
/// Of duplicate paths the last entry counts, in the place of the first. Whether a path of one is a directory in the other
/// makes no difference: it is new there and deleted here.
#[must_use]
pub fn compare(reference: &Manifest, compared: &Manifest) -> Vec<Difference> {
    let known = DistinctPaths::of(&[&reference.files]);
    let mut differences = Vec::with_capacity(compared.files.len());
    let present = DistinctPaths::of(&[&compared.files]);
    for place in present.places() {
        let row = place.row as usize;
        let status = match known.find(compared.files.path(row)) {
            None => FileStatus::New,
            Some(before) if same_contents(&reference.files, before.row as usize, &compared.files, row) => {
                FileStatus::Unchanged
            }
            Some(_) => FileStatus::Modified,
        };
        differences.push(Difference { status, row: place.row });
    }
    let gone = |row: u32| present.find(reference.files.path(row as usize)).is_none();
    differences.extend(
        known
            .places()
            .iter()
            .filter(|place| gone(place.row))
            .map(|place| Difference { status: FileStatus::Deleted, row: place.row }),
    );
    differences
}

/// Whether two entries have the same contents and execute bit.
pub(super) fn same_contents(left: &FileTable, left_row: usize, right: &FileTable, right_row: usize) -> bool {
    let same = match (left.plain_hash(left_row), right.plain_hash(right_row)) {
        (Some(left), Some(right)) => left == right,
        _ => left.content(left_row) == right.content(right_row),
    };
    same && left.is_runnable(left_row) == right.is_runnable(right_row)
}

/// The path of a difference.
#[must_use]
pub fn path_of<'a>(difference: Difference, reference: &'a Manifest, compared: &'a Manifest) -> ManifestPath<'a> {
    let side = if difference.status == FileStatus::Deleted { reference } else { compared };
    side.files.path(difference.row as usize)
}
