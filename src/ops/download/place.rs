//! From checked contents to files at their names.

use std::path::PathBuf;

use bytes::Bytes;

use super::job::DownloadJob;
use super::request::{CANCELLED, ConflictResolution, FileId, LOGGER};
use super::settled::{Naming, unknown_resolution};
use crate::error::{Error, Result};
use crate::fs::permissions::{self, Applied};
use crate::fs::stage::{Committed, StagedFile};
use crate::fs::target::Target;
use crate::transfer::context::{LogLevel, LogOnce};

impl DownloadJob {
    /// Writes contents that are in memory to all files that want them.
    pub(super) fn place_pieces(&self, files: &[FileId], pieces: &[Bytes]) -> Result<()> {
        let _work = self.downloader.context.progress.local_work();
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
            if number > 0 {
                // Its bytes did not travel, but they are there: the total counts them.
                self.downloader.context.progress.add_bytes(self.size_bytes(*id));
            }
            self.commit_and_count(*id, staged)?;
        }
        Ok(())
    }

    /// Begins the file for large contents.
    pub(super) fn stage(&self, id: FileId, size_bytes: u64) -> Result<StagedFile> {
        let _work = self.downloader.context.progress.local_work();
        let staged = self.target(id)?.stage()?;
        staged.reserve(size_bytes)?;
        Ok(staged)
    }

    /// Gives a finished file its name, and clones it to the other files that want its contents.
    pub(super) fn place_staged(&self, files: &[FileId], staged: StagedFile) -> Result<()> {
        let Some((first, others)) = files.split_first() else { return Ok(()) };
        let _work = self.downloader.context.progress.local_work();
        // Clones come before the first file gets its name: nobody can have changed its contents yet.
        for id in others {
            let clone = self.target(*id)?.stage()?;
            self.clone_in_steps(&staged, &clone, self.size_bytes(*id))?;
            self.commit_and_count(*id, clone)?;
        }
        self.commit_and_count(*first, staged)
    }

    /// Copies contents to another file that wants them. Its bytes do not travel, but they count as they come, as those of
    /// the first file do.
    fn clone_in_steps(&self, source: &StagedFile, clone: &StagedFile, size_bytes: u64) -> Result<()> {
        let context = &self.downloader.context;
        let mut counted = 0;
        let outcome = context.check_cancelled(CANCELLED).and_then(|()| {
            clone.clone_from(source.file(), size_bytes, |copied| {
                context.progress.add_bytes(copied);
                counted += copied;
                context.check_cancelled(CANCELLED)
            })
        });
        if outcome.is_err() {
            context.progress.take_back_bytes(counted);
        }
        outcome
    }

    /// Gives a file its name. Its bytes were counted as they came.
    fn commit_and_count(&self, id: FileId, staged: StagedFile) -> Result<()> {
        let (progress, size_bytes) = (&self.downloader.context.progress, self.size_bytes(id));
        if let Some(path) = self.commit(id, staged)? {
            progress.finish_file();
            self.note_written(id, &path);
        } else {
            progress.take_back_bytes(size_bytes);
            progress.skip_file(size_bytes);
        }
        Ok(())
    }

    pub(super) fn note_written(&self, id: FileId, path: &std::path::Path) {
        self.downloader.context.log(LogLevel::Debug, LOGGER, || {
            let given = self.given[id.root as usize].files.path(id.index()).display();
            format!("Downloaded {given} to {}", path.display())
        });
        self.written.lock()[id.root as usize].push_os(path.as_os_str());
    }

    /// The file system's answer, execute bit, permissions, time, disk, name. Gives `None` where the file gave way to another.
    fn commit(&self, id: FileId, staged: StagedFile) -> Result<Option<PathBuf>> {
        let files = &self.manifest(id).files;
        staged.settle()?;
        if files.is_runnable(id.index()) && staged.make_executable()? == Applied::Refused {
            self.warn_once(&self.done_without.execute_bits, &staged, "make files executable");
        }
        if let Some(wanted) = &self.request.options.permissions {
            permissions::add(staged.file(), wanted.group, wanted.file_mode)
                .map_err(|error| Error::io("set the permissions of", staged.target().path(), error))?;
        }
        if staged.set_mtime_micros(files.mtime_micros(id.index()))? == Applied::Refused {
            self.warn_once(&self.done_without.times, &staged, "set the times of files");
        }
        if self.request.options.sync {
            staged.sync()?;
        }
        self.give_name(id, staged)
    }

    fn warn_once(&self, once: &LogOnce, staged: &StagedFile, what: &str) {
        let context = &self.downloader.context;
        context.warn_once(once, LOGGER, || {
            let path = staged.target().path();
            format!("The file system of '{}' does not let this user {what}; continuing without it.", path.display())
        });
    }

    fn give_name(&self, id: FileId, mut staged: StagedFile) -> Result<Option<PathBuf>> {
        let own = staged.target().clone();
        let replaces =
            matches!(self.request.options.conflicts, ConflictResolution::Overwrite | ConflictResolution::Resume);
        let first = match self.settled.naming(id) {
            Naming::Copy(name) => own.with_name(name.clone()),
            Naming::Own if !replaces => own.clone(),
            // Whatever has come there since conflicts were settled is replaced, too.
            Naming::Over | Naming::Own => {
                staged.commit_over()?;
                return Ok(Some(own.path()));
            }
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
            ConflictResolution::Unknown(name) => Err(unknown_resolution(name)),
        }
    }

    pub(super) fn target(&self, id: FileId) -> Result<Target> {
        self.roots[id.root as usize].target(self.manifest(id).files.path(id.index()))
    }
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
