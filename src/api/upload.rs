//! Uploading the files of a manifest.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::operation::Operation;
use super::{CacheFolder, Client};
use crate::cache::{S3CheckCache, UploadRecords};
use crate::hash::{ContentHash, hash_bytes};
use crate::manifest::{Manifest, encode};
use crate::ops::put_object::NewObject;
use crate::ops::upload_assets::{self, UploadOptions};
use crate::settings::JobAttachmentS3Settings;
use crate::store::ObjectStore;

/// The content type of manifests in S3.
const MANIFEST_TYPE: &str = "application/json";

/// What to upload, and where to.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct UploadRequest {
    /// The bucket and root prefix.
    pub settings: JobAttachmentS3Settings,
    /// The files.
    pub manifest: Arc<Manifest>,
    /// The directory that they are below.
    pub root: PathBuf,
    /// Where the manifest is stored, below `<rootPrefix>/Manifests/`; `None` for not at all.
    pub manifest_key: Option<String>,
    /// User metadata of the stored manifest.
    pub manifest_metadata: BTreeMap<String, String>,
    /// Where it is kept which objects S3 has, and which large uploads were begun.
    pub cache: CacheFolder,
    /// The rest.
    pub options: UploadOptions,
}

/// What an upload did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UploadReport {
    /// Files whose contents were sent.
    pub uploaded_files: u64,
    /// Bytes that were sent.
    pub uploaded_bytes: u64,
    /// Files whose contents were in S3 already, or came with another file.
    pub skipped_files: u64,
    /// Bytes of those files.
    pub skipped_bytes: u64,
    /// The key of the stored manifest, where it was to be stored.
    pub manifest_key: Option<String>,
    /// The hash of the manifest's text.
    pub manifest_hash: ContentHash,
}

impl UploadRequest {
    /// The files of a manifest, below a root. The manifest itself is not stored.
    #[must_use]
    pub fn new(
        settings: &JobAttachmentS3Settings,
        manifest: impl Into<Arc<Manifest>>,
        root: impl Into<PathBuf>,
    ) -> Self {
        Self {
            settings: settings.clone(),
            manifest: manifest.into(),
            root: root.into(),
            manifest_key: None,
            manifest_metadata: BTreeMap::new(),
            cache: CacheFolder::Default,
            options: UploadOptions::default(),
        }
    }

    /// Stores the manifest after its files, under `<rootPrefix>/Manifests/<key>`.
    #[must_use]
    pub fn manifest_key(mut self, key: impl Into<String>) -> Self {
        self.manifest_key = Some(key.into());
        self
    }

    /// User metadata of the stored manifest, such as that of
    /// [`WorkerManifestProperties::output_manifest_metadata`](crate::WorkerManifestProperties::output_manifest_metadata).
    #[must_use]
    pub fn manifest_metadata(mut self, metadata: BTreeMap<String, String>) -> Self {
        self.manifest_metadata = metadata;
        self
    }

    /// Where the caches are.
    #[must_use]
    pub fn cache(mut self, cache: CacheFolder) -> Self {
        self.cache = cache;
        self
    }

    /// Other options than the defaults.
    #[must_use]
    pub fn options(mut self, options: UploadOptions) -> Self {
        self.options = options;
        self
    }
}

impl Client {
    /// Uploads the files of a manifest, each content once, and then the manifest if it is to be stored.
    ///
    /// A file that can't be sent does not stop the others, but it fails the operation.
    ///
    /// # Errors
    /// [`Error::SourceFile`](crate::Error::SourceFile) for a file that is missing, unreadable or not what its hash says;
    /// [`Error::PathOutsideRoot`](crate::Error::PathOutsideRoot) for a path that leads out of the root;
    /// [`Error::S3Service`](crate::Error::S3Service) and [`Error::S3Client`](crate::Error::S3Client);
    /// [`Error::Cancelled`](crate::Error::Cancelled).
    pub fn upload(&self, request: UploadRequest) -> Operation<UploadReport> {
        let store: Arc<dyn ObjectStore> = Arc::clone(&self.store) as _;
        Operation::new(async move |context, totals| {
            let files = &request.manifest.files;
            totals.set(files.len() as u64, u64::try_from(files.sum_of_sizes()).unwrap_or(0));
            let text = encode(&request.manifest)?;
            let manifest_hash = hash_bytes(text.as_bytes());
            let manifest_key = request.manifest_key.as_deref().map(|key| request.settings.manifest_key(key));
            let document = manifest_key.clone().map(|key| NewObject {
                key,
                body: Bytes::from(text),
                metadata: request.manifest_metadata,
                content_type: Some(MANIFEST_TYPE.to_owned()),
            });
            let folder = request.cache.path();
            let upload = upload_assets::UploadRequest {
                store,
                manifest: request.manifest,
                root: request.root,
                cas_prefix: request.settings.cas_prefix(),
                bucket: request.settings.bucket,
                document,
                records: folder.as_deref().and_then(|folder| UploadRecords::beside(Some(folder))),
                check_cache: folder.as_deref().map(|folder| Arc::new(S3CheckCache::open(Some(folder)))),
                options: request.options,
            };
            upload_assets::upload_assets(upload, &context).await?;
            let counts = context.progress.snapshot();
            Ok(UploadReport {
                uploaded_files: counts.processed_files,
                uploaded_bytes: counts.processed_bytes,
                skipped_files: counts.skipped_files,
                skipped_bytes: counts.skipped_bytes,
                manifest_key,
                manifest_hash,
            })
        })
    }
}
