//! HEAD, GET and PUT.

use std::collections::BTreeMap;
use std::future::Future;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use aws_sdk_s3::config::RequestChecksumCalculation;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::ChecksumMode;
use aws_smithy_runtime_api::http::Response;
use aws_smithy_types::base64;

use super::body::SdkChunks;
use super::errors::Failure;
use super::refusals::{Extra, Extras};
use super::request_info::RequestInfo;
use super::{S3Store, attempts, sdk_metadata};
use crate::error::{Error, IntegrityError, Result, S3Action};
use crate::store::{Conditions, ObjectBody, ObjectInfo, ObjectKey, PutOutcome, PutRequest};

/// From this size on, a body's signature costs more than it protects: the checksum header is signed, the body is not.
const UNSIGNED_FROM_BYTES: usize = 64 * 1024;

/// The longest key: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>. Hashes in hostile manifests are
/// longer, and the SDK can't make a request of them.
const MAX_KEY_BYTES: usize = 1024;

/// What S3 gives objects that came without a content type. The SDK would call them `application/octet-stream`.
const DEFAULT_CONTENT_TYPE: &str = "binary/octet-stream";
/// How often a conditional PUT that met another writer is tried again.
const MOST_CONFLICTS: u32 = 20;
const CONFLICT_WAIT: Duration = Duration::from_millis(50);

impl S3Store {
    /// Makes a request, which the client repeats within the retry budget: again while other credentials take the place of those
    /// that have expired, and once more in the bucket's own region if that is another.
    pub(super) async fn send<T, E, F, R>(&self, asked: RequestInfo<'_>, request: F) -> Result<T, Failure>
    where
        F: Fn() -> R,
        R: Future<Output = Result<T, SdkError<E, Response>>>,
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        if asked.key.len() > MAX_KEY_BYTES {
            let start: String = asked.key.chars().take(80).collect();
            let text =
                format!("The key '{start}…' has {} bytes, more than S3's limit of {MAX_KEY_BYTES}.", asked.key.len());
            return Err(Failure::without_reply(Error::InvalidArgument(text)));
        }
        let mut redirected = false;
        loop {
            let begun = Instant::now();
            let failure = match attempts::count(asked, request()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => self.failure(asked, error),
            };
            let has_others = failure.is_expired_token() && self.identity.renew(begun).await;
            if has_others {
                continue;
            }
            if redirected || !self.follow_redirect(asked.bucket, &failure) {
                return Err(self.after_retries(asked, failure));
            }
            redirected = true;
        }
    }

    pub(super) async fn head_object(&self, object: &ObjectKey) -> Result<Option<ObjectInfo>> {
        Ok(self.head_with(object, None).await?.map(|(info, _)| info))
    }

    /// A HEAD that asks for the stored checksum as well.
    pub(super) async fn inspect_object(&self, object: &ObjectKey) -> Result<Option<(ObjectInfo, Option<[u8; 16]>)>> {
        self.head_with(object, Some(ChecksumMode::Enabled)).await
    }

    async fn head_with(
        &self,
        object: &ObjectKey,
        checksums: Option<ChecksumMode>,
    ) -> Result<Option<(ObjectInfo, Option<[u8; 16]>)>> {
        let asked = RequestInfo::object(S3Action::CheckingIfObjectExists, "HeadObject", object);
        let request = || {
            let builder = self.client(&object.bucket).head_object().bucket(&object.bucket).key(&object.key);
            builder.set_checksum_mode(checksums.clone()).set_expected_bucket_owner(self.owner()).send()
        };
        match self.send(asked, request).await {
            Ok(answer) => {
                let info = ObjectInfo {
                    size_bytes: answer.content_length().and_then(unsigned),
                    last_modified: answer.last_modified().and_then(system_time),
                    etag: answer.e_tag().map(str::to_owned),
                    metadata: metadata(answer.metadata()),
                };
                // A checksum of parts' checksums has a suffix, and so is no base64.
                let checksum = answer.checksum_xxhash128().and_then(|text| base64::decode(text).ok());
                Ok(Some((info, checksum.and_then(|bytes| bytes.try_into().ok()))))
            }
            Err(failure) if failure.status == Some(404) => Ok(None),
            Err(failure) => Err(failure.error),
        }
    }

    pub(super) async fn get_object(
        &self,
        object: &ObjectKey,
        range: Option<Range<u64>>,
        action: S3Action,
    ) -> Result<ObjectBody> {
        let asked = RequestInfo::object(action, "GetObject", object);
        let header = range.as_ref().map(|range| format!("bytes={}-{}", range.start, range.end.saturating_sub(1)));
        let request = || {
            let builder = self.client(&object.bucket).get_object().bucket(&object.bucket).key(&object.key);
            builder.set_range(header.clone()).set_expected_bucket_owner(self.owner()).send()
        };
        let answer = self.send(asked, request).await.map_err(|failure| failure.error)?;
        let length_bytes = answer.content_length().and_then(unsigned);
        if let Some(range) = &range {
            check_range(object, range, answer.content_range(), length_bytes)?;
        }
        let info = ObjectInfo {
            size_bytes: if range.is_some() { answer.content_range().and_then(total_of_range) } else { length_bytes },
            last_modified: answer.last_modified().and_then(system_time),
            etag: answer.e_tag().map(str::to_owned),
            metadata: metadata(answer.metadata()),
        };
        let chunks = SdkChunks::new(answer.body, object, action);
        Ok(ObjectBody { info, length_bytes, chunks: Box::new(chunks) })
    }

