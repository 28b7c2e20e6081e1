//! The Python face: the only code that names `pyo3`.
//!
//! Only the calling thread touches Python. Everything long runs through [`pump`], which waits for the work on other threads
//! and serves signals, progress callbacks, credentials and log records in between.

#![allow(clippy::needless_pass_by_value, reason = "functions take what pyo3 extracts")]

mod aio;
mod caches;
mod calls;
mod command;
mod credentials;
mod download;
mod errors;
mod files;
mod interpreter;
mod job_manifests;
mod local_tree;
mod manifest;
mod observer;
mod panics;
mod path_mapping;
pub(crate) mod pump;
mod runtime;
mod store;
mod upload;
mod worker;
mod wtf8;

use pyo3::prelude::*;

/// A request through the SDK makes hundreds of small allocations on whatever thread it runs: a fifth of an upload's processor
/// time was spent in the system's allocator. Python's own objects are not concerned.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The native module, `rusty_attachments._native`. Users import its names from `rusty_attachments`.
///
/// `gil_used`: no test runs on a free-threaded interpreter yet, so such an interpreter turns its GIL on for this module.
#[pymodule(gil_used = true)]
mod _native {
    use super::{Bound, PyModule, PyModuleMethods, PyResult};

    /// Each submodule registers its own functions and classes.
    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        super::interpreter::claim(module.py())?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        super::panics::register(module)?;
        super::pump::register(module)?;
        super::aio::register(module)?;
        super::caches::register(module)?;
        super::command::register(module)?;
        super::download::register(module)?;
        super::files::register(module)?;
        super::local_tree::register(module)?;
        super::job_manifests::register(module)?;
        super::manifest::register(module)?;
        super::path_mapping::register(module)?;
        super::store::register(module)?;
        super::upload::register(module)?;
        super::worker::register(module)?;
        Ok(())
    }
}
