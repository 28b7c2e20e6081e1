//! The local file system.

pub mod beneath;
mod calls;
pub mod collect;
mod copy;
pub mod directory;
pub mod glob;
pub mod glob_component;
mod glob_set;
pub mod leases;
mod leftovers;
mod naming;
pub mod open;
pub mod path_list;
pub mod permissions;
mod read_ahead;
pub mod resolve;
pub mod small_file;
pub mod stage;
pub mod target;
pub mod times;
pub mod tree;
pub mod walk;
