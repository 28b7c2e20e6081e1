//! The local file system.

pub mod collect;
pub mod glob;
pub mod glob_component;
mod glob_set;
pub mod open;
pub mod path_list;
pub mod permissions;
mod read_ahead;
pub mod resolve;
pub mod stage;
pub mod target;
pub mod times;
pub mod tree;
pub mod walk;
