//! Asset manifests: what files a root has, held in columns, read and written as canonical JSON.

pub(crate) mod canonical;
mod compare;
mod decode;
mod distinct;
mod encode;
mod filter;
pub(crate) mod json;
mod merge;
pub(crate) mod pattern;
mod reshape;
mod strict;
mod summary;
pub mod table;
mod v2023;
mod v2025;

pub use canonical::{canonical_order, row_numbers};
pub use compare::{Difference, FileStatus, compare, path_of};
pub use decode::{decode, validate};
pub use distinct::{DistinctPaths, Place};
pub use encode::{Encoder, encode};
pub use filter::PathFilter;
pub use merge::merge;
pub use pattern::Pattern;
pub use reshape::{convert, partition, subtree, with_prefix};
pub use strict::check_strictly;
pub use summary::{Share, by_extension, disk_usage, largest};
pub use table::{Content, Directory, FileTable, Manifest, ManifestVersion};
pub use v2025::{
    CHUNK_SIZE_BYTES, LONGEST_PATH_BYTES, apply_diff, apply_diffs, compute_diff, name_problem, target_problem,
};
