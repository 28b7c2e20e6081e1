//! The manifests of jobs from Python.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};

use super::manifest::manifest_to_python;
use super::pump::Operation;
use super::store::{S3Place, StoreArguments};
use super::wtf8::string_from_wtf8;
use crate::manifest::Manifest;
use crate::ops::fetch_manifests::{
    FetchManifestRequest, FetchManifestsRequest, FetchedManifest, fetch_manifest, fetch_manifests,
};
use crate::ops::list_outputs::{
    FindOutputsRequest, FindSessionActionOutputsRequest, PerTask, RootManifests, fetch_with_roots, find_outputs,
    find_session_action_outputs, list_keys, output_keys,
};
use crate::store::{ObjectKey, ObjectStore};
use crate::transfer::context::Context;

/// Adds what this module has for Python.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(fetch_job_manifests, module)?)?;
    module.add_function(wrap_pyfunction!(list_output_manifests, module)?)?;
    module.add_function(wrap_pyfunction!(load_manifest, module)?)?;
    module.add_function(wrap_pyfunction!(find_output_manifests, module)?)?;
    module.add_function(wrap_pyfunction!(find_session_action_manifests, module)?)?;
    Ok(())
}

/// Begins to fetch manifests; gives `(asset root or None, time of storing, manifest)` for each key, in order.
#[pyfunction]
pub(crate) fn fetch_job_manifests(
    py: Python<'_>,
    store: StoreArguments,
    bucket: String,
    keys: Vec<String>,
    must_have_roots: bool,
) -> PyResult<Operation> {
    let work = async move |store: Arc<dyn ObjectStore>, context: Context| {
        let request = FetchManifestsRequest { store, bucket, keys };
        if must_have_roots {
            fetch_with_roots(request, &context).await
        } else {
            fetch_manifests(request, &context).await
        }
    };
    let convert = |py: Python<'_>, fetched: Vec<FetchedManifest>| {
        let list = PyList::empty(py);
        for FetchedManifest { asset_root, last_modified, manifest } in fetched {
            let root = asset_root.map(|root| string_from_wtf8(py, &root)).transpose()?;
            list.append((root, last_modified, manifest_to_python(py, manifest)?))?;
        }
        Ok(list.into_any().unbind())
    };
    store.start(py, None, work, convert)
}

/// Begins to fetch one manifest from any place in S3; gives it.
#[pyfunction]
pub(crate) fn load_manifest(
    py: Python<'_>,
    store: StoreArguments,
    place: S3Place,
    strict: bool,
) -> PyResult<Operation> {
    let object = ObjectKey::new(place.bucket, place.key);
    let work = async move |store: Arc<dyn ObjectStore>, context: Context| {
        fetch_manifest(FetchManifestRequest { store, object, strict }, &context).await
    };
    store.start(py, None, work, manifest_to_python)
}

/// Begins to list the keys of output manifests; gives `None` where there is nothing at all under the prefix.
#[pyfunction]
pub(crate) fn list_output_manifests(
    py: Python<'_>,
    store: StoreArguments,
    bucket: String,
    prefix: String,
    only_latest_per_task: bool,
) -> PyResult<Operation> {
    let per_task = if only_latest_per_task { PerTask::Latest } else { PerTask::All };
    let work = async move |store: Arc<dyn ObjectStore>, context: Context| {
        let request = FindOutputsRequest { store, bucket, prefix };
        let keys = list_keys(&request, &context).await?;
        Ok((!keys.is_empty()).then(|| output_keys(keys, &request.prefix, per_task)))
    };
    let convert = |py: Python<'_>, keys: Option<Vec<String>>| Ok(keys.into_pyobject(py)?.into_any().unbind());
    store.start(py, None, work, convert)
}

/// Begins to find the outputs below a prefix; gives `(asset root, merged manifest)` pairs.
#[pyfunction]
pub(crate) fn find_output_manifests(
    py: Python<'_>,
    store: StoreArguments,
    bucket: String,
    prefix: String,
) -> PyResult<Operation> {
    let work = async move |store: Arc<dyn ObjectStore>, context: Context| {
        find_outputs(FindOutputsRequest { store, bucket, prefix }, &context).await
    };
    let convert = |py: Python<'_>, outputs: Vec<(Vec<u8>, Arc<Manifest>)>| {
        by_root(py, outputs.into_iter().map(|(root, manifest)| (root, vec![manifest])).collect())
    };
    store.start(py, None, work, convert)
}

/// Begins to find the outputs of a session action; gives `(asset root, manifests)` pairs.
#[pyfunction]
pub(crate) fn find_session_action_manifests(
    py: Python<'_>,
    store: StoreArguments,
    bucket: String,
    prefixes: Vec<String>,
    session_action_id: String,
) -> PyResult<Operation> {
    let work = async move |store: Arc<dyn ObjectStore>, context: Context| {
        let request = FindSessionActionOutputsRequest { store, bucket, prefixes, session_action_id };
        find_session_action_outputs(request, &context).await
    };
    store.start(py, None, work, by_root)
}

fn by_root(py: Python<'_>, outputs: Vec<RootManifests>) -> PyResult<Py<PyAny>> {
    let pairs = PyList::empty(py);
    for (root, manifests) in outputs {
        let list = PyList::empty(py);
        for manifest in manifests {
            list.append(manifest_to_python(py, manifest)?)?;
        }
        let root: Bound<'_, PyString> = string_from_wtf8(py, &root)?;
        pairs.append((root, list))?;
    }
    Ok(pairs.into_any().unbind())
}
