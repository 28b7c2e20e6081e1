//! S3 through the AWS SDK: the only place that names it.

mod attempts;
mod body;
mod config;
mod endpoint;
mod environment;
mod errors;
mod explain;
mod http;
mod identity;
mod listings;
mod multipart;
mod objects;
mod redirect;
mod refusals;
mod replies;
mod request_info;
mod settings;
mod traffic;
mod xml;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::Client;
use bytes::Bytes;

use super::credentials::CredentialSource;
use super::{
    Conditions, ListPage, ListRequest, MultipartUpload, ObjectBody, ObjectInfo, ObjectKey, ObjectStore, PutOutcome,
    PutRequest, StoreFuture, UploadedPart,
};
use crate::error::{Result, S3Action};
pub(crate) use config::S3Shared;
use endpoint::Endpoint;
use identity::Identity;
use redirect::Redirects;
pub(crate) use settings::S3Settings;
use traffic::{RetryingFailure, Signals};

/// How to reach S3. The default is what the environment and the profiles say.
#[derive(Debug, Clone)]
pub(crate) struct S3Options {
    /// The most requests under way at once, the reference's `s3_max_pool_connections`. The default hides 30 ms of latency
    /// from a thousand files; how many of them the endpoint bears is found out below it.
    pub max_connections: usize,
    /// The region; else that of the environment or profile, else `us-east-1`.
    pub region: Option<String>,
    /// The endpoint; else that of the environment or profile, else AWS's.
    pub endpoint_url: Option<String>,
    /// The profile to read; else `AWS_PROFILE` or `default`. Keys in the environment don't count where it is named here.
    pub profile: Option<String>,
    /// The file with the certificates to trust; else that of the environment or profile, else the system's.
    pub ca_bundle: Option<PathBuf>,
    /// Whether requests go without a signature, for buckets that everyone may read. No credentials are looked for.
    pub unsigned: bool,
    /// The most bytes a second that bodies take, in each direction.
    pub bytes_per_second: Option<u64>,
    /// What is known already and not to be read from environment and profiles.
    pub settings: Option<S3Settings>,
    /// Where credentials come from; else the SDK's default chain.
    pub credentials: Option<Arc<dyn CredentialSource>>,
    /// How long failures may come without any success between them before one is the caller's.
    pub retry_budget: Duration,
    /// How long nothing of a request may move on a link that others don't fill before the request is made again.
    pub stall_limit: Duration,
    /// Whether requests carry checksums that S3 does not ask for; off for stores that reject them
    /// (`AWS_REQUEST_CHECKSUM_CALCULATION=when_required` does the same).
    pub checksums: bool,
    /// Whether `ExpectedBucketOwner` is sent, where the account is known.
    pub check_bucket_owner: bool,
}

impl Default for S3Options {
    fn default() -> Self {
        Self {
            max_connections: 128,
            region: None,
            endpoint_url: None,
            profile: None,
            ca_bundle: None,
            unsigned: false,
            bytes_per_second: None,
            settings: None,
            credentials: None,
            retry_budget: Duration::from_mins(1),
            stall_limit: Duration::from_secs(20),
            checksums: true,
            check_bucket_owner: true,
        }
    }
}

/// Seconds that nothing of a request may move before it is made again.
const STALL_VARIABLE: &str = "RUSTY_ATTACHMENTS_STALL_SECONDS";
/// Seconds that failures may come without a success.
const RETRY_VARIABLE: &str = "RUSTY_ATTACHMENTS_RETRY_SECONDS";

impl S3Options {
    /// Takes what the environment says about time: `RUSTY_ATTACHMENTS_STALL_SECONDS` and `RUSTY_ATTACHMENTS_RETRY_SECONDS`.
    ///
    /// # Errors
    /// [`crate::Error::InvalidArgument`] for values that are no positive numbers.
    pub(crate) fn with_environment(mut self) -> Result<Self> {
        self.stall_limit = seconds(STALL_VARIABLE)?.unwrap_or(self.stall_limit);
        self.retry_budget = seconds(RETRY_VARIABLE)?.unwrap_or(self.retry_budget);
        Ok(self)
    }
}

fn seconds(variable: &str) -> Result<Option<Duration>> {
    let Some(value) = std::env::var_os(variable).filter(|value| !value.is_empty()) else { return Ok(None) };
    let number = value.to_str().and_then(|text| text.parse::<f64>().ok()).filter(|number| *number > 0.0);
    let limit = number.and_then(|number| Duration::try_from_secs_f64(number).ok());
    limit.map(Some).ok_or_else(|| {
        let value = value.display();
        crate::Error::InvalidArgument(format!("{variable} must be a positive number of seconds, not '{value}'"))
    })
}

