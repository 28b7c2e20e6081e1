//! Subtrees, prefixes, partitions, and other versions of a manifest.

use super::canonical::row_numbers;
use super::merge::total_of;
use super::table::{Content, Directory, FileTable, Manifest, ManifestVersion};
use super::v2025::name_problem;
use crate::error::{Error, ManifestProblem, Result};
use crate::path::ManifestPath;

/// The files and directories below `root` (a relative path), with paths below it. Duplicates stay duplicates.
///
/// The total is computed anew. Links whose targets are outside have nothing to point to.
///
/// # Errors
/// [`Error::InvalidArgument`] if `root` is no relative path; [`Error::NotSupported`] for a diff, and for links that lead out
/// of the subtree.
pub(crate) fn subtree(manifest: &Manifest, root: &[u8]) -> Result<Manifest> {
    let prefix = prefix_of(root)?;
    let mut files = FileTable::default();
    for row in row_numbers(&manifest.files) {
        let row = row as usize;
        if let Some(path) = manifest.files.path(row).as_bytes().strip_prefix(prefix.as_slice()) {
            let below = |target: &[u8]| target.strip_prefix(prefix.as_slice()).map(<[u8]>::to_vec);
            push_moved(&mut files, &manifest.files, row, path, below)?;
        }
    }
    let directories = manifest.directories.iter().filter_map(|directory| {
        let path = directory.path.strip_prefix(prefix.as_slice())?;
        Some(Directory { path: path.into(), deleted: directory.deleted })
    });
    with_parts(manifest, files, directories.collect())
}

/// The manifest with `prefix` (a relative path) before all paths and link targets. Duplicates stay duplicates.
///
/// # Errors
/// [`Error::InvalidArgument`] if `prefix` is no relative path; [`Error::NotSupported`] for a diff.
pub(crate) fn with_prefix(manifest: &Manifest, prefix: &[u8]) -> Result<Manifest> {
    let prefix = prefix_of(prefix)?;
    let join = |path: &[u8]| [prefix.as_slice(), path].concat();
    let mut files = FileTable::with_capacity(manifest.files.len());
    for row in 0..manifest.files.len() {
        let path = join(manifest.files.path(row).as_bytes());
        push_moved(&mut files, &manifest.files, row, &path, |target| Some(join(target)))?;
    }
    let directories = manifest
        .directories
        .iter()
        .map(|directory| Directory { path: join(&directory.path).into(), deleted: directory.deleted });
    with_parts(manifest, files, directories.collect())
}

/// A manifest for each of `roots` (relative paths) with what is below it, and one for what is below none of them.
///
/// Where roots are nested, the innermost takes an entry. An entry that is a root itself belongs to the rest.
///
/// # Errors
/// As [`subtree`]; a link must stay within its part.
pub(crate) fn partition(manifest: &Manifest, roots: &[&[u8]]) -> Result<(Vec<Manifest>, Manifest)> {
    let prefixes = roots.iter().map(|root| prefix_of(root)).collect::<Result<Vec<_>>>()?;
    let part_of = |path: &[u8]| {
        let containing = (0..prefixes.len()).filter(|part| path.starts_with(&prefixes[*part]));
        containing.max_by_key(|part| prefixes[*part].len()).unwrap_or(prefixes.len())
    };
    let mut files = vec![FileTable::default(); prefixes.len() + 1];
    let mut directories = vec![Vec::new(); prefixes.len() + 1];
    let length_of = |part: usize| prefixes.get(part).map_or(0, Vec::len);
    for row in 0..manifest.files.len() {
        let path = manifest.files.path(row).as_bytes();
        let part = part_of(path);
        let cut = |target: &[u8]| (part_of(target) == part).then(|| target[length_of(part)..].to_vec());
        push_moved(&mut files[part], &manifest.files, row, &path[length_of(part)..], cut)?;
    }
    for directory in &manifest.directories {
        let part = part_of(&directory.path);
        let path = directory.path[length_of(part)..].into();
        directories[part].push(Directory { path, deleted: directory.deleted });
    }
    let parts = files.into_iter().zip(directories).map(|(files, directories)| with_parts(manifest, files, directories));
    let mut parts = parts.collect::<Result<Vec<_>>>()?;
    match parts.pop() {
        Some(rest) => Ok((parts, rest)),
        None => Err(Error::InvalidArgument("a partition has at least one part".to_owned())),
    }
}

