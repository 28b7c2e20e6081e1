//! Downloading the files of manifests below local roots.
//!
//! All paths are checked and all name conflicts are settled before the first byte is fetched, in one thread, so that names of
//! copies don't depend on timing. Each content is fetched once, checked, and cloned to the other files that have it.

mod conflicts;
mod place;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;

use super::lanes::{self, Queue, Stop};
use crate::error::{Error, Result, S3Action};
use crate::fs::stage::TargetRoot;
use crate::hash::ContentHash;
use crate::manifest::{Content, Manifest};
use crate::path::PathFormat;
use crate::settings::join_key;
use crate::store::{ObjectKey, ObjectStore};
use crate::transfer::PART_BYTES;
use crate::transfer::buffers::Buffers;
use crate::transfer::context::Context;
use crate::transfer::download::{Downloader, ObjectDownload, Verify};
use crate::transfer::limits::{DEFAULT_BUFFER_BYTES, Limits};

/// How many contents that are larger than one part are fetched at a time; each is fetched in parallel ranges.
const LARGE_AT_ONCE: usize = 3;
const CANCELLED: &str = "File download cancelled.";
const LOGGER: &str = "download";

/// What to download, and where to.
#[derive(Clone)]
pub struct DownloadRequest {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// The bucket.
    pub bucket: String,
    /// Where contents are: `<rootPrefix>/Data`; `None` or empty for the top of the bucket.
    pub cas_prefix: Option<String>,
    /// Roots with the files that go below them.
    pub roots: Vec<RootDownload>,
    /// The rest.
    pub options: DownloadOptions,
}

/// A local root and its files.
#[derive(Debug, Clone)]
pub struct RootDownload {
    /// The local directory; made if it is not there.
    pub path: PathBuf,
    /// The files.
    pub manifest: Arc<Manifest>,
}

/// How to download.
#[derive(Debug, Clone)]
pub struct DownloadOptions {
    /// What to do where a file is already.
    pub conflicts: ConflictResolution,
    /// What to check.
    pub verify: Verify,
    /// Whether to wait for the disk before a file gets its name.
    pub sync: bool,
    /// Permissions to add.
    pub permissions: Option<Permissions>,
    /// Bytes of bodies in memory at once.
    pub buffer_bytes: u64,
}

impl Default for DownloadOptions {
    fn default() -> Self {
        Self {
            conflicts: ConflictResolution::CreateCopy,
            verify: Verify::Hash,
            sync: false,
            permissions: None,
            buffer_bytes: DEFAULT_BUFFER_BYTES,
        }
    }
}

/// What to do where a file is already. The reference's `FileConflictResolution`, and one more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConflictResolution {
    /// Leave it alone.
    Skip,
    /// Replace it.
    Overwrite,
    /// Write beside it: `name (1).ext`.
    CreateCopy,
    /// Leave it alone if it has the right size and contents, else replace it: for a worker that tries again.
    Resume,
    /// Anything else is refused, but only once there is a conflict, as in the reference.
    Unknown(String),
}

/// Permissions that are added to downloaded files and to the directories on the way to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permissions {
    /// The group to give them to.
    pub group: Option<u32>,
    /// Bits to add to files.
    pub file_mode: u32,
    /// Bits to add to directories.
    pub directory_mode: u32,
}

/// What was downloaded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DownloadReport {
    /// The paths that were written, by root, in the order of the request. Files that were left alone are not among them.
    pub written: Vec<Vec<PathBuf>>,
}

/// A file of a manifest: which root, which entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct FileId {
    root: u32,
    entry: u32,
}

/// One content and the files that want it.
#[derive(Debug, Clone)]
struct Wanted {
    files: Vec<FileId>,
}

struct Job {
    request: DownloadRequest,
    downloader: Downloader,
    roots: Vec<TargetRoot>,
    /// Names of copies, where they were settled.
    plans: HashMap<FileId, conflicts::Plan>,
    written: Mutex<Vec<Vec<PathBuf>>>,
}

