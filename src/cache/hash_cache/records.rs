//! What is asked of the cache of hashes, and what it answers.

use crate::hash::ContentHash;

/// A part of a file: bytes from `start` up to, not including, `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ByteRange {
    /// The first byte.
    pub start: i64,
    /// The byte after the last, or -1 for the whole file.
    pub end: i64,
}

impl ByteRange {
    /// A whole file, however long.
    pub(crate) const WHOLE_FILE: Self = Self { start: 0, end: -1 };
}

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FileState {
    /// Size in bytes.
    pub size_bytes: u64,
    /// Modification time in nanoseconds since the epoch.
    pub mtime_ns: i64,
    /// Status change time in nanoseconds since the epoch.
    pub ctime_ns: i64,
    /// Inode number.
    pub inode: u64,
}

impl FileState {
    /// Whether nothing was done to the file since its last write: it was not put in another's place, renamed, or given a time.
    /// All of these change the time of the last status change and leave the modification time, or set it to another moment.
    #[must_use]
    pub(crate) const fn is_as_written(&self) -> bool {
        self.mtime_ns == self.ctime_ns
    }
}

/// A question to the cache.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HashRequest<'a> {
    /// The resolved absolute path, WTF-8.
    pub path: &'a [u8],
    /// Which part of the file.
    pub range: ByteRange,
    /// The file as it is now.
    pub state: FileState,
}

/// A hash to keep.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HashRecord<'a> {
    /// The resolved absolute path, WTF-8.
    pub path: &'a [u8],
    /// Which part of the file.
    pub range: ByteRange,
    /// The file before and after it was hashed: the same, and such that any later write changes it.
    pub state: FileState,
    /// The hash.
    pub hash: &'a ContentHash,
}

/// The cache's answer about one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// The file is as it was when it was hashed.
    Hit(ContentHash),
    /// The reference's table has a hash for this path and time, and the file is as it was written at that time. It is worth
    /// using only for a file that has rested, and must not be recorded before the contents were read: nothing shows that the row
    /// was right.
    ReferenceHit(ContentHash),
    /// The file is known and has changed.
    Stale(StaleReason),
    /// The file is not known.
    Absent,
}

/// What shows that a file has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum StaleReason {
    /// Its size.
    Size,
    /// Its modification time.
    ModificationTime,
    /// Its status change time, or its inode: it was edited and its time set back, or replaced.
    StatusChange,
    /// Nothing: the cache's row is damaged.
    DamagedRow,
}
