//! Calling Python code that may last: callbacks, handlers of log records, sessions.
//!
//! Before 3.14, Python ends a thread that asks for the interpreter after the program's end by `pthread_exit`, which unwinds the
//! thread's stack. Rust frames between two Python frames would abort the process then. Calls made here park the thread
//! instead, as later Pythons do by themselves.

use pyo3::BoundObject;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

/// Calls a method.
pub(super) fn call_method<'py, A>(
    object: &Bound<'py, PyAny>,
    name: &Bound<'py, PyString>,
    arguments: A,
) -> PyResult<Bound<'py, PyAny>>
where
    A: IntoPyObject<'py, Target = PyTuple>,
    A::Error: Into<PyErr>,
{
    call(&object.getattr(name)?, arguments)
}

/// Calls a callable.
pub(super) fn call<'py, A>(callable: &Bound<'py, PyAny>, arguments: A) -> PyResult<Bound<'py, PyAny>>
where
    A: IntoPyObject<'py, Target = PyTuple>,
    A::Error: Into<PyErr>,
{
    let arguments = arguments.into_pyobject(callable.py()).map_err(Into::into)?.into_bound();
    // By an address that the compiler can't see through: pyo3 declares the function without unwinding, and link-time
    // optimisation would take the guard away with it.
    let call: Call = std::hint::black_box(PyObject_Call);
    let guard = ParkOnUnwind;
    // SAFETY: the thread is attached, both objects are alive, and keyword arguments may be null.
    #[allow(unsafe_code, reason = "pyo3 declares this function without unwinding")]
    let result = unsafe { call(callable.as_ptr(), arguments.as_ptr(), std::ptr::null_mut()) };
    // Before anything here can panic: only Python's own unwinding parks the thread.
    std::mem::forget(guard);
    // SAFETY: the result is a new reference, or null with an exception set.
    #[allow(unsafe_code, reason = "the counterpart of the call above")]
    unsafe {
        Bound::from_owned_ptr_or_err(callable.py(), result)
    }
}

type Call =
    unsafe extern "C-unwind" fn(*mut ffi::PyObject, *mut ffi::PyObject, *mut ffi::PyObject) -> *mut ffi::PyObject;

#[allow(unsafe_code, reason = "pyo3 declares this function without unwinding")]
unsafe extern "C-unwind" {
    fn PyObject_Call(
        callable: *mut ffi::PyObject,
        arguments: *mut ffi::PyObject,
        keywords: *mut ffi::PyObject,
    ) -> *mut ffi::PyObject;
}

/// Parks the thread for ever when its stack is unwound: no more of its frames may run, and none may be passed.
struct ParkOnUnwind;

impl Drop for ParkOnUnwind {
    fn drop(&mut self) {
        loop {
            std::thread::park();
        }
    }
}
