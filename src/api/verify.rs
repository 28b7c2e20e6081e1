//! Comparing files, or objects in S3, with a manifest.

use std::path::PathBuf;
use std::sync::Arc;

use super::Client;
use super::operation::Operation;
use crate::manifest::Manifest;
use crate::ops::fetch_manifests::{FetchManifestRequest, fetch_manifest};
use crate::ops::verify::{self, Amount, Mismatch, Verified};
use crate::settings::JobAttachmentS3Settings;
use crate::store::{ObjectKey, ObjectStore};
use crate::transfer::tasks::blocking;

/// Which local files to compare with a manifest.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct VerifyFilesRequest {
    /// What the files should be.
    pub manifest: Arc<Manifest>,
    /// The directory that they are below.
    pub root: PathBuf,
    /// Whether they are read and hashed. Else only sizes are compared.
    pub contents: bool,
}

/// Which objects in S3 to compare with a manifest.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct VerifyObjectsRequest {
    /// The bucket and root prefix.
    pub settings: JobAttachmentS3Settings,
    /// What the objects should be.
    pub manifest: Arc<Manifest>,
    /// Whether they are fetched and hashed. Else S3 is asked for their sizes, and for their checksums where it keeps them.
    pub deep: bool,
}

/// What a comparison found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Files that were compared, or different objects.
    pub checked: u64,
    /// Their bytes, as the manifest has them.
    pub checked_bytes: u64,
    /// The entries of the manifest that differ, in its order.
    pub problems: Vec<VerifyProblem>,
    /// Different objects that S3 does not have; 0 for local files.
    pub missing_objects: u64,
    /// Their bytes.
    pub missing_bytes: u64,
}

/// A file that is not what the manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyProblem {
    /// Its path, relative to the root.
    pub path: PathBuf,
    /// What is wrong with it, or with the object of its contents.
    pub mismatch: Mismatch,
}

impl VerifyFilesRequest {
    /// The files of a manifest, below a root; their contents are compared.
    #[must_use]
    pub fn new(manifest: impl Into<Arc<Manifest>>, root: impl Into<PathBuf>) -> Self {
        Self { manifest: manifest.into(), root: root.into(), contents: true }
    }

    /// Compares sizes alone.
    #[must_use]
    pub fn sizes_only(mut self) -> Self {
        self.contents = false;
        self
    }
}

impl VerifyObjectsRequest {
    /// The objects of a manifest; they are not fetched.
    #[must_use]
    pub fn new(settings: &JobAttachmentS3Settings, manifest: impl Into<Arc<Manifest>>) -> Self {
        Self { settings: settings.clone(), manifest: manifest.into(), deep: false }
    }

    /// Fetches the objects and hashes them.
    #[must_use]
    pub fn deep(mut self) -> Self {
        self.deep = true;
        self
    }
}

/// Compares local files with a manifest. Files that differ are no error: they are in the report. Files that the manifest does
/// not name are not looked at.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) for a root that can't be opened;
/// [`Error::PathOutsideRoot`](crate::Error::PathOutsideRoot) for a manifest's path that leads out of it;
/// [`Error::Cancelled`](crate::Error::Cancelled).
pub fn verify_files(request: VerifyFilesRequest) -> Operation<VerifyReport> {
    Operation::new(async move |context, totals| {
        let amount = verify::files_of(&request.manifest);
        totals.set(amount.count, if request.contents { amount.bytes } else { 0 });
        blocking(move || {
            let VerifyFilesRequest { manifest, root, contents } = request;
            let verified = verify::verify_files(&manifest, &root, contents, &context)?;
            Ok(report(&manifest, amount, verified))
        })
        .await
    })
}

impl Client {
    /// Compares the objects of a manifest with S3. Objects that differ are no error: they are in the report, under each file
    /// that has their contents.
    ///
    /// # Errors
    /// [`Error::S3Service`](crate::Error::S3Service) and [`Error::S3Client`](crate::Error::S3Client);
    /// [`Error::Cancelled`](crate::Error::Cancelled).
    pub fn verify_objects(&self, request: VerifyObjectsRequest) -> Operation<VerifyReport> {
        let store: Arc<dyn ObjectStore> = Arc::clone(&self.store) as _;
        Operation::new(async move |context, totals| {
            let amount = verify::objects_of(&request.manifest);
            totals.set(amount.count, amount.bytes);
            let manifest = Arc::clone(&request.manifest);
            let objects = verify::VerifyObjectsRequest {
                store,
                cas_prefix: request.settings.cas_prefix(),
                bucket: request.settings.bucket,
                manifest: request.manifest,
                deep: request.deep,
            };
            let verified = verify::verify_objects(objects, &context).await?;
            Ok(report(&manifest, amount, verified))
        })
    }

    /// Fetches a manifest from S3 by its bucket and its whole key.
    ///
    /// # Errors
    /// [`Error::Sync`](crate::Error::Sync) for an object that is no manifest;
    /// [`Error::S3Service`](crate::Error::S3Service) and [`Error::S3Client`](crate::Error::S3Client);
    /// [`Error::Cancelled`](crate::Error::Cancelled).
    pub fn fetch_manifest(&self, bucket: &str, key: &str) -> Operation<Arc<Manifest>> {
        let store: Arc<dyn ObjectStore> = Arc::clone(&self.store) as _;
        let object = ObjectKey::new(bucket, key);
        Operation::new(async move |context, _| {
            fetch_manifest(FetchManifestRequest { store, object, strict: false }, &context).await
        })
    }
}

fn report(manifest: &Manifest, amount: Amount, verified: Verified) -> VerifyReport {
    let problem =
        |(row, mismatch): (usize, Mismatch)| VerifyProblem { path: verify::path_of_row(manifest, row), mismatch };
    VerifyReport {
        checked: amount.count,
        checked_bytes: amount.bytes,
        problems: verified.problems.into_iter().map(problem).collect(),
        missing_objects: verified.missing_objects,
        missing_bytes: verified.missing_bytes,
    }
}
