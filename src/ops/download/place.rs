//! From checked contents to files at their names.

use std::path::PathBuf;

use bytes::Bytes;

use super::conflicts::Naming;
use super::{CANCELLED, ConflictResolution, FileId, Job, LOGGER, lock};
use crate::error::{Error, Result};
use crate::fs::permissions;
use crate::fs::stage::{Committed, StagedFile};
use crate::fs::target::Target;
use crate::transfer::context::LogLevel;

impl Job {
    /// Writes contents that are in memory to all files that want them.
    pub(super) fn place_pieces(&self, files: &[FileId], pieces: &[Bytes]) -> Result<()> {
        for (number, id) in files.iter().enumerate() {
            if number > 0 {
                self.downloader.context.check_cancelled(CANCELLED)?;
            }
            let staged = self.target(*id)?.stage()?;
            let mut offset = 0;
            for piece in pieces {
                staged.write_at(piece, offset)?;
                offset += piece.len() as u64;
            }
            self.commit_and_count(*id, staged, number > 0)?;
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
    pub(super) fn place_staged(&self, files: &[FileId], staged: StagedFile) -> Result<()> {
        let Some((first, others)) = files.split_first() else { return Ok(()) };
        // Clones come before the first file gets its name: nobody can have changed its contents yet.
        for id in others {
            self.downloader.context.check_cancelled(CANCELLED)?;
            let clone = self.target(*id)?.stage()?;
            clone.clone_from(staged.file(), self.size_bytes(*id))?;
            self.commit_and_count(*id, clone, true)?;
        }
        self.commit_and_count(*first, staged, false)
    }

    fn commit_and_count(&self, id: FileId, staged: StagedFile, is_clone: bool) -> Result<()> {
        let (progress, size_bytes) = (&self.downloader.context.progress, self.size_bytes(id));
        if let Some(path) = self.commit(id, staged)? {
            if is_clone {
                // Its bytes did not travel, but they are there: the total counts them.
                progress.add_bytes(size_bytes);
            }
            progress.finish_file();
            self.note_written(id, &path);
        } else {
            if !is_clone {
                progress.take_back_bytes(size_bytes);
            }
            progress.skip_file(size_bytes);
        }
        Ok(())
    }

    pub(super) fn note_written(&self, id: FileId, path: &std::path::Path) {
        self.downloader.context.log(LogLevel::Debug, LOGGER, || {
            let relative = self.manifest(id).files.path(id.index()).display();
            format!("Downloaded {relative} to {}", path.display())
        });
        lock(&self.written)[id.root as usize].push_os(path.as_os_str());
    }

    /// Execute bit, permissions, time, disk, name. Gives `None` where the file gave way to another.
    fn commit(&self, id: FileId, staged: StagedFile) -> Result<Option<PathBuf>> {
        let files = &self.manifest(id).files;
        if files.is_runnable(id.index()) {
            staged.make_executable()?;
        }
        if let Some(wanted) = &self.request.options.permissions {
            permissions::add(staged.file(), wanted.group, wanted.file_mode)
                .map_err(|error| Error::io("set the permissions of", staged.target().path(), error))?;
        }
        staged.set_mtime_micros(files.mtime_micros(id.index()))?;
        if self.request.options.sync {
            staged.sync()?;
        }
        self.give_name(id, staged)
    }

    fn give_name(&self, id: FileId, mut staged: StagedFile) -> Result<Option<PathBuf>> {
        let own = staged.target().clone();
        let first = match self.settled.naming(id) {
            Naming::Over => {
                staged.commit_over()?;
                return Ok(Some(own.path()));
            }
            Naming::Copy(name) => own.with_name(name.clone()),
            Naming::Own => own.clone(),
        };
        if staged.commit_new(&first)? == Committed::Yes {
            return Ok(Some(first.path()));
        }
        // Something has come there since conflicts were settled.
        match &self.request.options.conflicts {
            ConflictResolution::Skip => Ok(None),
            ConflictResolution::Overwrite | ConflictResolution::Resume => {
                staged.commit_over()?;
                Ok(Some(own.path()))
            }
            ConflictResolution::CreateCopy => next_free_copy(&own, |copy| staged.commit_new(copy)).map(Some),
            ConflictResolution::Unknown(name) => Err(unknown(name)),
        }
    }

    pub(super) fn target(&self, id: FileId) -> Result<Target> {
        self.roots[id.root as usize].target(self.manifest(id).files.path(id.index()))
    }
}

pub(super) fn unknown(name: &str) -> Error {
    Error::InvalidArgument(format!("Unknown choice for file conflict resolution: {name}"))
}

/// Tries `name (1).ext`, `name (2).ext`, … until one is free; processes that do the same at the same time don't meet.
pub(super) fn next_free_copy(own: &Target, mut commit: impl FnMut(&Target) -> Result<Committed>) -> Result<PathBuf> {
    let mut number = 1;
    loop {
        let copy = own.copy_name(number);
        if commit(&copy)? == Committed::Yes {
            return Ok(copy.path());
        }
        number += 1;
    }
}