/// Downloads the files of manifests.
///
/// # Errors
/// Before anything is written: [`Error::PathOutsideRoot`], [`Error::ManifestInvalid`] (clashing paths, negative sizes, a diff),
/// [`Error::InvalidArgument`] (an unknown conflict resolution meets a conflict). Then: [`Error::Integrity`],
/// [`Error::Io`], S3's errors, [`Error::Cancelled`]. Files that were finished by then are right and stay.
pub async fn download(request: DownloadRequest, context: &Context) -> Result<DownloadReport> {
    let prepared = blocking(move || prepare(request)).await?;
    let limits = Limits::new(prepared.request.store.as_ref(), prepared.request.options.buffer_bytes);
    let downloader = Downloader {
        store: Arc::clone(&prepared.request.store),
        limits,
        buffers: Buffers::default(),
        context: context.clone(),
        verify: prepared.request.options.verify,
    };
    let job = Arc::new(Job {
        written: Mutex::new(vec![Vec::new(); prepared.roots.len()]),
        downloader,
        roots: prepared.roots,
        plans: prepared.plans,
        request: prepared.request,
    });
    for (id, size_bytes) in prepared.skipped {
        job.log_skipped(id);
        context.progress.skip_file(size_bytes);
    }
    job.run(prepared.wanted).await?;
    let finisher = Arc::clone(&job);
    blocking(move || finisher.finish_trees()).await?;
    let written = std::mem::take(&mut *lock(&job.written));
    Ok(DownloadReport { written: job.roots.iter().zip(written).map(|(root, paths)| resolved(root, paths)).collect() })
}

/// Paths with the links of their root resolved, as the reference reports them.
fn resolved(root: &TargetRoot, paths: Vec<PathBuf>) -> Vec<PathBuf> {
    match root.path().canonicalize() {
        Ok(real) if real != root.path() => {
            let below = |path: PathBuf| path.strip_prefix(root.path()).map(|rest| real.join(rest)).unwrap_or(path);
            paths.into_iter().map(below).collect()
        }
        _ => paths,
    }
}

struct Prepared {
    request: DownloadRequest,
    roots: Vec<TargetRoot>,
    plans: HashMap<FileId, conflicts::Plan>,
    skipped: Vec<(FileId, u64)>,
    wanted: Vec<Wanted>,
}

/// Checks everything, opens the roots, settles conflicts and groups files by content.
fn prepare(request: DownloadRequest) -> Result<Prepared> {
    for root in &request.roots {
        check_manifest(&root.manifest)?;
    }
    let roots = request.roots.iter().map(|root| TargetRoot::create(&root.path)).collect::<Result<Vec<_>>>()?;
    refuse_shared_roots(&request, &roots)?;
    for root in &roots {
        root.remove_stale();
    }
    let settled = conflicts::settle(&request, &roots)?;
    let wanted = group(&request, &settled);
    Ok(Prepared { roots, plans: settled.plans, skipped: settled.skipped, wanted, request })
}

fn check_manifest(manifest: &Manifest) -> Result<()> {
    if manifest.parent_manifest_hash.is_some() {
        return Err(Error::ManifestInvalid(
            "A diff manifest can't be downloaded: apply it to its parent snapshot first.".to_owned(),
        ));
    }
    let files = &manifest.files;
    for index in 0..files.len() {
        files.path(index).check(PathFormat::host())?;
        let negative = files.size_bytes(index) < 0 && !matches!(files.content(index), Content::Symlink(_));
        if negative {
            return Err(Error::ManifestInvalid(format!("{:?} has a negative size", files.path(index))));
        }
    }
    conflicts::refuse_clashes(manifest)
}

