//! What is at the paths of a submission.

use std::path::PathBuf;

use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::path::os_string_from_wtf8;

/// What is at an input path, links followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InputPath {
    /// Nothing, or nothing that can have this name.
    Missing,
    /// A directory.
    Directory,
    /// A file of this many bytes.
    File {
        /// Its size.
        size_bytes: u64,
    },
}

/// Looks at a path (WTF-8).
///
/// # Errors
/// [`Error::SourceFile`] where the system does not say what is there.
pub(crate) fn look_at_input(path: &[u8]) -> Result<InputPath> {
    let Some(path) = os_string_from_wtf8(path).map(PathBuf::from) else { return Ok(InputPath::Missing) };
    match std::fs::metadata(&path) {
        Ok(metadata) if metadata.is_dir() => Ok(InputPath::Directory),
        Ok(metadata) => Ok(InputPath::File { size_bytes: metadata.len() }),
        Err(error) if is_absence(&error) => Ok(InputPath::Missing),
        Err(error) => Err(Error::source_file(path, &error)),
    }
}

/// Whether Python's `Path.exists()` takes an error for "no".
fn is_absence(error: &std::io::Error) -> bool {
    error.raw_os_error().is_some_and(|code| {
        [Errno::NOENT, Errno::NOTDIR, Errno::BADF, Errno::LOOP].map(Errno::raw_os_error).contains(&code)
    })
}
