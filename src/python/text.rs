//! Arguments and results that are texts: Python strings as WTF-8 and back, lone surrogates included.

use pyo3::prelude::*;
use pyo3::types::PyString;

use super::manifest_text::{string_from_wtf8, with_wtf8};

/// A text that crosses the boundary without loss.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text(pub(super) Vec<u8>);

impl<'py> FromPyObject<'_, 'py> for Text {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        with_wtf8(&*object.cast::<PyString>()?, <[u8]>::to_vec).map(Self)
    }
}

impl<'py> IntoPyObject<'py> for Text {
    type Target = PyString;
    type Output = Bound<'py, PyString>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        string_from_wtf8(py, &self.0)
    }
}
