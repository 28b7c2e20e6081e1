//! Uploading the files of a manifest, then the manifest itself.
//!
//! Each content goes once, however many files have it. Objects go first and the manifest last, so that a manifest in S3
//! never names an object that is not there. A file that can't be sent does not stop the others, but it fails the call.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

mod cached;
mod known;
mod listing;
mod plan;

use self::known::{CANCELLED, LOGGER, cache_key};
pub(super) use self::known::{CasKeys, KnownObjects};
pub(super) use self::plan::{Planned, plan};
use super::hash_files::{changed_files, forget};
use super::lanes::{Queue, Workers};
use super::notices::tell_notices;
use super::put_object::{NewObject, put_object};
use crate::cache::hash_cache::hash_cache_folders;
use crate::cache::s3_check_cache::{self, S3CheckCache};
use crate::cache::uploads::UploadRecords;
use crate::error::{Error, Result, S3Action};
use crate::fs::leases::GoesOn;
use crate::fs::open::{LinkPolicy, OpenedFile, SourceRoot};
use crate::manifest::Manifest;
use crate::store::{ObjectKey, ObjectStore};
use crate::transfer::context::{Context, LogLevel};
use crate::transfer::flights;
use crate::transfer::limits::{DEFAULT_BUFFER_BYTES, Limits};
use crate::transfer::once_per_key::Outcome;
use crate::transfer::tasks::blocking;
use crate::transfer::upload::{ObjectUpload, OpenSource, Sent, Uploader};

/// What to upload, and where to.
#[derive(Clone)]
pub(crate) struct UploadRequest {
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
    pub document: Option<NewObject>,
    /// Objects that were seen in S3 before.
    pub check_cache: Option<Arc<S3CheckCache>>,
    /// Which large uploads this machine has begun; without it, none is gone on with.
    pub records: Option<UploadRecords>,
    /// The rest.
    pub options: UploadOptions,
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
    /// How long an object that was seen in S3 is taken to be there without asking; 30 days at the most.
    pub trust_cache_for: Duration,
    /// How old an unfinished upload may be to go on from its parts; zero for never.
    pub resume_within: Duration,
    /// Folders of the hash caches that the manifest's hashes may have come from: they forget a file that is not what its hash
    /// says, so that hashing it again reads it.
    pub(crate) hash_caches: Vec<PathBuf>,
}

/// How old an unfinished upload may be to be gone on with, and how old it has to be to be removed as stale.
pub(crate) const RESUME_WITHIN: Duration = Duration::from_hours(24);

impl Default for UploadOptions {
    fn default() -> Self {
        Self {
            small_file_threshold_bytes: 20 * crate::transfer::PART_BYTES,
            force_check: false,
            links: LinkPolicy::Follow,
            buffer_bytes: DEFAULT_BUFFER_BYTES,
            trust_cache_for: s3_check_cache::EXPIRY,
            resume_within: RESUME_WITHIN,
            hash_caches: hash_cache_folders(),
        }
    }
}

struct Job {
    request: UploadRequest,
    uploader: Uploader,
    source: Arc<ManifestSource>,
    place: CasKeys,
    /// What this process is sending, in this call and in others.
    flights: flights::Flights,
    /// What the check cache says, where there is one and it may be asked.
    known: Option<KnownObjects>,
    /// Keys that a HEAD or a completed PUT has shown, not yet in the cache.
    seen: Mutex<Vec<String>>,
    /// Keys that are not there although they should be: the cache must not say that they are.
    missed: Mutex<Vec<String>>,
    /// Files that could not be sent.
    unsent: Mutex<Vec<Error>>,
}

/// Uploads the files of a manifest and then the manifest.
///
/// Progress counts files and bytes that were sent as processed, and those that needed no sending (they were there, or another
/// file has the same content) as skipped.
///
/// # Errors
/// [`Error::SourceFile`] for a file that is missing, unreadable or not what its hash says, after the others are done (the hash
/// caches have forgotten one that is not what its hash says); [`Error::PathOutsideRoot`] for a hostile path; S3's errors;
/// [`Error::Cancelled`].
pub(crate) async fn upload_assets(request: UploadRequest, context: &Context) -> Result<()> {
    upload_files(&request, context).await?;
    let Some(document) = &request.document else { return Ok(()) };
    context.log(LogLevel::Debug, LOGGER, || format!("Uploading the manifest to {}", document.key));
    put_object(&request.store, &request.bucket, document, context).await
}

async fn upload_files(request: &UploadRequest, context: &Context) -> Result<()> {
    ObjectKey::new(&request.bucket, &request.cas_prefix).check(S3Action::UploadingFile)?;
    let planned = plan(&request.manifest)?;
    let job = Arc::new(Job::new(request, context)?);
    let outcome = job.run(planned).await;
    job.flush_cache(true).await;
    tell_notices(request.store.as_ref(), LOGGER, context);
    let unsent = std::mem::take(&mut *job.unsent.lock());
    let (changed, caches, context) = (changed_files(&unsent), request.options.hash_caches.clone(), context.clone());
    blocking(move || forget(&caches, &changed, &context)).await;
    outcome?;
    one_error(unsent, "uploaded").map_or(Ok(()), Err)
}

