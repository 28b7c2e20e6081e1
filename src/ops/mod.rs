//! Use cases, one verb a file.

pub mod download;
pub mod upload_assets;

mod lanes;
