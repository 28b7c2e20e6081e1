//! Downloading the files of manifests below local roots.
//!
//! All paths are checked and all name conflicts are settled before the first byte is fetched, in one thread, so that names of
//! copies don't depend on timing. Each content is fetched once, checked, and cloned to the other files that have it.

mod absolute;
mod check;
mod conflicts;
mod contents;
mod fetch;
mod finish;
mod look_again;
mod nested;
mod place;
mod present;
mod resume;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use crate::cache::HashCache;
use crate::error::{Error, Result};
use crate::fs::path_list::PathList;
use crate::fs::target::TargetRoot;
use crate::manifest::Manifest;
use crate::store::ObjectStore;
use crate::transfer::buffers::Buffers;
use crate::transfer::context::Context;
use crate::transfer::disk_pace::DiskPace;
use crate::transfer::download::{Downloader, Verify};
use crate::transfer::limits::{DEFAULT_BUFFER_BYTES, Limits};
use crate::transfer::look_again::LooksUnderWay;
use crate::transfer::tasks::blocking;
use absolute::Scope;
use contents::Contents;

const CANCELLED: &str = "File download cancelled.";
const LOGGER: &str = "download";
const PERMISSIONS_WITHOUT_ROOT: &str = "Permissions are given from a root directory down to each file, and absolute paths have \
                                        none where the root is ''. Name the root directory.";

/// What to download, and where to.
#[derive(Clone)]
pub(crate) struct DownloadRequest {
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
pub(crate) struct RootDownload {
    /// The local directory; made if it is not there.
    ///
    /// The empty path stands for the absolute paths that a caller has put into the manifest: they are taken as they are, so
    /// never use it for a manifest as it came from S3. Its relative paths go below the working directory.
    pub path: PathBuf,
    /// The files. An absolute path must lead below the root.
    pub manifest: Arc<Manifest>,
}

/// How to download.
#[derive(Debug, Clone)]
pub(crate) struct DownloadOptions {
    /// What to do where a file is already.
    pub conflicts: ConflictResolution,
    /// What to do where the list of files has one path twice.
    pub duplicates: Duplicates,
    /// What to check.
    pub verify: Verify,
    /// Whether to wait for the disk: for a file before it gets its name, for names before the end.
    pub sync: bool,
    /// Permissions to add.
    pub permissions: Option<Permissions>,
    /// What knows the contents of files that are there already; asked by [`ConflictResolution::Resume`] alone.
    pub hash_cache: Option<Arc<HashCache>>,
    /// Bytes of bodies in memory at once.
    pub buffer_bytes: u64,
}

impl Default for DownloadOptions {
    fn default() -> Self {
        Self {
            conflicts: ConflictResolution::CreateCopy,
            duplicates: Duplicates::Refuse,
            verify: Verify::Hash,
            sync: false,
            permissions: None,
            hash_cache: None,
            buffer_bytes: DEFAULT_BUFFER_BYTES,
        }
    }
}

/// What to do where a file is already. The reference's `FileConflictResolution`, and one more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ConflictResolution {
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

/// What to do where the files of one root have one path twice with different contents. The same contents are written once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Duplicates {
    /// Refuse: nobody has said which should win.
    #[default]
    Refuse,
    /// As if they were downloaded one after another: the first is in the later ones' way.
    InOrder,
}

/// Permissions that are added to downloaded files and to the directories on the way to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Permissions {
    /// The group to give them to.
    pub group: Option<u32>,
    /// Bits to add to files.
    pub file_mode: u32,
    /// Bits to add to directories.
    pub directory_mode: u32,
}

/// What was downloaded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DownloadReport {
    /// The paths that were written, by root, links resolved. Files that were left alone are not among them.
    pub written: Vec<PathList>,
}

/// A file of a manifest: which root, which entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct FileId {
    root: u32,
    entry: u32,
}

impl FileId {
    const fn index(self) -> usize {
        self.entry as usize
    }
}

struct Job {
    request: DownloadRequest,
    downloader: Downloader,
    roots: Vec<TargetRoot>,
    /// The manifests as they were given, for the log: absolute paths have become relative ones in the request's.
    given: Vec<Arc<Manifest>>,
    settled: conflicts::Settled,
    done_without: place::DoneWithout,
    /// By root.
    written: Mutex<Vec<PathList>>,
    /// Files that another process has finished while this one was on its way to them.
    found_later: Mutex<Vec<FileId>>,
    looks: LooksUnderWay,
    began: SystemTime,
}

