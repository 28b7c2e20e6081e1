//! Manifests as Rust programs use them.

use std::path::Path;

use crate::error::{Error, Result};
use crate::hash::{ContentHash, HashAlgorithm, hash_bytes};
use crate::manifest::{
    self, Content, FileStatus, Manifest, ManifestVersion, PathFilter, compare, decode, encode, subtree, with_prefix,
};
use crate::path::ManifestPath;

/// A file, or a link, of a manifest.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    manifest: &'a Manifest,
    row: usize,
}

impl<'a> Entry<'a> {
    /// Its path, relative to the root.
    #[must_use]
    pub fn path(&self) -> ManifestPath<'a> {
        self.manifest.files.path(self.row)
    }

    /// Its size in bytes, as the manifest has it.
    #[must_use]
    pub fn size_bytes(&self) -> i64 {
        self.manifest.files.size_bytes(self.row)
    }

    /// Its modification time in microseconds since 1970.
    #[must_use]
    pub fn mtime_micros(&self) -> i64 {
        self.manifest.files.mtime_micros(self.row)
    }

    /// What its contents are.
    #[must_use]
    pub fn content(&self) -> Content<'a> {
        self.manifest.files.content(self.row)
    }

    /// Whether its owner may execute it. Version 2023-03-03 does not say it.
    #[must_use]
    pub fn is_executable(&self) -> bool {
        self.manifest.files.is_runnable(self.row)
    }
}

/// A difference between two manifests.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Change<'a> {
    /// How the file differs.
    pub status: FileStatus,
    /// The file: as the later manifest has it, or the earlier one if it was deleted.
    pub entry: Entry<'a>,
}

impl Manifest {
    /// Reads a manifest of any version that is supported.
    ///
    /// # Errors
    /// [`Error::Json`] for what is no JSON, [`Error::ManifestInvalid`] for what is no manifest.
    pub fn decode(text: &[u8]) -> Result<Self> {
        decode(text)
    }

    /// Reads a manifest from a file.
    ///
    /// # Errors
    /// [`Error::Io`] where the file can't be read; else as [`Self::decode`], with the file's name.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = super::read_file(path)?;
        decode(&text).map_err(|error| match error {
            Error::ManifestInvalid { problem, text } => {
                Error::ManifestInvalid { problem, text: format!("{}: {text}", path.display()) }
            }
            Error::Json { message, position, line, column } => {
                Error::Json { message: format!("{}: {message}", path.display()), position, line, column }
            }
            other => other,
        })
    }

    /// The manifest as canonical JSON, byte for byte as the reference writes it.
    ///
    /// # Errors
    /// [`Error::ManifestInvalid`] for a manifest of version 2025-12-04-beta with paths that it can't hold.
    pub fn encode(&self) -> Result<String> {
        encode(self)
    }

    /// The hash of the canonical JSON, by which jobs name their manifests.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn hash(&self) -> Result<ContentHash> {
        Ok(hash_bytes(encode(self)?.as_bytes()))
    }

    /// The format.
    #[must_use]
    pub fn version(&self) -> ManifestVersion {
        self.version
    }

    /// The algorithm of the hashes in it.
    #[must_use]
    pub fn hash_algorithm(&self) -> HashAlgorithm {
        self.hash_algorithm
    }

    /// How many files and links it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether it has no file and no link.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The size of all files in bytes, as the document says it.
    #[must_use]
    pub fn total_size_bytes(&self) -> i64 {
        self.total_size_bytes
    }

    /// Its files and links, in the order of the document.
    #[must_use = "an iterator does nothing by itself"]
    pub fn entries(&self) -> impl ExactSizeIterator<Item = Entry<'_>> {
        (0..self.files.len()).map(|row| Entry { manifest: self, row })
    }

    /// Its directories (version 2025-12-04-beta), in the order of the document.
    #[must_use = "an iterator does nothing by itself"]
    pub fn directories(&self) -> impl ExactSizeIterator<Item = ManifestPath<'_>> {
        self.directories.iter().map(|directory| ManifestPath::from_wtf8(&directory.path))
    }

    /// Compares this manifest with a later one by contents: what is new, changed and gone. What is alike is left out.
    #[must_use]
    pub fn changes<'a>(&'a self, later: &'a Self) -> Vec<Change<'a>> {
        let changed = compare(self, later).into_iter().filter(|found| found.status != FileStatus::Unchanged);
        let change = |found: manifest::Difference| {
            let manifest = if found.status == FileStatus::Deleted { self } else { later };
            Change { status: found.status, entry: Entry { manifest, row: found.row as usize } }
        };
        changed.map(change).collect()
    }

    /// One manifest of several: of a path that several have, the last counts. `None` of none.
    ///
    /// # Errors
    /// [`Error::NotSupported`] for manifests of different versions, and for diffs.
    pub fn merge<'a>(manifests: impl IntoIterator<Item = &'a Self>) -> Result<Option<Self>> {
        manifest::merge(&manifests.into_iter().collect::<Vec<_>>())
    }

    /// The files whose paths match one of the patterns, in which `*` also matches `/`, as the reference's filters have it.
    ///
    /// # Errors
    /// [`Error::ManifestInvalid`] where the sum of the sizes does not fit 64 bits.
    pub fn filter<'a>(&self, patterns: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let filter = PathFilter::new(patterns.into_iter().map(str::as_bytes));
        // Below a root of "/", as the patterns are matched against whole paths.
        let files = self.files.select(&filter.rows(b"/", &self.files));
        let total_size_bytes = manifest::total_of(&files)?;
        Ok(Self { total_size_bytes, ..self.with_files(files) })
    }

    /// The same files as a manifest of another version.
    ///
    /// # Errors
    /// [`Error::ManifestInvalid`] names what the other version has no place for.
    pub fn convert(&self, version: ManifestVersion) -> Result<Self> {
        manifest::convert(self, version)
    }

    /// The diff manifest that leads from an earlier snapshot to this one (version 2025-12-04-beta).
    ///
    /// # Errors
    /// [`Error::NotSupported`] unless both are snapshots of that version.
    pub fn diff_since(&self, earlier: &Self) -> Result<Self> {
        manifest::compute_diff(earlier, self)
    }

    /// This snapshot after diffs (version 2025-12-04-beta). Each has to be one against what it is applied to.
    ///
    /// # Errors
    /// [`Error::NotSupported`] unless this is a snapshot and the rest are diffs; [`Error::ManifestInvalid`] for a diff against
    /// something else.
    pub fn apply_diffs<'a>(&self, diffs: impl IntoIterator<Item = &'a Self>) -> Result<Self> {
        manifest::apply_diffs(self, &diffs.into_iter().collect::<Vec<_>>())
    }

    /// The part below a directory, with paths relative to it.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the directory is no relative path; [`Error::NotSupported`] for a diff.
    pub fn subtree(&self, directory: &str) -> Result<Self> {
        subtree(self, directory.as_bytes())
    }

    /// The same files below a directory.
    ///
    /// # Errors
    /// As [`Self::subtree`].
    pub fn with_prefix(&self, directory: &str) -> Result<Self> {
        with_prefix(self, directory.as_bytes())
    }
}
