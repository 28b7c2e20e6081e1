//! Where job attachments live in S3.

/// The bucket and root prefix of a queue's job attachments, with the layout below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JobAttachmentS3Settings {
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
    /// `<rootPrefix>/Data`.
    #[must_use]
    pub(crate) fn cas_prefix(&self) -> String {
        join_key(&[&self.root_prefix, DATA_FOLDER])
    }

    /// `<rootPrefix>/Manifests/<partial key>`.
    #[must_use]
    pub(crate) fn manifest_key(&self, partial_key: &str) -> String {
        join_key(&[&self.root_prefix, MANIFESTS_FOLDER, partial_key])
    }
}

/// Joins parts of a key with `/` and changes nothing else, as the reference does.
#[must_use]
pub(crate) fn join_key(parts: &[&str]) -> String {
    parts.join("/")
}
