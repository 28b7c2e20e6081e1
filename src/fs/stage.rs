//! Writing files so that nothing wrong is ever seen at a final path: a temporary file beside the target, then a rename.
//!
//! A write that the system took may still fail: network file systems send data later, and tell of a full disk or a used-up
//! quota when a file is closed. So a file gets its name only once its file system has answered for all that was written.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, MutexGuard};
use rustix::io::Errno;

use super::calls::{self, means_cannot, sync_if_possible};
use super::copy::Copying;
use super::directory::FileSystemKind;
use super::leftovers::temporary_name;
pub(crate) use super::naming::Committed;
use super::naming::{replace, take_free_name};
use super::permissions::Applied;
use super::target::Target;
use crate::descriptors::patiently;
use crate::error::{Error, Result};

impl Target {
    /// Begins a file that will be at this target.
    ///
    /// # Errors
    /// [`Error::Io`] naming the target.
    pub(crate) fn stage(&self) -> Result<StagedFile> {
        loop {
            let name = temporary_name();
            match patiently(|| calls::create_new(&*self.directory, &name, 0o666)) {
                Ok(descriptor) => {
                    // Waits for a moment if another process is just looking whether the file is locked. Where other hosts
                    // may be, a lock proves nothing and may cost a round trip: there, the name has to do.
                    if self.directory.kind() != FileSystemKind::Shared {
                        let _ = calls::lock(&descriptor);
                    }
                    return Ok(StagedFile {
                        target: self.clone(),
                        name: Some(name),
                        file: File::from(descriptor),
                        writing: Mutex::default(),
                        is_settled: AtomicBool::new(false),
                    });
                }
                Err(Errno::EXIST) => {}
                Err(error) => return Err(Error::io("create a file for", self.path(), error)),
            }
        }
    }

    /// Makes a symbolic link at the target, over what is there if `replace`.
    ///
    /// # Errors
    /// [`Error::Io`] naming the target.
    pub(crate) fn link_to(&self, destination: &Path, over: bool) -> Result<Committed> {
        let fail = |error: Errno| Error::io("create symbolic link", self.path(), error);
        if !over {
            return match rustix::fs::symlinkat(destination, &*self.directory, &self.name) {
                Ok(()) => Ok(Committed::Yes),
                Err(Errno::EXIST) => Ok(Committed::NameTaken),
                Err(error) => Err(fail(error)),
            };
        }
        let name = temporary_name();
        rustix::fs::symlinkat(destination, &*self.directory, &name).map_err(fail)?;
        replace(&self.directory, &name, &self.name).map_err(|error| {
            let _ = calls::unlink(&*self.directory, &name);
            fail(error)
        })?;
        Ok(Committed::Yes)
    }
}

/// A file on its way to its target. Dropped without a commit, it is gone.
#[derive(Debug)]
pub(crate) struct StagedFile {
    target: Target,
    /// The temporary name, until the file is committed.
    name: Option<OsString>,
    file: File,
    writing: Mutex<()>,
    /// Whether the file system has answered for all that was written.
    is_settled: AtomicBool,
}

/// The right to write to a staged file. The kernel lets one thread write to a file at a time, and has the others spin.
#[derive(Debug)]
pub(crate) struct WriteTurn<'file> {
    staged: &'file StagedFile,
    _turn: MutexGuard<'file, ()>,
}

