//! Use cases, one verb a file.

pub(crate) mod abort_stale_uploads;
pub(crate) mod add_permissions;
pub(crate) mod build_manifest;
pub(crate) mod collect_tree;
pub(crate) mod diff_tree;
pub(crate) mod download;
pub(crate) mod fetch_manifests;
pub(crate) mod head_object;
pub(crate) mod list_outputs;
pub(crate) mod put_file;
pub(crate) mod put_object;
pub(crate) mod sample_check_cache;
pub(crate) mod snapshot_assets;
pub(crate) mod upload_assets;

pub(crate) mod hash_files;
pub(crate) mod in_parallel;
mod lanes;
mod notices;
pub(crate) mod prepare_inputs;
pub(crate) mod survey;
pub(crate) mod verify;
