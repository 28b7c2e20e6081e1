//! What is at the paths already, and what that means, settled in one thread before anything is fetched.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::check::plain;
use super::nested::settle_nested;
use super::request::{CANCELLED, ConflictResolution, DownloadRequest, FileId};
use super::settled::{Plan, Settled, unknown_resolution};
use crate::error::{Error, PathProblem, Result};
use crate::fs::target_root::{Existing, TargetRoot};
use crate::manifest::{Content, Manifest};
use crate::ops::in_parallel::{self, Mapped};
use crate::path::{ManifestPath, os_string_from_wtf8};
use crate::transfer::context::Context;

/// Looks at every path and decides.
pub(super) fn settle(
    request: &DownloadRequest,
    roots: &[TargetRoot],
    have_duplicates: &[bool],
    context: &Context,
) -> Result<Settled> {
    let mut settled = Settled::default();
    for (number, (download, root)) in (0_u32..).zip(request.roots.iter().zip(roots)) {
        let manifest = &download.manifest;
        settled.plans.push(vec![Plan::New; manifest.files.len()]);
        let mut settler =
            Settler { request, root, manifest, number, settled: &mut settled, taken: None, next: HashMap::new() };
        if !root.is_new() {
            settler.look_at_all(context)?;
        }
        // Nothing can be in a new root. What comes later is seen when a file gets its name.
        if have_duplicates[number as usize] {
            settler.settle_duplicates()?;
        }
    }
    settle_nested(request, roots, &mut settled)?;
    Ok(settled)
}

struct Settler<'a> {
    request: &'a DownloadRequest,
    root: &'a TargetRoot,
    manifest: &'a Manifest,
    number: u32,
    settled: &'a mut Settled,
    /// Paths that no copy may get: those of the manifest, and those of other copies.
    taken: Option<HashSet<Vec<u8>>>,
    /// The number that the next copy of a path gets, if it is free.
    next: HashMap<Vec<u8>, u64>,
}

