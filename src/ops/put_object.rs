//! Storing bytes that are at hand under a key: manifests, mostly.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::notices::tell_notices;
use crate::error::{Error, Result, S3Action};
use crate::hash::{ContentHash, hash_bytes};
use crate::store::{ObjectKey, ObjectStore, PutRequest};
use crate::transfer::context::Context;
use crate::transfer::limits::{DEFAULT_BUFFER_BYTES, Limits};

const CANCELLED: &str = "File upload cancelled.";
const LOGGER: &str = "upload";

/// An object whose contents are in memory.
#[derive(Debug, Clone)]
pub(crate) struct NewObject {
    /// Its key.
    pub key: String,
    /// Its contents.
    pub body: Bytes,
    /// Its user metadata.
    pub metadata: BTreeMap<String, String>,
    /// Its content type, if it has one.
    pub content_type: Option<String>,
}

/// Stores an object over whatever is at its key. The request carries the body's hash, so that S3 refuses other contents.
///
/// # Errors
/// S3's, as "uploading binary file"; [`Error::Cancelled`].
pub(crate) async fn put_object(
    store: &Arc<dyn ObjectStore>,
    bucket: &str,
    object: &NewObject,
    context: &Context,
) -> Result<()> {
    context.check_cancelled(CANCELLED)?;
    let key = ObjectKey::new(bucket, object.key.as_str());
    key.check(S3Action::UploadingBinaryFile)?;
    let outcome = tokio::select! {
        biased;
        () = context.cancel.cancelled() => Err(Error::Cancelled(CANCELLED.to_owned())),
        outcome = put(store.as_ref(), &key, object) => outcome,
    };
    tell_notices(store.as_ref(), LOGGER, context);
    outcome
}

/// Waits until the process has room for one more body, and sends the object.
async fn put(store: &dyn ObjectStore, key: &ObjectKey, object: &NewObject) -> Result<()> {
    let limits = Limits::new(store.max_connections(), DEFAULT_BUFFER_BYTES);
    let _room = limits.bytes(object.body.len() as u64).await;
    let _request = limits.request().await;
    let request = PutRequest {
        object: key,
        body: object.body.clone(),
        xxh128: match hash_bytes(&object.body) {
            ContentHash::Xxh128(bytes) => Some(bytes),
            ContentHash::Text(_) => None,
        },
        if_absent: false,
        metadata: &object.metadata,
        content_type: object.content_type.as_deref(),
        action: S3Action::UploadingBinaryFile,
    };
    store.put(request).await.map(drop)
}
