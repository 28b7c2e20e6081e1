//! Manifests across the boundary: our classes and anybody's with the same attributes, in and out of columns.

use std::sync::Arc;

use pyo3::exceptions::{PyIndexError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyInt, PyList, PyString, PyType};

use super::manifest_text::{string_from_wtf8, with_wtf8};
use crate::hash::{ContentHash, HashAlgorithm};
use crate::manifest::{Content, FileTable, Manifest, ManifestVersion};
use crate::path::ManifestPath;

/// The entries of a manifest in columns: what a lazy `paths` makes its elements from.
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
}

/// Makes entry objects without running their constructors.
pub(crate) struct Maker<'py> {
    class: Bound<'py, PyType>,
    new: Bound<'py, PyAny>,
}

impl<'py> Maker<'py> {
    pub(crate) fn new(py: Python<'py>, version: ManifestVersion) -> PyResult<Self> {
        static V2023: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        let class = match version {
            ManifestVersion::V2023_03_03 => {
                V2023.import(py, "rusty_attachments.asset_manifests.v2023_03_03.asset_manifest", "ManifestPath")?
            }
            ManifestVersion::V2025_12_04 => unimplemented_version()?,
        };
        Ok(Self { class: class.clone(), new: class.getattr(intern!(py, "__new__"))? })
    }

    pub(crate) fn make(&self, files: &FileTable, row: usize) -> PyResult<Bound<'py, PyAny>> {
        let py = self.class.py();
        let entry = self.new.call1((&self.class,))?;
        entry.setattr(intern!(py, "path"), string_from_wtf8(py, files.path(row).as_bytes())?)?;
        if let Content::Hash(hash) = files.content(row) {
            entry.setattr(intern!(py, "hash"), hash.text())?;
        }
        entry.setattr(intern!(py, "size"), files.size_bytes(row))?;
        entry.setattr(intern!(py, "mtime"), files.mtime_micros(row))?;
        Ok(entry)
    }
}

fn unimplemented_version<T>() -> PyResult<T> {
    Err(pyo3::exceptions::PyNotImplementedError::new_err("2025-12-04-beta"))
}

fn lazy_paths_class(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    CLASS.import(py, "rusty_attachments.asset_manifests._paths", "ManifestPaths")
}

fn hash_algorithm_class(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    CLASS.import(py, "rusty_attachments.asset_manifests.hash_algorithms", "HashAlgorithm")
}

/// Our `AssetManifest` of the manifest's version, with a lazy `paths` over its columns.
pub(crate) fn manifest_to_python(py: Python<'_>, manifest: Arc<Manifest>) -> PyResult<Py<PyAny>> {
    static V2023: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let class = match manifest.version {
        ManifestVersion::V2023_03_03 => {
            V2023.import(py, "rusty_attachments.asset_manifests.v2023_03_03.asset_manifest", "AssetManifest")?
        }
        ManifestVersion::V2025_12_04 => unimplemented_version()?,
    };
    let arguments = PyDict::new(py);
    let algorithm = hash_algorithm_class(py)?.call1((manifest.hash_algorithm.as_str(),))?;
    arguments.set_item(intern!(py, "hash_alg"), algorithm)?;
    arguments.set_item(intern!(py, "total_size"), manifest.total_size_bytes)?;
    arguments.set_item(intern!(py, "paths"), lazy_paths(py, manifest)?)?;
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
    let known = untouched_table(&paths)?;
    if let Some(known) = &known
        && known.version == version
        && known.total_size_bytes == total_size_bytes
    {
        return Ok(Arc::clone(known));
    }
    let files = match known {
        Some(known) => known.files.clone(),
        None => files_from_python(&paths)?,
    };
    Ok(Arc::new(Manifest {
        version,
        hash_algorithm,
        files,
        directories: Vec::new(),
        total_size_bytes,
        parent_manifest_hash: None,
    }))
}

