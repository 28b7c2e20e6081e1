//! Collecting a tree with its directories and symbolic links, for manifests that can hold them.
//!
//! Two passes: whether a link escapes is decided once everything is known that its target could be.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use super::glob::normalised;
use super::path_list::PathList;
use super::walk::{Choice, EntryKind, WalkRequest, Walked, walk};
use crate::error::{Error, Result};
use crate::glob::Selection;
use crate::path::{os_string_from_wtf8, wtf8_from_os_str};

/// What becomes of symbolic links. A link escapes if what it points to is not collected itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SymlinkPolicy {
    /// Links stay links; those that escape are replaced by what they point to.
    #[default]
    CollapseEscaping,
    /// All links are replaced by what they point to.
    CollapseAll,
    /// Links stay links; those that escape are left out.
    ExcludeEscaping,
    /// All links are left out.
    ExcludeAll,
}

/// What to collect.
pub(crate) struct CollectRequest<'a> {
    /// The root, absolute and normalised.
    pub root: &'a Path,
    /// Which paths.
    pub selection: &'a Selection,
    /// What becomes of links.
    pub policy: SymlinkPolicy,
    /// Whether to stop. Called from several threads.
    pub is_cancelled: &'a (dyn Fn() -> bool + Sync),
}

/// A collected tree; paths are relative to the root (WTF-8), sorted, each once.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    /// Regular files, those among them that stand for links.
    pub files: PathList,
    /// Directories.
    pub directories: PathList,
    /// Links that stay links, with their targets relative to the root.
    pub symlinks: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Links that were left out against the caller's wish, as text for a log.
    pub warnings: Vec<String>,
}

/// Collects a tree.
///
/// # Errors
/// [`Error::Io`] for a directory that can't be read, and a link that the system won't follow.
pub(crate) fn collect(request: &CollectRequest<'_>) -> Result<Collected> {
    let follow_links = request.policy == SymlinkPolicy::CollapseAll;
    let walked = selected(request, request.root, b"", follow_links)?;
    let mut collected = Collected::default();
    collected.add(&walked);
    if matches!(request.policy, SymlinkPolicy::CollapseEscaping | SymlinkPolicy::ExcludeEscaping) {
        let escaping = keep_links(request.root, &walked, &mut collected);
        if request.policy == SymlinkPolicy::CollapseEscaping {
            for link in escaping {
                collapse(request, &link, &mut collected)?;
            }
        }
    }
    collected.files = collected.files.sorted_unique();
    collected.directories = collected.directories.sorted_unique();
    Ok(collected)
}

/// Collects a list of files below a root, relative to it, with the directories above them. Links among them follow the policy;
/// directories on the way that are links are directories here.
#[must_use]
pub(crate) fn collect_listed(root: &Path, files: &PathList, policy: SymlinkPolicy) -> Collected {
    let mut listed = Walked::default();
    for path in files.sorted_unique().iter() {
        let is_link = os_string_from_wtf8(path).is_some_and(|name| root.join(name).is_symlink());
        if is_link && policy != SymlinkPolicy::CollapseAll { &mut listed.symlinks } else { &mut listed.files }
            .push(path);
    }
    let mut collected = Collected::default();
    if matches!(policy, SymlinkPolicy::CollapseEscaping | SymlinkPolicy::ExcludeEscaping) {
        let escaping = keep_links(root, &listed, &mut collected);
        if policy == SymlinkPolicy::CollapseEscaping {
            for link in &escaping {
                listed.files.push(link);
            }
        }
    }
    let kept = listed.files.iter().chain(collected.symlinks.keys().map(Vec::as_slice));
    let folders: BTreeSet<&[u8]> = kept.flat_map(folders_above).collect();
    collected.directories = folders.into_iter().collect();
    collected.files = listed.files.sorted_unique();
    collected
}

/// The directories above a path, the innermost first.
fn folders_above(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let slashes = path.iter().enumerate().rev().filter(|(_, byte)| **byte == b'/');
    slashes.map(|(place, _)| &path[..place])
}

impl Collected {
    fn add(&mut self, walked: &Walked) {
        self.files.extend(&walked.files);
        self.directories.extend(&walked.directories);
        for link in &walked.loops {
            self.warn(link, "leads back to a directory above it");
        }
    }

