//! What one request is about: for its errors and its events.

use crate::error::S3Action;
use crate::store::ObjectKey;

/// What was being asked, for messages.
#[derive(Clone, Copy)]
pub(super) struct RequestInfo<'a> {
    pub(super) action: S3Action,
    /// S3's name of the operation.
    pub(super) operation: &'static str,
    pub(super) bucket: &'a str,
    pub(super) key: &'a str,
}

impl<'a> RequestInfo<'a> {
    pub(super) fn object(action: S3Action, operation: &'static str, object: &'a ObjectKey) -> Self {
        Self { action, operation, bucket: &object.bucket, key: &object.key }
    }
}
