//! Job attachments for AWS Deadline Cloud: manifests, hashing, caches and content-addressed storage in Amazon S3.
//!
//! ```standalone_crate
//! use rusty_attachments::{
//!     Client, DownloadRequest, JobAttachmentS3Settings, SnapshotRequest, UploadRequest, snapshot,
//! };
//!
//! #[tokio::main]
//! async fn main() -> rusty_attachments::Result<()> {
//! # let _studio = rusty_attachments_servers::studio::set_up("my-farm-bucket", "shot_010").await;
//!     let settings = JobAttachmentS3Settings::new("my-farm-bucket", "DeadlineCloud");
//!     let client = Client::from_env().await?;
//!
//!     let manifest = snapshot(SnapshotRequest::new("shot_010")).await?.manifest;
//!     let upload = UploadRequest::new(&settings, manifest.clone(), "shot_010")
//!         .manifest_key("farm-1/queue-1/Inputs/0123/input");
//!     let sent = client.upload(upload).await?;
//!     println!("{} files sent, {} were there", sent.uploaded_files, sent.skipped_files);
//! # assert_eq!((sent.uploaded_files, sent.skipped_files), (2, 0));
//!
//!     let download = DownloadRequest::new(&settings).root("session/shot_010", manifest);
//!     let received = client.download(download).await?;
//!     println!("{} files received", received.downloaded_files);
//! # assert_eq!(received.downloaded_files, 2);
//!     Ok(())
//! }
//! ```
//!
//! Everything that lasts is an [`Operation`]: it is awaited, reports progress to a [`ProgressObserver`], and stops when it is
//! told to or dropped. `examples/worker_session.rs` is a whole session of a worker. What the package guarantees, and how it
//! differs from the reference implementation in Python, is in the repository's `docs`.
//!
//! # Features
//!
//! - `s3` (default): everything that touches files, caches and S3. Without it manifests, hashes, path mapping and worker
//!   properties are left, which build in seconds.
//! - `cli`: the command line, `rusty-attachments`.
//! - `python`: the Python extension module; for maturin.

// The layers, outermost last. A module uses those before it, never those after it (`tests_rs/layers.rs` checks):
//
// 1. primitives: error, path, hash; what the process may use: descriptors, permits, threads
// 2. documents: manifest, settings, path_mapping, grouping, worker: pure data and rules
// 3. adapters: fs, cache, store: one outside resource each
// 4. engine: transfer: moving one object, and the limits under which many move
// 5. use cases: ops, one verb a file
// 6. API: api: what is re-exported below
// 7. bindings: cli (feature `cli`), the only code that names clap and indicatif; python (feature `python`), that names pyo3

#![cfg_attr(
    not(feature = "python"),
    allow(dead_code, unused_imports, reason = "the Python face uses more than the Rust API shows")
)]

#[cfg(feature = "s3")]
mod descriptors;
mod error;
mod hash;
mod path;
#[cfg(feature = "s3")]
mod permits;
#[cfg(feature = "s3")]
mod sync;
mod threads;

mod glob;
mod grouping;
mod manifest;
mod path_mapping;
mod settings;
mod worker;

#[cfg(feature = "s3")]
mod cache;
#[cfg(feature = "s3")]
mod fs;
#[cfg(feature = "s3")]
mod store;

#[cfg(feature = "s3")]
mod transfer;

#[cfg(feature = "s3")]
mod ops;

mod api;

#[cfg(feature = "cli")]
mod cli;
#[cfg(feature = "python")]
mod python;

// The integration tests are modules of the crate's own test binary: they test what is private, too.
#[cfg(all(test, feature = "s3"))]
extern crate self as rusty_attachments;
#[cfg(all(test, feature = "s3"))]
#[path = "../tests_rs/main.rs"]
mod tests_rs;

#[cfg(feature = "s3")]
pub use api::{
    CacheFile, CacheFolder, CacheKind, Client, ClientBuilder, Connection, DownloadReport, DownloadRequest,
    HashFilesRequest, HashedFile, Operation, OutputsRequest, ProgressObserver, ProgressReport, RetryCause, Retrying,
    RootOutputs, SessionAction, SnapshotReport, SnapshotRequest, UploadReport, UploadRequest, VerifyFilesRequest,
    VerifyObjectsRequest, VerifyProblem, VerifyReport, hash_files, snapshot, verify_files,
};
pub use api::{Change, Entry, files_below, session_path_mapping};
#[cfg(feature = "cli")]
pub use cli::{Interrupts, run_command};
pub use error::{
    ConfigurationError, Error, IntegrityError, ManifestProblem, PathProblem, Result, S3Action, S3ClientError,
    S3ServiceError, ServiceReply, SourceProblem,
};
#[cfg(feature = "s3")]
pub use fs::collect::SymlinkPolicy;
#[cfg(feature = "s3")]
pub use fs::open::LinkPolicy;
pub use hash::{ContentHash, HashAlgorithm, Hasher, hash_bytes};
pub use manifest::{Content, FileStatus, Manifest, ManifestVersion};
#[cfg(feature = "s3")]
pub use ops::download::{ConflictResolution, DownloadOptions, Duplicates, Permissions};
#[cfg(feature = "s3")]
pub use ops::hash_files::HashReason;
#[cfg(feature = "s3")]
pub use ops::upload_assets::UploadOptions;
#[cfg(feature = "s3")]
pub use ops::verify::Mismatch;
pub use path::{ManifestPath, PathFormat};
pub use path_mapping::{PathMappingRule, PathMappingRuleApplier, StorageProfile};
pub use settings::JobAttachmentS3Settings;
#[cfg(feature = "s3")]
pub use store::credentials::{CredentialSource, Credentials};
#[cfg(feature = "s3")]
pub use transfer::context::CancellationToken;
#[cfg(feature = "s3")]
pub use transfer::download::Verify;
pub use worker::{LowTransferRateDetector, ManifestProperties, WorkerManifestProperties};
