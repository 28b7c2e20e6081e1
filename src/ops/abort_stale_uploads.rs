//! Removing large uploads that were begun and never finished: they cost storage and show in no listing of objects.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::error::Result;
use crate::store::{MultipartUpload, ObjectStore};
use crate::transfer::context::{Context, LogLevel};

const CANCELLED: &str = "File upload cancelled.";

/// Which unfinished uploads to drop.
#[derive(Clone)]
pub(crate) struct AbortStaleUploadsRequest {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// The bucket.
    pub bucket: String,
    /// Where contents are: `<rootPrefix>/Data`; empty for the top of the bucket.
    pub cas_prefix: String,
    /// For how long they must have got no part.
    pub older_than: Duration,
}

/// Drops the unfinished uploads of contents below a CAS prefix that have got no part for longer than `older_than`.
///
/// How long ago an upload was begun says little: a large file on a slow line takes days. What counts is when S3 got the newest
/// of its parts, or when it was begun where there are none.
///
/// Only keys that name contents (`<prefix>/<hash>.xxh128`) are touched: others' uploads are theirs to see to. Gives the
/// uploads that were dropped.
///
/// # Errors
/// S3's: listing needs `s3:ListBucketMultipartUploads` and `s3:ListMultipartUploadParts`, dropping
/// `s3:AbortMultipartUpload`.
pub(crate) async fn abort_stale_uploads(
    request: AbortStaleUploadsRequest,
    context: &Context,
) -> Result<Vec<MultipartUpload>> {
    let AbortStaleUploadsRequest { store, bucket, cas_prefix, older_than } = request;
    let prefix = if cas_prefix.is_empty() { String::new() } else { format!("{cas_prefix}/") };
    let now = SystemTime::now();
    let mut dropped = Vec::new();
    for upload in store.list_multiparts(&bucket, &prefix).await? {
        context.check_cancelled(CANCELLED)?;
        let is_contents = upload.object.key.strip_prefix(prefix.as_str()).is_some_and(names_contents);
        let is_older = |time: SystemTime| now.duration_since(time).unwrap_or_default() >= older_than;
        // The age costs no request, and an upload is never idle for longer than it is old. One of unknown age may be under way.
        if !is_contents || !upload.initiated.is_some_and(is_older) {
            continue;
        }
        let parts = match store.list_parts(&upload).await {
            Ok(parts) => parts,
            // Someone has completed or dropped it meanwhile.
            Err(error) if error.status_code() == Some(404) => continue,
            Err(error) => return Err(error),
        };
        if !parts.iter().all(|part| part.last_modified.is_some_and(is_older)) {
            continue;
        }
        store.abort_multipart(&upload).await?;
        context.log(LogLevel::Info, "upload", || format!("Dropped upload {} of {}", upload.id, upload.object.url()));
        dropped.push(upload);
    }
    Ok(dropped)
}

/// `<32 hexadecimal digits>.xxh128`.
fn names_contents(name: &str) -> bool {
    let hash = name.strip_suffix(".xxh128");
    hash.is_some_and(|hash| hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
