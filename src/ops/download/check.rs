//! What is refused before anything is written.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;

use super::request::{DownloadRequest, Duplicates};
use crate::error::{Error, ManifestProblem, Result};
use crate::fs::target_root::TargetRoot;
use crate::manifest::chunks::chunk_count;
use crate::manifest::{Content, Manifest};
use crate::path::{ManifestPath, PathFormat};

/// Refuses diffs, paths that lead out of the root, sizes that no file can have, and paths that are in each other's way. Gives
/// whether any path is there more than once.
pub(super) fn check_manifest(manifest: &Manifest, duplicates: Duplicates) -> Result<bool> {
    if manifest.parent_manifest_hash.is_some() {
        return Err(Error::manifest(
            ManifestProblem::Diff,
            "A diff manifest can't be downloaded: apply it to its parent snapshot first.".to_owned(),
        ));
    }
    let files = &manifest.files;
    for index in 0..files.len() {
        let path = files.path(index);
        path.check(PathFormat::host())?;
        let size_bytes = files.size_bytes(index);
        match files.content(index) {
            Content::Symlink(destination) => destination.check(PathFormat::host())?,
            Content::Deleted => {
                return Err(Error::manifest(
                    ManifestProblem::Entry,
                    format!("{path:?} is deleted, in a manifest that is no diff"),
                ));
            }
            _ if size_bytes < 0 => {
                return Err(Error::manifest(ManifestProblem::Entry, format!("{path:?} has a negative size")));
            }
            Content::Chunks(chunks) if chunks.len() as u64 != chunk_count(size_bytes.unsigned_abs()) => {
                let text = format!("{path:?} has {} chunks, which don't make up {size_bytes} bytes", chunks.len());
                return Err(Error::manifest(ManifestProblem::Entry, text));
            }
            Content::Chunks(_) | Content::Hash(_) => {}
        }
    }
    for directory in &manifest.directories {
        ManifestPath::from_wtf8(&directory.path).check(PathFormat::host())?;
    }
    refuse_clashes(manifest, duplicates)
}

/// Two manifests for one directory would overwrite each other's files without anyone having said which should win.
pub(super) fn refuse_shared_roots(request: &DownloadRequest, roots: &[TargetRoot]) -> Result<()> {
    let mut seen: HashMap<(u64, u64), &std::path::Path> = HashMap::new();
    for (root, wanted) in roots.iter().zip(&request.roots) {
        if let Some(other) = seen.insert(root.identity()?, &wanted.path) {
            return Err(Error::InvalidArgument(format!(
                "The roots '{}' and '{}' are the same directory: merge their manifests first.",
                other.display(),
                wanted.path.display()
            )));
        }
    }
    Ok(())
}

/// A path as it counts: without empty components and `.`.
pub(super) fn plain(path: ManifestPath<'_>) -> Cow<'_, [u8]> {
    let bytes = path.as_bytes();
    let is_plain = bytes.split(|byte| *byte == b'/').all(|part| !part.is_empty() && part != b".");
    if is_plain { Cow::Borrowed(bytes) } else { Cow::Owned(path.components().collect::<Vec<_>>().join(&b'/')) }
}

/// What stands at a path of a manifest.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Directory,
    File(usize),
}

/// Refuses a file where another path needs a directory, and one path with two contents: whichever came last would win, or
/// nothing would.
fn refuse_clashes(manifest: &Manifest, duplicates: Duplicates) -> Result<bool> {
    let mut has_duplicates = false;
    let files = &manifest.files;
    let mut all: Vec<(Cow<'_, [u8]>, Kind)> = manifest
        .directories
        .iter()
        .map(|directory| (plain(ManifestPath::from_wtf8(&directory.path)), Kind::Directory))
        .chain((0..files.len()).map(|index| (plain(files.path(index)), Kind::File(index))))
        .collect();
    all.sort_unstable_by(|(left, _), (right, _)| compare_with_children_next(left, right));
    for pair in all.windows(2) {
        let (first, second) = (&pair[0], &pair[1]);
        let shown = |path: &[u8]| ManifestPath::from_wtf8(path).display();
        if first.0 == second.0 {
            match (first.1, second.1) {
                (Kind::Directory, Kind::Directory) => {}
                (Kind::File(one), Kind::File(other)) => {
                    has_duplicates = true;
                    let same =
                        files.content(one) == files.content(other) && files.size_bytes(one) == files.size_bytes(other);
                    if !same && duplicates == Duplicates::Refuse {
                        let path = shown(&first.0);
                        return Err(Error::manifest(
                            ManifestProblem::Entry,
                            format!("The manifest has two different files at '{path}'"),
                        ));
                    }
                }
                _ => {
                    let path = shown(&first.0);
                    return Err(Error::manifest(
                        ManifestProblem::Entry,
                        format!("The manifest has a file and a directory at '{path}'"),
                    ));
                }
            }
        }
        let is_below = second.0.strip_prefix(&*first.0).is_some_and(|rest| rest.first() == Some(&b'/'));
        if is_below && first.1 != Kind::Directory {
            return Err(Error::manifest(
                ManifestProblem::Entry,
                format!("The manifest has a file at '{}' and '{}' below it", shown(&first.0), shown(&second.0)),
            ));
        }
    }
    Ok(has_duplicates)
}

/// By bytes, with `/` before every other byte: a path is followed at once by those below it.
fn compare_with_children_next(left: &[u8], right: &[u8]) -> Ordering {
    let Some(at) = left.iter().zip(right).position(|(a, b)| a != b) else {
        return left.len().cmp(&right.len());
    };
    let rank = |byte: u8| if byte == b'/' { 0 } else { u16::from(byte) + 1 };
    rank(left[at]).cmp(&rank(right[at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_below_come_right_after() {
        let mut paths = vec!["a.b", "a/b", "a", "a/b/c", "a-", "b", "a/b.c"];
        paths.sort_by(|left, right| compare_with_children_next(left.as_bytes(), right.as_bytes()));
        assert_eq!(paths, ["a", "a/b", "a/b/c", "a/b.c", "a-", "a.b", "b"]);
    }

    #[test]
    fn components_that_say_nothing_do_not_count() {
        for (path, expected) in [("a/b", "a/b"), ("./a//b/.", "a/b"), ("a/", "a"), (".a/..b", ".a/..b")] {
            assert_eq!(plain(ManifestPath::from_wtf8(path.as_bytes())).as_ref(), expected.as_bytes());
        }
    }
}
