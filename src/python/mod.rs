//! The Python face: the only code that names `pyo3`.
//!
//! Only the calling thread touches Python. Everything long runs through [`pump`], which waits for the work on other threads
//! and serves signals, progress callbacks, credentials and log records in between.

mod aio;
mod caches;
mod credentials;
mod download;
mod errors;
pub(crate) mod manifest;
mod manifest_functions;
mod manifest_operations;
mod manifest_text;
mod observer;
pub(crate) mod pump;
mod runtime;
mod store;
mod upload;
mod path_mapping;
mod text;
mod worker;

use pyo3::prelude::*;

/// The native module, `rusty_attachments._native`. Users import its names from `rusty_attachments`.
#[pymodule]
mod _native {
    use super::{Bound, PyModule, PyModuleMethods, PyResult};

    #[pymodule_export]
    use super::aio::wait;
    #[pymodule_export]
    use super::download::download_manifests;
    use super::caches::{CacheConnection, CacheRows};
    #[pymodule_export]
    use super::manifest::ManifestTable;
    #[pymodule_export]
    use super::manifest_functions::{decode_manifest, encode_manifest, hash_data, hash_descriptor, validate_manifest};
    #[pymodule_export]
    use super::manifest_operations::{ComparisonTable, compare_manifests, filter_manifest, merge_manifests};

    #[pymodule_export]
    use super::pump::Operation;
    #[pymodule_export]
    use super::upload::{head_object, put_bytes, put_local_file, sample_check_cache, upload};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        super::path_mapping::register(module)?;
        super::worker::register(module)
    }
}