/// Two manifests for one directory would overwrite each other's files without anyone having said which should win.
fn refuse_shared_roots(request: &DownloadRequest, roots: &[TargetRoot]) -> Result<()> {
    let mut seen: HashMap<(u64, u64), &std::path::Path> = HashMap::new();
    for (root, wanted) in roots.iter().zip(&request.roots) {
        if let Some(other) = seen.insert(root.identity()?, &wanted.path) {
            return Err(Error::InvalidArgument(format!(
                "The roots '{}' and '{}' are the same directory: merge their manifests first.",
                other.display(),
                wanted.path.display()
            )));
        }
    }
    Ok(())
}

/// Groups what is to be fetched by content, in the order of the first file that wants it.
fn group(request: &DownloadRequest, settled: &conflicts::Settled) -> Vec<Wanted> {
    let skipped: std::collections::HashSet<FileId> = settled.skipped.iter().map(|(id, _)| *id).collect();
    let mut order: HashMap<ContentHash, usize> = HashMap::new();
    let mut wanted: Vec<Wanted> = Vec::new();
    for (root, download) in (0_u32..).zip(&request.roots) {
        let files = &download.manifest.files;
        for (entry, index) in (0_u32..).zip(0..files.len()) {
            let id = FileId { root, entry };
            if skipped.contains(&id) {
                continue;
            }
            match files.content(index) {
                Content::Hash(hash) => {
                    if let Some(first) = order.get(&hash) {
                        wanted[*first].files.push(id);
                    } else {
                        order.insert(hash, wanted.len());
                        wanted.push(Wanted { files: vec![id] });
                    }
                }
                Content::Chunks(_) => wanted.push(Wanted { files: vec![id] }),
                Content::Symlink(_) | Content::Deleted => {}
            }
        }
    }
    wanted
}

impl Job {
    async fn run(self: &Arc<Self>, wanted: Vec<Wanted>) -> Result<()> {
        let (small, large): (Vec<_>, Vec<_>) =
            wanted.into_iter().partition(|wanted| self.size_bytes(wanted.files[0]) <= PART_BYTES);
        let stop = Arc::new(Stop::default());
        let mut set = JoinSet::new();
        let workers = self.downloader.limits.most_requests();
        lanes::spawn(&mut set, &Queue::new(small), workers, (self, &stop), |job, wanted| async move {
            job.or_cancelled(Arc::clone(&job).fetch(wanted)).await
        });
        lanes::spawn(&mut set, &Queue::new(large), LARGE_AT_ONCE, (self, &stop), |job, wanted| async move {
            job.or_cancelled(Arc::clone(&job).fetch(wanted)).await
        });
        lanes::finish(set).await
    }

    async fn fetch(self: Arc<Self>, wanted: Wanted) -> Result<()> {
        let wanted = self.leave_what_is_right(wanted).await?;
        let Some(first) = wanted.files.first().copied() else { return Ok(()) };
        let outcome = if self.size_bytes(first) <= PART_BYTES && !self.is_chunked(first) {
            let download = self.object(first, self.content_hash(first), self.size_bytes(first));
            let placer = Arc::clone(&self);
            self.downloader.fetch_whole(&download, move |pieces| placer.place_pieces(&wanted, pieces)).await
        } else {
            self.fetch_large(first, wanted).await
        };
        outcome.map_err(|error| self.explain(error, first))
    }

    async fn fetch_large(self: &Arc<Self>, first: FileId, wanted: Wanted) -> Result<()> {
        let (placer, size_bytes) = (Arc::clone(self), self.size_bytes(first));
        let staged = blocking(move || placer.stage(first, size_bytes)).await?;
        let staged = Arc::new(staged);
        let mut offset = 0;
        for (hash, length) in self.pieces(first) {
            let download = self.object(first, hash, length);
            self.downloader.fetch_in_ranges(&download, &staged, offset).await?;
            offset += length;
        }
        let placer = Arc::clone(self);
        blocking(move || {
            let staged = Arc::try_unwrap(staged)
                .map_err(|_| Error::Sync("a write to a finished file was still under way".to_owned()))?;
            placer.place_staged(&wanted, staged)
        })
        .await
    }

