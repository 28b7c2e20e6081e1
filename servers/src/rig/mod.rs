//! An S3 server in memory, for tests and benchmarks: it counts requests, injects faults and is fast.
//!
//! It does what job attachments ask of S3 and of nothing else: no signatures are checked, no versions kept. s3s-fs is the
//! server that it is compared with (`tests_rs/rig.rs`). The program is `s3_rig`; tests in Rust start it in process with
//! [`Rig::start`].

#![allow(
    missing_docs,
    clippy::missing_errors_doc,
    clippy::must_use_candidate,
    clippy::len_without_is_empty,
    reason = "an instrument of tests: its interface is not published"
)]

pub mod body;
pub mod checksum;
pub mod config;
pub mod content;
pub mod control;
pub mod faults;
pub mod inject;
pub mod listing;
pub mod multipart;
pub mod objects;
pub mod random;
pub mod reply;
pub mod request;
pub mod server;
pub mod socket;
pub mod store;
pub mod xml;

pub use config::{Config, XxhashMode};
pub use faults::Rule;
pub use server::Rig;
