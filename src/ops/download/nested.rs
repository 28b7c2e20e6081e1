//! Roots inside each other: a path that several of them want is settled as if they were downloaded one after another.

use std::collections::HashMap;
use std::ffi::OsString;

use super::check::plain;
use super::request::{ConflictResolution, DownloadRequest, FileId};
use super::settled::{Plan, Settled, unknown_resolution};
use crate::error::Result;
use crate::fs::target_root::TargetRoot;
use crate::manifest::FileTable;
use crate::path::wtf8_from_os_str;

/// Decides about paths that more than one root has. Without roots inside each other there are none.
pub(super) fn settle_nested(request: &DownloadRequest, roots: &[TargetRoot], settled: &mut Settled) -> Result<()> {
    let real: Vec<Vec<u8>> = roots.iter().map(with_slash).collect();
    let is_inner = |key: &Vec<u8>| real.iter().any(|other| key.len() > other.len() && key.starts_with(other));
    let inner: Vec<&Vec<u8>> = real.iter().filter(|key| is_inner(key)).collect();
    if inner.is_empty() {
        return Ok(());
    }
    let mut wanted: HashMap<Vec<u8>, Vec<FileId>> = HashMap::new();
    for (root, (download, start)) in (0_u32..).zip(request.roots.iter().zip(&real)) {
        let files = &download.manifest.files;
        for entry in (0_u32..).take(files.len()) {
            let key = [start, &*plain(files.path(entry as usize))].concat();
            if inner.iter().any(|folder| key.starts_with(folder)) {
                wanted.entry(key).or_default().push(FileId { root, entry });
            }
        }
    }
    let mut shared: Vec<_> = wanted.iter().filter(|(_, ids)| ids.len() > 1).collect();
    shared.sort_unstable();
    for (key, ids) in shared {
        let ids: Vec<FileId> = ids.iter().copied().filter(|id| settled.plan(*id) != Plan::Repeated).collect();
        let group = Group { request, roots, wanted: &wanted, key, ids };
        group.settle(settled)?;
    }
    Ok(())
}

/// A root's resolved path with a slash at its end: what the paths of all below begin with.
fn with_slash(root: &TargetRoot) -> Vec<u8> {
    let path = root.path();
    let mut real = wtf8_from_os_str(path.canonicalize().unwrap_or_else(|_| path.to_path_buf()).as_os_str());
    if real.last() != Some(&b'/') {
        real.push(b'/');
    }
    real
}

/// The files of several roots that have one path, in the order of the roots.
struct Group<'a> {
    request: &'a DownloadRequest,
    roots: &'a [TargetRoot],
    wanted: &'a HashMap<Vec<u8>, Vec<FileId>>,
    key: &'a [u8],
    ids: Vec<FileId>,
}

impl Group<'_> {
    fn settle(&self, settled: &mut Settled) -> Result<()> {
        let Some((_, all_but_last)) = self.ids.split_last() else { return Ok(()) };
        let mut needless = |ids: &[FileId]| ids.iter().for_each(|id| settled.set(*id, Plan::Repeated));
        match &self.request.options.conflicts {
            // The last one written is the one that stays: the others need not be written.
            ConflictResolution::Overwrite | ConflictResolution::Resume => needless(all_but_last),
            ConflictResolution::Skip => needless(&self.ids[1..]),
            ConflictResolution::CreateCopy => self.name_copies(settled)?,
            ConflictResolution::Unknown(name) => {
                if !self.ids.iter().all(|id| self.same(self.ids[0], *id)) {
                    return Err(unknown_resolution(name));
                }
                needless(&self.ids[1..]);
            }
        }
        Ok(())
    }

    /// The first root's file has the name, or that of a copy if something is there; the others' come beside it.
    fn name_copies(&self, settled: &mut Settled) -> Result<()> {
        let mut names: Vec<OsString> = settled.copy_name(self.ids[0]).into_iter().cloned().collect();
        for (place, id) in self.ids.iter().enumerate().skip(1) {
            if self.ids[..place].iter().any(|earlier| self.same(*earlier, *id)) {
                settled.set(*id, Plan::Repeated);
                continue;
            }
            let name = self.free_copy_name(*id, &names)?;
            names.push(name.clone());
            settled.set_copy(*id, name);
        }
        Ok(())
    }

    fn free_copy_name(&self, id: FileId, names: &[OsString]) -> Result<OsString> {
        let path = self.request.roots[id.root as usize].manifest.files.path(id.index());
        let target = self.roots[id.root as usize].target(path)?;
        let folder = self.key.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
        let mut number = 1;
        loop {
            let copy = target.copy_name(number);
            let key = [&self.key[..folder], &wtf8_from_os_str(&copy.name)].concat();
            if !names.contains(&copy.name) && !self.wanted.contains_key(&key) && copy.is_free()? {
                return Ok(copy.name);
            }
            number += 1;
        }
    }

    fn same(&self, one: FileId, other: FileId) -> bool {
        let (left, right) = (self.files(one), self.files(other));
        left.content(one.index()) == right.content(other.index())
            && left.size_bytes(one.index()) == right.size_bytes(other.index())
    }

    fn files(&self, id: FileId) -> &FileTable {
        &self.request.roots[id.root as usize].manifest.files
    }
}
