//! The engine: moving one object, and the limits under which many move.

mod arriving;
pub(crate) mod buffers;
pub(crate) mod context;
pub(crate) mod disk_pace;
pub(crate) mod document;
pub(crate) mod download;
pub(crate) mod flights;
mod kept;
pub(crate) mod limits;
pub(crate) mod look_again;
pub(crate) mod once_per_key;
mod process;
pub(crate) mod progress;
mod ranges_at_once;
mod received;
pub(crate) mod tasks;
pub(crate) mod upload;
mod writer;

/// Bodies up to this size are sent and fetched in one request; larger ones in parts of at least this size. The
/// reference's `S3_MULTIPART_UPLOAD_CHUNK_SIZE`.
pub(crate) const PART_BYTES: u64 = 8 * 1024 * 1024;
