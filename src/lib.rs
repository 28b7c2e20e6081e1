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

#![cfg_attr(
    not(feature = "python"),
    allow(dead_code, unused_imports, reason = "the Python face uses more than the Rust API shows")
)]

mod descriptors;
mod error;
mod hash;
mod path;
mod permits;
mod sync;
mod threads;

mod grouping;
mod manifest;
mod path_mapping;
mod settings;
mod worker;

mod cache;
mod fs;
mod store;

mod transfer;

mod ops;

#[cfg(feature = "python")]
mod python;

// The integration tests are modules of the crate's own test binary: they test what is private, too.
#[cfg(test)]
extern crate self as rusty_attachments;
#[cfg(test)]
#[path = "../tests_rs/main.rs"]
mod tests_rs;

pub use error::{Error, Result};
pub use hash::{ContentHash, HashAlgorithm, Hasher, hash_bytes};
