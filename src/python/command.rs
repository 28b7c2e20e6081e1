//! The command line in the Python package: the program `rusty-attachments` of the wheel.

use std::ffi::OsString;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeError};
use pyo3::prelude::*;

use crate::Interrupts;

/// How long the caller waits at most before it looks at signals again.
const TICK: Duration = Duration::from_millis(50);

/// Adds what this module has for Python.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(run_command, module)?)
}

/// Runs the program with these arguments, the first of which is its name, and returns its exit status.
///
/// The command runs on a thread of its own. This one looks at Python's signals meanwhile: Ctrl-C stops the command cleanly, a
/// second one ends the process.
#[pyfunction]
#[pyo3(signature = (arguments, facts = Vec::new()))]
fn run_command(py: Python<'_>, arguments: Vec<OsString>, facts: Vec<(String, String)>) -> PyResult<u8> {
    let interrupts = Interrupts::new();
    let (sender, receiver) = channel();
    let for_command = interrupts.clone();
    let work = move || {
        let status = crate::run_command(arguments, &for_command, &facts);
        // The receiver waits for it, unless a signal handler has raised something.
        let _ = sender.send(status);
    };
    std::thread::Builder::new()
        .name("command".to_owned())
        .spawn(work)
        .map_err(|error| PyRuntimeError::new_err(format!("no thread can be started: {error}")))?;
    let receiver = parking_lot::Mutex::new(receiver);
    loop {
        let answer = py.detach(|| receiver.lock().recv_timeout(TICK));
        match answer {
            Ok(status) => return Ok(status),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(PyRuntimeError::new_err("The command panicked.")),
        }
        match py.check_signals() {
            Err(raised) if raised.is_instance_of::<PyKeyboardInterrupt>(py) => interrupts.interrupt(),
            other => other?,
        }
    }
}
