//! Uploading the files of a manifest, then the manifest itself.
//!
//! Each content goes once, however many files have it. Objects go first and the manifest last, so that a manifest in S3
//! never names an object that is not there. A file that can't be sent does not stop the others, but it fails the call.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::task::JoinSet;

use super::lanes::{self, Queue, Stop};
use crate::cache::s3_check_cache::S3CheckCache;
use crate::error::{Error, Result, S3Action};
use crate::fs::open::{LinkPolicy, OpenedFile, SourceRoot};
use crate::hash::ContentHash;
use crate::manifest::{Content, Manifest};
use crate::settings::join_key;
use crate::store::{ObjectKey, ObjectStore, PutRequest};
use crate::transfer::context::{Context, LogLevel};
use crate::transfer::limits::{DEFAULT_BUFFER_BYTES, Limits};
use crate::transfer::once_per_key::{OncePerKey, Outcome};
use crate::transfer::upload::{ObjectUpload, OpenSource, Sent, Uploader};

/// How many cached keys are looked up in S3 before the cache is believed, as in the reference.
const SAMPLE: usize = 30;
/// How many rows go into the cache at once.
const CACHE_BATCH: usize = 1000;
/// A file chunk of a v2025 manifest (`formats.md`).
pub const CHUNK_BYTES: u64 = 256 * 1024 * 1024;
const CANCELLED: &str = "File upload cancelled.";
const LOGGER: &str = "upload";

/// Objects under way in this process, so that parallel calls send each once.
pub type Flights = OncePerKey<String, Sent>;

/// What to upload, and where to.
#[derive(Clone)]
pub struct UploadRequest {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// The files.
    pub manifest: Arc<Manifest>,
    /// The directory that they are below.
    pub root: PathBuf,
    /// The bucket.
    pub bucket: String,
    /// Where contents go: `<rootPrefix>/Data`; empty for the top of the bucket.
    pub cas_prefix: String,
    /// The manifest as an object, if it is to be stored.
    pub document: Option<Document>,
    /// Objects that were seen in S3 before.
    pub check_cache: Option<Arc<S3CheckCache>>,
    /// Objects under way elsewhere in the process.
    pub flights: Flights,
    /// The rest.
    pub options: UploadOptions,
}

/// An object whose contents are at hand.
#[derive(Debug, Clone)]
pub struct Document {
    /// Its key.
    pub key: String,
    /// Its contents.
    pub body: Bytes,
    /// Its user metadata.
    pub metadata: BTreeMap<String, String>,
    /// Its content type, if it has one.
    pub content_type: Option<String>,
}

/// How to upload.
#[derive(Debug, Clone)]
pub struct UploadOptions {
    /// Files up to this size go many at a time; larger ones one after another, each in parallel parts.
    pub small_file_threshold_bytes: u64,
    /// Neither believe nor sample the cache; ask S3 for every object. The cache is written all the same.
    pub force_check: bool,
    /// What to do with links among the files.
    pub links: LinkPolicy,
    /// Bytes of bodies in memory at once.
    pub buffer_bytes: u64,
}

impl Default for UploadOptions {
    fn default() -> Self {
        Self {
            small_file_threshold_bytes: 20 * crate::transfer::PART_BYTES,
            force_check: false,
            links: LinkPolicy::Follow,
            buffer_bytes: DEFAULT_BUFFER_BYTES,
        }
    }
}

/// One content, and the files that have it.
#[derive(Debug, Clone)]
struct Planned {
    hash: ContentHash,
    /// An entry of the manifest that has it, and where in that file it begins.
    index: usize,
    offset_bytes: u64,
    size_bytes: u64,
    /// Further files with the same content.
    duplicates: u64,
    /// Whether this content completes a file: false for all but the last chunk of a chunked one.
    completes_file: bool,
}

struct Job {
    request: UploadRequest,
    uploader: Uploader,
    source: Arc<ManifestSource>,
    /// Keys that a HEAD or a completed PUT has shown, not yet in the cache.
    seen: Mutex<Vec<String>>,
    /// Files that could not be sent.
    unsent: Mutex<Vec<Error>>,
}

/// Uploads the files of a manifest and then the manifest.
///
/// Progress counts files and bytes that were sent as processed, and those that needed no sending (they were there, or another
/// file has the same content) as skipped.
///
/// # Errors
/// [`Error::SourceFile`] for a file that is missing, unreadable or not what its hash says, after the others are done;
/// [`Error::PathOutsideRoot`] for a hostile path; S3's errors; [`Error::Cancelled`].
pub async fn upload_assets(request: UploadRequest, context: &Context) -> Result<()> {
    upload_files(&request, context).await?;
    match &request.document {
        Some(document) => put_document(&request, document, context).await,
        None => Ok(()),
    }
}

