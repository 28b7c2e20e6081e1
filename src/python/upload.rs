//! Uploads from Python.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use super::manifest::manifest_from_python;
use super::pump::{Caller, Operation};
use super::runtime::engine;
use super::store::{CasPlace, S3Place, StoreArguments};
use crate::cache::s3_check_cache::S3CheckCache;
use crate::cache::uploads::UploadRecords;
use crate::cache::{HashCache, default_folder};
use crate::error::S3Action;
use crate::fs::open::LinkPolicy;
use crate::hash::{ContentHash, hash_bytes};
use crate::ops::abort_stale_uploads::{AbortStaleUploadsRequest, abort_stale_uploads as abort_stale};
use crate::ops::put_file;
use crate::ops::snapshot_assets::{SnapshotRequest, snapshot_assets};
use crate::ops::upload_assets::{Document, UploadOptions, UploadRequest, cache_is_right, upload_assets};
use crate::store::{MultipartUpload, ObjectKey, ObjectStore, PutRequest};
use crate::transfer::context::Context;
use crate::transfer::progress::ProgressSnapshot;

/// Adds what this module has for Python.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(abort_stale_uploads, module)?)?;
    module.add_function(wrap_pyfunction!(head_object, module)?)?;
    module.add_function(wrap_pyfunction!(manifest_size, module)?)?;
    module.add_function(wrap_pyfunction!(put_bytes, module)?)?;
    module.add_function(wrap_pyfunction!(put_local_file, module)?)?;
    module.add_function(wrap_pyfunction!(sample_check_cache, module)?)?;
    module.add_function(wrap_pyfunction!(snapshot, module)?)?;
    module.add_function(wrap_pyfunction!(upload, module)?)?;
    Ok(())
}

/// What to upload: the items of a dictionary that `rusty_attachments.upload` makes.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct UploadArguments<'py> {
    manifest: Bound<'py, PyAny>,
    root: PathBuf,
    bucket: String,
    cas_prefix: String,
    document: Option<DocumentArguments>,
    /// `None` for no cache; an empty path for the default folder.
    check_cache_dir: Option<PathBuf>,
    force_check: bool,
    small_file_threshold: u64,
    follow_links: bool,
    trust_cache_seconds: f64,
    resume_within_seconds: f64,
    buffer_bytes: u64,
}

/// What to copy into a snapshot.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct SnapshotArguments<'py> {
    manifest: Bound<'py, PyAny>,
    root: PathBuf,
    folder: PathBuf,
    document: (String, Vec<u8>),
    follow_links: bool,
}

#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct DocumentArguments {
    key: String,
    body: PyBackedBytes,
    metadata: BTreeMap<String, String>,
    content_type: Option<String>,
}

/// Begins to upload the files of a manifest, and then the manifest. Gives `(processed files, skipped files)`.
#[pyfunction]
pub(crate) fn upload(
    py: Python<'_>,
    store: StoreArguments,
    tracker: Option<Py<PyAny>>,
    request: UploadArguments<'_>,
) -> PyResult<Operation> {
    let manifest = manifest_from_python(&request.manifest)?;
    let flights = engine()?.flights.clone();
    let links = link_policy(request.follow_links);
    let upload_options = UploadOptions {
        small_file_threshold_bytes: request.small_file_threshold,
        force_check: request.force_check,
        links,
        trust_cache_for: seconds(request.trust_cache_seconds)?,
        resume_within: seconds(request.resume_within_seconds)?,
        buffer_bytes: request.buffer_bytes,
        hash_caches: hash_caches(),
    };
    let (root, bucket, cas_prefix) = (request.root, request.bucket, request.cas_prefix);
    let cache_dir = request.check_cache_dir;
    let document = request.document.map(DocumentArguments::into_document);
    let work = async move |store: Arc<dyn ObjectStore>, context: Context| {
        let records = cache_dir.as_deref().and_then(|folder| UploadRecords::beside(some_folder(folder)));
        let check_cache = cache_dir.map(open_cache);
        let request = UploadRequest {
            store,
            manifest,
            root,
            bucket,
            cas_prefix,
            document,
            check_cache,
            records,
            flights,
            options: upload_options,
        };
        upload_assets(request, &context).await?;
        Ok(context.progress.snapshot())
    };
    let convert = |py: Python<'_>, counts: ProgressSnapshot| {
        Ok((counts.processed_files, counts.skipped_files).into_pyobject(py)?.into_any().unbind())
    };
    store.start(py, tracker, work, convert)
}

/// How many files a manifest has, and the sum of their sizes in bytes as it says them.
#[pyfunction]
pub(crate) fn manifest_size(manifest: &Bound<'_, PyAny>) -> PyResult<(usize, i128)> {
    let manifest = manifest_from_python(manifest)?;
    Ok((manifest.files.len(), manifest.files.sum_of_sizes()))
}

/// Where a manifest's hashes may have come from: caches of this process, and the default one for those of others.
fn hash_caches() -> Vec<PathBuf> {
    let mut folders = HashCache::opened_folders();
    folders.extend(default_folder().filter(|folder| !folders.contains(folder)));
    folders
}

fn link_policy(follow: bool) -> LinkPolicy {
    if follow { LinkPolicy::Follow } else { LinkPolicy::Confine }
}

fn seconds(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|error| PyValueError::new_err(format!("{seconds} seconds: {error}")))
}

