//! Patterns of file names, with the meaning that Python's `glob` and `fnmatch` give them. No I/O: `fs::glob` finds files.

mod component;
mod fnmatch;
mod pattern_set;
mod selection;

pub(crate) use component::Component;
pub(crate) use fnmatch::FnmatchPattern;
pub(crate) use pattern_set::{GlobPattern, PatternSet};
pub(crate) use selection::{Selection, has_parent, names_directories};