/// Asks S3 for some of the objects of a manifest that the check cache has: whether all of them are there.
///
/// # Errors
/// [`Error::Cancelled`]; a failure to ask counts as a miss.
pub async fn cache_is_right(request: &UploadRequest, context: &Context) -> Result<bool> {
    let job = Arc::new(Job::new(request, context)?);
    let (cached, _) = job.split_by_cache(plan(&request.manifest)?).await;
    job.sample_is_there(&cached).await
}

async fn upload_files(request: &UploadRequest, context: &Context) -> Result<()> {
    let planned = plan(&request.manifest)?;
    let job = Arc::new(Job::new(request, context)?);
    let outcome = job.run(planned).await;
    job.flush_cache(true).await;
    outcome?;
    job.unsent_error().map_or(Ok(()), Err)
}

impl Job {
    fn new(request: &UploadRequest, context: &Context) -> Result<Self> {
        let source = Arc::new(ManifestSource {
            root: SourceRoot::open(&request.root, request.options.links)?,
            manifest: Arc::clone(&request.manifest),
        });
        let limits = Limits::new(request.store.as_ref(), request.options.buffer_bytes);
        let uploader = Uploader::new(Arc::clone(&request.store), limits, context.clone());
        let (seen, unsent) = (Mutex::default(), Mutex::default());
        Ok(Self { request: request.clone(), uploader, source, seen, unsent })
    }

    async fn run(self: &Arc<Self>, planned: Vec<Planned>) -> Result<()> {
        let unseen = self.leave_out_cached(planned).await?;
        let threshold = self.request.options.small_file_threshold_bytes;
        let (small, large): (Vec<_>, Vec<_>) = unseen.into_iter().partition(|planned| planned.size_bytes <= threshold);
        let stop = Arc::new(Stop::default());
        let mut set = JoinSet::new();
        let workers = self.uploader.limits.most_requests();
        lanes::spawn(&mut set, &Queue::new(small), workers, (self, &stop), |job, planned| async move {
            job.one(planned).await
        });
        lanes::spawn(
            &mut set,
            &Queue::new(large),
            1,
            (self, &stop),
            |job, planned| async move { job.one(planned).await },
        );
        lanes::finish(set).await
    }

    /// Sends one content. A file that can't be sent is kept for the end; what concerns all files is an error now.
    async fn one(self: Arc<Self>, planned: Planned) -> Result<()> {
        self.context().check_cancelled(CANCELLED)?;
        let object = self.object(&planned);
        let upload = ObjectUpload {
            object: object.clone(),
            expected: planned.hash.clone(),
            size_bytes: planned.size_bytes,
            source: Arc::clone(&self.source) as Arc<dyn OpenSource>,
            index: planned.index,
            offset_bytes: planned.offset_bytes,
            file_size_bytes: u64::try_from(self.request.manifest.files.size_bytes(planned.index)).unwrap_or(0),
            replace: false,
        };
        let flight = format!("{}|{}/{}", self.request.store.place(), object.bucket, object.key);
        let sent = match self.request.flights.run(flight, || self.uploader.ensure(&upload)).await {
            Outcome::Own(outcome) => outcome,
            // Someone else sent it, or found it there: nothing was sent from here.
            Outcome::Shared(outcome) => outcome.map(|_| Sent::AlreadyThere),
        };
        match sent {
            Ok(sent) => {
                self.count(&planned, sent);
                self.note_seen(&object).await;
                Ok(())
            }
            Err(error @ (Error::SourceFile { .. } | Error::PathOutsideRoot { .. })) => {
                lock(&self.unsent).push(error);
                Ok(())
            }
            Err(error) => Err(self.explain(error, planned.index)),
        }
    }

    fn count(&self, planned: &Planned, sent: Sent) {
        let progress = &self.context().progress;
        if sent == Sent::AlreadyThere {
            self.log_skip(planned, |path, object| {
                format!("skipping {path} because it has already been uploaded to {}", object.url())
            });
        }
        match sent {
            Sent::Uploaded if planned.completes_file => progress.finish_file(),
            Sent::AlreadyThere if planned.completes_file => progress.skip_file(planned.size_bytes),
            Sent::Uploaded => {}
            Sent::AlreadyThere => progress.skip_bytes(planned.size_bytes),
        }
        for _ in 0..planned.duplicates {
            progress.skip_file(planned.size_bytes);
        }
    }

