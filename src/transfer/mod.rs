//! The engine: moving one object, and the limits under which many move.

mod arriving;
pub(crate) mod buffers;
pub(crate) mod context;
pub(crate) mod disk_pace;
pub(crate) mod document;
pub(crate) mod download;
mod kept;
pub(crate) mod limits;
pub(crate) mod look_again;
pub(crate) mod once_per_key;
mod process;
pub(crate) mod progress;
mod ranges_at_once;
mod received;
pub(crate) mod sizes;
pub(crate) mod tasks;
pub(crate) mod upload;
mod writer;

pub(crate) use sizes::PART_BYTES;