impl Settler<'_> {
    /// Looks in parallel, since a look may be a round trip to a file server, and decides in order, since a copy's name
    /// depends on those before it.
    fn look_at_all(&mut self, context: &Context) -> Result<()> {
        self.root.sweep(Path::new(""));
        for batch in in_parallel::batches(self.manifest.files.len()) {
            let entries: Vec<usize> = batch.collect();
            let look = |last_folder: &mut Option<PathBuf>, entry: &usize| {
                context.check_cancelled(CANCELLED)?;
                context.progress.beat();
                self.look(*entry, last_folder)
            };
            let threads = in_parallel::waiting_thread_count(entries.len());
            let Mapped { done, error } = in_parallel::map_on(threads, &entries, || None, look);
            for (expected, (entry, existing)) in entries.iter().zip(done) {
                // What comes after the first error may not have been looked at. An earlier entry may be an error, too.
                if entry != expected {
                    break;
                }
                let plan = self.decide(*entry, existing)?;
                self.set(*entry, plan);
            }
            if let Some(error) = error {
                return Err(error);
            }
        }
        Ok(())
    }

    /// What is at a path. Leftovers in its folder go first.
    fn look(&self, entry: usize, last_folder: &mut Option<PathBuf>) -> Result<Existing> {
        let path = self.manifest.files.path(entry);
        let folder = folder_of(path);
        if last_folder.as_ref() != Some(&folder) {
            self.root.sweep(&folder);
            *last_folder = Some(folder);
        }
        // A link is in a link's way whatever it leads to, a directory or nothing.
        if is_link(self.manifest, entry) { self.root.look_at_link(path) } else { self.root.look(path) }
    }

    fn decide(&mut self, entry: usize, existing: Existing) -> Result<Plan> {
        let path = self.manifest.files.path(entry);
        Ok(match existing {
            Existing::Nothing => Plan::New,
            // What it leads to is not there, so it is in nobody's way (`Path.is_file` says so too).
            Existing::DanglingLink => Plan::Replace,
            Existing::Outside => {
                let problem = PathProblem::LinkEscapes;
                return Err(Error::PathOutsideRoot { path: path.display(), problem });
            }
            Existing::Directory => return Err(self.root.is_a_directory(path)),
            Existing::File { .. } | Existing::Other => self.resolve(entry)?,
        })
    }

    /// What the caller wants done about a conflict.
    fn resolve(&mut self, entry: usize) -> Result<Plan> {
        Ok(match &self.request.options.conflicts {
            ConflictResolution::Skip => Plan::Skip,
            ConflictResolution::Overwrite | ConflictResolution::Resume => Plan::Replace,
            ConflictResolution::CreateCopy => {
                let name = self.free_copy_name(self.manifest.files.path(entry))?;
                self.settled.set_copy(self.id(entry), name);
                Plan::Copy
            }
            ConflictResolution::Unknown(name) => {
                return Err(unknown_resolution(name));
            }
        })
    }

    /// One path several times: the same contents once, others as if they came one after another.
    fn settle_duplicates(&mut self) -> Result<()> {
        let files = &self.manifest.files;
        let mut order: Vec<u32> = (0..).take(files.len()).collect();
        let path = |entry: &u32| plain(files.path(*entry as usize));
        order.sort_by(|a, b| path(a).cmp(&path(b)));
        let mut start = 0;
        while start < order.len() {
            let first = path(&order[start]);
            let length = order[start..].iter().take_while(|entry| path(entry) == first).count();
            if length > 1 {
                // A stable sort: the group is in the order of the list.
                self.settle_group(&order[start..start + length])?;
            }
            start += length;
        }
        Ok(())
    }

    fn settle_group(&mut self, group: &[u32]) -> Result<()> {
        let files = &self.manifest.files;
        let same = |a: u32, b: u32| {
            let (a, b) = (a as usize, b as usize);
            files.content(a) == files.content(b) && files.size_bytes(a) == files.size_bytes(b)
        };
        let mut distinct: Vec<u32> = Vec::new();
        for entry in group {
            if distinct.iter().any(|earlier| same(*earlier, *entry)) {
                self.set(*entry as usize, Plan::Repeated);
            } else {
                distinct.push(*entry);
            }
        }
        if distinct.len() < 2 {
            return Ok(());
        }
        // Where that is not wanted, the check of the manifest has refused it.
        match self.request.options.conflicts {
            // The last one written is the one that stays: the others need not be written.
            ConflictResolution::Overwrite | ConflictResolution::Resume => {
                for entry in &distinct[..distinct.len() - 1] {
                    self.set(*entry as usize, Plan::Repeated);
                }
            }
            _ => {
                for entry in &distinct[1..] {
                    let is_settled = self.settled.plan(self.id(*entry as usize)) != Plan::New;
                    if !is_settled {
                        let plan = self.resolve(*entry as usize)?;
                        self.set(*entry as usize, plan);
                    }
                }
            }
        }
        Ok(())
    }

    fn set(&mut self, entry: usize, plan: Plan) {
        self.settled.plans[self.number as usize][entry] = plan;
    }

    fn id(&self, entry: usize) -> FileId {
        FileId { root: self.number, entry: u32::try_from(entry).unwrap_or(u32::MAX) }
    }

    /// The first `name (n).ext` that neither exists nor is a path of the manifest nor was given to another copy.
    fn free_copy_name(&mut self, path: ManifestPath<'_>) -> Result<OsString> {
        let target = self.root.target(path)?;
        let path = plain(path).into_owned();
        let manifest = self.manifest;
        let taken = self.taken.get_or_insert_with(|| {
            (0..manifest.files.len()).map(|index| plain(manifest.files.path(index)).into_owned()).collect()
        });
        let folder = path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
        let number = self.next.entry(path.clone()).or_insert(1);
        loop {
            let copy = target.copy_name(*number);
            *number += 1;
            let mut full = path[..folder].to_vec();
            full.extend_from_slice(&crate::path::wtf8_from_os_str(&copy.name));
            if copy.is_free()? && taken.insert(full) {
                return Ok(copy.name);
            }
        }
    }
}

/// The directory that a file goes into, below the root.
fn folder_of(path: ManifestPath<'_>) -> PathBuf {
    let path = plain(path);
    let end = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    os_string_from_wtf8(&path[..end]).map(PathBuf::from).unwrap_or_default()
}

/// Whether a file is a link, which comes after all other files.
pub(super) fn is_link(manifest: &Manifest, index: usize) -> bool {
    matches!(manifest.files.content(index), Content::Symlink(_))
}
