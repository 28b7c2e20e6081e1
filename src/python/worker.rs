//! Worker properties and the detector of low transfer rates for Python.

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::errors::to_py_err;
use super::manifest::decode_error;
use super::wtf8::Text;
use super::wtf8::with_wtf8;
use crate::error::Error;
use crate::worker;

/// Checks the JSON of a worker properties file, and gives it back without what is not known, as the agent would write it.
#[pyfunction]
fn normalize_worker_properties(py: Python<'_>, text: &Bound<'_, PyString>) -> PyResult<Text> {
    match with_wtf8(text, worker::properties_from_json)? {
        Ok(properties) => Ok(Text(worker::properties_to_json(&properties))),
        Err(error @ Error::Json { .. }) => Err(decode_error(py, text, &error)?),
        Err(error) => Err(to_py_err(py, &error)),
    }
}

/// Gives a download up after a series of low transfer rates; see `rusty_attachments.worker`.
#[pyclass(frozen, module = "rusty_attachments._native")]
pub(super) struct LowTransferRateDetector(Mutex<worker::LowTransferRateDetector>);

#[pymethods]
impl LowTransferRateDetector {
    #[new]
    fn new(threshold_bytes_per_second: f64, maximum_reports: u32) -> Self {
        Self(Mutex::new(worker::LowTransferRateDetector::new(threshold_bytes_per_second, maximum_reports)))
    }

    fn observe(&self, transfer_rate: f64, finished_files: u64, counted_bytes: Option<u64>) -> bool {
        self.0.lock().observe(transfer_rate, finished_files, counted_bytes)
    }

    #[getter]
    fn low_reports(&self) -> u32 {
        self.0.lock().low_reports()
    }

    #[getter]
    fn failure_message(&self) -> String {
        self.0.lock().failure_message()
    }
}

/// Adds this file's names to the native module.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<LowTransferRateDetector>()?;
    module.add_function(wrap_pyfunction!(normalize_worker_properties, module)?)
}
