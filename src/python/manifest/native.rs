//! Manifests across the boundary: our classes and anybody's with the same attributes, in and out of columns.

use std::collections::BTreeMap;
use std::sync::Arc;

use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyCapsule, PyDict, PyList, PyString, PyType};

use super::arrow::stream;
use super::entry::{DirectoryMaker, Maker, directory_from_python, integer, push_from_python};
use crate::hash::HashAlgorithm;
use crate::manifest::{self, Directory, FileTable, Manifest, ManifestVersion, Share};
use crate::python::wtf8::string_from_wtf8;

/// The files of a manifest in columns: what a lazy `paths` makes its elements from.
#[pyclass(frozen, module = "rusty_attachments._native", name = "ManifestTable")]
pub(crate) struct ManifestTable {
    pub(crate) manifest: Arc<Manifest>,
}

#[pymethods]
impl ManifestTable {
    fn __len__(&self) -> usize {
        self.manifest.files.len()
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Self>().is_ok_and(|other| {
            let other = &other.get().manifest;
            Arc::ptr_eq(&self.manifest, other)
                || (self.manifest.version == other.version && self.manifest.files == other.files)
        })
    }

    /// The object for one row.
    fn element<'py>(&self, py: Python<'py>, row: usize) -> PyResult<Bound<'py, PyAny>> {
        if row >= self.manifest.files.len() {
            return Err(PyIndexError::new_err("row out of range"));
        }
        Maker::new(py, self.manifest.version)?.make(&self.manifest.files, row)
    }

    /// Objects for the rows from `start` to before `stop`.
    fn elements<'py>(&self, py: Python<'py>, start: usize, stop: usize) -> PyResult<Bound<'py, PyList>> {
        let maker = Maker::new(py, self.manifest.version)?;
        let list = PyList::empty(py);
        for row in start..stop.min(self.manifest.files.len()) {
            list.append(maker.make(&self.manifest.files, row)?)?;
        }
        Ok(list)
    }

    /// The files as an Arrow stream. A requested schema is passed over, as the interface allows: consumers cast.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        drop(requested_schema);
        stream(py, Arc::clone(&self.manifest))
    }

    /// Directory, files and bytes, for each directory down to a depth.
    fn disk_usage<'py>(&self, py: Python<'py>, depth: usize) -> PyResult<Vec<NamedShare<'py>>> {
        shares(py, py.detach(|| manifest::disk_usage(&self.manifest.files, depth)))
    }

    /// Extension, files and bytes, most bytes first.
    fn by_extension<'py>(&self, py: Python<'py>) -> PyResult<Vec<NamedShare<'py>>> {
        shares(py, py.detach(|| manifest::by_extension(&self.manifest.files)))
    }

    /// Paths and sizes of the largest files.
    fn largest<'py>(&self, py: Python<'py>, count: usize) -> PyResult<Vec<(Bound<'py, PyString>, i64)>> {
        let files = &self.manifest.files;
        let rows = py.detach(|| manifest::largest(files, count));
        rows.into_iter()
            .map(|row| Ok((string_from_wtf8(py, files.path(row).as_bytes())?, files.size_bytes(row))))
            .collect()
    }

    /// The sum of all sizes.
    fn sum_of_sizes(&self) -> i128 {
        self.manifest.files.sum_of_sizes()
    }
}

fn shares(py: Python<'_>, shares: Vec<Share>) -> PyResult<Vec<NamedShare<'_>>> {
    shares.into_iter().map(|share| Ok((string_from_wtf8(py, &share.name)?, share.files, share.bytes))).collect()
}

/// The files of any manifest in columns.
#[pyfunction]
pub(crate) fn manifest_table(manifest: &Bound<'_, PyAny>) -> PyResult<ManifestTable> {
    Ok(ManifestTable { manifest: manifest_from_python(manifest)? })
}

/// Files and bytes under one name.
type NamedShare<'py> = (Bound<'py, PyString>, u64, i128);

/// The directories of a manifest: what a lazy `dirs` makes its elements from.
#[pyclass(frozen, module = "rusty_attachments._native", name = "DirectoryTable")]
pub(crate) struct DirectoryTable {
    manifest: Arc<Manifest>,
}

#[pymethods]
impl DirectoryTable {
    fn __len__(&self) -> usize {
        self.manifest.directories.len()
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Self>().is_ok_and(|other| self.manifest.directories == other.get().manifest.directories)
    }