/// Downloads the files of manifests.
///
/// # Errors
/// Before anything is written: [`Error::PathOutsideRoot`], [`Error::ManifestInvalid`] (clashing paths, negative sizes, a diff),
/// [`Error::InvalidArgument`] (an unknown conflict resolution meets a conflict). Then: [`Error::Integrity`],
/// [`Error::DownloadDirectory`] for a directory that can't be made, [`Error::Download`] for a file that can't be written, S3's errors,
/// [`Error::Cancelled`]. Files that were finished by then are right and stay.
pub(crate) async fn download(request: DownloadRequest, context: &Context) -> Result<DownloadReport> {
    run(request, context).await.map_err(|error| match error {
        Error::Io { action, path, source } => Error::Download { action, path, source },
        other => other,
    })
}

async fn run(request: DownloadRequest, context: &Context) -> Result<DownloadReport> {
    let began = SystemTime::now();
    let for_preparation = context.clone();
    let prepared = blocking(move || prepare(request, &for_preparation)).await?;
    let options = &prepared.request.options;
    let downloader = Downloader {
        store: Arc::clone(&prepared.request.store),
        limits: Limits::new(prepared.request.store.max_connections(), options.buffer_bytes),
        buffers: Buffers::default(),
        pace: DiskPace::default(),
        context: context.clone(),
        verify: options.verify,
    };
    let job = Arc::new(Job {
        written: Mutex::new(vec![PathList::new(); prepared.roots.len()]),
        found_later: Mutex::default(),
        looks: LooksUnderWay::default(),
        began,
        downloader,
        roots: prepared.roots,
        given: prepared.given,
        settled: prepared.settled,
        done_without: place::DoneWithout::default(),
        request: prepared.request,
    });
    let fetched = job.fetch_all(prepared.contents).await;
    // After an error, too: nothing goes on once the call has ended.
    job.looks.wait().await;
    fetched?;
    // Also where it came with the last reply, so that what a cancelled call does next is not left to chance.
    context.check_cancelled(CANCELLED)?;
    let finisher = Arc::clone(&job);
    blocking(move || finisher.finish()).await
}

struct Prepared {
    request: DownloadRequest,
    roots: Vec<TargetRoot>,
    given: Vec<Arc<Manifest>>,
    settled: conflicts::Settled,
    contents: Contents,
}

/// Checks everything, opens the roots, settles conflicts and groups files by content.
fn prepare(mut request: DownloadRequest, context: &Context) -> Result<Prepared> {
    let _work = context.progress.local_work();
    let given = request.roots.iter().map(|root| Arc::clone(&root.manifest)).collect();
    let mut scopes = Vec::with_capacity(request.roots.len());
    let mut have_duplicates = Vec::with_capacity(request.roots.len());
    for root in &mut request.roots {
        context.check_cancelled(CANCELLED)?;
        let scope = Scope::settle(root)?;
        if scope == Scope::Anywhere && request.options.permissions.is_some() {
            return Err(Error::InvalidArgument(PERMISSIONS_WITHOUT_ROOT.to_owned()));
        }
        // Several roots of a job may be mapped to one directory.
        let duplicates = if scope == Scope::Anywhere { Duplicates::InOrder } else { request.options.duplicates };
        have_duplicates.push(check::check_manifest(&root.manifest, duplicates)?);
        scopes.push(scope);
    }
    let opened = scopes.iter().zip(&request.roots).map(|(scope, root)| scope.open(root));
    let roots = opened.collect::<Result<Vec<_>>>()?;
    check::refuse_shared_roots(&request, &roots)?;
    let mut settled = conflicts::settle(&request, &roots, &have_duplicates, context)?;
    if request.options.conflicts == ConflictResolution::Resume {
        resume::leave_what_is_right(&request, &roots, &mut settled, context)?;
    }
    settled.count_skipped(&request, context);
    let contents = Contents::of(&request, &settled);
    Ok(Prepared { request, roots, given, settled, contents })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
