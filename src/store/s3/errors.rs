//! From the SDK's errors to ours, and what replies say about the endpoint's health.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use aws_sdk_s3::config::interceptors::{BeforeDeserializationInterceptorContextMut, InterceptorContext};
use aws_sdk_s3::config::retry::{ClassifyRetry, RetryAction};
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::{BoxError, ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextMut;
use aws_smithy_runtime_api::client::retries::classifiers::{RetryClassifierPriority, RetryReason};
use aws_smithy_runtime_api::http::Response;

use super::attempts::{begin, wait_after};
use super::explain::explain;
use super::request_info::RequestInfo;
use super::traffic::{Signals, is_answer, is_failure};
use super::{S3Store, replies};
use crate::error::{Error, S3ClientError};
use crate::store::guidance::ErrorReply;

/// Counts attempts; adds the reference's words to the user agent; makes replies such that the SDK reads them.
#[derive(Debug)]
pub(super) struct Messages;

/// S3's own name for this traffic in the reference, with this crate's version.
const USER_AGENT: &str = concat!(" S3A/Deadline/NA/JobAttachments/", env!("CARGO_PKG_VERSION"));

impl Intercept for Messages {
    fn name(&self) -> &'static str {
        "JobAttachmentsMessages"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        begin();
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
}

/// Decides alone how long to wait before the next attempt, and when no more are made: once there was no success for the retry budget, or no endpoint for
/// [`OUTAGE_LIMIT`].
#[derive(Debug)]
pub(super) struct OutageClassifier(pub(super) Arc<Signals>);

impl OutageClassifier {
    /// Whether an attempt was the last, and what it says about the endpoint.
    fn is_over(&self, context: &InterceptorContext) -> bool {
        let status = context.response().map(|response| response.status().as_u16());
        match context.output_or_error() {
            None => return false,
            Some(Err(_)) if !status.is_some_and(is_answer) => {}
            Some(_) => {
                self.0.note_success();
                return false;
            }
        }
        if status.is_some() {
            self.0.note_unclear();
        }
        self.0.is_out_of_time() || (context.response().is_none() && self.0.is_outage())
    }
}

impl ClassifyRetry for OutageClassifier {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        self.classify_retry_v2(context, &RetryAction::NoActionIndicated)
    }

    fn classify_retry_v2(&self, context: &InterceptorContext, previous: &RetryAction) -> RetryAction {
        if self.is_over(context) {
            return RetryAction::RetryForbidden;
        }
        match previous {
            RetryAction::RetryIndicated(RetryReason::RetryableError { kind, retry_after: None }) => {
                RetryAction::retryable_error_with_explicit_delay(*kind, wait_after(context))
            }
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "JobAttachmentsOutage"
    }

    /// After all others: it goes by what they have said.
    fn priority(&self) -> RetryClassifierPriority {
        RetryClassifierPriority::run_after(RetryClassifierPriority::transient_error_classifier())
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
    pub(super) fn failure<E>(&self, asked: RequestInfo<'_>, error: SdkError<E, Response>) -> Failure
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

    /// The failure of the last attempt, if its like was waited out for as long as the retry budget allows.
    pub(super) fn after_retries(&self, asked: RequestInfo<'_>, failure: Failure) -> Failure {
        if !failure.status.is_none_or(is_failure) || !self.signals.is_out_of_time() {
            return failure;
        }
        let last = match self.signals.last_error.load(Ordering::Relaxed) {
            0 => match &failure.error {
                Error::S3Client(error) => error.details.clone(),
                error => error.to_string(),
            },
            status => format!(
                "the last error was HTTP status {status}, S3 asked to slow down {} times",
                self.signals.throttles.load(Ordering::Relaxed)
            ),
        };
        let waited = self.options.retry_budget.as_secs();
        let details = format!("no success within {waited} seconds of retries ({last})");
        Failure::without_reply(because(asked, details, failure.error))
    }
}

/// It keeps what is beneath the SDK's error, and not the reply: with that it would hold a connection.
fn client_error<E>(asked: RequestInfo<'_>, error: SdkError<E, Response>) -> Error
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let details = explain(&error);
    match error.into_source() {
        Ok(source) => because(asked, details, source),
        Err(_) => unanswered(asked, details),
    }
}

/// A failure to get an answer, or all of its body.
pub(super) fn unanswered(asked: RequestInfo<'_>, details: String) -> Error {
    S3ClientError::new(asked.action, asked.bucket, asked.key, details).into()
}

/// The same, with what is beneath it.
pub(super) fn because(
    asked: RequestInfo<'_>,
    details: String,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    S3ClientError::new(asked.action, asked.bucket, asked.key, details).with_source(source).into()
}
