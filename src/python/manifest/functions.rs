//! The functions of `rusty_attachments.asset_manifests` that are native.

use std::sync::Arc;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyType};

use super::native::{
    DirectoryTable, ManifestTable, files_from_python, manifest_from_python, manifest_table, manifest_to_python,
    table_of, version_of,
};
use crate::error::Error;
use crate::fs::blocks::read_blocks;
use crate::hash::{Hasher, hash_bytes};
use crate::manifest::{self, Encoder, ManifestVersion};
use crate::python::errors::to_py_err;
use crate::python::wtf8::{Pieces, with_wtf8};

/// Adds what this module has for Python.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<DirectoryTable>()?;
    module.add_class::<ManifestTable>()?;
    module.add_function(wrap_pyfunction!(decode_manifest, module)?)?;
    module.add_function(wrap_pyfunction!(encode_manifest, module)?)?;
    module.add_function(wrap_pyfunction!(hash_data, module)?)?;
    module.add_function(wrap_pyfunction!(hash_descriptor, module)?)?;
    module.add_function(wrap_pyfunction!(manifest_table, module)?)?;
    module.add_function(wrap_pyfunction!(validate_manifest, module)?)?;
    Ok(())
}

/// How much of a text is written before Python takes it: the memory that encoding needs beside the result, twice. A piece
/// stays in the processor's cache between writing and copying it.
const PIECE_BYTES: usize = 1 << 20;

/// The largest text that Python parses again to say what is wrong with its JSON, in its own version's words.
const EXPLAINED_BY_PYTHON_BYTES: usize = 16 << 20;

/// Reads a manifest.
#[pyfunction]
pub(crate) fn decode_manifest(py: Python<'_>, text: &Bound<'_, PyString>, strict: bool) -> PyResult<Py<PyAny>> {
    let decoded = with_wtf8(text, |bytes| {
        py.detach(|| {
            let manifest = manifest::decode(bytes)?;
            if strict {
                manifest::check_strictly(&manifest)?;
            }
            Ok(manifest)
        })
    })?;
    match decoded {
        Ok(manifest) => manifest_to_python(py, Arc::new(manifest)),
        Err(error) => Err(decode_error(py, text, &error)?),
    }
}

/// The exception for a manifest that can't be read.
pub(crate) fn decode_error(py: Python<'_>, text: &Bound<'_, PyString>, error: &Error) -> PyResult<PyErr> {
    static JSON: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    if let Error::Json { message, position, .. } = error {
        if text.len()? <= EXPLAINED_BY_PYTHON_BYTES {
            // Words and positions differ a little between versions of Python.
            if let Err(explained) = py.import(intern!(py, "json"))?.call_method1(intern!(py, "loads"), (text,)) {
                return Ok(explained);
            }
        }
        let class = JSON.import(py, "json", "JSONDecodeError")?;
        return Ok(PyErr::from_value(class.call1((message, text, *position))?));
    }
    Ok(to_py_err(py, error))
}

/// Says what is wrong with a document, or `None`; hashes may have any form.
#[pyfunction]
pub(crate) fn validate_manifest(py: Python<'_>, text: &Bound<'_, PyString>, version: &str) -> PyResult<Option<String>> {
    let problem = with_wtf8(text, |bytes| py.detach(|| manifest::validate(bytes, version)))?;
    Ok(problem.err().map(|error| error.to_string()))
}

/// Canonical JSON of a manifest; its `paths` end up in the order in which they are written.
#[pyfunction]
pub(crate) fn encode_manifest<'py>(py: Python<'py>, manifest: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyString>> {
    sort_paths(&manifest.getattr(intern!(py, "paths"))?, version_of(manifest)?)?;
    let columns = manifest_from_python(manifest)?;
    let mut encoder = match columns.version {
        // Sorted just now.
        ManifestVersion::V2023_03_03 => py.detach(|| Encoder::in_table_order(&columns)),
        ManifestVersion::V2025_12_04 => {
            py.detach(|| Encoder::canonical(&columns)).map_err(|error| to_py_err(py, &error))?
        }
    };
    let mut joined = None;
    // One buffer for all pieces: memory that is given back and taken again is cleared by the system each time.
    let mut buffer = Vec::with_capacity(PIECE_BYTES + (64 << 10));
    loop {
        buffer.clear();
        let more = py.detach(|| encoder.fill(&mut buffer, PIECE_BYTES)).map_err(|error| to_py_err(py, &error))?;
        let piece = PyString::from_bytes(py, &buffer)?;
        joined = Some(match joined {
            None => Pieces::new(piece),
            Some(before) => Pieces::append(before, &piece)?,
        });
        if !more {
            break;
        }
    }
    Ok(joined.map_or_else(|| PyString::new(py, ""), Pieces::finish))
}

/// Sorts `paths` in place, as the reference's `encode` does: a lazy one by its columns, any other as a list.
fn sort_paths(paths: &Bound<'_, PyAny>, version: ManifestVersion) -> PyResult<()> {
    let py = paths.py();
    let Some(table) = table_of(paths)? else {
        let files = files_from_python(paths, version)?;
        if let Some(order) = py.detach(|| manifest::canonical_order(&files)) {
            let sorted = PyList::empty(py);
            for row in order {
                sorted.append(paths.get_item(row)?)?;
            }
            let all = py.import(intern!(py, "builtins"))?.getattr(intern!(py, "slice"))?.call1((py.None(),))?;
            paths.set_item(all, sorted)?;
        }
        return Ok(());
    };
    let Some(order) = py.detach(|| manifest::canonical_order(&table.files)) else { return Ok(()) };
    let files = py.detach(|| table.files.select(&order));
    let sorted = table.with_files(files);
    let touched = paths.getattr(intern!(py, "_touched"))?.cast_into::<PyDict>()?;
    let moved = PyDict::new(py);
    if !touched.is_empty() {
        for (now, before) in order.iter().enumerate() {
            if let Some(entry) = touched.get_item(before)? {
                moved.set_item(now, entry)?;
            }
        }
    }
    paths.setattr(intern!(py, "_rows"), ManifestTable { manifest: Arc::new(sorted) })?;
    paths.setattr(intern!(py, "_touched"), moved)
}

/// The hash of bytes, as hex.
#[pyfunction]
pub(crate) fn hash_data(py: Python<'_>, data: &Bound<'_, PyBytes>) -> String {
    let bytes = data.as_bytes();
    py.detach(|| hash_bytes(bytes)).text().into_owned()
}

/// The hash of what an open file descriptor has left to read, as hex.
#[pyfunction]
pub(crate) fn hash_descriptor(py: Python<'_>, descriptor: i32) -> PyResult<String> {
    py.detach(|| read_and_hash(descriptor)).map_err(PyErr::from)
}

#[cfg(unix)]
fn read_and_hash(descriptor: i32) -> std::io::Result<String> {
    use std::os::fd::BorrowedFd;
    // SAFETY: the caller keeps the file open until this call is over.
    #[allow(unsafe_code, reason = "see above")]
    let file = unsafe { BorrowedFd::borrow_raw(descriptor) };
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    let read = |bytes: &mut [u8], _| rustix::io::read(file, bytes).map_err(std::io::Error::from);
    read_blocks(&mut buffer, u64::MAX, read, |block| {
        hasher.update(block);
        Ok::<_, std::io::Error>(())
    })??;
    Ok(hasher.finish().text().into_owned())
}
