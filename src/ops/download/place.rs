//! From checked contents to files at their names.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::conflicts::Plan;
use super::{ConflictResolution, FileId, Job, LOGGER, Permissions, Wanted, index, lock};
use crate::error::{Error, Result};
use crate::fs::permissions;
use crate::fs::stage::{Committed, Existing, StagedFile, Target, TargetRoot};
use crate::hash::Hasher;
use crate::manifest::Content;
use crate::path::{ManifestPath, PathFormat};
use crate::transfer::context::LogLevel;

impl Job {
    /// Writes contents that are in memory to all files that want them.
    pub(super) fn place_pieces(&self, wanted: &Wanted, pieces: &[Bytes]) -> Result<()> {
        for id in &wanted.files {
            let staged = self.target(*id)?.stage()?;
            let mut offset = 0;
            for piece in pieces {
                staged.write_at(piece, offset)?;
                offset += piece.len() as u64;
            }
            self.commit(*id, staged)?;
            self.count(*id, *id != wanted.files[0]);
        }
        Ok(())
    }

    /// Begins the file for large contents.
    pub(super) fn stage(&self, id: FileId, size_bytes: u64) -> Result<StagedFile> {
        let staged = self.target(id)?.stage()?;
        staged.reserve(size_bytes)?;
        Ok(staged)
    }

    /// Gives a finished file its name, and clones it to the other files that want its contents.
    pub(super) fn place_staged(&self, wanted: &Wanted, staged: StagedFile) -> Result<()> {
        let Some((first, others)) = wanted.files.split_first() else { return Ok(()) };
        // Clones come before the first file gets its name: nobody can have changed its contents yet.
        for id in others {
            let clone = self.target(*id)?.stage()?;
            clone.clone_from(staged.file(), self.size_bytes(*id))?;
            self.commit(*id, clone)?;
            self.count(*id, true);
        }
        self.commit(*first, staged)?;
        self.count(*first, false);
        Ok(())
    }

    /// Time, permissions, disk, name.
    fn commit(&self, id: FileId, staged: StagedFile) -> Result<()> {
        let files = &self.manifest(id).files;
        if files.is_runnable(index(id)) {
            staged.add_mode(0o111)?;
        }
        if let Some(wanted) = &self.request.options.permissions {
            add_permissions(staged.file(), wanted.group, wanted.file_mode)
                .map_err(|error| Error::io("set the permissions of", staged.target().path(), error))?;
        }
        staged.set_mtime_micros(files.mtime_micros(index(id)))?;
        if self.request.options.sync {
            staged.sync()?;
        }
        let Some(path) = self.give_name(id, staged)? else {
            self.log_skipped(id);
            return Ok(());
        };
        self.downloader.context.log(LogLevel::Debug, LOGGER, || {
            format!("Downloaded {} to {}", files.path(index(id)).display(), path.display())
        });
        lock(&self.written)[id.root as usize].push(path);
        Ok(())
    }

    /// The name that the file got, or `None` where it gave way to another.
    fn give_name(&self, id: FileId, mut staged: StagedFile) -> Result<Option<PathBuf>> {
        let plain = staged.target().clone();
        let first = match self.plans.get(&id) {
            Some(Plan::Replace) => {
                staged.commit_over()?;
                return Ok(Some(plain.path()));
            }
            Some(Plan::Copy(name)) => plain.with_name(name.clone()),
            None => plain.clone(),
        };
        if staged.commit_new(&first)? == Committed::Yes {
            return Ok(Some(first.path()));
        }
        // Something has come there since conflicts were settled.
        match &self.request.options.conflicts {
            ConflictResolution::Skip => Ok(None),
            ConflictResolution::Overwrite | ConflictResolution::Resume => {
                staged.commit_over()?;
                Ok(Some(plain.path()))
            }
            ConflictResolution::CreateCopy => loop_copies(&mut staged, &plain).map(Some),
            ConflictResolution::Unknown(name) => {
                Err(Error::InvalidArgument(format!("Unknown choice for file conflict resolution: {name}")))
            }
        }
    }

    fn target(&self, id: FileId) -> Result<Target> {
        self.root(id).target(self.manifest(id).files.path(index(id)))
    }

