//! The local file system.

pub mod open;
