//! Job attachments for AWS Deadline Cloud: manifests, hashing, caches and content-addressed storage in Amazon S3.
//!
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
    CacheFolder, Client, ClientBuilder, DownloadReport, DownloadRequest, HashFilesRequest, HashedFile, Operation,
    OutputsRequest, ProgressObserver, ProgressReport, RootOutputs, SessionAction, SnapshotReport, SnapshotRequest,
    UploadReport, UploadRequest, hash_files, snapshot,
};
pub use api::{Change, Entry, files_below, session_path_mapping};
pub use error::{
    ConfigurationError, Error, IntegrityError, Result, S3Action, S3ClientError, S3ServiceError, ServiceReply,
    SourceProblem,
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
pub use path::{ManifestPath, PathFormat, PathProblem};
pub use path_mapping::{PathMappingRule, PathMappingRuleApplier, StorageProfile};
pub use settings::JobAttachmentS3Settings;
#[cfg(feature = "s3")]
pub use store::credentials::{CredentialSource, Credentials};
#[cfg(feature = "s3")]
pub use transfer::context::CancellationToken;
#[cfg(feature = "s3")]
pub use transfer::download::Verify;
pub use worker::{LowTransferRateDetector, ManifestProperties, WorkerManifestProperties};
