//! Strings across the boundary, lone surrogates included.

use std::ffi::c_char;

use pyo3::exceptions::PyUnicodeEncodeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

#[allow(unsafe_code, reason = "a declaration")]
unsafe extern "C" {
    /// In every `CPython` since 3.3, and in its stable interface since 3.10, which is why `pyo3` leaves it out for 3.9.
    fn PyUnicode_AsUTF8AndSize(unicode: *mut ffi::PyObject, size: *mut ffi::Py_ssize_t) -> *const c_char;
}

/// Gives `use_bytes` the string as generalised UTF-8. An ASCII string, as every canonical manifest is, is lent and not
/// copied: a manifest of a million entries would cost its 138 MB twice otherwise.
pub(crate) fn with_wtf8<T>(string: &Bound<'_, PyString>, use_bytes: impl FnOnce(&[u8]) -> T) -> PyResult<T> {
    let mut size: ffi::Py_ssize_t = 0;
    // SAFETY: `string` is a valid `str`; the bytes belong to it and stay where they are while it lives, since strings don't
    // change; the borrow that `use_bytes` gets ends before `string` can go away.
    #[allow(unsafe_code, reason = "see above")]
    let bytes = unsafe {
        let start = PyUnicode_AsUTF8AndSize(string.as_ptr(), &raw mut size);
        (!start.is_null()).then(|| std::slice::from_raw_parts(start.cast::<u8>(), usize::try_from(size).unwrap_or(0)))
    };
    if let Some(bytes) = bytes {
        return Ok(use_bytes(bytes));
    }
    let error = PyErr::fetch(string.py());
    if !error.is_instance_of::<PyUnicodeEncodeError>(string.py()) {
        return Err(error);
    }
    // Lone surrogates.
    let encoded = string.call_method1("encode", ("utf-8", "surrogatepass"))?.cast_into::<PyBytes>()?;
    Ok(use_bytes(encoded.as_bytes()))
}

/// A `str` of generalised UTF-8.
pub(crate) fn string_from_wtf8<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(PyString::new(py, text)),
        Err(_) => PyString::from_encoded_object(&PyBytes::new(py, bytes), Some(c"utf-8"), Some(c"surrogatepass")),
    }
}

/// Puts a long ASCII text together from pieces, so that only one piece is there twice.
pub(crate) struct Pieces<'py> {
    joined: Bound<'py, PyString>,
}

impl<'py> Pieces<'py> {
    pub(crate) fn new(first: Bound<'py, PyString>) -> Self {
        Self { joined: first }
    }

    /// Appends a piece; `CPython` grows the string in place, since nobody else has it.
    pub(crate) fn append(self, piece: &Bound<'py, PyString>) -> PyResult<Self> {
        let py = piece.py();
        let mut joined = self.joined.into_ptr();
        // SAFETY: `joined` is an owned reference, which `PyUnicode_Append` replaces by the result or by NULL; both
        // arguments are strings.
        #[allow(unsafe_code, reason = "see above")]
        let joined = unsafe {
            ffi::PyUnicode_Append(&raw mut joined, piece.as_ptr());
            Bound::from_owned_ptr_or_err(py, joined)?
        };
        Ok(Self { joined: joined.cast_into::<PyString>()? })
    }

    pub(crate) fn finish(self) -> Bound<'py, PyString> {
        self.joined
    }
}

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
