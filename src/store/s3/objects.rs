//! HEAD, GET, PUT and listings.

use std::collections::BTreeMap;
use std::future::Future;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_smithy_runtime_api::http::Response;
use aws_smithy_types::base64;

use super::body::SdkChunks;
use super::errors::{Asked, Failure};
use super::{S3Store, sdk_metadata};
use crate::error::{Error, IntegrityError, Result, S3Action};
use crate::store::{Conditions, ListPage, ListRequest, ObjectBody, ObjectInfo, ObjectKey, PutOutcome, PutRequest};

/// From this size on, a body's signature costs more than it protects: the checksum header is signed, the body is not.
const UNSIGNED_FROM_BYTES: usize = 64 * 1024;
/// The slowest connection that a bulk request is given time for, in bytes a second.
const SLOWEST_BYTES_PER_SECOND: u64 = 128 * 1024;

/// The longest key: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>. Hashes in hostile manifests are
/// longer, and the SDK can't make a request of them.
const MAX_KEY_BYTES: usize = 1024;

/// What S3 gives objects that came without a content type. The SDK would call them `application/octet-stream`.
const DEFAULT_CONTENT_TYPE: &str = "binary/octet-stream";
/// How often a conditional PUT that met another writer is tried again.
const MOST_CONFLICTS: u32 = 20;
const CONFLICT_WAIT: Duration = Duration::from_millis(50);

