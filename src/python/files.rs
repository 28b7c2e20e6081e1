//! Writing small files for Python code under the same rules as downloads.

use std::path::PathBuf;

use pyo3::prelude::*;

use super::errors::to_py_err;
use crate::fs::small_file;

/// Writes a file over what is there: wholly, or not at all. Its directory has to be there.
#[pyfunction]
fn write_file(py: Python<'_>, path: PathBuf, contents: &[u8], private: bool) -> PyResult<()> {
    py.detach(|| small_file::write_file(&path, contents, private)).map_err(|error| to_py_err(py, &error))
}

/// Adds what this module has for Python.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(write_file, module)?)
}
