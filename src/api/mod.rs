//! The API of Rust programs: what `lib.rs` re-exports, over the use cases.
//!
//! Requests are structs with a constructor and methods that set what differs from the defaults. Everything that lasts is an
//! [`Operation`]: it is awaited, reports progress to an observer, and stops when it is told to or dropped.

#[cfg(feature = "s3")]
mod caches;
#[cfg(feature = "s3")]
mod client;
#[cfg(feature = "s3")]
mod connection;
#[cfg(feature = "s3")]
mod download;
#[cfg(feature = "s3")]
mod hash;
mod manifest;
#[cfg(feature = "s3")]
mod operation;
#[cfg(feature = "s3")]
mod outputs;
mod path_mapping;
#[cfg(feature = "s3")]
mod session_action;
#[cfg(feature = "s3")]
mod snapshot;
#[cfg(feature = "s3")]
mod upload;
#[cfg(feature = "s3")]
mod verify;
mod worker;

use std::path::Path;
#[cfg(feature = "s3")]
use std::path::PathBuf;

#[cfg(feature = "s3")]
pub use caches::{CacheFile, CacheKind};
#[cfg(feature = "s3")]
pub use client::{Client, ClientBuilder};
#[cfg(feature = "s3")]
pub use connection::{Connection, RetryCause, Retrying};
#[cfg(feature = "s3")]
pub use download::{DownloadReport, DownloadRequest};
#[cfg(feature = "s3")]
pub use hash::{HashFilesRequest, HashedFile, hash_files};
pub use manifest::{Change, Entry};
#[cfg(feature = "s3")]
pub use operation::{Operation, ProgressObserver, ProgressReport};
#[cfg(feature = "s3")]
pub use outputs::{OutputsRequest, RootOutputs};
pub use path_mapping::session_path_mapping;
#[cfg(feature = "s3")]
pub use session_action::SessionAction;
#[cfg(feature = "s3")]
pub use snapshot::{SnapshotReport, SnapshotRequest, snapshot};
#[cfg(feature = "s3")]
pub use upload::{UploadReport, UploadRequest};
#[cfg(feature = "s3")]
pub use verify::{VerifyFilesRequest, VerifyObjectsRequest, VerifyProblem, VerifyReport, verify_files};
pub use worker::files_below;

/// Where a cache is kept.
#[cfg(feature = "s3")]
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum CacheFolder {
    /// `~/.deadline/job_attachments`, which the reference uses too; no cache where there is no home directory.
    #[default]
    Default,
    /// This directory; it is made if it is not there.
    At(PathBuf),
    /// No cache.
    None,
}

#[cfg(feature = "s3")]
impl CacheFolder {
    /// The folder, where there is one.
    fn path(&self) -> Option<PathBuf> {
        match self {
            Self::Default => crate::cache::default_folder(),
            Self::At(folder) => Some(folder.clone()),
            Self::None => None,
        }
    }
}

/// Reads a file that a caller names.
fn read_file(path: &Path) -> crate::Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| crate::Error::io("read", path, error))
}
