//! Why an attempt to fetch contents came to nothing, and so whether another one is worth it.

use super::object::ObjectDownload;
use crate::error::{Error, IntegrityError, S3Action, S3ClientError};
use crate::hash::ContentHash;
use crate::store::ObjectKey;

const CANCELLED: &str = "File download cancelled.";

/// Why an attempt came to nothing.
pub(super) enum Failure {
    /// The body broke off: ask again.
    Body(Error),
    /// The contents are not right: ask once more.
    Wrong(Error),
    /// Nothing to be done.
    Final(Error),
    /// Nothing has to be done any more.
    FoundThere,
}

impl Failure {
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::Body(error) | Self::Wrong(error) | Self::Final(error) => error,
            Self::FoundThere => Error::Cancelled(CANCELLED.to_owned()),
        }
    }
}

/// Of a body, or of a range whose rest was asked for: what came in all, and what should have.
pub(super) fn broke_off(object: &ObjectKey, received: u64, expected: u64) -> Failure {
    let details = format!("the body ended after {received} of {expected} bytes");
    Failure::Body(S3ClientError::new(S3Action::DownloadingFile, &object.bucket, &object.key, details).into())
}

pub(super) fn cancelled() -> Failure {
    Failure::Final(Error::Cancelled(CANCELLED.to_owned()))
}

pub(super) fn check_hash(download: &ObjectDownload, object: &ObjectKey, found: &ContentHash) -> Result<(), Failure> {
    if *found == download.expected {
        return Ok(());
    }
    let error = IntegrityError {
        subject: object.url(),
        expected: download.expected.text().into_owned(),
        found: found.text().into_owned(),
        place: None,
    };
    Err(Failure::Wrong(error.into()))
}

pub(super) fn wrong_size(download: &ObjectDownload, object: &ObjectKey, found: u64) -> Error {
    IntegrityError {
        subject: object.url(),
        expected: format!("{} bytes", download.size_bytes),
        found: format!("{found} bytes"),
        place: None,
    }
    .into()
}