impl S3Store {
    /// Makes a request within the retry budget: once more with new credentials if the old ones have expired, and once more
    /// in the bucket's own region if that is another.
    pub(super) async fn send<T, E, F, R>(&self, asked: Asked<'_>, bytes: usize, request: F) -> Result<T, Failure>
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
        let budget = self.options.retry_budget + transfer_time(bytes);
        let attempt = async {
            let (mut renewed, mut redirected) = (false, false);
            loop {
                let begun = Instant::now();
                let failure = match request().await {
                    Ok(answer) => return Ok(answer),
                    Err(error) => self.failure(asked, &error),
                };
                if failure.is_expired_token() && !renewed {
                    renewed = true;
                    self.identity.invalidate(begun);
                } else if !redirected && self.follow_redirect(asked.bucket, &failure) {
                    redirected = true;
                } else {
                    return Err(failure);
                }
            }
        };
        match tokio::time::timeout(budget, attempt).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::without_reply(self.out_of_time(asked, budget))),
        }
    }

    pub(super) async fn head_object(&self, object: &ObjectKey) -> Result<Option<ObjectInfo>> {
        let asked = Asked::object(S3Action::CheckingIfObjectExists, "HeadObject", object);
        let request = || {
            let builder = self.client(&object.bucket).head_object().bucket(&object.bucket).key(&object.key);
            builder.set_expected_bucket_owner(self.owner()).send()
        };
        match self.send(asked, 0, request).await {
            Ok(answer) => Ok(Some(ObjectInfo {
                size_bytes: unsigned(answer.content_length()),
                last_modified: answer.last_modified().and_then(system_time),
                etag: answer.e_tag().map(str::to_owned),
                metadata: metadata(answer.metadata()),
            })),
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
        let asked = Asked::object(action, "GetObject", object);
        let header = range.as_ref().map(|range| format!("bytes={}-{}", range.start, range.end.saturating_sub(1)));
        let request = || {
            let builder = self.client(&object.bucket).get_object().bucket(&object.bucket).key(&object.key);
            builder.set_range(header.clone()).set_expected_bucket_owner(self.owner()).send()
        };
        let answer = self.send(asked, 0, request).await.map_err(|failure| failure.error)?;
        let length_bytes = unsigned(answer.content_length());
        if let Some(range) = &range {
            check_range(object, range, answer.content_range(), length_bytes)?;
        }
        let info = ObjectInfo {
            size_bytes: answer.content_range().and_then(total_of_range).unwrap_or(length_bytes),
            last_modified: answer.last_modified().and_then(system_time),
            etag: answer.e_tag().map(str::to_owned),
            metadata: metadata(answer.metadata()),
        };
        let chunks = SdkChunks::new((answer.body, length_bytes), (object, action), self.options.stall_limit);
        Ok(ObjectBody { info, length_bytes, chunks: Box::new(chunks) })
    }

    pub(super) async fn put_object(&self, request: PutRequest<'_>) -> Result<PutOutcome> {
        let mut headers = PutHeaders {
            hash: request.xxh128.is_some() && self.sends_xxhash(),
            condition: request.if_absent && self.endpoint.conditions() != Conditions::Unusable,
        };
        let mut outcome = self.put_once(&request, headers).await;
        if let Err(failure) = &outcome {
            let hash_may_be_unknown = headers.hash && is_rejected_header(failure);
            let condition_may_be_unknown = headers.condition && is_unknown_condition(failure);
            if hash_may_be_unknown {
                headers.hash = false;
                outcome = self.put_once(&request, headers).await;
                // Only what comes through without the header shows that the header was the trouble.
                if outcome.is_ok() {
                    self.endpoint.rejects_xxhash();
                }
            }
            if condition_may_be_unknown && outcome.is_err() {
                headers.condition = false;
                outcome = self.put_once(&request, headers).await;
                if outcome.is_ok() {
                    self.endpoint.note_conditions(false);
                }
            }
        }
        match outcome {
            Ok(()) => Ok(PutOutcome::Created),
            Err(failure) if headers.condition && failure.status == Some(412) => {
                self.endpoint.note_conditions(true);
                Ok(PutOutcome::AlreadyThere)
            }
            Err(failure) => Err(failure.error),
        }
    }

    async fn put_once(&self, request: &PutRequest<'_>, headers: PutHeaders) -> Result<(), Failure> {
        let asked = Asked::object(request.action, "PutObject", request.object);
        let length = request.body.len();
        let hash = request.xxh128.filter(|_| headers.hash).map(base64::encode);
        let conflicts = AtomicU32::new(0);
        let condition = |conflicts| (headers.condition && conflicts < MOST_CONFLICTS).then(|| "*".to_owned());
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
            if length < UNSIGNED_FROM_BYTES {
                return builder.send().await;
            }
            let timeouts = aws_sdk_s3::config::Builder::new().timeout_config(bulk_timeouts(length));
            builder.customize().disable_payload_signing().config_override(timeouts).send().await
        };
        loop {
            match self.send(asked, length, send).await {
                Ok(_) => return Ok(()),
                // Someone else is writing the same key: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>.
                // In the end it is written without the condition: the key says what the contents are.
                Err(failure)
                    if failure.status == Some(409) && conflicts.fetch_add(1, Ordering::Relaxed) <= MOST_CONFLICTS =>
                {
                    tokio::time::sleep(CONFLICT_WAIT).await;
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    pub(super) async fn list_objects(&self, request: ListRequest<'_>) -> Result<ListPage> {
        let asked = Asked {
            action: S3Action::ListingBucketContents,
            operation: "ListObjectsV2",
            bucket: request.bucket,
            key: request.prefix,
        };
        let send = || {
            let builder = self.client(request.bucket).list_objects_v2().bucket(request.bucket).prefix(request.prefix);
            builder
                .set_delimiter(request.delimiter.map(str::to_owned))
                .set_continuation_token(request.continuation.map(str::to_owned))
                .set_expected_bucket_owner(self.owner())
                .send()
        };
        let answer = self.send(asked, 0, send).await.map_err(|failure| failure.error)?;
        let objects = answer.contents.unwrap_or_default().into_iter().filter_map(|object| {
            let info = ObjectInfo {
                size_bytes: unsigned(object.size),
                last_modified: object.last_modified.as_ref().and_then(system_time),
                etag: object.e_tag,
                metadata: BTreeMap::new(),
            };
            Some((object.key?, info))
        });
        let prefixes = answer.common_prefixes.unwrap_or_default().into_iter().filter_map(|prefix| prefix.prefix);
        Ok(ListPage {
            objects: objects.collect(),
            common_prefixes: prefixes.collect(),
            continuation: answer.next_continuation_token,
        })
    }
}

/// Attempt and read time-outs for a body of this size.
pub(super) fn bulk_timeouts(bytes: usize) -> TimeoutConfig {
    let limit = Duration::from_secs(30) + transfer_time(bytes);
    TimeoutConfig::builder().read_timeout(limit).operation_attempt_timeout(limit).build()
}

fn transfer_time(bytes: usize) -> Duration {
    Duration::from_secs(bytes as u64 / SLOWEST_BYTES_PER_SECOND)
}

/// What a PUT carries that not every server knows.
#[derive(Debug, Clone, Copy)]
struct PutHeaders {
    hash: bool,
    condition: bool,
}

/// A 400 or 501 as servers answer to headers that they don't know. An integrity failure (`BadDigest`) is no reason to leave
/// the check out.
fn is_rejected_header(failure: &Failure) -> bool {
    failure.status == Some(501) || failure.is_code(&["InvalidRequest", "InvalidArgument", "NotImplemented"])
}

pub(super) fn is_unknown_condition(failure: &Failure) -> bool {
    failure.status == Some(501) || failure.is_code(&["NotImplemented"])
}

/// A server that ignores `Range` sends the whole object; its bytes must not be taken for the range's.
fn check_range(object: &ObjectKey, range: &Range<u64>, header: Option<&str>, length: u64) -> Result<()> {
    let expected = format!("bytes {}-{}/", range.start, range.end.saturating_sub(1));
    if header.is_some_and(|header| header.starts_with(&expected)) && length == range.end - range.start {
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

fn unsigned(length: Option<i64>) -> u64 {
    length.and_then(|length| u64::try_from(length).ok()).unwrap_or(0)
}

pub(super) fn system_time(time: &DateTime) -> Option<SystemTime> {
    SystemTime::try_from(*time).ok()
}

fn metadata(metadata: Option<&std::collections::HashMap<String, String>>) -> BTreeMap<String, String> {
    metadata.into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())).collect()
}
