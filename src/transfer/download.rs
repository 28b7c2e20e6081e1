//! Getting one object's contents out of the store: checked against size and hash before anyone sees them.

mod body;
mod downloader;
mod failure;
pub(crate) mod look_again;
mod object;
mod range;
mod range_concurrency;
mod ranges;
mod reorder_buffer;
mod whole;
mod write_behind;
mod write_throughput;

pub(crate) use downloader::Downloader;
pub use object::Verify;
pub(crate) use object::{Fetched, ObjectDownload};
pub(crate) use write_throughput::WriteThroughput;
