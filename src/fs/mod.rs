//! The local file system.

pub mod open;
pub mod path_list;
pub mod permissions;
pub mod stage;
pub mod tree;
