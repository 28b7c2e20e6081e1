//! One interpreter of a process may use the module.
//!
//! pyo3 keeps type objects in statics, and so do exception classes that this crate imports from Python. A second interpreter
//! would get objects of the first: its `except` clauses would not catch our exceptions.

use std::sync::atomic::{AtomicI64, Ordering};

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;

/// No interpreter has this id.
const UNCLAIMED: i64 = -1;

static OWNER: AtomicI64 = AtomicI64::new(UNCLAIMED);

/// Claims the module for the current interpreter, or raises `ImportError` if another one has it. Importing again in the same
/// interpreter is fine.
pub(super) fn claim(py: Python<'_>) -> PyResult<()> {
    let current = current_id(py)?;
    match OWNER.compare_exchange(UNCLAIMED, current, Ordering::SeqCst, Ordering::SeqCst) {
        Ok(_) => Ok(()),
        Err(owner) if owner == current => Ok(()),
        Err(_) => Err(PyImportError::new_err(
            "rusty_attachments is in use by another interpreter of this process: it does not support several interpreters \
             in one process. Import it in the main interpreter only, or use a process of its own.",
        )),
    }
}

#[allow(unsafe_code, reason = "pyo3 has no safe call for the id of the current interpreter")]
fn current_id(py: Python<'_>) -> PyResult<i64> {
    // SAFETY: the thread is attached to an interpreter, as `py` shows, so there is a current one.
    let id = unsafe { pyo3::ffi::PyInterpreterState_GetID(pyo3::ffi::PyInterpreterState_Get()) };
    if id < 0 { Err(PyErr::fetch(py)) } else { Ok(id) }
}
