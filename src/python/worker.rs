//! Worker properties and the detector of low transfer rates for Python.

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::errors::to_py_err;
use super::manifest::decode_error;
use super::wtf8::Text;
use super::wtf8::with_wtf8;
use crate::error::Error;
use crate::path_mapping::format_name;
use crate::worker;

/// An asset root with its places on a worker; Python gets a dictionary of these fields.
#[derive(IntoPyObject)]
pub(super) struct Properties {
    root_path: Text,
    root_path_format: &'static str,
    file_system_location_name: Option<Text>,
    input_manifest_path: Option<Text>,
    input_manifest_hash: Option<Text>,
    output_relative_directories: Option<Vec<Text>>,
    local_root_path: Text,
    local_manifest_paths: Vec<Text>,
    local_input_manifest_path: Option<Text>,
}

impl From<worker::WorkerManifestProperties> for Properties {
    fn from(given: worker::WorkerManifestProperties) -> Self {
        let of_job = given.manifest_properties;
        let texts = |list: Vec<Vec<u8>>| list.into_iter().map(Text).collect();
        Self {
            root_path: Text(of_job.root_path),
            root_path_format: format_name(of_job.root_path_format),
            file_system_location_name: of_job.file_system_location_name.map(Text),
            input_manifest_path: of_job.input_manifest_path.map(Text),
            input_manifest_hash: of_job.input_manifest_hash.map(Text),
            output_relative_directories: of_job.output_relative_directories.map(texts),
            local_root_path: Text(given.local_root_path),
            local_manifest_paths: texts(given.local_manifest_paths),
            local_input_manifest_path: given.local_input_manifest_path.map(Text),
        }
    }
}

/// Reads the JSON of a worker properties file.
#[pyfunction]
fn read_worker_properties(py: Python<'_>, text: &Bound<'_, PyString>) -> PyResult<Vec<Properties>> {
    match with_wtf8(text, worker::properties_from_json)? {
        Ok(properties) => Ok(properties.into_iter().map(Properties::from).collect()),
        Err(error @ Error::Json { .. }) => Err(decode_error(py, text, &error)?),
        Err(error) => Err(to_py_err(py, &error)),
    }
}

/// Gives a download up after a series of low transfer rates; see `rusty_attachments.worker`.
#[pyclass(frozen, module = "rusty_attachments._native")]
pub(super) struct LowTransferRateDetector(Mutex<worker::LowTransferRateDetector>);

#[pymethods]
impl LowTransferRateDetector {
    #[classattr]
    const THRESHOLD_BYTES_PER_SECOND: f64 = worker::LowTransferRateDetector::THRESHOLD_BYTES_PER_SECOND;
    #[classattr]
    const MAXIMUM_REPORTS: u32 = worker::LowTransferRateDetector::MAXIMUM_REPORTS;

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
    module.add_function(wrap_pyfunction!(read_worker_properties, module)?)
}
