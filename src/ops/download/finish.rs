//! What comes after all files: empty directories, links, permissions of directories, the disk, the report.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::conflicts::is_link;
use super::job::DownloadJob;
use super::place::next_free_copy;
use super::request::{CANCELLED, ConflictResolution, DownloadReport, FileId, Permissions};
use super::settled::{Naming, unknown_resolution};
use crate::error::{Error, Result};
use crate::fs::path_list::PathList;
use crate::fs::permissions;
use crate::fs::stage::Committed;
use crate::fs::target::Target;
use crate::fs::target_root::TargetRoot;
use crate::manifest::Content;
use crate::path::{ManifestPath, os_string_from_wtf8, wtf8_from_os_str};

impl DownloadJob {
    pub(super) fn finish(&self) -> Result<DownloadReport> {
        let _work = self.downloader.context.progress.local_work();
        for (number, (root, download)) in (0_u32..).zip(self.roots.iter().zip(&self.request.roots)) {
            let manifest = &download.manifest;
            for directory in &manifest.directories {
                self.downloader.context.check_cancelled(CANCELLED)?;
                root.make_directory(ManifestPath::from_wtf8(&directory.path))?;
            }
            for entry in (0_u32..).take(manifest.files.len()) {
                let id = FileId { root: number, entry };
                if is_link(manifest, id.index()) && !self.settled.is_skipped(id) {
                    self.downloader.context.check_cancelled(CANCELLED)?;
                    self.make_link(id, root)?;
                }
            }
        }
        let written = std::mem::take(&mut *self.written.lock());
        if self.request.options.permissions.is_some() || self.request.options.sync {
            for (number, root) in (0_u32..).zip(&self.roots) {
                self.finish_folders(number, root, &written[number as usize])?;
            }
        }
        Ok(DownloadReport { written: written.iter().map(resolved).collect() })
    }

    /// Makes a link whose target is given from the root; the link itself is relative to its own directory.
    fn make_link(&self, id: FileId, root: &TargetRoot) -> Result<()> {
        let files = &self.manifest(id).files;
        let Content::Symlink(destination) = files.content(id.index()) else { return Ok(()) };
        let path = files.path(id.index());
        let relative = link_text(path, destination)?;
        let own = root.target_without_links(path)?;
        let progress = &self.downloader.context.progress;
        if self.request.options.conflicts == ConflictResolution::Resume && own.read_link().as_ref() == Some(&relative) {
            progress.skip_file(0);
            return Ok(());
        }
        match self.link_somewhere(id, &own, &relative)? {
            Some(path) => {
                progress.finish_file();
                self.note_written(id, &path);
            }
            None => progress.skip_file(0),
        }
        Ok(())
    }

    fn link_somewhere(&self, id: FileId, own: &Target, destination: &Path) -> Result<Option<PathBuf>> {
        let first = match self.settled.naming(id) {
            Naming::Over => {
                own.link_to(destination, true)?;
                return Ok(Some(own.path()));
            }
            Naming::Copy(name) => own.with_name(name.clone()),
            Naming::Own => own.clone(),
        };
        if first.link_to(destination, false)? == Committed::Yes {
            return Ok(Some(first.path()));
        }
        match &self.request.options.conflicts {
            ConflictResolution::Skip => Ok(None),
            ConflictResolution::Overwrite | ConflictResolution::Resume => {
                own.link_to(destination, true)?;
                Ok(Some(own.path()))
            }
            ConflictResolution::CreateCopy => next_free_copy(own, |copy| copy.link_to(destination, false)).map(Some),
            ConflictResolution::Unknown(name) => Err(unknown_resolution(name)),
        }
    }

    /// Permissions and the disk, for every directory from the root down to each file of this run, each once.
    fn finish_folders(&self, number: u32, root: &TargetRoot, written: &PathList) -> Result<()> {
        let options = &self.request.options;
        let holders: HashSet<PathBuf> = written.iter().filter_map(|path| folder_below(root, path)).collect();
        for folder in self.folders(number, root, written)? {
            self.downloader.context.check_cancelled(CANCELLED)?;
            if let Some(Permissions { group, directory_mode, .. }) = options.permissions {
                let directory = root.directory(&folder)?;
                permissions::add(&*directory, group, directory_mode)
                    .map_err(|error| Error::io("set the permissions of", root.path().join(&folder), error))?;
            }
            // From the top of the file system on, the directories above the files are mostly others', and may be closed to us.
            let is_needed = !root.is_top() || holders.contains(&folder);
            if options.sync {
                root.sync(&folder).or_else(|error| if is_needed { Err(error) } else { Ok(()) })?;
            }
        }
        Ok(())
    }