/// Where requests go and who signs them, without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Connection {
    /// The region that requests are signed for.
    pub region: String,
    /// The endpoint, if it is not AWS's.
    pub endpoint_url: Option<String>,
    /// Where credentials come from; `None` where requests are not signed.
    pub credentials: Option<String>,
    /// The file with the certificates to trust, if it is not the system's.
    pub ca_bundle: Option<PathBuf>,
}

/// S3, or something that speaks its protocol.
#[derive(Debug)]
pub(crate) struct S3Store {
    client: Client,
    identity: Arc<Identity>,
    signals: Arc<Signals>,
    options: S3Options,
    /// Endpoint and account, as one text.
    place: String,
    /// The account that must own the bucket, where it is known.
    expected_owner: Option<String>,
    /// What was found out before the first request.
    connection: Connection,
    /// What the endpoint has shown that it can do.
    endpoint: Arc<Endpoint>,
    redirects: Redirects,
}

impl S3Store {
    /// Reads the configuration and prepares a client. Makes no S3 request; it may ask STS for the account.
    ///
    /// # Errors
    /// [`crate::Error::Configuration`] for a configuration that can't be used.
    pub(crate) async fn connect(shared: &S3Shared, options: S3Options) -> Result<Self> {
        config::connect(shared, options).await
    }

    /// The account of the credentials, where it is known.
    #[must_use]
    pub(crate) fn account_id(&self) -> Option<&str> {
        self.expected_owner.as_deref()
    }

    /// What was decided before the first request.
    #[must_use]
    pub(crate) const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The failures that are being retried, if no request has had success since they began.
    #[must_use]
    pub(crate) fn trouble(&self) -> Option<RetryingFailure> {
        self.signals.retrying()
    }

    fn owner(&self) -> Option<String> {
        self.expected_owner.clone().filter(|_| self.options.check_bucket_owner)
    }
}

impl ObjectStore for S3Store {
    fn head<'a>(&'a self, object: &'a ObjectKey) -> StoreFuture<'a, Option<ObjectInfo>> {
        Box::pin(self.head_object(object))
    }

    fn inspect<'a>(&'a self, object: &'a ObjectKey) -> StoreFuture<'a, Option<(ObjectInfo, Option<[u8; 16]>)>> {
        Box::pin(self.inspect_object(object))
    }

    fn get<'a>(
        &'a self,
        object: &'a ObjectKey,
        range: Option<Range<u64>>,
        action: S3Action,
    ) -> StoreFuture<'a, ObjectBody> {
        Box::pin(self.get_object(object, range, action))
    }

    fn put<'a>(&'a self, request: PutRequest<'a>) -> StoreFuture<'a, PutOutcome> {
        Box::pin(self.put_object(request))
    }

    fn list<'a>(&'a self, request: ListRequest<'a>) -> StoreFuture<'a, ListPage> {
        Box::pin(self.list_objects(request))
    }

    fn create_multipart<'a>(&'a self, object: &'a ObjectKey) -> StoreFuture<'a, MultipartUpload> {
        Box::pin(self.create_upload(object))
    }

    fn upload_part<'a>(
        &'a self,
        upload: &'a MultipartUpload,
        number: i32,
        body: Bytes,
    ) -> StoreFuture<'a, UploadedPart> {
        Box::pin(self.send_part(upload, number, body))
    }

    fn complete_multipart<'a>(
        &'a self,
        upload: &'a MultipartUpload,
        parts: &'a [UploadedPart],
        if_absent: bool,
    ) -> StoreFuture<'a, PutOutcome> {
        Box::pin(self.complete_upload(upload, parts, if_absent))
    }

    fn abort_multipart<'a>(&'a self, upload: &'a MultipartUpload) -> StoreFuture<'a, ()> {
        Box::pin(self.abort_upload(upload))
    }

    fn list_parts<'a>(&'a self, upload: &'a MultipartUpload) -> StoreFuture<'a, Vec<UploadedPart>> {
        Box::pin(self.list_upload_parts(upload))
    }

    fn list_multiparts<'a>(&'a self, bucket: &'a str, prefix: &'a str) -> StoreFuture<'a, Vec<MultipartUpload>> {
        Box::pin(self.list_uploads(bucket, prefix))
    }

    fn place(&self) -> &str {
        &self.place
    }

    fn max_connections(&self) -> usize {
        self.options.max_connections
    }

    fn conditions(&self) -> Conditions {
        self.endpoint.conditions()
    }

    fn note_conditions(&self, obeyed: bool) {
        self.endpoint.note_conditions(obeyed);
    }

    fn take_notices(&self) -> Vec<String> {
        self.endpoint.take_notices()
    }
}

/// Metadata as the SDK takes it.
fn sdk_metadata(metadata: &BTreeMap<String, String>) -> Option<std::collections::HashMap<String, String>> {
    (!metadata.is_empty()).then(|| metadata.iter().map(|(name, value)| (name.clone(), value.clone())).collect())
}
