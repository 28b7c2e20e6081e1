//! Asset manifests: what files a root has, held in columns, read and written as canonical JSON.

pub(crate) mod canonical;
mod decode;
mod encode;
pub(crate) mod json;
mod strict;
pub mod table;
mod v2023;
mod v2025;

pub use canonical::{canonical_order, row_numbers};
pub use decode::{decode, validate};
pub use encode::{Encoder, encode};
pub use strict::check_strictly;
pub use table::{Content, Directory, FileTable, Manifest, ManifestVersion};
