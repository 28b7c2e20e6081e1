//! Downloading the files of manifests.

use std::path::PathBuf;
use std::sync::Arc;

use super::operation::Operation;
use super::{CacheFolder, Client};
use crate::cache::HashCache;
use crate::manifest::Manifest;
use crate::ops::download::{self, ConflictResolution, DownloadOptions, RootDownload};
use crate::path::path_from_wtf8;
use crate::settings::JobAttachmentS3Settings;
use crate::store::ObjectStore;

/// What to download, and where to.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DownloadRequest {
    /// The bucket and root prefix.
    pub settings: JobAttachmentS3Settings,
    /// Local directories with the files that go below them. A directory is made if it is not there.
    pub manifests_by_root: Vec<(PathBuf, Arc<Manifest>)>,
    /// Where the hash cache is that [`ConflictResolution::Resume`] asks.
    pub cache: CacheFolder,
    /// The rest.
    pub options: DownloadOptions,
}

/// What a download did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DownloadReport {
    /// Files whose contents were fetched or copied.
    pub downloaded_files: u64,
    /// Their bytes.
    pub downloaded_bytes: u64,
    /// Files that were left as they were.
    pub skipped_files: u64,
    /// Their bytes.
    pub skipped_bytes: u64,
    /// The files that were written, by root, in the order of the request. Files that were left as they were are not among them.
    pub written: Vec<Vec<PathBuf>>,
}

impl DownloadRequest {
    /// A download to no directory yet: see [`Self::root`].
    #[must_use]
    pub fn new(settings: &JobAttachmentS3Settings) -> Self {
        Self {
            settings: settings.clone(),
            manifests_by_root: Vec::new(),
            cache: CacheFolder::Default,
            options: DownloadOptions::default(),
        }
    }

    /// Puts the files of a manifest below a local directory.
    ///
    /// A manifest's paths are relative; one that is absolute has to lead below the directory. Nothing is written outside.
    #[must_use]
    pub fn root(mut self, directory: impl Into<PathBuf>, manifest: impl Into<Arc<Manifest>>) -> Self {
        self.manifests_by_root.push((directory.into(), manifest.into()));
        self
    }

    /// What to do where a file is already; [`ConflictResolution::CreateCopy`] unless it is said.
    #[must_use]
    pub fn conflicts(mut self, conflicts: ConflictResolution) -> Self {
        self.options.conflicts = conflicts;
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
    pub fn options(mut self, options: DownloadOptions) -> Self {
        self.options = options;
        self
    }
}

impl Client {
    /// Downloads the files of manifests. Each content is fetched once, checked against its hash, and copied to the other files
    /// that have it. A file gets its name when it is complete.
    ///
    /// # Errors
    /// Before anything is written: [`Error::PathOutsideRoot`](crate::Error::PathOutsideRoot) and
    /// [`Error::ManifestInvalid`](crate::Error::ManifestInvalid). Then: [`Error::Integrity`](crate::Error::Integrity),
    /// [`Error::Io`](crate::Error::Io) and [`Error::Download`](crate::Error::Download) for what can't be written,
    /// [`Error::S3Service`](crate::Error::S3Service), [`Error::S3Client`](crate::Error::S3Client) and
    /// [`Error::Cancelled`](crate::Error::Cancelled). Files that were finished by then stay.
    pub fn download(&self, request: DownloadRequest) -> Operation<DownloadReport> {
        let store: Arc<dyn ObjectStore> = Arc::clone(&self.store) as _;
        Operation::new(async move |context, totals| {
            let tables = || request.manifests_by_root.iter().map(|(_, manifest)| &manifest.files);
            let bytes: i128 = tables().map(crate::manifest::FileTable::sum_of_sizes).sum();
            totals.set(tables().map(|files| files.len() as u64).sum(), u64::try_from(bytes).unwrap_or(0));
            let mut options = request.options;
            if options.conflicts == ConflictResolution::Resume {
                let folder = request.cache.path();
                options.hash_cache = folder.map(|folder| Arc::new(HashCache::open(Some(&folder))));
            }
            let roots = request.manifests_by_root.into_iter();
            let download = download::DownloadRequest {
                store,
                cas_prefix: Some(request.settings.cas_prefix()),
                bucket: request.settings.bucket,
                roots: roots.map(|(path, manifest)| RootDownload { path, manifest }).collect(),
                options,
            };
            let report = download::download(download, &context).await?;
            let counts = context.progress.snapshot();
            Ok(DownloadReport {
                downloaded_files: counts.processed_files,
                downloaded_bytes: counts.processed_bytes,
                skipped_files: counts.skipped_files,
                skipped_bytes: counts.skipped_bytes,
                written: report.written.iter().map(|paths| paths.iter().map(path_from_wtf8).collect()).collect(),
            })
        })
    }
}