    fn folders(&self, number: u32, root: &TargetRoot, written: &PathList) -> Result<BTreeSet<PathBuf>> {
        let mut folders = BTreeSet::new();
        let mut add = |below: &Path| {
            for folder in below.ancestors() {
                if !folders.insert(folder.to_path_buf()) {
                    break;
                }
            }
        };
        for path in written.iter() {
            add(&folder_below(root, path).unwrap_or_default());
        }
        let manifest = &self.request.roots[number as usize].manifest;
        for directory in &manifest.directories {
            add(&PathBuf::from(ManifestPath::from_wtf8(&directory.path).to_os_string()?));
        }
        if self.request.options.conflicts == ConflictResolution::Resume {
            // The run that wrote these files may have been killed before it came to their directories.
            let found_later = self.found_later.lock().clone();
            let found_later = found_later.into_iter().filter(|id| id.root == number);
            for id in self.settled.left_alone(number).chain(found_later) {
                let path = PathBuf::from(manifest.files.path(id.index()).to_os_string()?);
                add(path.parent().unwrap_or_else(|| Path::new("")));
            }
        }
        Ok(folders)
    }
}

/// The directory of a written file, below the root.
fn folder_below(root: &TargetRoot, path: &[u8]) -> Option<PathBuf> {
    let path = PathBuf::from(os_string_from_wtf8(path)?);
    path.strip_prefix(root.path()).ok()?.parent().map(Path::to_path_buf)
}

/// The shortest way from the directory of a link to its destination, both given from the root: no directory on the way to
/// the link is itself a link.
fn link_text(link: ManifestPath<'_>, destination: ManifestPath<'_>) -> Result<PathBuf> {
    let mut above: Vec<&[u8]> = link.components().collect();
    above.pop();
    let below: Vec<&[u8]> = destination.components().collect();
    let shared = above.iter().zip(&below).take_while(|(one, other)| one == other).count();
    let mut text = PathBuf::new();
    text.extend(std::iter::repeat_n("..", above.len() - shared));
    let rest = below[shared..].join(&b'/');
    if !rest.is_empty() {
        text.push(ManifestPath::from_wtf8(&rest).to_os_string()?);
    }
    Ok(if text.as_os_str().is_empty() { PathBuf::from(".") } else { text })
}

/// Paths with the links on the way resolved, as the reference reports them.
fn resolved(written: &PathList) -> PathList {
    let mut known: HashMap<&[u8], Vec<u8>> = HashMap::new();
    let mut paths = PathList::new();
    for path in written.iter() {
        let end = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        let (folder, name) = path.split_at(end);
        let real = known.entry(folder).or_insert_with(|| {
            let folder_path = os_string_from_wtf8(folder).map(PathBuf::from);
            let real = folder_path.and_then(|folder| folder.canonicalize().ok());
            real.map_or_else(|| folder.to_vec(), |real| wtf8_from_os_str(real.as_os_str()))
        });
        let mut whole = if real.as_slice() == b"/" { Vec::new() } else { real.clone() };
        whole.extend_from_slice(name);
        paths.push(&whole);
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_take_the_shortest_way() {
        for (link, destination, expected) in [
            ("a", "b", "b"),
            ("a", "b/c", "b/c"),
            ("a/b", "a/c", "c"),
            ("a/b", "c", "../c"),
            ("a/b/c", "a/d/e", "../d/e"),
            ("./a//b", "a/./c", "c"),
            ("ab/c", "a/c", "../a/c"),
            ("a/b/c", "a/b", "."),
            ("a/b/c", "a", ".."),
            ("a", ".", "."),
        ] {
            let path = |text: &'static str| ManifestPath::from_wtf8(text.as_bytes());
            let text = link_text(path(link), path(destination)).unwrap();
            assert_eq!(text, PathBuf::from(expected), "{link} to {destination}");
        }
    }
}
