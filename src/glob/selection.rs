//! Which files of a tree are wanted.

use super::pattern_set::{GlobPattern, PatternSet};
use crate::error::{Error, Result};

/// Patterns that stay below a root, for one walk of it.
pub(crate) struct Selection {
    include: PatternSet,
    exclude: PatternSet,
}

impl Selection {
    /// Reads patterns (WTF-8).
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a pattern that is absolute or has a `..`.
    pub(crate) fn new(include: &[Vec<u8>], exclude: &[Vec<u8>]) -> Result<Self> {
        let read = |texts: &[Vec<u8>]| -> Result<PatternSet> {
            let below = texts.iter().filter(|text| !names_directories(text));
            let patterns: Result<Vec<GlobPattern>> = below
                .map(|text| {
                    if text.starts_with(b"/") || has_parent(text) {
                        let text = String::from_utf8_lossy(text);
                        return Err(Error::InvalidArgument(format!("The pattern '{text}' leads out of the root")));
                    }
                    Ok(GlobPattern::new(text))
                })
                .collect();
            patterns.map(PatternSet::new)
        };
        Ok(Self { include: read(include)?, exclude: read(exclude)? })
    }

    /// Whether a path below the root is selected.
    #[must_use]
    pub(crate) fn takes(&self, path: &[u8]) -> bool {
        self.include.matches(path) && !self.exclude.matches(path)
    }

    /// Whether something below a directory may be selected.
    #[must_use]
    pub(crate) fn may_take_below(&self, directory: &[u8]) -> bool {
        self.include.may_match_below(directory)
    }
}

/// Whether a pattern can only find directories, and those are not listed.
pub(crate) fn names_directories(text: &[u8]) -> bool {
    text.is_empty() || matches!(text.rsplit(|byte| *byte == b'/').next(), Some(b"" | b"." | b".."))
}

/// Whether a pattern has a `..` component.
pub(crate) fn has_parent(text: &[u8]) -> bool {
    text.split(|byte| *byte == b'/').any(|part| part == b"..")
}