fn version_of(object: &Bound<'_, PyAny>) -> PyResult<ManifestVersion> {
    let value = object.getattr(intern!(object.py(), "manifestVersion"))?;
    let text = value.cast::<PyString>()?.to_cow()?;
    [ManifestVersion::V2023_03_03, ManifestVersion::V2025_12_04]
        .into_iter()
        .find(|version| version.as_str() == text)
        .ok_or_else(|| pyo3::exceptions::PyValueError::new_err(format!("No model for asset manifest version: {text}")))
}

fn algorithm_of(object: &Bound<'_, PyAny>) -> PyResult<HashAlgorithm> {
    static ERROR: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let py = object.py();
    let value = object.getattr(intern!(py, "hashAlg"))?;
    if value.eq(HashAlgorithm::Xxh128.as_str())? {
        return Ok(HashAlgorithm::Xxh128);
    }
    let class = ERROR.import(py, "rusty_attachments.exceptions", "UnsupportedHashingAlgorithmError")?;
    Err(PyErr::from_value(class.call1((format!("Unsupported hashing algorithm provided: {}", value.str()?),))?))
}

/// The columns of a lazy `paths`, brought up to date with the objects that it has handed out; `None` for any other list.
pub(crate) fn untouched_table(paths: &Bound<'_, PyAny>) -> PyResult<Option<Arc<Manifest>>> {
    let py = paths.py();
    if !paths.get_type().is(lazy_paths_class(py)?) {
        return Ok(None);
    }
    let rows = paths.getattr(intern!(py, "_rows"))?;
    let Ok(table) = rows.cast::<ManifestTable>() else { return Ok(None) };
    let manifest = Arc::clone(&table.get().manifest);
    let touched = paths.getattr(intern!(py, "_touched"))?.cast_into::<PyDict>()?;
    if touched.is_empty() {
        return Ok(Some(manifest));
    }
    let mut changed = std::collections::BTreeMap::new();
    for (row, entry) in &touched {
        let row: usize = row.extract()?;
        let mut now = FileTable::with_capacity(1);
        push_from_python(&mut now, &entry)?;
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

/// A `ValueError` that says what a Rust error says.
pub(crate) fn value_error(error: &crate::error::Error) -> PyErr {
    pyo3::exceptions::PyValueError::new_err(error.to_string())
}

/// Columns of any iterable of entries.
pub(crate) fn files_from_python(paths: &Bound<'_, PyAny>) -> PyResult<FileTable> {
    let mut files = FileTable::with_capacity(paths.len().unwrap_or(0));
    for entry in paths.try_iter()? {
        push_from_python(&mut files, &entry?)?;
    }
    Ok(files)
}

fn push_from_python(files: &mut FileTable, entry: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = entry.py();
    let path = entry.getattr(intern!(py, "path"))?;
    let path = path.cast::<PyString>().map_err(|_| wrong_type("path", "a string", Some(&path)))?;
    let hash = entry.getattr(intern!(py, "hash"))?;
    let hash = hash.cast::<PyString>().map_err(|_| wrong_type("hash", "a string", Some(path)))?;
    let size = integer(&entry.getattr(intern!(py, "size"))?, "size", Some(path))?;
    let mtime = integer(&entry.getattr(intern!(py, "mtime"))?, "mtime", Some(path))?;
    let hash = with_wtf8(hash, |text| std::str::from_utf8(text).map(ContentHash::from_text))?
        .map_err(|_| wrong_type("hash", "text without lone surrogates", Some(path)))?;
    with_wtf8(path, |bytes| files.push(ManifestPath::from_wtf8(bytes), Content::Hash(hash), size, mtime))
}

fn integer(value: &Bound<'_, PyAny>, field: &str, path: Option<&Bound<'_, PyString>>) -> PyResult<i64> {
    let value = value.cast::<PyInt>().map_err(|_| wrong_type(field, "an integer", path.map(|path| path.as_any())))?;
    value.extract()
}

fn wrong_type(field: &str, wanted: &str, path: Option<&Bound<'_, PyAny>>) -> PyErr {
    let of = path.map_or_else(String::new, |path| format!(" (of path {path:?})"));
    PyTypeError::new_err(format!("{field} must be {wanted}{of}"))
}
