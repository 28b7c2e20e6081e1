//! A manifest in memory: one column per field, so that a million entries cost their bytes and not a million objects.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::hash::{ContentHash, HashAlgorithm};
use crate::path::ManifestPath;
use crate::threads;

/// The manifest formats that this crate reads and writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ManifestVersion {
    /// `2023-03-03`: files only.
    V2023_03_03,
    /// `2025-12-04-beta`: also directories, symbolic links, execute bits, chunks and deletions.
    V2025_12_04,
}

impl ManifestVersion {
    /// The text of `manifestVersion`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2023_03_03 => "2023-03-03",
            Self::V2025_12_04 => "2025-12-04-beta",
        }
    }
}

/// A manifest of either version. What a version can't express is empty in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The format that it was read in or will be written in.
    pub(crate) version: ManifestVersion,
    /// The algorithm of every hash in it.
    pub(crate) hash_algorithm: HashAlgorithm,
    /// Its files, in the order of the document.
    pub(crate) files: FileTable,
    /// Its directories (v2025), in the order of the document.
    pub(crate) directories: Vec<Directory>,
    /// `totalSize` as the document gives it; not checked against the files here.
    pub(crate) total_size_bytes: i64,
    /// The hash of the manifest that this one is a diff against (v2025); its presence makes it a diff.
    pub(crate) parent_manifest_hash: Option<String>,
}

impl Manifest {
    /// The same manifest with other files; the total stays as it is.
    #[must_use]
    pub(crate) fn with_files(&self, files: FileTable) -> Self {
        Self {
            version: self.version,
            hash_algorithm: self.hash_algorithm,
            files,
            directories: self.directories.clone(),
            total_size_bytes: self.total_size_bytes,
            parent_manifest_hash: self.parent_manifest_hash.clone(),
        }
    }
}

/// A directory of a v2025 manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Directory {
    /// Its path below the root, WTF-8.
    pub path: Box<[u8]>,
    /// Whether a diff manifest deletes it.
    pub deleted: bool,
}

/// What an entry's contents are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content<'a> {
    /// One object.
    Hash(ContentHash),
    /// Several objects, one for each chunk, in order (v2025).
    Chunks(&'a [ContentHash]),
    /// A symbolic link to a path below the root (v2025).
    Symlink(ManifestPath<'a>),
    /// Nothing: a diff manifest deletes the file (v2025).
    Deleted,
}

/// The files of a manifest, in columns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FileTable {
    /// All paths, one after another.
    path_bytes: Vec<u8>,
    /// Where each path ends in `path_bytes`.
    path_ends: Offsets,
    /// The hash of an entry, or zeros where `irregular` has the entry.
    hashes: Vec<[u8; 16]>,
    sizes: Vec<i64>,
    mtimes: Vec<i64>,
    /// What few entries have: contents that are not one plain hash.
    irregular: BTreeMap<usize, IrregularContent>,
    /// The entries with the execute bit (v2025), ascending.
    runnable: Vec<usize>,
}

/// Ascending offsets: four bytes each up to 4 GiB, eight bytes beyond.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Offsets {
    narrow: Vec<u32>,
    wide: Vec<u64>,
}

impl Offsets {
    fn push(&mut self, offset: usize) {
        match u32::try_from(offset) {
            Ok(offset) if self.wide.is_empty() => self.narrow.push(offset),
            _ => self.wide.push(offset as u64),
        }
    }

    fn get(&self, index: usize) -> usize {
        self.narrow.get(index).map_or_else(|| usize_of(self.wide[index - self.narrow.len()]), |offset| *offset as usize)
    }

    fn truncate(&mut self, length: usize) {
        self.wide.truncate(length.saturating_sub(self.narrow.len()));
        self.narrow.truncate(length);
    }
}

/// From how many entries on a second thread is worth starting.
pub(super) const WORTH_A_THREAD: usize = 50_000;

