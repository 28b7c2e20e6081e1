//! Files that are there already, beside what the manifest says about them.

use std::io::Read;
use std::time::SystemTime;

use super::fetch::pieces;
use super::request::{CANCELLED, DownloadRequest, FileId};
use crate::error::{Error, Result};
use crate::fs::File;
use crate::fs::blocks::read_blocks;
use crate::fs::open::FileStamp;
use crate::fs::target_root::TargetRoot;
use crate::hash::{ContentHash, Hasher};
use crate::transfer::context::Context;

/// Read at a time, and how often cancellation is looked at.
pub(super) const BUFFER_BYTES: usize = 1024 * 1024;
/// How often a file is read again that changes meanwhile.
const ATTEMPTS: usize = 3;
/// Times that are this close count as equal: what a diff of the tree tolerates.
const TOLERANCE_MICROS: u64 = 1;

/// The files of a request as they are on the disk.
#[derive(Clone, Copy)]
pub(super) struct Present<'a> {
    pub(super) request: &'a DownloadRequest,
    pub(super) roots: &'a [TargetRoot],
    pub(super) context: &'a Context,
}

/// A file whose size and contents are the manifest's.
pub(super) struct RightFile {
    pub(super) file: File,
    /// Its stamp before and after it was read.
    pub(super) stamp: FileStamp,
    /// Whether it had rested before it was read, so that its hash may be kept: a write in the same tick of the file's clock as
    /// its last one leaves no trace.
    pub(super) has_rested: bool,
}

impl Present<'_> {
    pub(super) fn open(&self, id: FileId) -> Option<(File, FileStamp)> {
        let manifest = &self.request.roots[id.root as usize].manifest;
        self.roots[id.root as usize].open_file(manifest.files.path(id.index()))
    }

    /// Whether a file has the manifest's size.
    pub(super) fn has_its_size(&self, id: FileId, stamp: &FileStamp) -> bool {
        let manifest = &self.request.roots[id.root as usize].manifest;
        u64::try_from(manifest.files.size_bytes(id.index())).is_ok_and(|size| size == stamp.size_bytes)
    }

    /// Whether a file has the manifest's modification time.
    pub(super) fn has_its_time(&self, id: FileId, stamp: &FileStamp) -> bool {
        stamp.mtime_micros().abs_diff(self.mtime_micros(id)) <= TOLERANCE_MICROS
    }

    pub(super) fn mtime_micros(&self, id: FileId) -> i64 {
        self.request.roots[id.root as usize].manifest.files.mtime_micros(id.index())
    }

    /// Reads a file and compares it with what the manifest says. `None` for one that is not right or can't be read.
    pub(super) fn read(&self, id: FileId, buffer: &mut [u8]) -> Result<Option<RightFile>> {
        let manifest = &self.request.roots[id.root as usize].manifest;
        for _ in 0..ATTEMPTS {
            let Some((mut file, before)) = self.open(id) else { break };
            let has_rested = before.is_settled(SystemTime::now());
            for (expected, length) in pieces(manifest, id.index()) {
                if self.hash_next(&mut file, length, buffer)? != Some(expected) {
                    return Ok(None);
                }
            }
            let Some((file, after)) = self.open(id) else { break };
            if before == after {
                return Ok(self.has_its_size(id, &after).then_some(RightFile { file, stamp: after, has_rested }));
            }
            // Another process has set its time, or put the same contents in its place.
        }
        Ok(None)
    }

    /// The hash of the next `length` bytes, or `None` where the file has fewer or can't be read.
    fn hash_next(&self, file: &mut File, length: u64, buffer: &mut [u8]) -> Result<Option<ContentHash>> {
        let mut hasher = Hasher::new();
        let read = |bytes: &mut [u8], _| file.read(bytes);
        let came = read_blocks(buffer, length, read, |block| {
            self.context.check_cancelled(CANCELLED)?;
            hasher.update(block);
            self.context.progress.check_bytes(block.len() as u64);
            Ok::<_, Error>(())
        })?;
        Ok(came.is_ok_and(|came| came == length).then(|| hasher.finish()))
    }
}