    pub(super) async fn put_object(&self, request: PutRequest<'_>) -> Result<PutOutcome> {
        let has_hash =
            request.xxh128.is_some() && self.endpoint.refusals.may_use(&request.object.bucket, Extra::XxHash);
        let is_conditional = request.if_absent && self.endpoint.conditions() != Conditions::Unusable;
        let wanted = Extras::NONE
            .with(Extra::XxHash, self.options.checksums && has_hash)
            .with(Extra::Crc32, self.options.checksums && !has_hash)
            .with(Extra::Condition, is_conditional)
            .with(Extra::UnsignedBody, request.body.len() >= UNSIGNED_FROM_BYTES);
        let conditional = AtomicBool::new(false);
        let put = |extras: Extras| {
            conditional.store(extras.has(Extra::Condition), Ordering::Relaxed);
            self.put_once(&request, extras)
        };
        match self.with_extras(&request.object.bucket, wanted, put).await {
            Ok(()) => Ok(PutOutcome::Created),
            Err(failure) if failure.status == Some(412) && conditional.load(Ordering::Relaxed) => {
                if self.is_there(request.object).await? {
                    return Ok(PutOutcome::AlreadyThere);
                }
                let put = |extras: Extras| self.put_once(&request, extras);
                let outcome = self.with_extras(&request.object.bucket, wanted.without(Extra::Condition), put).await;
                outcome.map(|()| PutOutcome::Created).map_err(|failure| failure.error)
            }
            Err(failure) => Err(failure.error),
        }
    }

    /// After a 412: whether something is there. The first time an endpoint says so it is asked; one that answers 412 to the
    /// header as such would otherwise be believed to have everything.
    pub(super) async fn is_there(&self, object: &ObjectKey) -> Result<bool> {
        if self.endpoint.conditions() == Conditions::Obeyed {
            return Ok(true);
        }
        let is_there = self.head_object(object).await?.is_some();
        self.endpoint.note_conditions(is_there);
        Ok(is_there)
    }

    async fn put_once(&self, request: &PutRequest<'_>, extras: Extras) -> Result<(), Failure> {
        let asked = RequestInfo::object(request.action, "PutObject", request.object);
        let length = request.body.len();
        let hash = request.xxh128.filter(|_| extras.has(Extra::XxHash)).map(base64::encode);
        let conflicts = AtomicU32::new(0);
        let condition =
            |conflicts| (extras.has(Extra::Condition) && conflicts < MOST_CONFLICTS).then(|| "*".to_owned());
        let send = || async {
            let builder = self
                .client(&request.object.bucket)
                .put_object()
                .bucket(&request.object.bucket)
                .key(&request.object.key)
                .set_metadata(sdk_metadata(request.metadata))
                .content_type(request.content_type.unwrap_or(DEFAULT_CONTENT_TYPE))
                .set_checksum_xxhash128(hash.clone())
                .set_if_none_match(condition(conflicts.load(Ordering::Relaxed)))
                .set_expected_bucket_owner(self.owner())
                .body(ByteStream::from(request.body.clone()));
            let has_checksum = extras.has(Extra::XxHash) || extras.has(Extra::Crc32);
            if length < UNSIGNED_FROM_BYTES && has_checksum {
                return builder.send().await;
            }
            let builder = builder.customize();
            let builder = if has_checksum { builder } else { builder.config_override(without_checksums()) };
            let is_unsigned = length >= UNSIGNED_FROM_BYTES && extras.has(Extra::UnsignedBody);
            if is_unsigned { builder.disable_payload_signing() } else { builder }.send().await
        };
        loop {
            match self.send(asked, send).await {
                Ok(_) => return Ok(()),
                // Someone else is writing the same key: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>.
                // In the end it is written without the condition: the key says what the contents are.
                Err(failure)
                    if failure.status == Some(409) && conflicts.fetch_add(1, Ordering::Relaxed) <= MOST_CONFLICTS =>
                {
                    // Nothing has failed: the other writer's request ends soon, so the wait does not grow.
                    attempts::note_repeated(asked, "another client is writing it", CONFLICT_WAIT);
                    tokio::time::sleep(CONFLICT_WAIT).await;
                }
                Err(failure) => return Err(failure),
            }
        }
    }
}

/// Settings of one request: the SDK adds no checksum that S3 does not ask for.
pub(super) fn without_checksums() -> aws_sdk_s3::config::Builder {
    aws_sdk_s3::config::Builder::new().request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
}

/// A server that ignores `Range` sends the whole object; its bytes must not be taken for the range's.
fn check_range(object: &ObjectKey, range: &Range<u64>, header: Option<&str>, length: Option<u64>) -> Result<()> {
    let expected = format!("bytes {}-{}/", range.start, range.end.saturating_sub(1));
    let is_length = length.is_none_or(|length| length == range.end - range.start);
    if header.is_some_and(|header| header.starts_with(&expected)) && is_length {
        return Ok(());
    }
    let error = IntegrityError {
        subject: object.url(),
        expected: format!("bytes {}-{}", range.start, range.end.saturating_sub(1)),
        found: header.unwrap_or("the whole object").to_owned(),
        place: None,
    };
    Err(error.into())
}

fn total_of_range(header: &str) -> Option<u64> {
    header.rsplit_once('/')?.1.parse().ok()
}

/// A length that can be one.
fn unsigned(length: i64) -> Option<u64> {
    u64::try_from(length).ok()
}

fn system_time(time: &DateTime) -> Option<SystemTime> {
    SystemTime::try_from(*time).ok()
}

fn metadata(metadata: Option<&std::collections::HashMap<String, String>>) -> BTreeMap<String, String> {
    metadata.into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())).collect()
}
