//! Panics come to Python as an ordinary exception.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use pyo3::intern;
use pyo3::panic::PanicException;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// Makes the class that panics are raised as an `Exception`, under the name `InternalError`.
///
/// `pyo3` derives it from `BaseException`, so that `except Exception` would miss it and a worker would end without its
/// report. It raises this class from every function, method, iterator and conversion of this module and of no other one, so
/// that this is the one place for all of them.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let class = py.get_type::<PanicException>();
    let bases = PyTuple::new(py, [py.get_type::<pyo3::exceptions::PyException>()])?;
    class.setattr(intern!(py, "__bases__"), bases)?;
    class.setattr(intern!(py, "__name__"), "InternalError")?;
    class.setattr(intern!(py, "__qualname__"), "InternalError")?;
    class.setattr(intern!(py, "__module__"), "rusty_attachments.exceptions")?;
    module.add("InternalError", class)
}

/// Runs work whose panic is expected, and gives its text without printing it.
pub(super) fn catch_quietly<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        // The hook is this library's own: the standard library is linked into it.
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !IS_QUIET.get() {
                print(panic);
            }
        }));
    });
    let was_quiet = IS_QUIET.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(work));
    IS_QUIET.set(was_quiet);
    outcome.map_err(|payload| text(payload.as_ref()).to_owned())
}

thread_local! {
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// What a panic said.
pub(super) fn text(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text")
}
