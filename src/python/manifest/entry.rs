//! One entry of a manifest across the boundary.

use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyInt, PyList, PyString, PyType};

use crate::hash::ContentHash;
use crate::manifest::{Content, Directory, FileTable, ManifestVersion};
use crate::path::ManifestPath;
use crate::python::wtf8::{string_from_wtf8, with_wtf8};

/// Makes entry objects without running their constructors, which would cost more than all the rest.
pub(crate) struct Maker<'py> {
    class: Bound<'py, PyType>,
    new: Bound<'py, PyAny>,
    version: ManifestVersion,
}

impl<'py> Maker<'py> {
    pub(crate) fn new(py: Python<'py>, version: ManifestVersion) -> PyResult<Self> {
        static V2023: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        static V2025: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        let class = match version {
            ManifestVersion::V2023_03_03 => {
                V2023.import(py, "rusty_attachments.asset_manifests.v2023_03_03.asset_manifest", "ManifestPath")?
            }
            ManifestVersion::V2025_12_04 => {
                V2025.import(py, "rusty_attachments.asset_manifests.v2025_12_04.asset_manifest", "ManifestFilePath")?
            }
        };
        Ok(Self { class: class.clone(), new: class.getattr(intern!(py, "__new__"))?, version })
    }

    pub(crate) fn make(&self, files: &FileTable, row: usize) -> PyResult<Bound<'py, PyAny>> {
        let py = self.class.py();
        let entry = self.new.call1((&self.class,))?;
        let content = files.content(row);
        entry.setattr(intern!(py, "path"), string_from_wtf8(py, files.path(row).as_bytes())?)?;
        match &content {
            Content::Hash(hash) => entry.setattr(intern!(py, "hash"), hash.text())?,
            _ => entry.setattr(intern!(py, "hash"), py.None())?,
        }
        entry.setattr(intern!(py, "size"), files.size_bytes(row))?;
        entry.setattr(intern!(py, "mtime"), files.mtime_micros(row))?;
        if self.version == ManifestVersion::V2025_12_04 {
            let chunks = match &content {
                Content::Chunks(chunks) => Some(PyList::new(py, chunks.iter().map(ContentHash::text))?),
                _ => None,
            };
            let target = match &content {
                Content::Symlink(target) => Some(string_from_wtf8(py, target.as_bytes())?),
                _ => None,
            };
            entry.setattr(intern!(py, "chunkhashes"), chunks)?;
            entry.setattr(intern!(py, "symlink_target"), target)?;
            entry.setattr(intern!(py, "runnable"), files.is_runnable(row))?;
            entry.setattr(intern!(py, "deleted"), content == Content::Deleted)?;
        }
        Ok(entry)
    }
}

/// Appends an entry of any class with the attributes of its version.
pub(crate) fn push_from_python(
    files: &mut FileTable,
    entry: &Bound<'_, PyAny>,
    version: ManifestVersion,
) -> PyResult<()> {
    let py = entry.py();
    let path = entry.getattr(intern!(py, "path"))?;
    let path = path.cast::<PyString>().map_err(|_| wrong_type("path", "a string", Some(&path)))?;
    let size = integer(&entry.getattr(intern!(py, "size"))?, "size", Some(path))?;
    let mtime = integer(&entry.getattr(intern!(py, "mtime"))?, "mtime", Some(path))?;
    if version == ManifestVersion::V2025_12_04
        && let Some(other) = other_content(entry, path)?
    {
        with_wtf8(path, |bytes| files.push(ManifestPath::from_wtf8(bytes), other.borrow(), size, mtime))?;
    } else {
        let hash = hash_of(&entry.getattr(intern!(py, "hash"))?, path)?;
        with_wtf8(path, |bytes| files.push(ManifestPath::from_wtf8(bytes), Content::Hash(hash), size, mtime))?;
    }
    let runnable = match version {
        ManifestVersion::V2023_03_03 => None,
        ManifestVersion::V2025_12_04 => entry.getattr_opt(intern!(py, "runnable"))?,
    };
    if runnable.map_or(Ok(false), |runnable| runnable.is_truthy())? {
        files.mark_last_runnable();
    }
    Ok(())
}

/// Contents that are not one hash.
enum OtherContent {
    Chunks(Vec<ContentHash>),
    Symlink(Vec<u8>),
    Deleted,
}

