//! Merging, comparing and filtering manifests of Python.
//!
//! Manifests whose `paths` nobody has touched stay in columns, and so does the result. Where Python objects of the entries
//! exist, the result holds those objects, as the reference's does.

#![allow(clippy::needless_pass_by_value, reason = "pyo3 extracts owned arguments")]

use std::sync::Arc;

use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList, PyString, PyTuple, PyType};

use super::entry::Maker;
use super::native::{
    files_from_python, has_objects, lazy_paths, manifest_from_python, manifest_to_python, named_version, table_of,
};
use crate::manifest::{self, Difference, DistinctPaths, FileStatus, Manifest, ManifestVersion, PathFilter};
use crate::python::errors::to_py_err;
use crate::python::wtf8::with_wtf8;

/// Adds what this module has for Python.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<ComparisonTable>()?;
    module.add_function(wrap_pyfunction!(apply_manifest_diffs, module)?)?;
    module.add_function(wrap_pyfunction!(compare_manifests, module)?)?;
    module.add_function(wrap_pyfunction!(compute_manifest_diff, module)?)?;
    module.add_function(wrap_pyfunction!(convert_manifest, module)?)?;
    module.add_function(wrap_pyfunction!(filter_manifest, module)?)?;
    module.add_function(wrap_pyfunction!(merge_manifests, module)?)?;
    module.add_function(wrap_pyfunction!(partition_manifest, module)?)?;
    module.add_function(wrap_pyfunction!(prefix_manifest, module)?)?;
    module.add_function(wrap_pyfunction!(subtree_manifest, module)?)?;
    Ok(())
}

/// Merges at least one manifest.
#[pyfunction]
pub(crate) fn merge_manifests<'py>(
    py: Python<'py>,
    manifests: Vec<Bound<'py, PyAny>>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let Some(first) = manifests.first() else { return Ok(None) };
    let columns = manifests.iter().map(manifest_from_python).collect::<PyResult<Vec<_>>>()?;
    let mut with_objects = false;
    for manifest in &manifests {
        with_objects |= has_objects(&manifest.getattr(intern!(py, "paths"))?)?;
    }
    let is_2023 = columns.iter().all(|manifest| manifest.version == ManifestVersion::V2023_03_03);
    if with_objects && is_2023 {
        return merge_objects(py, first, &manifests, &columns).map(Some);
    }
    let merged = py.detach(|| {
        let borrowed: Vec<&Manifest> = columns.iter().map(AsRef::as_ref).collect();
        manifest::merge(&borrowed)
    });
    match merged {
        Ok(Some(merged)) => Ok(Some(manifest_to_python(py, Arc::new(merged))?.into_bound(py))),
        Ok(None) => Ok(None),
        Err(error) => Err(to_py_err(py, &error)),
    }
}

fn merge_objects<'py>(
    py: Python<'py>,
    first: &Bound<'py, PyAny>,
    manifests: &[Bound<'py, PyAny>],
    columns: &[Arc<Manifest>],
) -> PyResult<Bound<'py, PyAny>> {
    let tables: Vec<_> = columns.iter().map(|manifest| &manifest.files).collect();
    let distinct = py.detach(|| DistinctPaths::of(&tables));
    let sources =
        manifests.iter().map(|manifest| manifest.getattr(intern!(py, "paths"))).collect::<PyResult<Vec<_>>>()?;
    let paths = PyList::empty(py);
    let mut total: i128 = 0;
    for place in distinct.places() {
        paths.append(sources[place.table as usize].get_item(place.row)?)?;
        total += i128::from(tables[place.table as usize].size_bytes(place.row as usize));
    }
    let arguments = PyDict::new(py);
    arguments.set_item(intern!(py, "hash_alg"), first.getattr(intern!(py, "hashAlg"))?)?;
    arguments.set_item(intern!(py, "paths"), paths)?;
    arguments.set_item(intern!(py, "total_size"), total)?;
    first.get_type().call((), Some(&arguments))
}

/// The files of a comparison in columns: what a lazy list of differences makes its elements from.
#[pyclass(frozen, module = "rusty_attachments._native", name = "ComparisonTable")]
pub(crate) struct ComparisonTable {
    reference: Arc<Manifest>,
    compared: Arc<Manifest>,
    differences: Vec<Difference>,
}

#[pymethods]
impl ComparisonTable {
    fn __len__(&self) -> usize {
        self.differences.len()
    }

