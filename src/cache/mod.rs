//! Local caches: hashes of local files, objects that were seen in S3, and large uploads that were begun.
//!
//! A cache saves work; it never decides whether a job succeeds. [`HashCache`] and [`s3_check_cache::S3CheckCache`] therefore have no operation
//! that fails: whatever goes wrong with the file is reported once through `take_warnings`, a broken file is put aside, and
//! lookups find nothing from then on. The files are the reference's (`SQLite`, its table names), so that both tools share them.

pub(crate) mod connection;
mod contents;
pub(crate) mod db;
pub(crate) mod hash_cache;
pub(crate) mod local_time;
pub(crate) mod s3_check_cache;
pub(crate) mod tolerant;
pub(crate) mod uploads;

pub(crate) use contents::{HASHES, S3_CHECKS};
pub(crate) use hash_cache::{ByteRange, FileState, HashCache, HashRecord, HashRequest, Lookup, StaleReason};
pub(crate) use s3_check_cache::S3CheckCache;
pub(crate) use uploads::UploadRecords;

use std::path::PathBuf;

/// The folder of caches below the user's home, as the reference has it.
const DEFAULT_FOLDER: &str = ".deadline/job_attachments";

/// The folder in which caches live unless the caller names one: `~/.deadline/job_attachments`.
#[must_use]
pub(crate) fn default_folder() -> Option<PathBuf> {
    std::env::home_dir().filter(|home| !home.as_os_str().is_empty()).map(|home| home.join(DEFAULT_FOLDER))
}
