//! Where job attachments live in S3.

use crate::error::{Error, Result};

/// The bucket and root prefix of a queue's job attachments, with the layout below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobAttachmentS3Settings {
    /// The bucket's name.
    pub bucket: String,
    /// The prefix under which everything is stored. It is never normalised: `a//` asks for `a///Data`.
    pub root_prefix: String,
}

/// The folder of contents.
pub(crate) const DATA_FOLDER: &str = "Data";
/// The folder of manifests.
pub(crate) const MANIFESTS_FOLDER: &str = "Manifests";

impl JobAttachmentS3Settings {
    /// Job attachments below a prefix of a bucket. The prefix is used as it is: no slash is added or taken away.
    #[must_use]
    pub fn new(bucket: impl Into<String>, root_prefix: impl Into<String>) -> Self {
        Self { bucket: bucket.into(), root_prefix: root_prefix.into() }
    }

    /// Reads `s3://bucket/prefix`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for any other text.
    pub fn from_uri(uri: &str) -> Result<Self> {
        let parts = uri.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
        match parts {
            Some((bucket, prefix)) if !bucket.is_empty() && !prefix.is_empty() => Ok(Self::new(bucket, prefix)),
            _ => Err(Error::InvalidArgument(format!(
                "'{uri}' does not name a bucket and a prefix: write s3://bucket/prefix"
            ))),
        }
    }

    /// `<rootPrefix>/Data`.
    #[must_use]
    pub fn cas_prefix(&self) -> String {
        join_key(&[&self.root_prefix, DATA_FOLDER])
    }

    /// `<rootPrefix>/Manifests/<partial key>`.
    #[must_use]
    pub fn manifest_key(&self, partial_key: &str) -> String {
        join_key(&[&self.root_prefix, MANIFESTS_FOLDER, partial_key])
    }
}

/// Joins parts of a key with `/` and changes nothing else, as the reference does.
#[must_use]
pub(crate) fn join_key(parts: &[&str]) -> String {
    parts.join("/")
}
