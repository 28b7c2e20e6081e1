//! What is at the paths already, and what that means, settled in one thread before anything is fetched.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;

use super::{ConflictResolution, DownloadRequest, FileId};
use crate::error::{Error, Result};
use crate::fs::stage::{Existing, TargetRoot};
use crate::manifest::Manifest;
use crate::path::ManifestPath;

/// What to do about a file that is there already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plan {
    /// Write over it.
    Replace,
    /// Write beside it, under this name.
    Copy(OsString),
}

/// What was settled.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Files that have something at their path.
    pub(super) plans: HashMap<FileId, Plan>,
    /// Files that are left alone, with their sizes.
    pub(super) skipped: Vec<(FileId, u64)>,
}

/// Looks at every path and decides.
pub(super) fn settle(request: &DownloadRequest, roots: &[TargetRoot]) -> Result<Settled> {
    let mut settled = Settled::default();
    for (number, (download, root)) in (0_u32..).zip(request.roots.iter().zip(roots)) {
        if root.is_new() {
            // Nothing can be there. What comes later is seen when a file gets its name.
            continue;
        }
        let files = &download.manifest.files;
        let mut taken: Option<HashSet<Vec<u8>>> = None;
        for (entry, index) in (0_u32..).zip(0..files.len()) {
            let path = files.path(index);
            let id = FileId { root: number, entry };
            match root.look(path)? {
                Existing::Nothing => continue,
                Existing::Directory => {
                    let path = root.path().join(path.to_os_string()?);
                    return Err(Error::io("write", path, std::io::Error::from(std::io::ErrorKind::IsADirectory)));
                }
                Existing::File { .. } | Existing::Other => {}
            }
            let size_bytes = u64::try_from(files.size_bytes(index)).unwrap_or(0);
            match &request.options.conflicts {
                ConflictResolution::Skip => settled.skipped.push((id, size_bytes)),
                ConflictResolution::Overwrite | ConflictResolution::Resume => {
                    settled.plans.insert(id, Plan::Replace);
                }
                ConflictResolution::CreateCopy => {
                    let taken = taken.get_or_insert_with(|| paths_of(&download.manifest));
                    settled.plans.insert(id, Plan::Copy(free_copy_name(root, path, taken)?));
                }
                ConflictResolution::Unknown(name) => {
                    return Err(Error::InvalidArgument(format!("Unknown choice for file conflict resolution: {name}")));
                }
            }
        }
    }
    Ok(settled)
}

/// The first `name (n).ext` that neither exists nor is a path of the manifest nor was given to another copy.
fn free_copy_name(root: &TargetRoot, path: ManifestPath<'_>, taken: &mut HashSet<Vec<u8>>) -> Result<OsString> {
    let target = root.target(path)?;
    let folder = path.as_bytes().iter().rposition(|byte| *byte == b'/').map_or(&b""[..], |at| &path.as_bytes()[..=at]);
    let mut number = 1;
    loop {
        let copy = target.copy_name(number);
        let mut full = folder.to_vec();
        full.extend_from_slice(&crate::path::wtf8_from_os_str(&copy.name));
        if copy.look()? == Existing::Nothing && taken.insert(full) {
            return Ok(copy.name);
        }
        number += 1;
    }
}

fn paths_of(manifest: &Manifest) -> HashSet<Vec<u8>> {
    (0..manifest.files.len()).map(|index| manifest.files.path(index).as_bytes().to_vec()).collect()
}

/// Refuses a manifest that has one path twice, or a file where another path needs a directory: whichever came last would
/// win, or nothing would.
pub(super) fn refuse_clashes(manifest: &Manifest) -> Result<()> {
    let files = &manifest.files;
    let mut order: Vec<usize> = (0..files.len()).collect();
    // With `/` before every other byte, a path is followed at once by the paths below it.
    let rank = |byte: u8| if byte == b'/' { 0 } else { u16::from(byte) + 1 };
    order.sort_unstable_by(|a, b| {
        let key = |index: &usize| files.path(*index).as_bytes().iter().map(|byte| rank(*byte));
        key(a).cmp(key(b))
    });
    for pair in order.windows(2) {
        let (first, second) = (files.path(pair[0]), files.path(pair[1]));
        if first == second {
            if files.content(pair[0]) == files.content(pair[1]) {
                continue;
            }
            return Err(Error::ManifestInvalid(format!("The manifest has two different files at {first:?}")));
        }
        let below = second.as_bytes().strip_prefix(first.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'/'));
        if below {
            return Err(Error::ManifestInvalid(format!(
                "The manifest has a file at {first:?} and another at {second:?} below it"
            )));
        }
    }
    Ok(())
}
