//! Progress as counters: workers add, whoever shows progress samples.
//!
//! A call per event across a language boundary costs more than moving a small file does; sampled counters cost an atomic add.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of one operation, shared by its workers.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    processed_files: AtomicU64,
    processed_bytes: AtomicU64,
    skipped_files: AtomicU64,
    skipped_bytes: AtomicU64,
    checked_bytes: AtomicU64,
    beats: AtomicU64,
    local_work: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ProgressSnapshot {
    /// Files hashed, sent or received.
    pub processed_files: u64,
    /// Bytes hashed, sent or received; grows while a file is on its way.
    pub processed_bytes: u64,
    /// Files that needed no work.
    pub skipped_files: u64,
    /// Their bytes.
    pub skipped_bytes: u64,
    /// Bytes of files that were there already, read to see whether they are right. They are part of no total.
    pub checked_bytes: u64,
    /// Signs of life that are no progress: steps of local work, and looks at the counters while local work was under way.
    pub beats: u64,
}

/// Local work under way, until it is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct LocalWork<'a>(&'a AtomicU64);

impl Drop for LocalWork<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Progress {
    /// Counts bytes of a file that is still on its way.
    pub(crate) fn add_bytes(&self, bytes: u64) {
        self.processed_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes back bytes that were counted and have to be moved again.
    pub(crate) fn take_back_bytes(&self, bytes: u64) {
        self.processed_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Counts a file as done. Its bytes were counted by [`Progress::add_bytes`].
    pub(crate) fn finish_file(&self) {
        self.processed_files.fetch_add(1, Ordering::Release);
    }

    /// Counts a file that needed no work.
    pub(crate) fn skip_file(&self, bytes: u64) {
        self.skipped_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.skipped_files.fetch_add(1, Ordering::Release);
    }

    /// Counts bytes that needed no work, of a file that is not done yet.
    pub(crate) fn skip_bytes(&self, bytes: u64) {
        self.skipped_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts bytes that were read to see whether a file that is there is right: a sign of life, and no progress.
    pub(crate) fn check_bytes(&self, bytes: u64) {
        self.checked_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Tells of a step of local work that counts for nothing else.
    pub(crate) fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// Tells that this machine is at work: looking, copying, syncing. A single system call may take minutes there, and the
    /// network has no part in it, so every look at the counters meanwhile counts as a beat.
    pub(crate) fn local_work(&self) -> LocalWork<'_> {
        self.local_work.fetch_add(1, Ordering::Relaxed);
        LocalWork(&self.local_work)
    }

    /// The counters now. Files are read first, so that a file never shows as done before its bytes do.
    #[must_use]
    pub(crate) fn snapshot(&self) -> ProgressSnapshot {
        let processed_files = self.processed_files.load(Ordering::Acquire);
        let skipped_files = self.skipped_files.load(Ordering::Acquire);
        if self.local_work.load(Ordering::Relaxed) > 0 {
            self.beat();
        }
        ProgressSnapshot {
            processed_files,
            processed_bytes: self.processed_bytes.load(Ordering::Relaxed),
            skipped_files,
            skipped_bytes: self.skipped_bytes.load(Ordering::Relaxed),
            checked_bytes: self.checked_bytes.load(Ordering::Relaxed),
            beats: self.beats.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_work_beats_with_every_look_until_it_ends() {
        let progress = Progress::default();
        assert_eq!((progress.snapshot().beats, progress.snapshot().beats), (0, 0));
        let (one, other) = (progress.local_work(), progress.local_work());
        assert_eq!((progress.snapshot().beats, progress.snapshot().beats), (1, 2));
        drop(one);
        assert_eq!(progress.snapshot().beats, 3);
        drop(other);
        progress.beat();
        assert_eq!((progress.snapshot().beats, progress.snapshot().beats), (4, 4));
    }
}