/// The same manifest in another version. To 2025-12-04-beta nothing is lost.
///
/// # Errors
/// [`Error::ManifestInvalid`] that names what would be lost: a diff, a directory, a link, a deletion, an execute bit, chunks.
/// From 2023-03-03, paths that the other version refuses.
pub(crate) fn convert(manifest: &Manifest, version: ManifestVersion) -> Result<Manifest> {
    if version == manifest.version {
        return Ok(manifest.clone());
    }
    let lost = match version {
        ManifestVersion::V2023_03_03 => what_2023_has_no_place_for(manifest),
        ManifestVersion::V2025_12_04 => what_2025_refuses(manifest),
    };
    match lost {
        Some(lost) => Err(Error::manifest(
            ManifestProblem::NotExpressible,
            format!("manifest version {} has no place for {lost}", version.as_str()),
        )),
        None => Ok(Manifest { version, ..manifest.clone() }),
    }
}

fn what_2023_has_no_place_for(manifest: &Manifest) -> Option<String> {
    if manifest.parent_manifest_hash.is_some() {
        return Some("a diff".to_owned());
    }
    if let Some(directory) = manifest.directories.first() {
        return Some(format!("directory {:?}", ManifestPath::from_wtf8(&directory.path).display()));
    }
    let files = &manifest.files;
    (0..files.len()).find_map(|row| {
        let what = match files.content(row) {
            Content::Symlink(_) => "symbolic link",
            Content::Deleted => "the deletion of",
            Content::Chunks(_) => "the chunks of",
            Content::Hash(_) if files.is_runnable(row) => "the execute bit of",
            Content::Hash(_) => return None,
        };
        Some(format!("{what} {:?}", files.path(row).display()))
    })
}

fn what_2025_refuses(manifest: &Manifest) -> Option<String> {
    let files = &manifest.files;
    (0..files.len()).find_map(|row| {
        let path = files.path(row);
        if let Some(problem) = name_problem(path.as_bytes()) {
            return Some(format!("path {:?}, which {problem}", path.display()));
        }
        (files.size_bytes(row) < 0).then(|| format!("path {:?} with a negative size", path.display()))
    })
}

/// `root/`, checked.
fn prefix_of(root: &[u8]) -> Result<Vec<u8>> {
    let root = root.strip_suffix(b"/").unwrap_or(root);
    if let Some(problem) = name_problem(root) {
        let root = ManifestPath::from_wtf8(root).display();
        return Err(Error::InvalidArgument(format!("root {root:?} {problem}")));
    }
    Ok([root, b"/"].concat())
}

/// Appends a row under another path, its link target moved along.
fn push_moved(
    files: &mut FileTable,
    source: &FileTable,
    row: usize,
    path: &[u8],
    move_target: impl Fn(&[u8]) -> Option<Vec<u8>>,
) -> Result<()> {
    let path = ManifestPath::from_wtf8(path);
    if let Content::Symlink(target) = source.content(row) {
        let Some(moved) = move_target(target.as_bytes()) else {
            let (path, target) = (source.path(row).display(), target.display());
            return Err(Error::NotSupported(format!("symbolic link {path:?} leads out of its part, to {target:?}")));
        };
        files.push(path, Content::Symlink(ManifestPath::from_wtf8(&moved)), 0, 0);
        return Ok(());
    }
    files.push(path, source.content(row), source.size_bytes(row), source.mtime_micros(row));
    if source.is_runnable(row) {
        files.mark_last_runnable();
    }
    Ok(())
}

fn with_parts(manifest: &Manifest, files: FileTable, directories: Vec<Directory>) -> Result<Manifest> {
    if manifest.parent_manifest_hash.is_some() {
        return Err(Error::NotSupported("a diff belongs to one whole manifest and has no parts".to_owned()));
    }
    Ok(Manifest {
        version: manifest.version,
        hash_algorithm: manifest.hash_algorithm,
        total_size_bytes: total_of(&files)?,
        files,
        directories,
        parent_manifest_hash: None,
    })
}