    fn root(&self, id: FileId) -> &TargetRoot {
        &self.roots[id.root as usize]
    }

    fn count(&self, id: FileId, cloned: bool) {
        let progress = &self.downloader.context.progress;
        if cloned {
            // Its bytes did not travel, but they are there: the total counts them.
            progress.add_bytes(self.size_bytes(id));
        }
        progress.finish_file();
    }

    /// Whether the file at the entry's path has the right size and contents.
    pub(super) fn is_right(&self, id: FileId) -> Result<bool> {
        let target = self.target(id)?;
        if target.look()? != (Existing::File { size_bytes: self.size_bytes(id) }) {
            return Ok(false);
        }
        let Ok(mut file) = target.open() else { return Ok(false) };
        for (expected, length) in self.pieces(id) {
            if hash_next(&mut file, length).map_err(|error| Error::io("read", target.path(), error))? != Some(expected)
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) fn log_skipped(&self, id: FileId) {
        self.downloader.context.log(LogLevel::Debug, LOGGER, || format!("Left {} as it is", self.shown(id).display()));
    }

    /// What comes after all files: empty directories, links, permissions of directories.
    pub(super) fn finish_trees(&self) -> Result<()> {
        for (root, download) in self.roots.iter().zip(&self.request.roots) {
            let manifest = &download.manifest;
            for directory in manifest.directories.iter().filter(|directory| !directory.deleted) {
                root.make_directory(ManifestPath::from_wtf8(&directory.path))?;
            }
            for entry in 0..manifest.files.len() {
                if let Content::Symlink(destination) = manifest.files.content(entry) {
                    make_link(root, manifest.files.path(entry), destination)?;
                }
            }
        }
        match self.request.options.permissions {
            Some(wanted) => self.set_directory_permissions(wanted),
            None => Ok(()),
        }
    }

    /// On every directory from the root down to each file that was written, each once.
    fn set_directory_permissions(&self, wanted: Permissions) -> Result<()> {
        for (number, root) in self.roots.iter().enumerate() {
            let mut folders = std::collections::BTreeSet::new();
            for path in &lock(&self.written)[number] {
                let below = path.strip_prefix(root.path()).unwrap_or(path);
                folders.extend(below.ancestors().skip(1).map(Path::to_path_buf));
            }
            for folder in folders {
                let directory = root.open_existing(&folder)?;
                add_permissions(&*directory, wanted.group, wanted.directory_mode)
                    .map_err(|error| Error::io("set the permissions of", root.path().join(&folder), error))?;
            }
        }
        Ok(())
    }
}

fn add_permissions(file: impl std::os::fd::AsFd, group: Option<u32>, mode: u32) -> rustix::io::Result<()> {
    if let Some(group) = group {
        permissions::set_group(&file, group)?;
    }
    permissions::add_mode(&file, mode)
}

/// Makes a link whose target is given from the root; the link itself is relative to its own directory.
fn make_link(root: &TargetRoot, path: ManifestPath<'_>, destination: ManifestPath<'_>) -> Result<()> {
    destination.check(PathFormat::host())?;
    let depth = path.components().count().saturating_sub(1);
    let mut relative = PathBuf::new();
    relative.extend(std::iter::repeat_n("..", depth));
    relative.push(destination.to_os_string()?);
    root.target(path)?.link_to(&relative)
}

fn loop_copies(staged: &mut StagedFile, plain: &Target) -> Result<PathBuf> {
    let mut number = 1;
    loop {
        let copy = plain.copy_name(number);
        if staged.commit_new(&copy)? == Committed::Yes {
            return Ok(copy.path());
        }
        number += 1;
    }
}

/// The hash of the next `length` bytes, or `None` where the file has fewer.
fn hash_next(file: &mut File, length: u64) -> std::io::Result<Option<crate::hash::ContentHash>> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 1024 * 1024];
    let mut left = length;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let read = file.read(&mut buffer[..most])?;
        if read == 0 {
            return Ok(None);
        }
        hasher.update(&buffer[..read]);
        left -= read as u64;
    }
    Ok(Some(hasher.finish()))
}