    /// The object for one row.
    fn element<'py>(&self, py: Python<'py>, row: usize) -> PyResult<Bound<'py, PyAny>> {
        let directory = self.manifest.directories.get(row).ok_or_else(|| PyIndexError::new_err("row out of range"))?;
        DirectoryMaker::new(py)?.make(directory)
    }

    /// Objects for the rows from `start` to before `stop`.
    fn elements<'py>(&self, py: Python<'py>, start: usize, stop: usize) -> PyResult<Bound<'py, PyList>> {
        let maker = DirectoryMaker::new(py)?;
        let list = PyList::empty(py);
        for directory in self.manifest.directories.iter().take(stop).skip(start) {
            list.append(maker.make(directory)?)?;
        }
        Ok(list)
    }
}

fn lazy_paths_class(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    CLASS.import(py, "rusty_attachments.asset_manifests._paths", "ManifestPaths")
}

fn lazy_directories_class(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    CLASS.import(py, "rusty_attachments.asset_manifests._paths", "ManifestDirectories")
}

/// Our `AssetManifest` of the manifest's version, with a lazy `paths` over its columns.
pub(crate) fn manifest_to_python(py: Python<'_>, manifest: Arc<Manifest>) -> PyResult<Py<PyAny>> {
    static ALGORITHM: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    static V2023: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    static V2025: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let algorithm = ALGORITHM.import(py, "rusty_attachments.asset_manifests.hash_algorithms", "HashAlgorithm")?;
    let arguments = PyDict::new(py);
    arguments.set_item(intern!(py, "hash_alg"), algorithm.call1((manifest.hash_algorithm.as_str(),))?)?;
    arguments.set_item(intern!(py, "total_size"), manifest.total_size_bytes)?;
    arguments.set_item(intern!(py, "paths"), lazy_paths(py, Arc::clone(&manifest))?)?;
    let class = match manifest.version {
        ManifestVersion::V2023_03_03 => {
            V2023.import(py, "rusty_attachments.asset_manifests.v2023_03_03.asset_manifest", "AssetManifest")?
        }
        ManifestVersion::V2025_12_04 => {
            arguments.set_item(intern!(py, "parent_manifest_hash"), manifest.parent_manifest_hash.as_deref())?;
            let rows = DirectoryTable { manifest };
            let directories = lazy_directories_class(py)?.call_method1(intern!(py, "over"), (rows,))?;
            arguments.set_item(intern!(py, "dirs"), directories)?;
            V2025.import(py, "rusty_attachments.asset_manifests.v2025_12_04.asset_manifest", "AssetManifest")?
        }
    };
    Ok(class.call((), Some(&arguments))?.unbind())
}

