//! Asset manifests: what files a root has, held in columns.

pub mod table;

pub use table::{Content, Directory, FileTable, Manifest, ManifestVersion};
