//! What shows that a row is as it was written.

use super::records::{ByteRange, FileState};
use crate::hash::ContentHash;

/// Ties a row's values together, so that damage to the file that `SQLite` doesn't notice (it has no checksums) can't turn into
/// a wrong hash.
pub(super) fn seal(path: &[u8], range: ByteRange, state: &FileState, hash: &[u8]) -> i64 {
    let mut bytes = Vec::with_capacity(path.len() + 64);
    for number in [range.start, range.end, state.mtime_ns, state.ctime_ns] {
        bytes.extend(number.to_le_bytes());
    }
    for number in [state.size_bytes, state.inode] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(hash);
    bytes.extend(path);
    match crate::hash::hash_bytes(&bytes) {
        ContentHash::Xxh128(hash) => hash.first_chunk().map_or(0, |half| i64::from_le_bytes(*half)),
        ContentHash::Text(_) => 0,
    }
}