    fn element<'py>(&self, py: Python<'py>, row: usize) -> PyResult<Bound<'py, PyTuple>> {
        let difference = self.differences.get(row).ok_or_else(|| PyIndexError::new_err("row out of range"))?;
        self.maker(py)?.make(self, *difference)
    }

    fn elements<'py>(&self, py: Python<'py>, start: usize, stop: usize) -> PyResult<Bound<'py, PyList>> {
        let maker = self.maker(py)?;
        let list = PyList::empty(py);
        for difference in self.differences.iter().take(stop).skip(start) {
            list.append(maker.make(self, *difference)?)?;
        }
        Ok(list)
    }

    /// How many files are unchanged, new, modified and deleted.
    fn counts(&self) -> (usize, usize, usize, usize) {
        let count = |status| self.differences.iter().filter(|difference| difference.status == status).count();
        (count(FileStatus::Unchanged), count(FileStatus::New), count(FileStatus::Modified), count(FileStatus::Deleted))
    }

    /// The rows that are not unchanged, as a table of their own.
    fn changes(&self) -> Self {
        let changed = |difference: &&Difference| difference.status != FileStatus::Unchanged;
        Self {
            reference: Arc::clone(&self.reference),
            compared: Arc::clone(&self.compared),
            differences: self.differences.iter().filter(changed).copied().collect(),
        }
    }
}

impl ComparisonTable {
    fn maker<'py>(&self, py: Python<'py>) -> PyResult<DifferenceMaker<'py>> {
        Ok(DifferenceMaker {
            statuses: Statuses::new(py)?,
            reference: Maker::new(py, self.reference.version)?,
            compared: Maker::new(py, self.compared.version)?,
        })
    }
}

struct DifferenceMaker<'py> {
    statuses: Statuses<'py>,
    reference: Maker<'py>,
    compared: Maker<'py>,
}

impl<'py> DifferenceMaker<'py> {
    fn make(&self, table: &ComparisonTable, difference: Difference) -> PyResult<Bound<'py, PyTuple>> {
        let row = difference.row as usize;
        let entry = if difference.status == FileStatus::Deleted {
            self.reference.make(&table.reference.files, row)?
        } else {
            self.compared.make(&table.compared.files, row)?
        };
        self.statuses.pair(difference.status, entry)
    }
}

/// The members of `models.FileStatus`.
struct Statuses<'py>([Bound<'py, PyAny>; 4]);

impl<'py> Statuses<'py> {
    fn new(py: Python<'py>) -> PyResult<Self> {
        static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        let class = CLASS.import(py, "rusty_attachments.models", "FileStatus")?;
        let member = |name: &str| class.getattr(name);
        Ok(Self([member("UNCHANGED")?, member("NEW")?, member("MODIFIED")?, member("DELETED")?]))
    }

    fn pair(&self, status: FileStatus, entry: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyTuple>> {
        let status = match status {
            FileStatus::Unchanged => &self.0[0],
            FileStatus::New => &self.0[1],
            FileStatus::Modified => &self.0[2],
            FileStatus::Deleted => &self.0[3],
        };
        PyTuple::new(entry.py(), [status, &entry])
    }
}

/// Compares two manifests: a [`ComparisonTable`] if both are in columns, else a list of `(status, entry)`.
#[pyfunction]
pub(crate) fn compare_manifests<'py>(
    py: Python<'py>,
    reference: &Bound<'py, PyAny>,
    compared: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let before = reference.getattr(intern!(py, "paths"))?;
    let now = compared.getattr(intern!(py, "paths"))?;
    let (before_columns, now_columns) = (columns_of_paths(&before)?, columns_of_paths(&now)?);
    let differences = py.detach(|| manifest::compare(&before_columns, &now_columns));
    if !has_objects(&before)? && !has_objects(&now)? {
        let table = ComparisonTable { reference: before_columns, compared: now_columns, differences };
        return Ok(Bound::new(py, table)?.into_any());
    }
    let statuses = Statuses::new(py)?;
    let list = PyList::empty(py);
    for difference in differences {
        let side = if difference.status == FileStatus::Deleted { &before } else { &now };
        list.append(statuses.pair(difference.status, side.get_item(difference.row)?)?)?;
    }
    Ok(list.into_any())
}

/// Columns of a list of entries, whatever manifest it belongs to.
fn columns_of_paths(paths: &Bound<'_, PyAny>) -> PyResult<Arc<Manifest>> {
    if let Some(table) = table_of(paths)? {
        return Ok(table);
    }
    Ok(Arc::new(Manifest {
        version: ManifestVersion::V2023_03_03,
        hash_algorithm: crate::hash::HashAlgorithm::Xxh128,
        files: files_from_python(paths, ManifestVersion::V2023_03_03)?,
        directories: Vec::new(),
        total_size_bytes: 0,
        parent_manifest_hash: None,
    }))
}

