//! Downloads from Python.

use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::PyList;

use super::manifest::manifest_from_python;
use super::manifest_text::string_from_wtf8;
use super::pump::{Caller, Operation};
use super::store::{StoreArguments, connect};
use crate::ops::download::{
    ConflictResolution, DownloadOptions, DownloadReport, DownloadRequest, Permissions, RootDownload, download,
};
use crate::path::wtf8_from_os_str;
use crate::transfer::download::Verify;

/// Adds what this module has for Python.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
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
    /// `off`, `size` or `hash`.
    verify: String,
    fsync: bool,
    /// Group id, bits for files, bits for directories.
    permissions: Option<(Option<u32>, u32, u32)>,
}

/// Begins to download the files of manifests. Gives, for each root, the resolved paths that were written.
#[pyfunction]
pub(crate) fn download_manifests(
    py: Python<'_>,
    store: StoreArguments,
    tracker: Option<Py<PyAny>>,
    request: DownloadArguments<'_>,
) -> PyResult<Operation> {
    let (session, options) = store.plan(py)?.split();
    let download_options = DownloadOptions {
        conflicts: conflicts(&request.conflict_resolution),
        verify: verify(&request.verify)?,
        sync: request.fsync,
        permissions: request.permissions.map(|(group, file_mode, directory_mode)| Permissions {
            group,
            file_mode,
            directory_mode,
        }),
        ..DownloadOptions::default()
    };
    let roots = request
        .roots
        .iter()
        .map(|(path, manifest)| Ok(RootDownload { path: path.clone(), manifest: manifest_from_python(manifest)? }))
        .collect::<PyResult<Vec<_>>>()?;
    let (bucket, cas_prefix) = (request.bucket, request.cas_prefix);
    let work = async move |call: super::pump::Call| {
        let store = connect(options, &call).await?;
        let request = DownloadRequest { store, bucket, cas_prefix, roots, options: download_options };
        download(request, &call.context).await
    };
    Operation::start(py, Caller { tracker, session }, work, written)
}

fn written(py: Python<'_>, report: DownloadReport) -> PyResult<Py<PyAny>> {
    let roots = PyList::empty(py);
    for paths in report.written {
        let list = PyList::empty(py);
        for path in paths {
            list.append(string_from_wtf8(py, &wtf8_from_os_str(path.as_os_str()))?)?;
        }
        roots.append(list)?;
    }
    Ok(roots.into_any().unbind())
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

fn verify(name: &str) -> PyResult<Verify> {
    match name {
        "off" => Ok(Verify::Off),
        "size" => Ok(Verify::Size),
        "hash" => Ok(Verify::Hash),
        other => Err(pyo3::exceptions::PyValueError::new_err(format!(
            "verify must be one of 'off', 'size', 'hash', not {other:?}"
        ))),
    }
}
