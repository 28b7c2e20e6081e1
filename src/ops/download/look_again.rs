//! Several processes that fill one folder: what another has finished meanwhile is not fetched.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use super::contents::Wanted;
use super::job::DownloadJob;
use super::present::{BUFFER_BYTES, Present};
use super::request::{ConflictResolution, FileId, LOGGER};
use crate::error::Result;
use crate::fs::open::FileStamp;
use crate::transfer::context::LogLevel;
use crate::transfer::download::look_again::LookAgain;

/// Clocks of a file server and its clients differ by so much at the most, mostly.
const CLOCKS_DIFFER: Duration = Duration::from_secs(2);

impl DownloadJob {
    /// What is asked right before the requests for a content, after all waits. Files that have come since the first look are in
    /// the way of SKIP, and of RESUME if they are right. The other resolutions write a file of their own whatever is there.
    pub(super) fn look_again(self: &Arc<Self>, wanted: &Wanted) -> Option<LookAgain> {
        let conflicts = &self.request.options.conflicts;
        if !matches!(conflicts, ConflictResolution::Skip | ConflictResolution::Resume) {
            return None;
        }
        let (job, wanted) = (Arc::clone(self), wanted.clone());
        Some(LookAgain::new(&self.looks, move || {
            for id in wanted.files() {
                if !job.is_there_now(*id)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }))
    }

    fn is_there_now(&self, id: FileId) -> Result<bool> {
        // One look in the open directory, which is cheap, is enough for most: nothing is there.
        let is_new = !self.settled.is_replaced(id);
        if is_new && self.target(id)?.is_free()? {
            return Ok(false);
        }
        if self.request.options.conflicts == ConflictResolution::Skip {
            return Ok(is_new);
        }
        let present = Present { request: &self.request, roots: &self.roots, context: &self.downloader.context };
        // What was read before and found wrong has not changed since the call began.
        let is_worth_reading = |stamp: &FileStamp| {
            present.has_its_size(id, stamp) && present.has_its_time(id, stamp) && self.is_later(stamp)
        };
        if !present.open(id).is_some_and(|(_, stamp)| is_worth_reading(&stamp)) {
            return Ok(false);
        }
        Ok(present.read(id, &mut vec![0; BUFFER_BYTES])?.is_some())
    }

    /// Whether a file has changed since the call began.
    fn is_later(&self, stamp: &FileStamp) -> bool {
        let began = self.began.duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(CLOCKS_DIFFER);
        u64::try_from(stamp.ctime_ns).is_ok_and(|changed| Duration::from_nanos(changed) >= began)
    }

    /// Counts the files of a content that was found as skipped.
    pub(super) fn leave_to_others(&self, wanted: &Wanted) {
        for id in wanted.files() {
            self.downloader.context.progress.skip_file(self.size_bytes(*id));
            self.downloader.context.log(LogLevel::Debug, LOGGER, || {
                let path =
                    self.request.roots[id.root as usize].path.join(self.manifest(*id).files.path(id.index()).display());
                format!("Left {} to another process", path.display())
            });
        }
        self.found_later.lock().extend(wanted.files());
    }
}
