//! The engine: moving one object, and the limits under which many move.

pub(crate) mod buffers;
pub(crate) mod context;
pub(crate) mod download;
pub(crate) mod flights;
pub(crate) mod in_memory;
pub(crate) mod limits;
pub(crate) mod once_per_key;
mod process;
pub(crate) mod progress;
pub(crate) mod records;
pub(crate) mod sizes;
pub(crate) mod tasks;
pub(crate) mod upload;

pub(crate) use sizes::PART_BYTES;
