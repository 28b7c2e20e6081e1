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
mod job;
mod look_again;
mod nested;
mod place;
mod present;
mod request;
mod resume;
mod settled;

use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::fs::path_list::PathList;
use crate::fs::target_root::TargetRoot;
use crate::manifest::Manifest;
use crate::transfer::buffers::Buffers;
use crate::transfer::context::Context;
use crate::transfer::download::look_again::LooksUnderWay;
use crate::transfer::download::{Downloader, WriteThroughput};
use crate::transfer::limits::Limits;
use crate::transfer::tasks::blocking;
use absolute::Scope;
use contents::Contents;
use job::{DoneWithout, DownloadJob};
use request::CANCELLED;
pub use request::{ConflictResolution, DownloadOptions, Duplicates, Permissions};
pub(crate) use request::{DownloadReport, DownloadRequest, RootDownload};
use settled::Settled;

const PERMISSIONS_WITHOUT_ROOT: &str = "Permissions are given from a root directory down to each file, and absolute paths have \
                                        none where the root is ''. Name the root directory.";

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
        write_throughput: WriteThroughput::default(),
        context: context.clone(),
        verify: options.verify,
    };
    let job = Arc::new(DownloadJob {
        written: Mutex::new(vec![PathList::new(); prepared.roots.len()]),
        found_later: Mutex::default(),
        looks: LooksUnderWay::default(),
        began,
        downloader,
        roots: prepared.roots,
        given: prepared.given,
        settled: prepared.settled,
        done_without: DoneWithout::default(),
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
    settled: Settled,
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
