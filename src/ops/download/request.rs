//! What to download, and how.

use std::path::PathBuf;
use std::sync::Arc;

use crate::cache::HashCache;
use crate::fs::path_list::PathList;
use crate::manifest::Manifest;
use crate::store::ObjectStore;
use crate::transfer::download::Verify;
use crate::transfer::limits::DEFAULT_BUFFER_BYTES;

pub(super) const CANCELLED: &str = "File download cancelled.";
pub(super) const LOGGER: &str = "download";

/// What to download, and where to.
#[derive(Clone)]
pub(crate) struct DownloadRequest {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// The bucket.
    pub bucket: String,
    /// Where contents are: `<rootPrefix>/Data`; `None` or empty for the top of the bucket.
    pub cas_prefix: Option<String>,
    /// Roots with the files that go below them.
    pub roots: Vec<RootDownload>,
    /// The rest.
    pub options: DownloadOptions,
}

/// A local root and its files.
#[derive(Debug, Clone)]
pub(crate) struct RootDownload {
    /// The local directory; made if it is not there.
    ///
    /// The empty path stands for the absolute paths that a caller has put into the manifest: they are taken as they are, so
    /// never use it for a manifest as it came from S3. Its relative paths go below the working directory.
    pub path: PathBuf,
    /// The files. An absolute path must lead below the root.
    pub manifest: Arc<Manifest>,
}

/// How to download.
#[derive(Debug, Clone)]
pub struct DownloadOptions {
    /// What to do where a file is already.
    pub conflicts: ConflictResolution,
    /// What to do where the list of files has one path twice.
    pub duplicates: Duplicates,
    /// What to check.
    pub verify: Verify,
    /// Whether to wait for the disk: for a file before it gets its name, for names before the end.
    pub sync: bool,
    /// Permissions to add.
    pub permissions: Option<Permissions>,
    /// What knows the contents of files that are there already; asked by [`ConflictResolution::Resume`] alone.
    pub(crate) hash_cache: Option<Arc<HashCache>>,
    /// Bytes of bodies in memory at once.
    pub buffer_bytes: u64,
}

impl Default for DownloadOptions {
    fn default() -> Self {
        Self {
            conflicts: ConflictResolution::CreateCopy,
            duplicates: Duplicates::Refuse,
            verify: Verify::Hash,
            sync: false,
            permissions: None,
            hash_cache: None,
            buffer_bytes: DEFAULT_BUFFER_BYTES,
        }
    }
}

/// What to do where a file is already. The reference's `FileConflictResolution`, and one more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConflictResolution {
    /// Leave it alone.
    Skip,
    /// Replace it.
    Overwrite,
    /// Write beside it: `name (1).ext`.
    CreateCopy,
    /// Leave it alone if it has the right size and contents, else replace it: for a worker that tries again.
    Resume,
    /// Anything else is refused, but only once there is a conflict, as in the reference.
    Unknown(String),
}

/// What to do where the files of one root have one path twice with different contents. The same contents are written once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Duplicates {
    /// Refuse: nobody has said which should win.
    #[default]
    Refuse,
    /// As if they were downloaded one after another: the first is in the later ones' way.
    InOrder,
}

/// Permissions that are added to downloaded files and to the directories on the way to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permissions {
    /// The group to give them to.
    pub group: Option<u32>,
    /// Bits to add to files.
    pub file_mode: u32,
    /// Bits to add to directories.
    pub directory_mode: u32,
}

/// What was downloaded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DownloadReport {
    /// The paths that were written, by root, links resolved. Files that were left alone are not among them.
    pub written: Vec<PathList>,
}

/// A file of a manifest: which root, which entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct FileId {
    pub(super) root: u32,
    pub(super) entry: u32,
}

impl FileId {
    /// The entry's row in its manifest.
    pub(super) const fn index(self) -> usize {
        self.entry as usize
    }
}
