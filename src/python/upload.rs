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
use super::store::{CasPlace, S3Place, StoreArguments};
use crate::cache::hash_cache::hash_cache_folders;
use crate::cache::s3_check_cache::S3CheckCache;
use crate::cache::uploads::UploadRecords;
use crate::fs::open::LinkPolicy;
use crate::ops::abort_stale_uploads::{AbortStaleUploadsRequest, abort_stale_uploads as abort_stale};
use crate::ops::head_object::head_object as head;
use crate::ops::put_file;
use crate::ops::put_object::{NewObject, put_object};
use crate::ops::sample_check_cache::{SampleRequest, sample_check_cache as sample};
use crate::ops::snapshot_assets::{SnapshotRequest, snapshot_assets};
use crate::ops::upload_assets::{RESUME_WITHIN, UploadOptions, UploadRequest, upload_assets};
use crate::store::{MultipartUpload, ObjectInfo, ObjectKey, ObjectStore};
use crate::transfer::PART_BYTES;
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
    module.add_function(wrap_pyfunction!(upload_defaults, module)?)?;
    module.add("PART_BYTES", PART_BYTES)?;
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
    options: UploadOptionArguments,
}

/// The options of an upload; `None` means the default of `UploadOptions`.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct UploadOptionArguments {
    small_file_threshold: Option<u64>,
    confine_links: Option<bool>,
    trust_cache_seconds: Option<f64>,
    resume_within_seconds: Option<f64>,
    buffer_bytes: Option<u64>,
}

/// The defaults of those options, under the same names.
#[derive(IntoPyObject)]
pub(crate) struct UploadDefaults {
    small_file_threshold: u64,
    confine_links: bool,
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
    confine_links: Option<bool>,
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
    let upload_options = request.options.into_options(request.force_check)?;
    let (root, bucket, cas_prefix) = (request.root, request.bucket, request.cas_prefix);
    let cache_dir = request.check_cache_dir;
    let document = request.document.map(DocumentArguments::into_object);
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

/// The defaults of the options of an upload.
#[pyfunction]
pub(crate) fn upload_defaults() -> UploadDefaults {
    let defaults = UploadOptions::default();
    UploadDefaults {
        small_file_threshold: defaults.small_file_threshold_bytes,
        confine_links: defaults.links == LinkPolicy::Confine,
        trust_cache_seconds: defaults.trust_cache_for.as_secs_f64(),
        resume_within_seconds: defaults.resume_within.as_secs_f64(),
        buffer_bytes: defaults.buffer_bytes,
    }
}

impl UploadOptionArguments {
    fn into_options(self, force_check: bool) -> PyResult<UploadOptions> {
        let defaults = UploadOptions::default();
        Ok(UploadOptions {
            small_file_threshold_bytes: self.small_file_threshold.unwrap_or(defaults.small_file_threshold_bytes),
            force_check,
            links: link_policy(self.confine_links, defaults.links),
            trust_cache_for: self.trust_cache_seconds.map_or(Ok(defaults.trust_cache_for), seconds)?,
            resume_within: self.resume_within_seconds.map_or(Ok(defaults.resume_within), seconds)?,
            buffer_bytes: self.buffer_bytes.unwrap_or(defaults.buffer_bytes),
            hash_caches: defaults.hash_caches,
        })
    }
}

fn link_policy(confine: Option<bool>, default: LinkPolicy) -> LinkPolicy {
    confine.map_or(default, |confine| if confine { LinkPolicy::Confine } else { LinkPolicy::Follow })
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
        links: link_policy(request.confine_links, UploadOptions::default().links),
        hash_caches: hash_cache_folders(),
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
    older_than_seconds: Option<f64>,
) -> PyResult<Operation> {
    let older_than = older_than_seconds.map_or(Ok(RESUME_WITHIN), seconds)?;
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
    let work = async move |store: Arc<dyn ObjectStore>, context: Context| {
        let check_cache = open_cache(check_cache_dir);
        let request = SampleRequest { store, manifest, bucket: place.bucket, cas_prefix: place.prefix, check_cache };
        sample(request, &context).await
    };
    let convert = |py: Python<'_>, right: bool| Ok(right.into_pyobject(py)?.to_owned().into_any().unbind());
    store.start(py, None, work, convert)
}

impl DocumentArguments {
    fn into_object(self) -> NewObject {
        NewObject {
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
    let object = document.into_object();
    let work =
        async move |store: Arc<dyn ObjectStore>, context: Context| put_object(&store, &bucket, &object, &context).await;
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
    let object = ObjectKey::new(bucket, key);
    let work = async move |store: Arc<dyn ObjectStore>, context: Context| head(&store, &object, &context).await;
    let convert = |py: Python<'_>, found: Option<ObjectInfo>| {
        let size = |size: Option<u64>| size.and_then(|size| i64::try_from(size).ok()).unwrap_or(-1);
        Ok(found.map(|info| size(info.size_bytes)).into_pyobject(py)?.into_any().unbind())
    };
    store.start(py, None, work, convert)
}