/// A copy of a manifest with the files that match any of the patterns, or `None` if no file does.
#[pyfunction]
pub(crate) fn filter_manifest<'py>(
    py: Python<'py>,
    manifest: &Bound<'py, PyAny>,
    root: &Bound<'py, PyString>,
    patterns: Vec<Bound<'py, PyString>>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let root = with_wtf8(root, <[u8]>::to_vec)?;
    let patterns =
        patterns.iter().map(|pattern| with_wtf8(pattern, <[u8]>::to_vec)).collect::<PyResult<Vec<Vec<u8>>>>()?;
    let filter = PathFilter::new(patterns.iter().map(Vec::as_slice));
    let paths = manifest.getattr(intern!(py, "paths"))?;
    let columns = columns_of_paths(&paths)?;
    let rows = py.detach(|| filter.rows(&root, &columns.files));
    if rows.is_empty() {
        return Ok(None);
    }
    let chosen = if has_objects(&paths)? {
        let list = PyList::empty(py);
        for row in rows {
            list.append(paths.get_item(row)?)?;
        }
        list.into_any()
    } else {
        let files = py.detach(|| columns.files.select(&rows));
        lazy_paths(py, Arc::new(columns.with_files(files)))?
    };
    let copied = py.import(intern!(py, "copy"))?.call_method1(intern!(py, "copy"), (manifest,))?;
    copied.setattr(intern!(py, "paths"), chosen)?;
    Ok(Some(copied))
}

/// Runs an operation on manifests that gives one.
fn run(
    py: Python<'_>,
    operation: impl FnOnce() -> crate::error::Result<Manifest> + Send,
) -> PyResult<Bound<'_, PyAny>> {
    let manifest = py.detach(operation).map_err(|error| to_py_err(py, &error))?;
    Ok(manifest_to_python(py, Arc::new(manifest))?.into_bound(py))
}

/// The diff manifest between two snapshots.
#[pyfunction]
pub(crate) fn compute_manifest_diff<'py>(
    parent: &Bound<'py, PyAny>,
    current: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let (before, now) = (manifest_from_python(parent)?, manifest_from_python(current)?);
    run(parent.py(), || manifest::compute_diff(&before, &now))
}

/// A snapshot with diffs applied to it.
#[pyfunction]
pub(crate) fn apply_manifest_diffs<'py>(
    snapshot: &Bound<'py, PyAny>,
    diffs: Vec<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let base = manifest_from_python(snapshot)?;
    let diffs = diffs.iter().map(manifest_from_python).collect::<PyResult<Vec<_>>>()?;
    run(snapshot.py(), || {
        let borrowed: Vec<&Manifest> = diffs.iter().map(AsRef::as_ref).collect();
        manifest::apply_diffs(&base, &borrowed)
    })
}

/// What is below a directory, as a manifest of its own.
#[pyfunction]
pub(crate) fn subtree_manifest<'py>(
    manifest: &Bound<'py, PyAny>,
    root: &Bound<'py, PyString>,
) -> PyResult<Bound<'py, PyAny>> {
    let columns = manifest_from_python(manifest)?;
    let root = with_wtf8(root, <[u8]>::to_vec)?;
    run(manifest.py(), || manifest::subtree(&columns, &root))
}

/// A manifest with a directory put before all its paths.
#[pyfunction]
pub(crate) fn prefix_manifest<'py>(
    manifest: &Bound<'py, PyAny>,
    prefix: &Bound<'py, PyString>,
) -> PyResult<Bound<'py, PyAny>> {
    let columns = manifest_from_python(manifest)?;
    let prefix = with_wtf8(prefix, <[u8]>::to_vec)?;
    run(manifest.py(), || manifest::with_prefix(&columns, &prefix))
}

/// A manifest for each root, and one for the rest.
#[pyfunction]
pub(crate) fn partition_manifest<'py>(
    py: Python<'py>,
    manifest: &Bound<'py, PyAny>,
    roots: Vec<Bound<'py, PyString>>,
) -> PyResult<(Vec<Py<PyAny>>, Py<PyAny>)> {
    let columns = manifest_from_python(manifest)?;
    let roots = roots.iter().map(|root| with_wtf8(root, <[u8]>::to_vec)).collect::<PyResult<Vec<_>>>()?;
    let (parts, rest) = py
        .detach(|| {
            let borrowed: Vec<&[u8]> = roots.iter().map(Vec::as_slice).collect();
            manifest::partition(&columns, &borrowed)
        })
        .map_err(|error| to_py_err(py, &error))?;
    let parts = parts.into_iter().map(|part| manifest_to_python(py, Arc::new(part))).collect::<PyResult<_>>()?;
    Ok((parts, manifest_to_python(py, Arc::new(rest))?))
}

/// A manifest in another version.
#[pyfunction]
pub(crate) fn convert_manifest<'py>(manifest: &Bound<'py, PyAny>, version: &str) -> PyResult<Bound<'py, PyAny>> {
    let columns = manifest_from_python(manifest)?;
    let Some(version) = named_version(version) else {
        return Err(PyValueError::new_err(format!("No model for asset manifest version: {version}")));
    };
    run(manifest.py(), || manifest::convert(&columns, version))
}