impl StagedFile {
    /// Sets aside room for the whole file, so that a full disk shows now and not at the end. Where that can't be done, a
    /// full disk shows later.
    ///
    /// # Errors
    /// [`Error::Io`] naming the target.
    pub(crate) fn reserve(&self, size_bytes: u64) -> Result<()> {
        let outcome = if self.target.directory.kind() == FileSystemKind::Memory {
            room_in_memory(&self.file, size_bytes)
        } else {
            calls::allocate(&self.file, size_bytes)
        };
        match outcome {
            Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG | Errno::IO | Errno::ROFS)) => {
                Err(Error::io("make room for", self.target.path(), error))
            }
            _ => Ok(()),
        }
    }

    /// Writes bytes at an offset, once no other thread writes.
    ///
    /// # Errors
    /// [`Error::Io`] naming the target.
    pub(crate) fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.turn_to_write().write_at(bytes, offset)
    }

    /// Waits until no other thread writes.
    pub(crate) fn turn_to_write(&self) -> WriteTurn<'_> {
        WriteTurn { staged: self, _turn: self.writing.lock() }
    }

    /// The right to write, unless another thread has it.
    #[must_use]
    pub(crate) fn try_turn_to_write(&self) -> Option<WriteTurn<'_>> {
        self.writing.try_lock().map(|turn| WriteTurn { staged: self, _turn: turn })
    }

    /// The open file: for cloning, permissions and reading back.
    #[must_use]
    pub(crate) const fn file(&self) -> &File {
        &self.file
    }

    /// Where the file will be.
    #[must_use]
    pub(crate) const fn target(&self) -> &Target {
        &self.target
    }

    /// Sets access and modification time, both, as the reference does. Some file systems let only the file's owner do so, who
    /// may be another user there than here.
    ///
    /// # Errors
    /// [`Error::Io`] naming the target.
    pub(crate) fn set_mtime_micros(&self, mtime_micros: i64) -> Result<Applied> {
        // Data that is sent later would bring a time of its own.
        self.settle()?;
        match calls::set_times(&self.file, super::times::from_micros(mtime_micros)) {
            Ok(()) => Ok(Applied::Yes),
            Err(error) if means_cannot(error) => Ok(Applied::Refused),
            Err(error) => Err(Error::io("set the time of", self.target.path(), error)),
        }
    }

    /// Makes the file executable for whoever may read it.
    ///
    /// # Errors
    /// [`Error::Io`] naming the target.
    pub(crate) fn make_executable(&self) -> Result<Applied> {
        super::permissions::make_executable(&self.file)
            .map_err(|error| Error::io("set the permissions of", self.target.path(), error))
    }

    /// Fills the file with another's contents: a reflink where the file system can, else step by step. `on_step` gets to know
    /// how many bytes each step has copied, and can end the copying.
    ///
    /// # Errors
    /// [`Error::Io`] naming the target; those of `on_step`.
    pub(crate) fn clone_from(
        &self,
        source: &File,
        size_bytes: u64,
        mut on_step: impl FnMut(u64) -> Result<()>,
    ) -> Result<()> {
        self.is_settled.store(false, Ordering::Relaxed);
        let mut copying = Copying::new(source, &self.file, size_bytes);
        while let Some(copied) = copying.step().map_err(|error| Error::io("write", self.target.path(), error))? {
            on_step(copied)?;
        }
        Ok(())
    }

    /// Waits until the file system has taken all that was written, as far as closing the file makes it say so. Files get no
    /// name before; nothing happens if nothing was written since the last time.
    ///
    /// # Errors
    /// [`Error::Io`] naming the target: what was written is not there.
    pub(crate) fn settle(&self) -> Result<()> {
        if self.is_settled.load(Ordering::Relaxed) {
            return Ok(());
        }
        let fail = |error: Errno| Error::io("write", self.target.path(), error);
        // Some hold data back even when a file is closed: NFS under a delegation, and whatever a FUSE program likes.
        if self.target.directory.kind() == FileSystemKind::Shared {
            sync_if_possible(&self.file).map_err(fail)?;
        }
        match calls::close_duplicate(&self.file) {
            // No descriptor is left for the duplicate.
            Err(Errno::MFILE | Errno::NFILE) => sync_if_possible(&self.file),
            other => other,
        }
        .map_err(fail)?;
        self.is_settled.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Waits until the contents are on the disk. The name is there once the directory was synced too.
    ///
    /// # Errors
    /// [`Error::Io`] naming the target.
    pub(crate) fn sync(&self) -> Result<()> {
        sync_if_possible(&self.file).map_err(|error| Error::io("write", self.target.path(), error))
    }

    /// Gives the file its name, over whatever file is there.
    ///
    /// # Errors
    /// [`Error::Io`] naming the target.
    pub(crate) fn commit_over(&mut self) -> Result<()> {
        self.settle()?;
        if let Some(name) = &self.name {
            let Target { directory, name: wanted, .. } = &self.target;
            replace(directory, name, wanted).map_err(|error| Error::io("write", self.target.path(), error))?;
            self.name = None;
        }
        Ok(())
    }

    /// Gives the file a name in its directory, if that name is free.
    ///
    /// # Errors
    /// [`Error::Io`] naming the target.
    pub(crate) fn commit_new(&mut self, target: &Target) -> Result<Committed> {
        self.settle()?;
        let Some(name) = &self.name else { return Ok(Committed::Yes) };
        let committed = take_free_name(&self.target.directory, name, &target.name)
            .map_err(|error| Error::io("write", target.path(), error))?;
        if committed == Committed::Yes {
            self.name = None;
            self.target = target.clone();
        }
        Ok(committed)
    }
}

impl WriteTurn<'_> {
    /// Writes bytes at an offset.
    ///
    /// # Errors
    /// [`Error::Io`] naming the target.
    pub(crate) fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let StagedFile { target, file, is_settled, .. } = self.staged;
        is_settled.store(false, Ordering::Relaxed);
        file.write_all_at(bytes, offset).map_err(|error| Error::io("write", target.path(), error))
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            // Nothing to do about a failure here: the next run removes it.
            let _ = calls::unlink(&*self.target.directory, name);
        }
    }
}

/// Whether a file system that is memory has room for a file. To set it aside there takes each page at once, on one thread,
/// while everyone who writes to the file waits: the writers take them as they go.
fn room_in_memory(file: &File, size_bytes: u64) -> rustix::io::Result<()> {
    let stat = rustix::fs::fstatvfs(file)?;
    // Without a limit of its own it says 0 blocks.
    let has_room = stat.f_blocks == 0 || stat.f_bavail.saturating_mul(stat.f_frsize) >= size_bytes;
    if has_room { Ok(()) } else { Err(Errno::NOSPC) }
}

#[cfg(test)]
mod tests;
