//! Bodies of objects on their way. What gives one up that stalls or trickles is in [`super::traffic`].

use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;

use super::errors::because;
use super::explain::causes;
use super::request_info::RequestInfo;
use crate::error::S3Action;
use crate::store::{Chunks, ObjectKey, StoreFuture};

/// A body from the SDK.
pub(super) struct SdkChunks {
    body: ByteStream,
    object: ObjectKey,
    action: S3Action,
}

impl SdkChunks {
    pub(super) fn new(body: ByteStream, object: &ObjectKey, action: S3Action) -> Self {
        Self { body, object: object.clone(), action }
    }
}

impl Chunks for SdkChunks {
    fn next_chunk(&mut self) -> StoreFuture<'_, Option<Bytes>> {
        Box::pin(async move {
            self.body.next().await.transpose().map_err(|error| {
                let asked = RequestInfo::object(self.action, "GetObject", &self.object);
                let details = format!("the object did not come whole: {}", causes(&error));
                because(asked, details, error)
            })
        })
    }
}
