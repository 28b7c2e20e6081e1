//! Waiting in an event loop: the loop takes the pump's place.

use std::sync::Once;
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::pump::Operation;
use super::runtime::engine;

/// Adds what this module has for Python.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(wait, module)?)?;
    Ok(())
}

/// Set once the runtime has been handed to `pyo3_async_runtimes`.
static FIRST: Once = Once::new();
/// How long a wait lasts at most, so that progress is shown while nothing else happens.
const TICK: Duration = Duration::from_millis(100);

/// An awaitable that ends once there is something to deal with, or after a tenth of a second.
#[pyfunction]
pub(crate) fn wait<'py>(py: Python<'py>, operation: PyRef<'py, Operation>) -> PyResult<Bound<'py, PyAny>> {
    let engine = engine()?;
    FIRST.call_once(|| {
        // Refused only if another runtime was set before, which is then used for the timer alone.
        let _ = pyo3_async_runtimes::tokio::init_with_runtime(&engine.runtime);
    });
    if !std::ptr::eq(pyo3_async_runtimes::tokio::get_runtime(), &raw const engine.runtime) {
        return Err(PyRuntimeError::new_err(
            "Awaitable calls do not work in a process that was forked after one was used: use the plain ones there.",
        ));
    }
    let wake = std::sync::Arc::clone(&operation.wake);
    pyo3_async_runtimes::tokio::future_into_py(py, async move {
        let _ = tokio::time::timeout(TICK, wake.notified()).await;
        Ok(())
    })
}
