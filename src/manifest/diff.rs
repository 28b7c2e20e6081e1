//! Diff manifests: what changed between two snapshots, and applying that to a snapshot.

use std::collections::{BTreeMap, HashSet};

use super::compare::same_contents;
use super::distinct::DistinctPaths;
use super::encode::encode;
use super::merge::total_of;
use super::table::{Content, Directory, FileTable, Manifest, ManifestVersion};
use super::v2025;
use crate::error::{Error, ManifestProblem, Result};
use crate::hash::hash_bytes;
use crate::path::ManifestPath;

/// The diff manifest that leads from `parent` to `current`: changed and new entries in full, gone ones as deletions. It
/// carries the hash of `parent`'s canonical text.
///
/// A file counts as changed if its contents, size, time or execute bit differ. Of duplicate paths the last entry counts. A
/// directory that became a file (or the other way) is deleted and added. `totalSize` is that of the entries in the diff.
///
/// # Errors
/// [`Error::NotSupported`] unless both are snapshots of version 2025-12-04-beta with one hash algorithm;
/// [`Error::ManifestInvalid`] where `parent` can't be encoded.
pub(crate) fn compute_diff(parent: &Manifest, current: &Manifest) -> Result<Manifest> {
    check_snapshot(parent)?;
    check_snapshot(current)?;
    check_algorithms(parent, current)?;
    let parent_hash = hash_bytes(encode(parent)?.as_bytes());
    let before = DistinctPaths::of(&[&parent.files]);
    let now = DistinctPaths::of(&[&current.files]);
    let mut files = FileTable::default();
    for place in now.places() {
        let row = place.row as usize;
        let known = before.find(current.files.path(row));
        if known.is_none_or(|known| !same_entry(&parent.files, known.row as usize, &current.files, row)) {
            files.push_from(&current.files, row);
        }
    }
    for place in before.places() {
        let path = parent.files.path(place.row as usize);
        if now.find(path).is_none() {
            files.push(path, Content::Deleted, 0, 0);
        }
    }
    Ok(Manifest {
        version: ManifestVersion::V2025_12_04,
        hash_algorithm: current.hash_algorithm,
        total_size_bytes: total_of(&files)?,
        files,
        directories: changed_directories(parent, current),
        parent_manifest_hash: Some(parent_hash.text().into_owned()),
    })
}

fn changed_directories(parent: &Manifest, current: &Manifest) -> Vec<Directory> {
    let before: HashSet<&[u8]> = parent.directories.iter().map(|directory| directory.path.as_ref()).collect();
    let now: HashSet<&[u8]> = current.directories.iter().map(|directory| directory.path.as_ref()).collect();
    let mut changed: Vec<_> = now.difference(&before).map(|path| (*path, false)).collect();
    changed.extend(before.difference(&now).map(|path| (*path, true)));
    changed.sort_unstable();
    changed.into_iter().map(|(path, deleted)| Directory { path: path.into(), deleted }).collect()
}

fn same_entry(left: &FileTable, left_row: usize, right: &FileTable, right_row: usize) -> bool {
    same_contents(left, left_row, right, right_row)
        && left.size_bytes(left_row) == right.size_bytes(right_row)
        && left.mtime_micros(left_row) == right.mtime_micros(right_row)
}

/// Applies diffs in order. Each must carry the hash of what it is applied to: the snapshot, or the result before it.
///
/// Changed files keep their place and new ones come last; of duplicates the last counts. A file that is put where a
/// directory is, or below a file, is refused unless the diff deletes that. Files below a deleted directory are not deleted
/// with it: a diff names each of them. Deleting what is not there changes nothing.
///
/// # Errors
/// [`Error::NotSupported`] unless the first is a snapshot, the rest are diffs, and all have one hash algorithm;
/// [`Error::ManifestInvalid`] for a diff against something else, and for clashes of files with directories.
pub(crate) fn apply_diffs(snapshot: &Manifest, diffs: &[&Manifest]) -> Result<Manifest> {
    check_snapshot(snapshot)?;
    let mut result = snapshot.clone();
    for diff in diffs {
        check_algorithms(&result, diff)?;
        let Some(parent) = &diff.parent_manifest_hash else {
            return Err(Error::NotSupported("a manifest without parentManifestHash is no diff".to_owned()));
        };
        let found = hash_bytes(encode(&result)?.as_bytes());
        if *parent != *found.text() {
            return Err(Error::manifest(
                ManifestProblem::Diff,
                format!("the diff is against manifest {parent}, not against {found}, which it was applied to"),
            ));
        }
        result = apply_unchecked(&result, diff)?;
    }
    Ok(result)
}

fn apply_unchecked(snapshot: &Manifest, diff: &Manifest) -> Result<Manifest> {
    let tables = [&snapshot.files, &diff.files];
    let distinct = DistinctPaths::of(&tables);
    let mut files = FileTable::with_capacity(distinct.places().len());
    for place in distinct.places() {
        let (table, row) = (tables[place.table as usize], place.row as usize);
        if table.content(row) != Content::Deleted {
            files.push_from(table, row);
        }
    }
    let mut directories: BTreeMap<&[u8], bool> = BTreeMap::new();
    for directory in snapshot.directories.iter().chain(&diff.directories) {
        directories.insert(&directory.path, directory.deleted);
    }
    let directories: Vec<Directory> = directories
        .into_iter()
        .filter(|(_, deleted)| !deleted)
        .map(|(path, deleted)| Directory { path: path.into(), deleted })
        .collect();
    check_clashes(&directories, &files)?;
    Ok(Manifest {
        version: snapshot.version,
        hash_algorithm: snapshot.hash_algorithm,
        total_size_bytes: total_of(&files)?,
        files,
        directories,
        parent_manifest_hash: None,
    })
}

/// Refuses directories that are files, and files that have a file for a directory.
fn check_clashes(directories: &[Directory], files: &FileTable) -> Result<()> {
    let distinct = DistinctPaths::of(&[files]);
    let is_file = |path: &[u8]| distinct.find(ManifestPath::from_wtf8(path)).is_some();
    let clash = directories
        .iter()
        .map(|directory| directory.path.as_ref())
        .find(|path| is_file(path))
        .or_else(|| (0..files.len()).find_map(|row| parent_file(files.path(row).as_bytes(), &is_file)));
    match clash {
        Some(path) => Err(Error::manifest(
            ManifestProblem::Entry,
            format!("{:?} would be a file and a directory", v2025::show(path)),
        )),
        None => Ok(()),
    }
}

fn parent_file<'a>(path: &'a [u8], is_file: &impl Fn(&[u8]) -> bool) -> Option<&'a [u8]> {
    (0..path.len()).filter(|end| path[*end] == b'/').map(|end| &path[..end]).find(|parent| is_file(parent))
}

fn check_snapshot(manifest: &Manifest) -> Result<()> {
    if manifest.version != ManifestVersion::V2025_12_04 || manifest.parent_manifest_hash.is_some() {
        return Err(Error::NotSupported("diffs are between snapshots of manifest version 2025-12-04-beta".to_owned()));
    }
    Ok(())
}

fn check_algorithms(left: &Manifest, right: &Manifest) -> Result<()> {
    if left.hash_algorithm != right.hash_algorithm {
        return Err(Error::NotSupported(format!(
            "manifests with different hash algorithms have no diff: {} and {}",
            left.hash_algorithm, right.hash_algorithm
        )));
    }
    Ok(())
}
