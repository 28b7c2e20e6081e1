//! The local file system.

pub(crate) mod beneath;
pub(crate) mod blocks;
mod calls;
pub(crate) mod collect;
mod copy;
pub(crate) mod directory;
pub(crate) mod glob;
pub(crate) mod inputs;
pub(crate) mod leases;
mod leftovers;
mod naming;
pub(crate) mod open;
pub(crate) mod path_list;
pub(crate) mod permissions;
mod read_ahead;
pub(crate) mod resolve;
pub(crate) mod small_file;
pub(crate) mod stage;
pub(crate) mod target;
pub(crate) mod target_root;
pub(crate) mod times;
pub(crate) mod tree;
pub(crate) mod walk;

/// An open file. Other modules use it by this name: opening files is this module's.
pub(crate) use std::fs::File;