impl OtherContent {
    fn borrow(&self) -> Content<'_> {
        match self {
            Self::Chunks(chunks) => Content::Chunks(chunks),
            Self::Symlink(target) => Content::Symlink(ManifestPath::from_wtf8(target)),
            Self::Deleted => Content::Deleted,
        }
    }
}

fn other_content(entry: &Bound<'_, PyAny>, path: &Bound<'_, PyString>) -> PyResult<Option<OtherContent>> {
    let py = entry.py();
    let deleted = present(entry, intern!(py, "deleted"))?.map_or(Ok(false), |deleted| deleted.is_truthy())?;
    let chunks = present(entry, intern!(py, "chunkhashes"))?;
    let target = present(entry, intern!(py, "symlink_target"))?;
    let hash = present(entry, intern!(py, "hash"))?;
    let kinds = [deleted, chunks.is_some(), target.is_some(), hash.is_some()];
    if kinds.iter().filter(|kind| **kind).count() > 1 {
        return Err(wrong_type("a file", "only one of hash, chunkhashes, symlink_target and deleted", Some(path)));
    }
    if deleted {
        return Ok(Some(OtherContent::Deleted));
    }
    if let Some(target) = target {
        let target = target.cast::<PyString>().map_err(|_| wrong_type("symlink_target", "a string", Some(path)))?;
        return Ok(Some(OtherContent::Symlink(with_wtf8(target, <[u8]>::to_vec)?)));
    }
    let Some(chunks) = chunks else { return Ok(None) };
    let chunks = chunks.try_iter()?.map(|chunk| hash_of(&chunk?, path)).collect::<PyResult<_>>()?;
    Ok(Some(OtherContent::Chunks(chunks)))
}

fn present<'py>(entry: &Bound<'py, PyAny>, name: &Bound<'py, PyString>) -> PyResult<Option<Bound<'py, PyAny>>> {
    Ok(entry.getattr_opt(name)?.filter(|value| !value.is_none()))
}

fn hash_of(hash: &Bound<'_, PyAny>, path: &Bound<'_, PyString>) -> PyResult<ContentHash> {
    let hash = hash.cast::<PyString>().map_err(|_| wrong_type("hash", "a string", Some(path)))?;
    with_wtf8(hash, |text| std::str::from_utf8(text).map(ContentHash::from_text))?
        .map_err(|_| wrong_type("hash", "text without lone surrogates", Some(path)))
}

/// Makes directory objects.
pub(super) struct DirectoryMaker<'py>(Bound<'py, PyType>);

impl<'py> DirectoryMaker<'py> {
    pub(crate) fn new(py: Python<'py>) -> PyResult<Self> {
        static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        let module = "rusty_attachments.asset_manifests.v2025_12_04.asset_manifest";
        Ok(Self(CLASS.import(py, module, "ManifestDirectoryPath")?.clone()))
    }

    pub(crate) fn make(&self, directory: &Directory) -> PyResult<Bound<'py, PyAny>> {
        self.0.call1((string_from_wtf8(self.0.py(), &directory.path)?, directory.deleted))
    }
}

pub(crate) fn directory_from_python(entry: &Bound<'_, PyAny>) -> PyResult<Directory> {
    let py = entry.py();
    let path = entry.getattr(intern!(py, "path"))?;
    let path = path.cast::<PyString>().map_err(|_| wrong_type("path", "a string", Some(&path)))?;
    let deleted = entry.getattr(intern!(py, "deleted"))?.is_truthy()?;
    Ok(Directory { path: with_wtf8(path, |bytes| bytes.into())?, deleted })
}

/// An integer attribute.
pub(crate) fn integer(value: &Bound<'_, PyAny>, field: &str, path: Option<&Bound<'_, PyString>>) -> PyResult<i64> {
    let value = value.cast::<PyInt>().map_err(|_| wrong_type(field, "an integer", path.map(Bound::as_any)))?;
    value.extract()
}

/// A `TypeError` that names the field and its entry.
pub(crate) fn wrong_type(field: &str, wanted: &str, path: Option<&Bound<'_, PyAny>>) -> PyErr {
    let of = path.map_or_else(String::new, |path| format!(" (of path {path:?})"));
    PyTypeError::new_err(format!("{field} must be {wanted}{of}"))
}
