//! How Python callers name an S3 endpoint.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::pump::{Call, Caller, Operation};
use super::runtime::engine;
use crate::error::Result;
use crate::store::ObjectStore;
use crate::store::s3::{S3Options, S3Settings, S3Shared, S3Store};
use crate::transfer::context::Context;

/// What a call says about S3: a boto3 session or nothing, and options, where `None` means the default of `S3Options`.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct StoreArguments {
    session: Option<Py<PyAny>>,
    max_connections: Option<usize>,
    /// Whether requests carry checksums that S3 does not ask for.
    checksums: Option<bool>,
    /// What a boto3 session was told about S3; else environment and profiles are read.
    settings: Option<SessionSettings>,
}

/// Where an object is; a pair in Python.
#[derive(FromPyObject)]
pub(crate) struct S3Place {
    #[pyo3(item(0))]
    pub bucket: String,
    #[pyo3(item(1))]
    pub key: String,
}

/// Where contents are; a pair in Python.
#[derive(FromPyObject)]
pub(crate) struct CasPlace {
    #[pyo3(item(0))]
    pub bucket: String,
    /// `<rootPrefix>/Data`; empty for the top of the bucket.
    #[pyo3(item(1))]
    pub prefix: String,
}

/// The settings of a session, as `_calls/session_settings.py` reads them.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
#[allow(clippy::struct_excessive_bools)] // botocore's names of independent switches
struct SessionSettings {
    region: Option<String>,
    endpoint_url: Option<String>,
    sts_endpoint_url: Option<String>,
    addressing_style: Option<String>,
    use_dualstack: bool,
    use_fips: bool,
    use_accelerate: bool,
    checksums_when_required: bool,
    ca_bundle: Option<(PathBuf, String)>,
    proxies: Option<BTreeMap<String, String>>,
}

impl From<SessionSettings> for S3Settings {
    fn from(session: SessionSettings) -> Self {
        Self {
            region: session.region,
            endpoint_url: session.endpoint_url,
            sts_endpoint_url: session.sts_endpoint_url,
            addressing_style: session.addressing_style,
            use_dualstack: session.use_dualstack,
            use_fips: session.use_fips,
            use_accelerate: session.use_accelerate,
            checksums_when_required: session.checksums_when_required,
            ca_bundle: session.ca_bundle,
            proxies: session.proxies,
        }
    }
}

/// The defaults of those options, under the same names, and those of what the environment can set.
#[derive(IntoPyObject)]
pub(crate) struct StoreDefaults {
    max_connections: usize,
    checksums: bool,
    retry_seconds: f64,
    stall_seconds: f64,
}

/// The defaults of what a call may say about S3.
#[pyfunction]
pub(crate) fn store_defaults() -> StoreDefaults {
    let S3Options { max_connections, checksums, retry_budget, stall_limit, .. } = S3Options::default();
    let (retry_seconds, stall_seconds) = (retry_budget.as_secs_f64(), stall_limit.as_secs_f64());
    StoreDefaults { max_connections, checksums, retry_seconds, stall_seconds }
}

/// Adds what this module has for Python.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(store_defaults, module)?)
}

impl StoreArguments {
    /// Begins work on the store. `convert` makes the result a Python object on the caller's thread.
    pub(crate) fn start<T, F, W, C>(
        mut self,
        py: Python<'_>,
        tracker: Option<Py<PyAny>>,
        work: F,
        convert: C,
    ) -> PyResult<Operation>
    where
        T: Send + 'static,
        F: FnOnce(Arc<dyn ObjectStore>, Context) -> W + Send + 'static,
        W: Future<Output = Result<T>> + Send + 'static,
        C: FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
    {
        let options = self.options(py)?;
        let engine = engine()?;
        let work = async move |call: Call| {
            // A call that was cancelled meanwhile goes on to where it says so.
            let _permit = tokio::select! {
                () = call.context.cancel.cancelled() => None,
                permit = engine.begin_call() => permit,
            };
            let store = connect(&engine.s3, options, &call).await?;
            work(store, call.context).await
        };
        Operation::start(py, Caller { tracker, session: self.session }, work, convert)
    }

    /// Reads what a session knows. Its credentials are asked for later, and again.
    fn options(&mut self, py: Python<'_>) -> PyResult<S3Options> {
        let defaults = S3Options::default();
        let options = S3Options {
            max_connections: self.max_connections.unwrap_or(defaults.max_connections),
            checksums: self.checksums.unwrap_or(defaults.checksums),
            ..defaults
        };
        let mut options = options.with_environment().map_err(|error| PyValueError::new_err(error.to_string()))?;
        options.settings = self.settings.take().map(S3Settings::from);
        if let (Some(session), None) = (&self.session, &options.settings) {
            // Something that stands for a boto3 session.
            let session = session.bind(py);
            options.region = text(session, "region_name")?;
            options.profile = text(session, "profile_name")?.filter(|profile| profile != "default");
        }
        Ok(options)
    }
}

fn text(session: &Bound<'_, PyAny>, name: &str) -> PyResult<Option<String>> {
    let value = session.getattr_opt(name)?.filter(pyo3::types::PyAnyMethods::is_instance_of::<pyo3::types::PyString>);
    value.map(|value| value.extract()).transpose()
}

/// Connects within a call, whose pump answers requests for credentials.
async fn connect(shared: &S3Shared, mut options: S3Options, call: &Call) -> Result<Arc<dyn ObjectStore>> {
    options.credentials.clone_from(&call.credentials);
    Ok(Arc::new(S3Store::connect(shared, options).await?))
}