    fn warn(&mut self, link: &Path, why: &str) {
        self.warnings.push(format!("The link {} {why}; it is left out.", link.display()));
    }
}

/// Walks `folder`, whose path below the root is `prefix`, and gives what the patterns select, by paths below the root.
fn selected(request: &CollectRequest<'_>, folder: &Path, prefix: &[u8], follow_links: bool) -> Result<Walked> {
    let choose = |path: &[u8], kind: EntryKind| {
        let full = join(prefix, path);
        let enter = kind == EntryKind::Directory && request.selection.may_take_below(&full);
        Choice { take: kind != EntryKind::Special && request.selection.takes(&full), enter }
    };
    let walked =
        walk(&WalkRequest { root: folder, follow_links, choose: &choose, is_cancelled: request.is_cancelled })?;
    if prefix.is_empty() {
        return Ok(walked);
    }
    let under = |paths: &PathList| paths.iter().map(|path| join(prefix, path)).collect();
    Ok(Walked { files: under(&walked.files), directories: under(&walked.directories), ..walked })
}

/// Keeps the links whose targets are collected, also through other links, and returns those that escape.
fn keep_links(root: &Path, walked: &Walked, collected: &mut Collected) -> Vec<Vec<u8>> {
    let known: HashSet<&[u8]> = walked.files.iter().chain(walked.directories.iter()).collect();
    let resolved_root = root.canonicalize().unwrap_or_else(|_| root.to_path_buf());
    let mut targets = BTreeMap::new();
    let mut escaping = Vec::new();
    for link in walked.symlinks.sorted_unique().iter() {
        match target_of(root, &resolved_root, link) {
            Some(target) => drop(targets.insert(link.to_vec(), target)),
            None => escaping.push(link.to_vec()),
        }
    }
    // A link to a link stays if that one does.
    loop {
        let is_kept = |target: &Vec<u8>| known.contains(target.as_slice()) || targets.contains_key(target);
        let lost: Vec<Vec<u8>> =
            targets.iter().filter(|(_, target)| !is_kept(target)).map(|(link, _)| link.clone()).collect();
        if lost.is_empty() {
            break;
        }
        for link in lost {
            targets.remove(&link);
            escaping.push(link);
        }
    }
    collected.symlinks = targets;
    escaping.sort();
    escaping
}

/// Where a link points, relative to the root, or `None` if it points nowhere, outside, in a circle, or at the root itself.
fn target_of(root: &Path, resolved_root: &Path, link: &[u8]) -> Option<Vec<u8>> {
    let path = root.join(os_string_from_wtf8(link)?);
    let resolved = path.canonicalize().ok()?;
    let written = normalised(&path.parent()?.join(std::fs::read_link(&path).ok()?));
    // As it is written, unless a link on the way makes that another place.
    let below = match written.strip_prefix(root) {
        Ok(below) if written.canonicalize().is_ok_and(|place| place == resolved) => below.to_path_buf(),
        _ => resolved.strip_prefix(resolved_root).ok()?.to_path_buf(),
    };
    let target = wtf8_from_os_str(below.as_os_str());
    (!target.is_empty() && target != link).then_some(target)
}

/// Puts what a link points to in its place.
fn collapse(request: &CollectRequest<'_>, link: &[u8], collected: &mut Collected) -> Result<()> {
    let Some(name) = os_string_from_wtf8(link) else { return Ok(()) };
    let path: PathBuf = request.root.join(name);
    let resolved = match path.canonicalize() {
        Ok(resolved) => resolved,
        Err(error) if super::walk::leads_nowhere(&error) => {
            collected.warn(&path, "points to nothing");
            return Ok(());
        }
        Err(error) => return Err(Error::io("follow the link", path, error)),
    };
    if resolved.is_file() {
        collected.files.push(link);
    } else if path.parent().and_then(|parent| parent.canonicalize().ok()).is_some_and(|it| it.starts_with(&resolved)) {
        collected.warn(&path, "leads back to a directory above it");
    } else if resolved.is_dir() {
        collected.directories.push(link);
        let walked = selected(request, &path, link, true)?;
        collected.add(&walked);
    } else {
        collected.warn(&path, "points to what is neither a file nor a directory");
    }
    Ok(())
}

fn join(prefix: &[u8], path: &[u8]) -> Vec<u8> {
    if prefix.is_empty() { path.to_vec() } else { [prefix, b"/", path].concat() }
}
