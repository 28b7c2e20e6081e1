//! S3 as the engine sees it: a narrow trait, the real thing, and a stand-in in memory.

pub(crate) mod backoff;
pub(crate) mod checksum;
pub(crate) mod credentials;
pub(crate) mod dates;
pub(crate) mod guidance;
pub(crate) mod listing;
#[cfg(test)]
pub(crate) mod memory;
pub(crate) mod s3;

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::error::{Result, S3Action, S3ClientError};

/// What every store operation returns.
pub(crate) type StoreFuture<'a, T> = BoxFuture<'a, Result<T>>;

/// The smallest part of a multipart upload, but for the last one:
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>.
#[cfg(test)]
pub(crate) const MIN_PART_BYTES: u64 = 5 * 1024 * 1024;
/// The most parts of a multipart upload (same document).
pub(crate) const MAX_PARTS: u64 = 10_000;
/// The largest object that S3 takes, 5 TiB (same document; newer accounts may have more).
pub(crate) const MAX_OBJECT_BYTES: u64 = 5 * 1024 * 1024 * 1024 * 1024;

/// Where an object is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ObjectKey {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
}

impl ObjectKey {
    /// An object's place.
    pub(crate) fn new(bucket: impl Into<String>, key: impl Into<String>) -> Self {
        Self { bucket: bucket.into(), key: key.into() }
    }

    /// Refuses a bucket that can't be one, before anything is asked for; botocore does so by the same rule.
    ///
    /// # Errors
    /// [`crate::Error::S3Client`].
    pub(crate) fn check(&self, action: S3Action) -> Result<()> {
        let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let is_name = (1..=255).contains(&self.bucket.len()) && self.bucket.bytes().all(is_name_byte);
        if is_name || self.bucket.starts_with("arn:") {
            return Ok(());
        }
        let details = format!("Parameter validation failed: Invalid bucket name {:?}", self.bucket);
        Err(S3ClientError::new(action, &self.bucket, &self.key, details).into())
    }

    /// `s3://bucket/key`, for messages.
    #[must_use]
    pub(crate) fn url(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.key)
    }
}

/// What S3 says of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ObjectInfo {
    /// The whole object's size in bytes, where the reply has it.
    pub size_bytes: Option<u64>,
    /// When it was stored, at S3's resolution of one second.
    pub last_modified: Option<SystemTime>,
    /// Its entity tag, quoted as S3 sends it.
    pub etag: Option<String>,
    /// User metadata, without the `x-amz-meta-` prefix.
    pub metadata: BTreeMap<String, String>,
}

/// An object's contents on their way.
pub(crate) struct ObjectBody {
    /// What S3 says of the object.
    pub info: ObjectInfo,
    /// How many bytes will come; fewer than the object's size where a range was asked for. `None` where the server does not
    /// say: the body then ends where it ends, and the caller checks what came.
    pub length_bytes: Option<u64>,
    /// The bytes.
    pub chunks: Box<dyn Chunks>,
}

impl std::fmt::Debug for ObjectBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectBody")
            .field("info", &self.info)
            .field("length_bytes", &self.length_bytes)
            .finish_non_exhaustive()
    }
}

/// A stream of bytes. A body that ends early ends with an error, not with `None`.
pub(crate) trait Chunks: Send {
    /// The next bytes, or `None` at the end.
    fn next_chunk(&mut self) -> StoreFuture<'_, Option<Bytes>>;
}

/// What to put where.
#[derive(Debug, Clone)]
pub(crate) struct PutRequest<'a> {
    /// Where.
    pub object: &'a ObjectKey,
    /// The contents.
    pub body: Bytes,
    /// XXH3-128 of the contents, which S3 is asked to check.
    pub xxh128: Option<[u8; 16]>,
    /// Only if nothing is there yet.
    pub if_absent: bool,
    /// User metadata.
    pub metadata: &'a BTreeMap<String, String>,
    /// The content type, if it should have one.
    pub content_type: Option<&'a str>,
    /// How errors call it.
    pub action: S3Action,
}

/// Whether an endpoint obeys `If-None-Match` on a PUT. Some S3-compatible servers overlook it, some refuse it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conditions {
    /// It does: S3 itself, and any endpoint that has answered 412 once.
    Obeyed,
    /// Nobody has seen it yet.
    Unknown,
    /// It refuses or overlooks them.
    Unusable,
}