impl Job {
    fn new(request: &UploadRequest, context: &Context) -> Result<Self> {
        let root = open_root(&request.root, request.options.links, context.goes_on(CANCELLED))?;
        let source = Arc::new(ManifestSource::new(root, &request.manifest));
        let limits = Limits::new(request.store.max_connections(), request.options.buffer_bytes);
        let mut uploader = Uploader::new(Arc::clone(&request.store), limits, context.clone())
            .asking_always(request.options.force_check);
        if let Some(records) = request.records.clone().filter(|_| !request.options.resume_within.is_zero()) {
            uploader = uploader.resuming(records, request.options.resume_within);
        }
        let place = CasKeys::of(&request.manifest, &request.bucket, &request.cas_prefix);
        let cache = request.check_cache.clone().filter(|_| !request.options.force_check);
        let known = cache.map(|cache| KnownObjects {
            store: Arc::clone(&request.store),
            limits: uploader.limits.clone(),
            place: place.clone(),
            trust_for: request.options.trust_cache_for,
            cache,
        });
        Ok(Self {
            request: request.clone(),
            uploader,
            source,
            place,
            flights: flights::of_process(),
            known,
            seen: Mutex::default(),
            missed: Mutex::default(),
            unsent: Mutex::default(),
        })
    }

    async fn run(self: &Arc<Self>, planned: Vec<Planned>) -> Result<()> {
        let mut small = self.leave_out_cached(planned).await?;
        let threshold = self.request.options.small_file_threshold_bytes;
        let large = small.extract_if(.., |planned| planned.size_bytes > threshold).collect();
        let mut workers = Workers::new(self);
        let most = self.uploader.limits.most_requests();
        workers.spawn(&Queue::new(small), most, |job, planned| async move { job.one(planned).await });
        workers.spawn(&Queue::new(large), 1, |job, planned| async move { job.one(planned).await });
        workers.finish().await
    }

    /// Sends one content. A file that can't be sent is kept for the end; what concerns all files is an error now.
    async fn one(self: Arc<Self>, planned: Planned) -> Result<()> {
        let _object = self.uploader.object().await?;
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
        let sent = loop {
            match self.flights.run(flight.clone(), || self.uploader.ensure(&upload)).await {
                Outcome::Own(outcome) => break outcome,
                // The trouble is with another call's file; this one's may be right.
                Outcome::Shared(Err(Error::SourceFile { .. } | Error::PathOutsideRoot { .. })) => {}
                // Someone else sent it, or found it there: nothing was sent from here.
                Outcome::Shared(outcome) => break outcome.map(|_| Sent::AlreadyThere),
            }
        };
        let has_failed = sent.as_ref().is_err_and(|error| !error.is_cancelled());
        if has_failed && self.request.check_cache.is_some() {
            self.missed.lock().push(cache_key(&object));
        }
        match sent {
            Ok(sent) => {
                self.count(&planned, sent);
                self.note_seen(&object).await;
                Ok(())
            }
            Err(error @ (Error::SourceFile { .. } | Error::PathOutsideRoot { .. })) => {
                self.unsent.lock().push(error);
                Ok(())
            }
            Err(error) => Err(self.explain(error, planned.index)),
        }
    }

    fn count(&self, planned: &Planned, sent: Sent) {
        if sent == Sent::AlreadyThere {
            self.skip(planned, planned.index, seen_in_s3);
        } else if planned.completes_file {
            self.context().progress.finish_file();
        }
        // The reference finds what it has just sent in the cache, unless it was told not to look there.
        let is_cached = self.request.check_cache.is_some() && !self.request.options.force_check;
        self.skip_duplicates(planned, if is_cached { seen_in_cache } else { seen_in_s3 });
    }

    /// Counts one file, or a chunk of one, as needing no sending.
    fn skip(&self, planned: &Planned, index: usize, text: SkipText) {
        self.context().log(LogLevel::Debug, LOGGER, || {
            text(&self.source.shown(index).display().to_string(), &self.object(planned))
        });
        if planned.completes_file {
            self.context().progress.skip_file(planned.size_bytes);
        } else {
            self.context().progress.skip_bytes(planned.size_bytes);
        }
    }

    fn skip_duplicates(&self, planned: &Planned, text: SkipText) {
        for index in &planned.duplicates {
            self.skip(planned, *index, text);
        }
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
        self.place.object(&planned.hash)
    }

    const fn context(&self) -> &Context {
        &self.uploader.context
    }
}

pub(super) fn open_root(path: &Path, links: LinkPolicy, waits: GoesOn) -> Result<SourceRoot> {
    SourceRoot::open(path, links, waits).map_err(|error| match error {
        // As for a file: without its root it is missing.
        Error::Io { path, source, .. } => Error::source_file(path, &source),
        other => other,
    })
}

/// One error for all files that were left behind: it names the first, by name, and says how many more there are.
pub(super) fn one_error(mut errors: Vec<Error>, verb: &'static str) -> Option<Error> {
    errors.sort_by_key(ToString::to_string);
    let more = errors.len().saturating_sub(1);
    let first = errors.into_iter().next()?;
    if more == 0 {
        return Some(first);
    }
    Some(Error::SeveralFiles { first: Arc::new(first), more, verb })
}

/// Why a file needs no sending, in the reference's words.
type SkipText = fn(&str, &ObjectKey) -> String;

fn seen_in_s3(path: &str, object: &ObjectKey) -> String {
    format!("skipping {path} because it has already been uploaded to {}", object.url())
}

fn seen_in_cache(path: &str, object: &ObjectKey) -> String {
    format!("skipping {path} because {} exists in the cache", cache_key(object))
}

/// The files of a manifest below their root.
pub(super) struct ManifestSource {
    root: SourceRoot,
    manifest: Arc<Manifest>,
}

impl ManifestSource {
    pub(super) fn new(root: SourceRoot, manifest: &Arc<Manifest>) -> Self {
        Self { root, manifest: Arc::clone(manifest) }
    }
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
