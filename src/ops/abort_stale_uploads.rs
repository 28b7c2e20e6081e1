//! Removing large uploads that were begun and never finished: they cost storage and show in no listing of objects.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::error::Result;
use crate::store::{MultipartUpload, ObjectStore};
use crate::transfer::context::{Context, LogLevel};

const CANCELLED: &str = "File upload cancelled.";

/// Drops the unfinished uploads of contents below a CAS prefix that were begun longer ago than `older_than`.
///
/// Only keys that name contents (`<prefix>/<hash>.xxh128`) are touched: others' uploads are theirs to see to. Gives the
/// uploads that were dropped.
///
/// # Errors
/// S3's: listing needs `s3:ListBucketMultipartUploads`, dropping `s3:AbortMultipartUpload`.
pub async fn abort_stale_uploads(
    store: Arc<dyn ObjectStore>,
    (bucket, cas_prefix): (&str, &str),
    older_than: Duration,
    context: &Context,
) -> Result<Vec<MultipartUpload>> {
    let prefix = if cas_prefix.is_empty() { String::new() } else { format!("{cas_prefix}/") };
    let now = SystemTime::now();
    let mut dropped = Vec::new();
    for upload in store.list_multiparts(bucket, &prefix).await? {
        context.check_cancelled(CANCELLED)?;
        let age = upload.initiated.map(|begun| now.duration_since(begun).unwrap_or_default());
        let is_ours = upload.object.key.strip_prefix(prefix.as_str()).is_some_and(names_contents);
        // An upload of unknown age may be under way.
        if !is_ours || age.is_none_or(|age| age < older_than) {
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
