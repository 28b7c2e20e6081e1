//! What differs between two manifests.

use std::cmp::Ordering;

use super::distinct::DistinctPaths;
use super::table::{FileTable, Manifest};
use crate::path::compare_utf16;

/// How many paths are compared at once.
const BATCH: u32 = 64;

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
pub(crate) struct Difference {
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
pub(crate) fn compare(reference: &Manifest, compared: &Manifest) -> Vec<Difference> {
    let (before, now) = (&reference.files, &compared.files);
    if is_strictly_ascending(before) && is_strictly_ascending(now) {
        return compare_ascending(before, now);
    }
    let known = DistinctPaths::of(&[before]);
    let mut present = vec![false; known.places().len()];
    let mut differences = Vec::with_capacity(now.len());
    for place in DistinctPaths::of(&[now]).places() {
        let position = known.position(now.path(place.row as usize));
        let status = match position {
            None => FileStatus::New,
            Some(position) => {
                present[position] = true;
                status_of(before, known.places()[position].row, now, place.row)
            }
        };
        differences.push(Difference { status, row: place.row });
    }
    let gone = known.places().iter().zip(&present).filter(|(_, present)| !**present);
    differences.extend(gone.map(|(place, _)| Difference { status: FileStatus::Deleted, row: place.row }));
    differences
}

/// Both in canonical order without duplicates, as nearly all manifests are: one walk along both.
fn compare_ascending(before: &FileTable, now: &FileTable) -> Vec<Difference> {
    let mut differences = Vec::with_capacity(now.len());
    let mut gone = Vec::new();
    let (mut old, mut new) = (0, 0);
    let ends = (narrow(before.len()), narrow(now.len()));
    // Mostly both have the same paths, and many are compared at once; where they don't, one by one for a while.
    let mut one_by_one = 0;
    while old < ends.0 || new < ends.1 {
        if one_by_one == 0 && BATCH <= (ends.0 - old).min(ends.1 - new) {
            let rows = old as usize..(old + BATCH) as usize;
            if before.has_paths_of(rows, now, new as usize) {
                let batch = (old..old + BATCH).zip(new..new + BATCH);
                differences
                    .extend(batch.map(|(old, new)| Difference { status: status_of(before, old, now, new), row: new }));
                (old, new) = (old + BATCH, new + BATCH);
                continue;
            }
            one_by_one = BATCH;
        }
        one_by_one = one_by_one.saturating_sub(1);
        let order = if old == ends.0 {
            Ordering::Greater
        } else if new == ends.1 {
            Ordering::Less
        } else {
            compare_utf16(before.path(old as usize).as_bytes(), now.path(new as usize).as_bytes())
        };
        match order {
            Ordering::Less => gone.push(Difference { status: FileStatus::Deleted, row: old }),
            Ordering::Greater => differences.push(Difference { status: FileStatus::New, row: new }),
            Ordering::Equal => {
                differences.push(Difference { status: status_of(before, old, now, new), row: new });
            }
        }
        old += u32::from(order != Ordering::Greater);
        new += u32::from(order != Ordering::Less);
    }
    differences.extend(gone);
    differences
}

fn is_strictly_ascending(files: &FileTable) -> bool {
    (1..files.len())
        .all(|row| compare_utf16(files.path(row - 1).as_bytes(), files.path(row).as_bytes()) == Ordering::Less)
}

fn status_of(before: &FileTable, old: u32, now: &FileTable, new: u32) -> FileStatus {
    if same_contents(before, old as usize, now, new as usize) { FileStatus::Unchanged } else { FileStatus::Modified }
}

fn narrow(rows: usize) -> u32 {
    u32::try_from(rows).unwrap_or(u32::MAX)
}

/// Whether two entries have the same contents and execute bit.
pub(super) fn same_contents(left: &FileTable, left_row: usize, right: &FileTable, right_row: usize) -> bool {
    let same = match (left.plain_hash(left_row), right.plain_hash(right_row)) {
        (Some(left), Some(right)) => left == right,
        _ => left.content(left_row) == right.content(right_row),
    };
    same && left.is_runnable(left_row) == right.is_runnable(right_row)
}