    /// With RESUME: leaves out files whose contents are right already.
    async fn leave_what_is_right(self: &Arc<Self>, wanted: Wanted) -> Result<Wanted> {
        if self.request.options.conflicts != ConflictResolution::Resume || self.plans.is_empty() {
            return Ok(wanted);
        }
        let job = Arc::clone(self);
        blocking(move || {
            let mut rest = Vec::with_capacity(wanted.files.len());
            for id in wanted.files {
                if job.plans.contains_key(&id) && job.is_right(id)? {
                    job.log_skipped(id);
                    job.downloader.context.progress.skip_file(job.size_bytes(id));
                } else {
                    rest.push(id);
                }
            }
            Ok(Wanted { files: rest })
        })
        .await
    }

    async fn or_cancelled(&self, work: impl Future<Output = Result<()>>) -> Result<()> {
        tokio::select! {
            biased;
            () = self.downloader.context.cancel.cancelled() => Err(Error::Cancelled(CANCELLED.to_owned())),
            outcome = work => outcome,
        }
    }

    /// The objects that make up a file, with their sizes.
    fn pieces(&self, id: FileId) -> Vec<(ContentHash, u64)> {
        let size_bytes = self.size_bytes(id);
        match self.manifest(id).files.content(index(id)) {
            Content::Chunks(chunks) => (0_u64..)
                .zip(chunks)
                .map(|(number, hash)| {
                    let start = number * super::upload_assets::CHUNK_BYTES;
                    (hash.clone(), super::upload_assets::CHUNK_BYTES.min(size_bytes.saturating_sub(start)))
                })
                .collect(),
            _ => vec![(self.content_hash(id), size_bytes)],
        }
    }

    fn object(&self, id: FileId, expected: ContentHash, size_bytes: u64) -> ObjectDownload {
        let algorithm = self.manifest(id).hash_algorithm;
        let prefix = self.request.cas_prefix.as_deref().unwrap_or_default();
        let key = |name: &str| if prefix.is_empty() { name.to_owned() } else { join_key(&[prefix, name]) };
        let place = |key: String| ObjectKey::new(self.request.bucket.clone(), key);
        ObjectDownload {
            object: place(key(&format!("{expected}.{algorithm}"))),
            fallback: Some(place(key(&expected.text()))),
            expected,
            size_bytes,
        }
    }

    fn content_hash(&self, id: FileId) -> ContentHash {
        match self.manifest(id).files.content(index(id)) {
            Content::Hash(hash) => hash,
            _ => ContentHash::Text("".into()),
        }
    }

    fn is_chunked(&self, id: FileId) -> bool {
        matches!(self.manifest(id).files.content(index(id)), Content::Chunks(_))
    }

    fn manifest(&self, id: FileId) -> &Manifest {
        &self.request.roots[id.root as usize].manifest
    }

    fn size_bytes(&self, id: FileId) -> u64 {
        u64::try_from(self.manifest(id).files.size_bytes(index(id))).unwrap_or(0)
    }

    /// Says where a failure of S3 would have gone, as the reference does.
    fn explain(&self, error: Error, id: FileId) -> Error {
        match error {
            Error::S3Service(mut error) if error.action == S3Action::DownloadingFile => {
                let path = self.shown(id);
                error.message = format!("{} (Failed to download the file to {})", error.message, path.display());
                Error::S3Service(error)
            }
            Error::Integrity(mut error) => {
                error.place = Some(self.shown(id).display().to_string());
                Error::Integrity(error)
            }
            other => other,
        }
    }

    fn shown(&self, id: FileId) -> PathBuf {
        let path = self.manifest(id).files.path(index(id));
        let root = &self.request.roots[id.root as usize].path;
        path.to_os_string().map_or_else(|_| root.join(path.display()), |path| root.join(path))
    }
}

const fn index(id: FileId) -> usize {
    id.entry as usize
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        // Blocking work is never aborted, so this is its panic.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
