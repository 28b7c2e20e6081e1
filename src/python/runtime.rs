//! What lives as long as the process: the runtime, connections, objects under way.
//!
//! Built at first use, never at import, and keyed by process id: after a fork the child has none of its parent's threads, so
//! it leaks the old one and builds its own.

use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::runtime::Runtime;

use crate::ops::upload_assets::Flights;
use crate::store::s3::S3Shared;

/// Threads that may block at once, for reading, hashing and writing files.
const BLOCKING_THREADS: usize = 32;

/// What all calls of a process share.
pub(crate) struct Engine {
    pub(crate) runtime: Runtime,
    pub(crate) flights: Flights,
    pub(crate) s3: S3Shared,
    process: u32,
}

static ENGINE: Mutex<Option<&'static Engine>> = Mutex::new(None);

/// This process's engine.
pub(crate) fn engine() -> PyResult<&'static Engine> {
    let process = std::process::id();
    let mut current = ENGINE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(engine) = current.filter(|engine| engine.process == process) {
        return Ok(engine);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("rusty-attachments")
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
        .map_err(|error| PyRuntimeError::new_err(format!("The worker threads could not be started: {error}")))?;
    let s3 = S3Shared::new();
    // Leaked: threads may use it until the process ends, and a forked child can't join its parent's threads.
    let engine = &*Box::leak(Box::new(Engine { runtime, flights: Flights::default(), s3, process }));
    *current = Some(engine);
    Ok(engine)
}