    /// What the cache has, and the rest.
    async fn split_by_cache(self: &Arc<Self>, planned: Vec<Planned>) -> (Vec<Planned>, Vec<Planned>) {
        let Some(cache) = self.request.check_cache.clone().filter(|_| !self.request.options.force_check) else {
            return (Vec::new(), planned);
        };
        let keys: Vec<String> = planned.iter().map(|planned| cache_key(&self.object(planned))).collect();
        let reader = Arc::clone(&cache);
        let seen = self.blocking(move || reader.seen(&keys)).await;
        self.log_cache_warnings(&cache);
        let (cached, unseen): (Vec<_>, Vec<_>) = planned.into_iter().zip(seen).partition(|(_, seen)| *seen);
        let first = |pairs: Vec<(Planned, bool)>| pairs.into_iter().map(|(planned, _)| planned).collect();
        (first(cached), first(unseen))
    }

    /// Leaves out what the cache has, unless a sample shows that it can't be believed.
    async fn leave_out_cached(self: &Arc<Self>, planned: Vec<Planned>) -> Result<Vec<Planned>> {
        let (cached, mut unseen) = self.split_by_cache(planned).await;
        if cached.is_empty() {
            return Ok(unseen);
        }
        if self.sample_is_there(&cached).await? {
            for planned in &cached {
                self.log_skip(planned, |path, object| {
                    format!("skipping {path} because {} exists in the cache", cache_key(object))
                });
                self.count_cached(planned);
            }
            return Ok(unseen);
        }
        self.context().log(LogLevel::Debug, LOGGER, || {
            "The S3 check cache will be reset, as it names an object that S3 does not have".to_owned()
        });
        if let Some(cache) = self.request.check_cache.clone() {
            self.blocking(move || cache.reset()).await;
        }
        unseen.extend(cached);
        Ok(unseen)
    }

    fn count_cached(&self, planned: &Planned) {
        let progress = &self.context().progress;
        if planned.completes_file {
            progress.skip_file(planned.size_bytes);
        } else {
            progress.skip_bytes(planned.size_bytes);
        }
        for _ in 0..planned.duplicates {
            progress.skip_file(planned.size_bytes);
        }
    }

    /// Asks S3 for some of the cached objects. An answer that can't be had counts as a miss, as in the reference.
    async fn sample_is_there(self: &Arc<Self>, cached: &[Planned]) -> Result<bool> {
        let mut set = JoinSet::new();
        for index in sample(cached.len(), SAMPLE) {
            let (job, object) = (Arc::clone(self), self.object(&cached[index]));
            set.spawn(async move {
                let _permit = job.uploader.limits.request().await;
                job.request.store.head(&object).await
            });
        }
        let mut all = true;
        loop {
            let next = tokio::select! {
                biased;
                () = self.context().cancel.cancelled() => return Err(Error::Cancelled(CANCELLED.to_owned())),
                next = set.join_next() => next,
            };
            match next {
                Some(Ok(Ok(found))) => all &= found.is_some(),
                Some(Ok(Err(error))) => {
                    self.context()
                        .log(LogLevel::Warning, LOGGER, || format!("Error while checking the S3 check cache: {error}"));
                    all = false;
                }
                Some(Err(error)) => return Err(Error::Sync(error.to_string())),
                None => return Ok(all),
            }
        }
    }

    async fn note_seen(self: &Arc<Self>, object: &ObjectKey) {
        if self.request.check_cache.is_none() {
            return;
        }
        let full = {
            let mut seen = lock(&self.seen);
            seen.push(cache_key(object));
            seen.len() >= CACHE_BATCH
        };
        if full {
            self.flush_cache(false).await;
        }
    }

    /// Writes what was seen into the cache, also after a failure: what is there is there.
    async fn flush_cache(self: &Arc<Self>, last: bool) {
        let Some(cache) = self.request.check_cache.clone() else { return };
        let rows = std::mem::take(&mut *lock(&self.seen));
        if !rows.is_empty() {
            let writer = Arc::clone(&cache);
            self.blocking(move || writer.record(&rows)).await;
        }
        if last {
            self.log_cache_warnings(&cache);
        }
    }

