//! What is asked for, and what of it is checked.

use super::look_again::LookAgain;
use crate::hash::ContentHash;
use crate::store::ObjectKey;

/// What is checked of what arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verify {
    /// Nothing: for contents that are checked elsewhere.
    Off,
    /// The size.
    Size,
    /// Size and hash.
    #[default]
    Hash,
}

/// One object's contents, and what they should be.
#[derive(Debug, Clone)]
pub(crate) struct ObjectDownload {
    /// Where they are.
    pub object: ObjectKey,
    /// Where they may be if not there: keys of old farms have no suffix.
    pub fallback: Option<ObjectKey>,
    /// What they hash to.
    pub expected: ContentHash,
    /// Their size in bytes.
    pub size_bytes: u64,
    /// Asked before each request.
    pub look_again: Option<LookAgain>,
}

/// How a download without an error ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fetched {
    /// The contents were fetched, checked and handed over.
    Placed,
    /// They were there before all of them were asked for; nothing was handed over.
    FoundThere,
}
