//! Use cases, one verb a file.

pub mod abort_stale_uploads;
pub mod add_permissions;
pub mod build_manifest;
pub mod collect_tree;
pub mod diff_tree;
pub mod download;
pub mod fetch_manifests;
pub mod list_outputs;
pub mod put_file;
pub mod snapshot_assets;
pub mod upload_assets;

pub mod hash_files;
pub mod in_parallel;
mod lanes;
pub mod prepare_inputs;
pub mod survey;