/// What became of a put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PutOutcome {
    /// The object was stored.
    Created,
    /// Something was there already, and [`PutRequest::if_absent`] was asked for.
    AlreadyThere,
}

/// A multipart upload that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MultipartUpload {
    /// Where the object will be.
    pub object: ObjectKey,
    /// S3's id of the upload.
    pub id: String,
    /// When it was begun, where a listing said so.
    pub initiated: Option<SystemTime>,
}

/// A part that S3 has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UploadedPart {
    /// From 1.
    pub number: i32,
    /// Its entity tag.
    pub etag: String,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// CRC-32 as S3 gives it (base64), where the part carried one.
    pub crc32: Option<String>,
    /// When S3 got it, where a listing said so.
    pub last_modified: Option<SystemTime>,
}

/// One page of a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ListPage {
    /// Keys with what the listing says of them, in S3's order.
    pub objects: Vec<(String, ObjectInfo)>,
    /// Prefixes up to the delimiter, where one was asked for.
    pub common_prefixes: Vec<String>,
    /// Ask again with this for the next page.
    pub continuation: Option<String>,
}

/// What to list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListRequest<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// Only keys that begin so.
    pub prefix: &'a str,
    /// Roll up keys at this character.
    pub delimiter: Option<&'a str>,
    /// Where the last page ended.
    pub continuation: Option<&'a str>,
}

/// The operations on S3 that job attachments need, no more.
pub(crate) trait ObjectStore: Send + Sync + 'static {
    /// Asks whether an object is there. Only a 404 means that it is not.
    fn head<'a>(&'a self, object: &'a ObjectKey) -> StoreFuture<'a, Option<ObjectInfo>>;

    /// As [`Self::head`], and the XXH3-128 of the contents where the server keeps it.
    fn inspect<'a>(&'a self, object: &'a ObjectKey) -> StoreFuture<'a, Option<(ObjectInfo, Option<[u8; 16]>)>> {
        Box::pin(async move { Ok(self.head(object).await?.map(|info| (info, None))) })
    }

    /// Fetches an object or a range of it.
    fn get<'a>(
        &'a self,
        object: &'a ObjectKey,
        range: Option<Range<u64>>,
        action: S3Action,
    ) -> StoreFuture<'a, ObjectBody>;

    /// Stores an object in one request.
    fn put<'a>(&'a self, request: PutRequest<'a>) -> StoreFuture<'a, PutOutcome>;

    /// Lists one page of keys.
    fn list<'a>(&'a self, request: ListRequest<'a>) -> StoreFuture<'a, ListPage>;

    /// Begins a multipart upload.
    fn create_multipart<'a>(&'a self, object: &'a ObjectKey) -> StoreFuture<'a, MultipartUpload>;

    /// Sends one part; `number` counts from 1.
    fn upload_part<'a>(
        &'a self,
        upload: &'a MultipartUpload,
        number: i32,
        body: Bytes,
    ) -> StoreFuture<'a, UploadedPart>;

    /// Makes the object from its parts. It is not there before this succeeds.
    fn complete_multipart<'a>(
        &'a self,
        upload: &'a MultipartUpload,
        parts: &'a [UploadedPart],
        if_absent: bool,
    ) -> StoreFuture<'a, PutOutcome>;

    /// Drops the parts of an upload.
    fn abort_multipart<'a>(&'a self, upload: &'a MultipartUpload) -> StoreFuture<'a, ()>;

    /// The parts that S3 has of an upload.
    fn list_parts<'a>(&'a self, upload: &'a MultipartUpload) -> StoreFuture<'a, Vec<UploadedPart>>;

    /// Uploads that were begun under a prefix and neither completed nor aborted.
    fn list_multiparts<'a>(&'a self, bucket: &'a str, prefix: &'a str) -> StoreFuture<'a, Vec<MultipartUpload>>;

    /// What tells this store from others in the process: its endpoint and account.
    fn place(&self) -> &str;

    /// How many requests may be under way at once.
    fn max_connections(&self) -> usize;

    /// Whether `If-None-Match` on a PUT works here.
    fn conditions(&self) -> Conditions {
        Conditions::Obeyed
    }

    /// Tells what became of a conditional PUT over an object that was there.
    fn note_conditions(&self, obeyed: bool) {
        let _ = obeyed;
    }

    /// What the caller should be told of how the endpoint had to be dealt with; each text once.
    fn take_notices(&self) -> Vec<String> {
        Vec::new()
    }
}