/// A lazy list of a manifest's files.
pub(crate) fn lazy_paths(py: Python<'_>, manifest: Arc<Manifest>) -> PyResult<Bound<'_, PyAny>> {
    lazy_paths_class(py)?.call_method1(intern!(py, "over"), (ManifestTable { manifest },))
}

/// A manifest of any object with the attributes of one: our classes, the reference's, anybody's.
///
/// Ours is not copied as long as it is what it was decoded to.
///
/// # Errors
/// `AttributeError` and `TypeError` where attributes are missing or have other types, `OverflowError` for numbers beyond
/// 64 bits; the reference's `UnsupportedHashingAlgorithmError` for another algorithm.
pub(crate) fn manifest_from_python(object: &Bound<'_, PyAny>) -> PyResult<Arc<Manifest>> {
    let py = object.py();
    let version = version_of(object)?;
    let hash_algorithm = algorithm_of(object)?;
    let total_size_bytes = integer(&object.getattr(intern!(py, "totalSize"))?, "totalSize", None)?;
    let paths = object.getattr(intern!(py, "paths"))?;
    let known = table_of(&paths)?;
    let (directories, parent_manifest_hash) = match version {
        ManifestVersion::V2023_03_03 => (Vec::new(), None),
        ManifestVersion::V2025_12_04 => (
            directories_from_python(&object.getattr(intern!(py, "dirs"))?)?,
            object.getattr(intern!(py, "parentManifestHash"))?.extract()?,
        ),
    };
    if let Some(known) = &known
        && known.version == version
        && known.total_size_bytes == total_size_bytes
        && known.directories == directories
        && known.parent_manifest_hash == parent_manifest_hash
    {
        return Ok(Arc::clone(known));
    }
    let files = match known {
        Some(known) => known.files.clone(),
        None => files_from_python(&paths, version)?,
    };
    Ok(Arc::new(Manifest { version, hash_algorithm, files, directories, total_size_bytes, parent_manifest_hash }))
}

/// The version that an object says it has.
pub(crate) fn version_of(object: &Bound<'_, PyAny>) -> PyResult<ManifestVersion> {
    let value = object.getattr(intern!(object.py(), "manifestVersion"))?;
    let text = value.cast::<PyString>()?.to_cow()?;
    named_version(&text).ok_or_else(|| PyValueError::new_err(format!("No model for asset manifest version: {text}")))
}

/// The version with a name.
pub(crate) fn named_version(name: &str) -> Option<ManifestVersion> {
    [ManifestVersion::V2023_03_03, ManifestVersion::V2025_12_04].into_iter().find(|version| version.as_str() == name)
}

fn algorithm_of(object: &Bound<'_, PyAny>) -> PyResult<HashAlgorithm> {
    let py = object.py();
    let value = object.getattr(intern!(py, "hashAlg"))?;
    if value.eq(HashAlgorithm::Xxh128.as_str())? {
        return Ok(HashAlgorithm::Xxh128);
    }
    let message = format!("Unsupported hashing algorithm provided: {}", value.str()?);
    let class = py.import(intern!(py, "rusty_attachments.exceptions"))?.getattr("UnsupportedHashingAlgorithmError")?;
    Err(PyErr::from_value(class.call1((message,))?))
}

/// The columns of a lazy `paths`, brought up to date with the objects that it has handed out; `None` for any other list.
pub(crate) fn table_of(paths: &Bound<'_, PyAny>) -> PyResult<Option<Arc<Manifest>>> {
    let py = paths.py();
    if !paths.get_type().is(lazy_paths_class(py)?) {
        return Ok(None);
    }
    let rows = paths.getattr(intern!(py, "_rows"))?;
    let Ok(table) = rows.cast::<ManifestTable>() else { return Ok(None) };
    let manifest = Arc::clone(&table.get().manifest);
    let touched = paths.getattr(intern!(py, "_touched"))?.cast_into::<PyDict>()?;
    let mut changed = BTreeMap::new();
    for (row, entry) in &touched {
        let row: usize = row.extract()?;
        let mut now = FileTable::with_capacity(1);
        push_from_python(&mut now, &entry, manifest.version)?;
        let mut before = FileTable::with_capacity(1);
        before.push_from(&manifest.files, row);
        if now != before {
            changed.insert(row, now);
        }
    }
    if changed.is_empty() {
        return Ok(Some(manifest));
    }
    let mut files = FileTable::with_capacity(manifest.files.len());
    for row in 0..manifest.files.len() {
        match changed.get(&row) {
            Some(entry) => files.push_from(entry, 0),
            None => files.push_from(&manifest.files, row),
        }
    }
    Ok(Some(Arc::new(manifest.with_files(files))))
}

/// Whether Python objects of the entries may exist: in any list but a lazy one that nobody has touched.
pub(crate) fn has_objects(paths: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = paths.py();
    if !paths.get_type().is(lazy_paths_class(py)?) || paths.getattr(intern!(py, "_rows"))?.is_none() {
        return Ok(true);
    }
    Ok(!paths.getattr(intern!(py, "_touched"))?.cast_into::<PyDict>()?.is_empty())
}

/// Columns of any iterable of entries.
pub(crate) fn files_from_python(paths: &Bound<'_, PyAny>, version: ManifestVersion) -> PyResult<FileTable> {
    let mut files = FileTable::with_capacity(paths.len().unwrap_or(0));
    for entry in paths.try_iter()? {
        push_from_python(&mut files, &entry?, version)?;
    }
    Ok(files)
}

fn directories_from_python(directories: &Bound<'_, PyAny>) -> PyResult<Vec<Directory>> {
    let py = directories.py();
    if directories.get_type().is(lazy_directories_class(py)?) {
        let rows = directories.getattr(intern!(py, "_rows"))?;
        let touched = directories.getattr(intern!(py, "_touched"))?.cast_into::<PyDict>()?;
        if let Ok(table) = rows.cast::<DirectoryTable>()
            && touched.is_empty()
        {
            return Ok(table.get().manifest.directories.clone());
        }
    }
    directories.try_iter()?.map(|entry| directory_from_python(&entry?)).collect()
}