    fn log_cache_warnings(&self, cache: &S3CheckCache) {
        for warning in cache.take_warnings() {
            self.context().log(LogLevel::Warning, LOGGER, || warning);
        }
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        match tokio::task::spawn_blocking(work).await {
            Ok(value) => value,
            // Blocking work is never aborted, so this is its panic.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    fn unsent_error(&self) -> Option<Error> {
        let mut unsent = std::mem::take(&mut *lock(&self.unsent));
        unsent.sort_by_key(ToString::to_string);
        let more = unsent.len().saturating_sub(1);
        let first = unsent.into_iter().next()?;
        if more == 0 {
            return Some(first);
        }
        Some(Error::Sync(format!(
            "{first} (and {more} more file{} could not be uploaded)",
            if more == 1 { "" } else { "s" }
        )))
    }

    fn log_skip(&self, planned: &Planned, text: impl FnOnce(String, &ObjectKey) -> String) {
        self.context().log(LogLevel::Debug, LOGGER, || {
            text(self.source.shown(planned.index).display().to_string(), &self.object(planned))
        });
    }

    /// Says which file a failure of S3 concerned, as the reference does.
    fn explain(&self, error: Error, index: usize) -> Error {
        match error {
            Error::S3Service(mut error) if error.action == S3Action::UploadingFile => {
                let path = self.source.shown(index);
                error.message = format!("{} (Failed to upload {})", error.message, path.display());
                Error::S3Service(error)
            }
            other => other,
        }
    }

    fn object(&self, planned: &Planned) -> ObjectKey {
        let name = format!("{}.{}", planned.hash, self.request.manifest.hash_algorithm);
        let prefix = &self.request.cas_prefix;
        let key = if prefix.is_empty() { name } else { join_key(&[prefix, &name]) };
        ObjectKey::new(self.request.bucket.clone(), key)
    }

    const fn context(&self) -> &Context {
        &self.uploader.context
    }
}

/// Stores a document: a manifest, mostly.
///
/// # Errors
/// S3's, as "uploading binary file".
pub async fn put_document(request: &UploadRequest, document: &Document, context: &Context) -> Result<()> {
    context.check_cancelled(CANCELLED)?;
    let object = ObjectKey::new(request.bucket.clone(), document.key.clone());
    let put = PutRequest {
        object: &object,
        body: document.body.clone(),
        xxh128: match crate::hash::hash_bytes(&document.body) {
            ContentHash::Xxh128(bytes) => Some(bytes),
            ContentHash::Text(_) => None,
        },
        if_absent: false,
        metadata: &document.metadata,
        content_type: document.content_type.as_deref(),
        action: S3Action::UploadingBinaryFile,
    };
    tokio::select! {
        biased;
        () = context.cancel.cancelled() => Err(Error::Cancelled(CANCELLED.to_owned())),
        outcome = request.store.put(put) => outcome.map(drop),
    }
}

/// The distinct contents of a manifest, in the order of their first files.
fn plan(manifest: &Manifest) -> Result<Vec<Planned>> {
    let files = &manifest.files;
    let mut order: HashMap<ContentHash, usize> = HashMap::with_capacity(files.len());
    let mut planned: Vec<Planned> = Vec::with_capacity(files.len());
    for index in 0..files.len() {
        let size_bytes = u64::try_from(files.size_bytes(index))
            .map_err(|_| Error::ManifestInvalid(format!("{:?} has a negative size", files.path(index))))?;
        match files.content(index) {
            Content::Hash(hash) => {
                if let Some(first) = order.get(&hash) {
                    planned[*first].duplicates += 1;
                    continue;
                }
                order.insert(hash.clone(), planned.len());
                planned.push(Planned { hash, index, offset_bytes: 0, size_bytes, duplicates: 0, completes_file: true });
            }
            Content::Chunks(chunks) => {
                for (number, hash) in (0_u64..).zip(chunks) {
                    let offset_bytes = number * CHUNK_BYTES;
                    planned.push(Planned {
                        hash: hash.clone(),
                        index,
                        offset_bytes,
                        size_bytes: CHUNK_BYTES.min(size_bytes.saturating_sub(offset_bytes)),
                        duplicates: 0,
                        completes_file: number + 1 == chunks.len() as u64,
                    });
                }
            }
            Content::Symlink(_) | Content::Deleted => {}
        }
    }
    Ok(planned)
}

/// Up to `count` different indexes below `length`, spread at random.
fn sample(length: usize, count: usize) -> Vec<usize> {
    use std::hash::{BuildHasher, RandomState};
    if length <= count {
        return (0..length).collect();
    }
    let random = RandomState::new();
    let mut chosen = std::collections::BTreeSet::new();
    let mut draw = 0_u64;
    while chosen.len() < count {
        // RandomState is seeded by the system: good enough to spread a sample.
        let number = random.hash_one(draw) % length as u64;
        chosen.insert(usize::try_from(number).unwrap_or(0));
        draw += 1;
    }
    chosen.into_iter().collect()
}

fn cache_key(object: &ObjectKey) -> String {
    join_key(&[&object.bucket, &object.key])
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The files of a manifest below their root.
struct ManifestSource {
    root: SourceRoot,
    manifest: Arc<Manifest>,
}

impl OpenSource for ManifestSource {
    fn open(&self, index: usize) -> Result<OpenedFile> {
        self.root.open_file(self.manifest.files.path(index))
    }

    fn shown(&self, index: usize) -> PathBuf {
        let path = self.manifest.files.path(index);
        self.root.join(path).unwrap_or_else(|_| self.root.path().join(path.display()))
    }
}
