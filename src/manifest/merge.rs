//! Putting manifests together.

use super::distinct::{DistinctPaths, DistinctRow};
use super::table::{Directory, FileTable, Manifest};
use crate::error::{Error, ManifestProblem, Result};
use crate::path::ManifestPath;

/// Merges manifests; where several have a path, the last one's entry counts, in the place of the first one's. Duplicates
/// within one manifest are settled in the same way. Gives `None` for no manifests.
///
/// The total is computed anew. The reference's `merge_asset_manifests` says the same of version 2023-03-03. For version
/// 2025-12-04-beta, directories are merged like files, and of a file and a directory with the same path the later manifest's
/// counts (the file, if both are in one).
///
/// # Errors
/// [`Error::NotSupported`] for manifests of different versions, and for diffs; [`Error::ManifestInvalid`] if the total
/// doesn't fit 64 bits.
pub(crate) fn merge(manifests: &[&Manifest]) -> Result<Option<Manifest>> {
    let Some(first) = manifests.first() else { return Ok(None) };
    check_alike(manifests)?;
    let tables: Vec<&FileTable> = manifests.iter().map(|manifest| &manifest.files).collect();
    let distinct = DistinctPaths::of(&tables);
    let (places, directories) = if manifests.iter().all(|manifest| manifest.directories.is_empty()) {
        (distinct.into_places(), Vec::new())
    } else {
        let mut places = distinct.places().to_vec();
        let directories = merged_directories(manifests, &distinct, &mut places);
        (places, directories)
    };
    let files = gather(&tables, &places);
    Ok(Some(Manifest {
        version: first.version,
        hash_algorithm: first.hash_algorithm,
        total_size_bytes: total_of(&files)?,
        files,
        directories,
        parent_manifest_hash: None,
    }))
}

/// The sum of the sizes of a table, as `totalSize` holds it.
pub(crate) fn total_of(files: &FileTable) -> Result<i64> {
    i64::try_from(files.sum_of_sizes()).map_err(|_| {
        Error::manifest(ManifestProblem::Total, "the sizes add up to more than a signed 64-bit integer".to_owned())
    })
}

fn check_alike(manifests: &[&Manifest]) -> Result<()> {
    let first = manifests[0];
    for manifest in manifests {
        if manifest.version != first.version {
            return Err(Error::NotSupported(format!(
                "Merging manifests with different versions is not supported.  {} does not match {}",
                manifest.version.as_str(),
                first.version.as_str()
            )));
        }
        if manifest.hash_algorithm != first.hash_algorithm {
            return Err(Error::NotSupported(format!(
                "Merging manifests with different hash algorithms is not supported.  {} does not match {}",
                manifest.hash_algorithm, first.hash_algorithm
            )));
        }
        if manifest.parent_manifest_hash.is_some() {
            return Err(Error::NotSupported(
                "Merging diff manifests is not supported; apply them to a snapshot".to_owned(),
            ));
        }
    }
    Ok(())
}

/// Entries of several tables as one table.
fn gather(tables: &[&FileTable], places: &[DistinctRow]) -> FileTable {
    let mut runs = Vec::new();
    let mut rest = places;
    while let Some(first) = rest.first() {
        // Entries that follow one another in a table are copied together: most do.
        let follows = |(number, place): &(usize, &DistinctRow)| {
            place.table == first.table && place.row as usize == first.row as usize + *number
        };
        let run = rest.iter().enumerate().take_while(follows).count();
        let start = first.row as usize;
        runs.push((tables[first.table as usize], start..start + run));
        rest = &rest[run..];
    }
    FileTable::of_runs(&runs)
}

/// The directories of all manifests, without those that a file displaces; takes the files away that a directory displaces.
fn merged_directories(
    manifests: &[&Manifest],
    files: &DistinctPaths<'_>,
    places: &mut Vec<DistinctRow>,
) -> Vec<Directory> {
    let mut latest: std::collections::BTreeMap<&[u8], u32> = std::collections::BTreeMap::new();
    for (number, manifest) in (0..).zip(manifests) {
        latest.extend(manifest.directories.iter().map(|directory| (directory.path.as_ref(), number)));
    }
    places.retain(|place| {
        let path = manifests[place.table as usize].files.path(place.row as usize);
        latest.get(path.as_bytes()).is_none_or(|directory| *directory <= place.table)
    });
    latest
        .into_iter()
        .filter(|(path, number)| files.find(ManifestPath::from_wtf8(path)).is_none_or(|file| file.table < *number))
        .map(|(path, _)| Directory { path: path.into(), deleted: false })
        .collect()
}
