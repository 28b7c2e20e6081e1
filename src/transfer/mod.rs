//! The engine: moving one object, and the limits under which many move.

mod arriving;
pub mod buffers;
pub mod context;
pub mod disk_pace;
pub mod document;
pub mod download;
mod kept;
pub mod limits;
pub mod look_again;
pub mod once_per_key;
mod process;
pub mod progress;
mod ranges_at_once;
mod received;
pub mod tasks;
pub mod upload;
mod writer;

/// Bodies up to this size are sent and fetched in one request; larger ones in parts of at least this size. The
/// reference's `S3_MULTIPART_UPLOAD_CHUNK_SIZE`.
pub const PART_BYTES: u64 = 8 * 1024 * 1024;
