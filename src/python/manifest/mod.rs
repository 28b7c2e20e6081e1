//! Manifests across the boundary.

mod arrow;
mod columns;
mod entry;
mod functions;
mod native;
mod operations;

pub(crate) use functions::decode_error;
pub(crate) use native::{manifest_from_python, manifest_to_python};

use pyo3::prelude::*;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    functions::register(module)?;
    operations::register(module)
}
