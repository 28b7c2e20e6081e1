//! The caches of this machine: what they take, and how to empty them.

use std::path::PathBuf;

use super::CacheFolder;
use crate::cache;
use crate::error::Result;

/// A cache file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheFile {
    /// Which cache it is.
    pub kind: CacheKind,
    /// The file.
    pub path: PathBuf,
    /// Its size in bytes; 0 where there is none yet.
    pub size_bytes: u64,
    /// How many entries it has; `None` where that can't be read.
    pub entries: Option<u64>,
}

/// The caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CacheKind {
    /// Hashes of local files.
    Hashes,
    /// Objects that were seen in S3.
    S3Check,
}

impl CacheFolder {
    /// The caches in this folder. A cache that is not there has no entries.
    #[must_use]
    pub fn files(&self) -> Vec<CacheFile> {
        let Some(folder) = self.path() else { return Vec::new() };
        let kinds = [(CacheKind::Hashes, cache::HASHES), (CacheKind::S3Check, cache::S3_CHECKS)];
        kinds
            .map(|(kind, stored)| {
                let path = stored.file(&folder);
                let size_bytes = stored.size_bytes(&folder);
                CacheFile { kind, entries: stored.count(&folder), path, size_bytes }
            })
            .to_vec()
    }

    /// Forgets what the caches in this folder know. The next jobs hash their files and ask S3 again; nothing else is lost.
    /// Returns how many entries there were.
    ///
    /// # Errors
    /// [`Error::Sync`](crate::Error::Sync) where a cache can't be written, for instance because another program keeps it locked.
    pub fn clear(&self) -> Result<u64> {
        let Some(folder) = self.path() else { return Ok(0) };
        Ok(cache::HASHES.clear(&folder)? + cache::S3_CHECKS.clear(&folder)?)
    }
}
