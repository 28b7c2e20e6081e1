//! How files of v2025 manifests are cut into chunks.

/// The length of a chunk of a large file: 256 MiB, as upstream's drafts fix it. The last one may be shorter.
pub(crate) const CHUNK_BYTES: u64 = 256 << 20;

/// How many chunks a file has.
#[must_use]
pub(crate) const fn chunk_count(size_bytes: u64) -> u64 {
    size_bytes.div_ceil(CHUNK_BYTES)
}

/// Where a chunk begins in its file.
#[must_use]
pub(crate) const fn chunk_offset(number: u64) -> u64 {
    number.saturating_mul(CHUNK_BYTES)
}

/// How long a chunk of a file is; 0 beyond the file's end.
#[must_use]
pub(crate) fn chunk_length(size_bytes: u64, number: u64) -> u64 {
    CHUNK_BYTES.min(size_bytes.saturating_sub(chunk_offset(number)))
}