/// Begins to copy the files of a manifest, and then the manifest, into a snapshot.
#[pyfunction]
pub(crate) fn snapshot(
    py: Python<'_>,
    tracker: Option<Py<PyAny>>,
    request: SnapshotArguments<'_>,
) -> PyResult<Operation> {
    let request = SnapshotRequest {
        manifest: manifest_from_python(&request.manifest)?,
        root: request.root,
        folder: request.folder,
        document: request.document,
        links: link_policy(request.follow_links),
        hash_caches: hash_caches(),
    };
    let work = move |context: &Context| snapshot_assets(&request, context);
    Operation::start_blocking(py, Caller { tracker, session: None }, work, |py, ()| Ok(py.None()))
}

/// Begins to drop the unfinished uploads of contents below a prefix; gives their URLs.
#[pyfunction]
pub(crate) fn abort_stale_uploads(
    py: Python<'_>,
    store: StoreArguments,
    place: CasPlace,
    older_than_seconds: f64,
) -> PyResult<Operation> {
    let older_than = seconds(older_than_seconds)?;
    let work = async move |store: Arc<dyn ObjectStore>, context: Context| {
        let CasPlace { bucket, prefix: cas_prefix } = place;
        abort_stale(AbortStaleUploadsRequest { store, bucket, cas_prefix, older_than }, &context).await
    };
    let convert = |py: Python<'_>, dropped: Vec<MultipartUpload>| {
        let urls: Vec<String> = dropped.iter().map(|upload| upload.object.url()).collect();
        Ok(urls.into_pyobject(py)?.unbind())
    };
    store.start(py, None, work, convert)
}

fn open_cache(folder: PathBuf) -> Arc<S3CheckCache> {
    Arc::new(S3CheckCache::open(some_folder(&folder)))
}

/// An empty path stands for the default folder.
fn some_folder(folder: &Path) -> Option<&Path> {
    Some(folder).filter(|folder| !folder.as_os_str().is_empty())
}

/// Begins to ask S3 for some of the objects that the check cache has; gives whether all are there.
#[pyfunction]
pub(crate) fn sample_check_cache(
    py: Python<'_>,
    store: StoreArguments,
    manifest: &Bound<'_, PyAny>,
    place: CasPlace,
    check_cache_dir: PathBuf,
) -> PyResult<Operation> {
    let manifest = manifest_from_python(manifest)?;
    let flights = engine()?.flights.clone();
    let work = async move |store: Arc<dyn ObjectStore>, context: Context| {
        let request = UploadRequest {
            store,
            manifest,
            // No file is opened: any directory will do.
            root: PathBuf::from("/"),
            bucket: place.bucket,
            cas_prefix: place.prefix,
            document: None,
            check_cache: Some(open_cache(check_cache_dir)),
            records: None,
            flights,
            options: UploadOptions::default(),
        };
        cache_is_right(&request, &context).await
    };
    let convert = |py: Python<'_>, right: bool| Ok(right.into_pyobject(py)?.to_owned().into_any().unbind());
    store.start(py, None, work, convert)
}

impl DocumentArguments {
    fn into_document(self) -> Document {
        Document {
            key: self.key,
            body: Bytes::from_owner(self.body),
            metadata: self.metadata,
            content_type: self.content_type,
        }
    }
}

/// Begins to store bytes under a key.
#[pyfunction]
pub(crate) fn put_bytes(
    py: Python<'_>,
    store: StoreArguments,
    bucket: String,
    document: DocumentArguments,
) -> PyResult<Operation> {
    let document = document.into_document();
    let work = async move |store: Arc<dyn ObjectStore>, _context: Context| {
        let object = ObjectKey::new(bucket, document.key.clone());
        object.check(S3Action::UploadingBinaryFile)?;
        let ContentHash::Xxh128(hash) = hash_bytes(&document.body) else {
            return Err(crate::Error::Sync("a hash of bytes is always XXH128".to_owned()));
        };
        let request = PutRequest {
            object: &object,
            body: document.body.clone(),
            xxh128: Some(hash),
            if_absent: false,
            metadata: &document.metadata,
            content_type: document.content_type.as_deref(),
            action: S3Action::UploadingBinaryFile,
        };
        store.put(request).await.map(drop)
    };
    store.start(py, None, work, |py, ()| Ok(py.None()))
}

/// Begins to store a local file under a key.
#[pyfunction]
pub(crate) fn put_local_file(
    py: Python<'_>,
    store: StoreArguments,
    tracker: Option<Py<PyAny>>,
    path: PathBuf,
    place: S3Place,
) -> PyResult<Operation> {
    let work = async move |store: Arc<dyn ObjectStore>, context: Context| {
        put_file::put_file(store, path, ObjectKey::new(place.bucket, place.key), &context).await
    };
    store.start(py, tracker, work, |py, ()| Ok(py.None()))
}

/// Begins to ask whether an object is there; gives its size in bytes, -1 where S3 does not say it, or `None`.
#[pyfunction]
pub(crate) fn head_object(py: Python<'_>, store: StoreArguments, bucket: String, key: String) -> PyResult<Operation> {
    let work = async move |store: Arc<dyn ObjectStore>, _context: Context| {
        let object = ObjectKey::new(bucket, key);
        object.check(S3Action::CheckingIfObjectExists)?;
        store.head(&object).await
    };
    let convert = |py: Python<'_>, found: Option<crate::store::ObjectInfo>| {
        let size = |size: Option<u64>| size.and_then(|size| i64::try_from(size).ok()).unwrap_or(-1);
        Ok(found.map(|info| size(info.size_bytes)).into_pyobject(py)?.into_any().unbind())
    };
    store.start(py, None, work, convert)
}
