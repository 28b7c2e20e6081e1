//! From the SDK's errors to ours, and what replies say about the endpoint's health.

use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_sdk_s3::config::interceptors::InterceptorContext;
use aws_sdk_s3::config::interceptors::{BeforeDeserializationInterceptorContextMut, FinalizerInterceptorContextRef};
use aws_sdk_s3::config::retry::{ClassifyRetry, RetryAction};
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::{BoxError, ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextMut;
use aws_smithy_runtime_api::client::retries::classifiers::RetryClassifierPriority;
use aws_smithy_runtime_api::http::Response;

use super::explain::plain_text;
use super::{S3Store, replies};
use crate::error::{Error, S3Action, S3ClientError};
use crate::store::ObjectKey;
use crate::store::guidance::ErrorReply;

/// For how long nothing but failed connections may happen before requests fail: an endpoint that is not there should be
/// said so soon, one that is busy deserves the whole retry budget.
const OUTAGE_LIMIT: Duration = Duration::from_secs(8);

/// What replies have said about the endpoint.
#[derive(Debug, Default)]
pub(super) struct Signals {
    throttles: AtomicU64,
    /// The status of the last reply that was an error, or 0.
    last_error: AtomicU16,
    /// Since when no connection has succeeded, while that is so.
    outage_since: Mutex<Option<Instant>>,
}

impl Signals {
    pub(super) fn throttles(&self) -> u64 {
        self.throttles.load(Ordering::Relaxed)
    }

    fn note_status(&self, status: u16) {
        // A 404 and a 412 are answers.
        if status >= 400 && !matches!(status, 404 | 412) {
            self.last_error.store(status, Ordering::Relaxed);
        }
        if matches!(status, 429 | 503) {
            self.throttles.fetch_add(1, Ordering::Relaxed);
        }
        // A lock that is nearly always free, once a request.
        let mut outage = self.outage();
        if outage.is_some() {
            *outage = None;
        }
    }

    fn outage(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.outage_since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads every attempt's outcome; adds the reference's words to the user agent; makes replies such that the SDK reads them.
#[derive(Debug)]
pub(super) struct SignalsInterceptor(pub(super) Arc<Signals>);

/// S3's own name for this traffic in the reference, with this crate's version.
const USER_AGENT: &str = concat!(" S3A/Deadline/NA/JobAttachments/", env!("CARGO_PKG_VERSION"));

impl Intercept for SignalsInterceptor {
    fn name(&self) -> &'static str {
        "JobAttachmentsSignals"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // The user agent is not among the signed headers.
        let headers = context.request_mut().headers_mut();
        let agent = format!("{}{USER_AGENT}", headers.get("user-agent").unwrap_or_default());
        headers.insert("user-agent", agent);
        Ok(())
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        replies::tidy(context.response_mut());
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(response) = context.response() {
            self.0.note_status(response.status().as_u16());
        }
        Ok(())
    }
}

/// Stops retrying once the endpoint has been unreachable for [`OUTAGE_LIMIT`].
#[derive(Debug)]
pub(super) struct OutageClassifier(pub(super) Arc<Signals>);

impl ClassifyRetry for OutageClassifier {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let Some(Err(error)) = context.output_or_error() else {
            return RetryAction::NoActionIndicated;
        };
        let connecting = error.as_connector_error().is_some_and(|error| error.is_io() || error.is_timeout());
        if !connecting || context.response().is_some() {
            return RetryAction::NoActionIndicated;
        }
        let since = *self.0.outage().get_or_insert_with(Instant::now);
        if since.elapsed() > OUTAGE_LIMIT { RetryAction::RetryForbidden } else { RetryAction::NoActionIndicated }
    }

    fn name(&self) -> &'static str {
        "JobAttachmentsOutage"
    }

    fn priority(&self) -> RetryClassifierPriority {
        RetryClassifierPriority::run_after(RetryClassifierPriority::transient_error_classifier())
    }
}

/// What was being asked, for messages.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) action: S3Action,
    /// S3's name of the operation.
    pub(super) operation: &'static str,
    pub(super) bucket: &'a str,
    pub(super) key: &'a str,
}

impl<'a> Asked<'a> {
    pub(super) fn object(action: S3Action, operation: &'static str, object: &'a ObjectKey) -> Self {
        Self { action, operation, bucket: &object.bucket, key: &object.key }
    }
}

/// What of an SDK error decides what to do next.
pub(super) struct Failure {
    pub(super) error: Error,
    pub(super) status: Option<u16>,
    pub(super) code: Option<String>,
    /// The bucket's region, where the reply named it.
    pub(super) bucket_region: Option<String>,
}

impl Failure {
    pub(super) const fn without_reply(error: Error) -> Self {
        Self { error, status: None, code: None, bucket_region: None }
    }

    /// Whether newer credentials would help.
    pub(super) fn is_expired_token(&self) -> bool {
        // A reply to HEAD has no body and so no code: S3 says 400 there.
        let is_bare = self.code.is_none() && self.status == Some(400);
        is_bare || self.is_code(&["ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"])
    }

    pub(super) fn is_code(&self, codes: &[&str]) -> bool {
        self.code.as_deref().is_some_and(|code| codes.contains(&code))
    }
}

impl S3Store {
    pub(super) fn failure<E>(&self, asked: Asked<'_>, error: &SdkError<E, Response>) -> Failure
    where
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let headers = error.raw_response().map(Response::headers);
        let header = |name: &'static str| headers.and_then(|headers| headers.get(name));
        let bucket_region = header("x-amz-bucket-region").map(str::to_owned);
        match error.raw_response().map(|response| response.status().as_u16()).filter(|status| *status >= 300) {
            Some(status) if matches!(error, SdkError::ServiceError(_) | SdkError::ResponseError(_)) => {
                let code = error.code().map(str::to_owned);
                let reply = ErrorReply {
                    action: asked.action,
                    operation: asked.operation,
                    status_code: status,
                    code: code.as_deref(),
                    message: error.message(),
                    bucket: asked.bucket,
                    key: asked.key,
                    account_id: self.account_id(),
                    request_id: header("x-amz-request-id"),
                    host_id: header("x-amz-id-2"),
                };
                Failure { error: reply.into_error().into(), status: Some(status), code, bucket_region }
            }
            _ => {
                // A 200 whose body is an error (CompleteMultipartUpload) has a code but no error status.
                let code = error.code().map(str::to_owned);
                Failure { error: client_error(asked, error), status: None, code, bucket_region: None }
            }
        }
    }

    /// The retry budget ran out.
    pub(super) fn out_of_time(&self, asked: Asked<'_>, waited: Duration) -> Error {
        let last = match self.signals.last_error.load(Ordering::Relaxed) {
            0 => "no reply came".to_owned(),
            status => format!(
                "the last error was HTTP status {status}, S3 asked to slow down {} times",
                self.signals.throttles()
            ),
        };
        let details = format!("no success within {} seconds of retries ({last})", waited.as_secs());
        unanswered(asked, details)
    }
}

fn client_error<E>(asked: Asked<'_>, error: &SdkError<E, Response>) -> Error
where
    E: std::error::Error + Send + Sync + 'static,
{
    unanswered(asked, plain_text(error))
}

/// A failure to get an answer, or all of its body.
pub(super) fn unanswered(asked: Asked<'_>, details: String) -> Error {
    S3ClientError::new(asked.action, asked.bucket, asked.key, details).into()
}
