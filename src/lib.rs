//! Job attachments for AWS Deadline Cloud: manifests, hashing, caches and content-addressed storage in Amazon S3.
//!
//! The layers, outermost last; a module uses those before it, never those after it (`tests_rs/layers.rs` checks):
//!
//! 1. words: [`error`], [`path`], [`hash`]; what the process may use: [`descriptors`], [`permits`], `threads`
//! 2. documents: [`manifest`], [`settings`], …: pure data and rules
//! 3. outside things: [`mod@fs`], [`cache`], [`store`]: one outside resource each
//! 4. engine: [`transfer`]: moving one object, and the limits under which many move
//! 5. use cases: [`ops`], one verb a file
//! 6. shell: `python` (feature `python`), the only code that names `pyo3`

pub mod descriptors;
pub mod error;
pub mod hash;
pub mod path;
pub mod permits;
mod sync;
mod threads;

pub mod grouping;
pub mod manifest;
pub mod path_mapping;
pub mod settings;
pub mod worker;

pub mod cache;
pub mod fs;
pub mod store;

pub mod transfer;

pub mod ops;

#[cfg(feature = "python")]
mod python;

pub use error::{Error, Result};
