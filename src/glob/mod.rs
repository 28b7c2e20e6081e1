//! Patterns of file names, with the meaning that Python's `glob` and `fnmatch` give them. No I/O: `fs::glob` finds files.

#[cfg(feature = "s3")]
mod component;
mod fnmatch;
#[cfg(feature = "s3")]
mod pattern_set;
#[cfg(feature = "s3")]
mod selection;

#[cfg(feature = "s3")]
pub(crate) use component::Component;
pub(crate) use fnmatch::FnmatchPattern;
#[cfg(feature = "s3")]
pub(crate) use pattern_set::{GlobPattern, PatternSet};
#[cfg(feature = "s3")]
pub(crate) use selection::{Selection, has_parent, names_directories};