/// The low half: for differences, which are right in it.
#[allow(clippy::cast_possible_truncation, reason = "differences of offsets are compared modulo 2^32")]
const fn narrow(offset: usize) -> u32 {
    offset as u32
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum IrregularContent {
    Text(Box<str>),
    Chunks(Box<[ContentHash]>),
    Symlink(Box<[u8]>),
    Deleted,
}

impl FileTable {
    /// An empty table with room for `entries` files.
    #[must_use]
    pub(crate) fn with_capacity(entries: usize) -> Self {
        Self {
            path_ends: Offsets { narrow: Vec::with_capacity(entries), wide: Vec::new() },
            hashes: Vec::with_capacity(entries),
            sizes: Vec::with_capacity(entries),
            mtimes: Vec::with_capacity(entries),
            ..Self::default()
        }
    }

    /// How many files there are.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.sizes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.sizes.is_empty()
    }

    /// Appends a file.
    pub(crate) fn push(&mut self, path: ManifestPath<'_>, content: Content<'_>, size_bytes: i64, mtime_micros: i64) {
        let index = self.len();
        self.path_bytes.extend_from_slice(path.as_bytes());
        self.path_ends.push(self.path_bytes.len());
        let (hash, irregular) = match content {
            Content::Hash(ContentHash::Xxh128(bytes)) => (bytes, None),
            Content::Hash(ContentHash::Text(text)) => ([0; 16], Some(IrregularContent::Text(text))),
            Content::Chunks(chunks) => ([0; 16], Some(IrregularContent::Chunks(chunks.into()))),
            Content::Symlink(target) => ([0; 16], Some(IrregularContent::Symlink(target.as_bytes().into()))),
            Content::Deleted => ([0; 16], Some(IrregularContent::Deleted)),
        };
        self.hashes.push(hash);
        if let Some(irregular) = irregular {
            self.irregular.insert(index, irregular);
        }
        self.sizes.push(size_bytes);
        self.mtimes.push(mtime_micros);
    }

    /// Appends entry `index` of another table, execute bit and all.
    pub(crate) fn push_from(&mut self, other: &Self, index: usize) {
        if other.irregular.is_empty() && other.runnable.is_empty() {
            self.path_bytes.extend_from_slice(other.path(index).as_bytes());
            self.path_ends.push(self.path_bytes.len());
            self.hashes.push(other.hashes[index]);
            self.sizes.push(other.sizes[index]);
            self.mtimes.push(other.mtimes[index]);
            return;
        }
        self.push(other.path(index), other.content(index), other.size_bytes(index), other.mtime_micros(index));
        if other.is_runnable(index) {
            self.mark_last_runnable();
        }
    }

    /// Whether entries have the paths, in the same order, of as many entries of another table from `other_row` on. False also
    /// where that can't be told at once; such entries are to be compared one by one.
    ///
    /// # Panics
    /// Like a slice, where there are no such entries.
    #[must_use]
    pub(crate) fn has_paths_of(&self, rows: Range<usize>, other: &Self, other_row: usize) -> bool {
        let other_rows = other_row..other_row + rows.len();
        let (start, other_start) = (self.path_start(rows.start), other.path_start(other_row));
        let (Some(ends), Some(other_ends)) =
            (self.path_ends.narrow.get(rows.clone()), other.path_ends.narrow.get(other_rows))
        else {
            return false;
        };
        let (Some(end), Some(other_end)) = (ends.last(), other_ends.last()) else { return true };
        let shift = narrow(start).wrapping_sub(narrow(other_start));
        let bytes = self.path_bytes.get(start..*end as usize);
        // All ends are looked at, without a way out: the loop is one of whole vectors then.
        let apart =
            ends.iter().zip(other_ends).fold(0, |apart, (end, other)| apart | (end.wrapping_sub(*other) ^ shift));
        apart == 0 && bytes == other.path_bytes.get(other_start..*other_end as usize)
    }

    /// A table of stretches of others, one after the other: a copy of each column where they are plain.
    #[must_use]
    pub(crate) fn of_runs(runs: &[(&Self, Range<usize>)]) -> Self {
        let entries = runs.iter().map(|(_, rows)| rows.len()).sum();
        let path_bytes = runs.iter().map(|(table, rows)| table.path_span(rows).len()).sum();
        let is_plain = runs.iter().all(|(table, _)| table.irregular.is_empty() && table.runnable.is_empty());
        if is_plain && u32::try_from(path_bytes).is_ok() {
            return Self::of_plain_runs(runs, entries, path_bytes);
        }
        let mut files = Self::with_capacity(entries);
        files.path_bytes.reserve_exact(path_bytes);
        for (table, rows) in runs {
            rows.clone().for_each(|row| files.push_from(table, row));
        }
        files
    }

    /// Most of what this takes is the first touch of the new memory: where there is much of it, two threads share it.
    fn of_plain_runs(runs: &[(&Self, Range<usize>)], entries: usize, path_bytes: usize) -> Self {
        let copy_paths = || {
            let mut bytes = Vec::with_capacity(path_bytes);
            for (table, rows) in runs {
                bytes.extend_from_slice(&table.path_bytes[table.path_span(rows)]);
            }
            bytes
        };
        std::thread::scope(|scope| {
            let paths = if entries >= WORTH_A_THREAD { threads::helper(scope, copy_paths) } else { None };
            let mut files = Self::with_capacity(entries);
            let mut end = 0;
            for (table, rows) in runs {
                let span = table.path_span(rows);
                // The new offsets fit four bytes, as all of them were seen to; so do differences of old ones.
                let shift = narrow(end).wrapping_sub(narrow(span.start));
                let ends = rows.clone().map(|row| narrow(table.path_ends.get(row)).wrapping_add(shift));
                files.path_ends.narrow.extend(ends);
                files.hashes.extend_from_slice(&table.hashes[rows.clone()]);
                files.sizes.extend_from_slice(&table.sizes[rows.clone()]);
                files.mtimes.extend_from_slice(&table.mtimes[rows.clone()]);
                end += span.len();
            }
            files.path_bytes = match paths {
                Some(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                None => copy_paths(),
            };
            files
        })
    }

    /// Where the paths of entries stand.
    fn path_span(&self, rows: &Range<usize>) -> Range<usize> {
        self.path_start(rows.start)..self.path_start(rows.end)
    }

    /// A table of the given entries of this one, in the given order.
    #[must_use]
    pub(crate) fn select(&self, rows: &[u32]) -> Self {
        let mut chosen = Self::with_capacity(rows.len());
        chosen.path_bytes.reserve_exact(rows.iter().map(|row| self.path(*row as usize).as_bytes().len()).sum());
        for row in rows {
            chosen.push_from(self, *row as usize);
        }
        chosen
    }

    /// The sum of all sizes, as the reference sums them: links and deletions count nothing.
    #[must_use]
    pub(crate) fn sum_of_sizes(&self) -> i128 {
        self.sizes.iter().map(|size| i128::from(*size)).sum()
    }

    /// The bytes of a plain hash, or `None` where the contents are anything else. Cheaper than [`Self::content`].
    #[must_use]
    pub(crate) fn plain_hash(&self, index: usize) -> Option<[u8; 16]> {
        (self.irregular.is_empty() || !self.irregular.contains_key(&index)).then(|| self.hashes[index])
    }

    /// All paths' bytes one after another: what a quick look at all of them needs.
    #[must_use]
    pub(crate) fn all_path_bytes(&self) -> &[u8] {
        &self.path_bytes
    }

    /// Forgets all entries and keeps the room.
    pub(crate) fn clear(&mut self) {
        self.path_bytes.clear();
        self.path_ends.truncate(0);
        self.hashes.clear();
        self.sizes.clear();
        self.mtimes.clear();
        self.irregular.clear();
        self.runnable.clear();
    }

    /// Sets the execute bit of the last file.
    pub(crate) fn mark_last_runnable(&mut self) {
        let last = self.len().saturating_sub(1);
        if !self.is_empty() && self.runnable.last() != Some(&last) {
            self.runnable.push(last);
        }
    }

    /// The path of entry `index`.
    ///
    /// # Panics
    /// Like a slice, where there is no such entry; so do the other accessors.
    #[must_use]
    pub(crate) fn path(&self, index: usize) -> ManifestPath<'_> {
        ManifestPath::from_wtf8(&self.path_bytes[self.path_start(index)..self.path_ends.get(index)])
    }

    fn path_start(&self, index: usize) -> usize {
        if index == 0 { 0 } else { self.path_ends.get(index - 1) }
    }

    /// The contents of entry `index`.
    #[must_use]
    pub(crate) fn content(&self, index: usize) -> Content<'_> {
        let irregular = if self.irregular.is_empty() { None } else { self.irregular.get(&index) };
        match irregular {
            None => Content::Hash(ContentHash::Xxh128(self.hashes[index])),
            Some(IrregularContent::Text(text)) => Content::Hash(ContentHash::Text(text.clone())),
            Some(IrregularContent::Chunks(chunks)) => Content::Chunks(chunks),
            Some(IrregularContent::Symlink(target)) => Content::Symlink(ManifestPath::from_wtf8(target)),
            Some(IrregularContent::Deleted) => Content::Deleted,
        }
    }

    /// The size of entry `index` in bytes, as the manifest gives it.
    #[must_use]
    pub(crate) fn size_bytes(&self, index: usize) -> i64 {
        self.sizes[index]
    }

    /// The modification time of entry `index` in microseconds since the epoch.
    #[must_use]
    pub(crate) fn mtime_micros(&self, index: usize) -> i64 {
        self.mtimes[index]
    }

    /// Whether entry `index` has the execute bit.
    #[must_use]
    pub(crate) fn is_runnable(&self, index: usize) -> bool {
        self.runnable.binary_search(&index).is_ok()
    }
}

/// Offsets were lengths of a `Vec` in this process, so they fit.
#[allow(clippy::cast_possible_truncation, reason = "the value came from a usize")]
const fn usize_of(offset: u64) -> usize {
    offset as usize
}
