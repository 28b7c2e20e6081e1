//! The local file system.

pub mod open;
pub mod permissions;
pub mod stage;
