//! Asset manifests: what files a root has, held in columns, read and written as canonical JSON.

pub(crate) mod canonical;
pub(crate) mod chunks;
mod compare;
mod decode;
mod diff;
mod distinct;
mod encode;
mod fields;
mod filter;
pub(crate) mod json;
mod merge;
mod reshape;
mod strict;
mod summary;
pub(crate) mod table;
mod v2023;
pub(crate) mod v2025;

pub(crate) use canonical::canonical_order;
pub use compare::FileStatus;
pub(crate) use compare::{Difference, compare};
pub(crate) use decode::{decode, validate};
pub(crate) use diff::{apply_diffs, compute_diff};
pub(crate) use distinct::DistinctPaths;
pub(crate) use encode::{Encoder, encode};
pub(crate) use filter::PathFilter;
pub(crate) use merge::{merge, total_of};
pub(crate) use reshape::{convert, partition, subtree, with_prefix};
pub(crate) use strict::check_strictly;
pub(crate) use summary::{Share, by_extension, disk_usage, largest};
pub use table::{Content, Manifest, ManifestVersion};
pub(crate) use table::{Directory, FileTable};
