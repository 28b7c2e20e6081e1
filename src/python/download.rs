//! Downloads from Python.

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyList;

use super::errors::to_py_err;
use super::manifest::manifest_from_python;
use super::pump::Operation;
use super::store::StoreArguments;
use super::wtf8::string_from_wtf8;
use crate::cache::HashCache;
use crate::ops::add_permissions::{AddPermissionsRequest, add_permissions as add_to_files};
use crate::ops::download::{
    ConflictResolution, DownloadOptions, DownloadReport, DownloadRequest, Duplicates, Permissions, RootDownload,
    download,
};
use crate::store::ObjectStore;
use crate::transfer::context::Context;
use crate::transfer::download::Verify;

/// Adds what this module has for Python.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(add_permissions, module)?)?;
    module.add_function(wrap_pyfunction!(download_defaults, module)?)?;
    module.add_function(wrap_pyfunction!(download_manifests, module)?)?;
    Ok(())
}

/// What to download: the items of a dictionary that `rusty_attachments.download` makes.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct DownloadArguments<'py> {
    bucket: String,
    cas_prefix: Option<String>,
    /// Pairs of root and manifest.
    roots: Vec<(PathBuf, Bound<'py, PyAny>)>,
    /// The name of a member of `FileConflictResolution`, or the text of what was given instead.
    conflict_resolution: String,
    /// Whether one path may be in the list several times.
    in_order: bool,
    /// Where the hash cache is that RESUME asks; an empty path for the default folder.
    hash_cache_dir: Option<PathBuf>,
    options: DownloadOptionArguments,
    /// Group id, bits for files, bits for directories.
    permissions: Option<AddedPermissions>,
}

/// The options of a download; `None` means the default of `DownloadOptions`.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct DownloadOptionArguments {
    /// `off`, `size` or `hash`.
    verify: Option<String>,
    fsync: Option<bool>,
    buffer_bytes: Option<u64>,
}

/// The defaults of those options, under the same names.
#[derive(IntoPyObject)]
pub(crate) struct DownloadDefaults {
    verify: &'static str,
    fsync: bool,
    buffer_bytes: u64,
}

/// The defaults of the options of a download.
#[pyfunction]
pub(crate) fn download_defaults() -> DownloadDefaults {
    let defaults = DownloadOptions::default();
    DownloadDefaults { verify: verify_name(defaults.verify), fsync: defaults.sync, buffer_bytes: defaults.buffer_bytes }
}

/// Begins to download the files of manifests. Gives, for each root, the resolved paths that were written.
#[pyfunction]
pub(crate) fn download_manifests(
    py: Python<'_>,
    store: StoreArguments,
    tracker: Option<Py<PyAny>>,
    request: DownloadArguments<'_>,
) -> PyResult<Operation> {
    let (given, defaults) = (request.options, DownloadOptions::default());
    let download_options = DownloadOptions {
        conflicts: conflicts(&request.conflict_resolution),
        verify: given.verify.as_deref().map_or(Ok(defaults.verify), verify)?,
        sync: given.fsync.unwrap_or(defaults.sync),
        buffer_bytes: given.buffer_bytes.unwrap_or(defaults.buffer_bytes),
        duplicates: if request.in_order { Duplicates::InOrder } else { Duplicates::Refuse },
        permissions: request.permissions.map(Permissions::from),
        ..defaults
    };
    let roots = request
        .roots
        .iter()
        .map(|(path, manifest)| Ok(RootDownload { path: path.clone(), manifest: manifest_from_python(manifest)? }))
        .collect::<PyResult<Vec<_>>>()?;
    let (bucket, cas_prefix) = (request.bucket, request.cas_prefix);
    let hash_cache_dir = request.hash_cache_dir;
    let work = async move |store: Arc<dyn ObjectStore>, context: Context| {
        let mut download_options = download_options;
        if download_options.conflicts == ConflictResolution::Resume {
            download_options.hash_cache = hash_cache_dir.map(open_cache);
        }
        let request = DownloadRequest { store, bucket, cas_prefix, roots, options: download_options };
        download(request, &context).await
    };
    store.start(py, tracker, work, written)
}

fn written(py: Python<'_>, report: DownloadReport) -> PyResult<Py<PyAny>> {
    let roots = PyList::empty(py);
    for paths in report.written {
        let list = PyList::empty(py);
        for path in paths.iter() {
            list.append(string_from_wtf8(py, path)?)?;
        }
        roots.append(list)?;
    }
    Ok(roots.into_any().unbind())
}

fn open_cache(folder: PathBuf) -> Arc<HashCache> {
    let folder = Some(folder).filter(|folder| !folder.as_os_str().is_empty());
    Arc::new(HashCache::open(folder.as_deref()))
}

/// Permissions to add; a triple in Python.
#[derive(FromPyObject)]
pub(crate) struct AddedPermissions {
    #[pyo3(item(0))]
    group: Option<u32>,
    #[pyo3(item(1))]
    file_mode: u32,
    #[pyo3(item(2))]
    directory_mode: u32,
}

impl From<AddedPermissions> for Permissions {
    fn from(AddedPermissions { group, file_mode, directory_mode }: AddedPermissions) -> Self {
        Self { group, file_mode, directory_mode }
    }
}

/// Adds a group and permission bits to files below a root, and to each directory from the root down to them.
#[pyfunction]
pub(crate) fn add_permissions(
    py: Python<'_>,
    root: PathBuf,
    files: Vec<PathBuf>,
    wanted: AddedPermissions,
) -> PyResult<()> {
    let request = AddPermissionsRequest { root: &root, files: &files, permissions: wanted.into() };
    py.detach(|| add_to_files(&request, &Context::new())).map_err(|error| to_py_err(py, &error))
}

fn conflicts(name: &str) -> ConflictResolution {
    match name {
        "SKIP" => ConflictResolution::Skip,
        "OVERWRITE" => ConflictResolution::Overwrite,
        "CREATE_COPY" => ConflictResolution::CreateCopy,
        "RESUME" => ConflictResolution::Resume,
        other => ConflictResolution::Unknown(other.to_owned()),
    }
}

/// The names of what can be checked.
const CHECKS: [(&str, Verify); 3] = [("off", Verify::Off), ("size", Verify::Size), ("hash", Verify::Hash)];

fn verify(name: &str) -> PyResult<Verify> {
    let found = CHECKS.iter().find(|(known, _)| *known == name);
    found.map(|(_, verify)| *verify).ok_or_else(|| {
        pyo3::exceptions::PyValueError::new_err(format!("verify must be one of 'off', 'size', 'hash', not {name:?}"))
    })
}

fn verify_name(verify: Verify) -> &'static str {
    CHECKS.iter().find(|(_, known)| *known == verify).map_or("", |(name, _)| name)
}
