//! The attempts at one request: how long it waits between them, and the events that say so.
//!
//! Attempts are made deep inside the SDK, by parts that all requests of a client share. What belongs to one request goes there
//! with the task that makes it.

use std::cell::Cell;
use std::future::Future;
use std::time::Duration;

use aws_sdk_s3::config::interceptors::InterceptorContext;
use tokio::task_local;
use tracing::Level;

use super::explain::connection;
use super::request_info::RequestInfo;
use crate::store::backoff::Backoff;

/// The target of this module's events.
const TARGET: &str = "rusty_attachments::s3";

/// Attempts of one request. With the waits between them they outlast the retry budget, which ends a request unless others
/// succeed meanwhile.
pub(super) const MAX_ATTEMPTS: u32 = 60;
/// Of each kind of request.
pub(super) const BACKOFF: Backoff = Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(5) };

/// Waits from this length on are worth an event: shorter ones are those of a busy link.
const LONG_WAIT: Duration = Duration::from_secs(1);

task_local! {
    static REQUEST: Request;
}

struct Request {
    /// Attempts that were begun.
    attempts: Cell<u32>,
    /// The wait after the attempt under way, once it was decided.
    wait: Cell<Option<Duration>>,
    /// What is asked for. Only where somebody listens: it is copied for each request.
    names: Option<Names>,
}

struct Names {
    operation: &'static str,
    bucket: String,
    key: String,
}

/// A request, whose attempts are counted. Not `async`, which would hold the request twice: the SDK's futures are large.
pub(super) fn count<T>(asked: RequestInfo<'_>, request: impl Future<Output = T>) -> impl Future<Output = T> {
    let names = || Names { operation: asked.operation, bucket: asked.bucket.to_owned(), key: asked.key.to_owned() };
    let names = tracing::enabled!(target: TARGET, Level::DEBUG).then(names);
    REQUEST.scope(Request { attempts: Cell::new(0), wait: Cell::new(None), names }, request)
}

/// An attempt of the task's request begins.
pub(super) fn begin() {
    let of_request = |request: &Request| {
        request.attempts.set(request.attempts.get() + 1);
        request.wait.set(None);
    };
    // Every request is counted; where one is not, it waits as after its first attempt.
    let _ = REQUEST.try_with(of_request);
}

/// The attempt under way has failed and the request is to be made again: how long to wait first. The SDK asks twice, since it
/// also closes the connection by what was decided.
pub(super) fn wait_after(context: &InterceptorContext) -> Duration {
    let of_request = |request: &Request| {
        if let Some(wait) = request.wait.get() {
            return wait;
        }
        let attempts = request.attempts.get();
        let wait = BACKOFF.wait(attempts);
        request.wait.set(Some(wait));
        if let Some(names) = &request.names
            && attempts < MAX_ATTEMPTS
        {
            names.failed(attempts, &reason(context), wait);
        }
        wait
    };
    // The SDK makes all attempts within the request's task.
    REQUEST.try_with(of_request).unwrap_or_else(|_| BACKOFF.wait(1))
}

/// A request that failed for good, as its reply says, is made again by a rule of its own.
pub(super) fn note_repeated(asked: RequestInfo<'_>, reason: &str, wait: Duration) {
    let RequestInfo { operation, bucket, key, .. } = asked;
    tracing::debug!(target: TARGET, operation, bucket, key, wait_seconds = wait.as_secs_f64(),
        "{operation} of s3://{bucket}/{key}: {reason}; trying again in {:.2} s", wait.as_secs_f64());
}

/// An attempt of the task's request has waited for its turn.
pub(super) fn note_turn(waited: Duration, is_slowed_down: bool) {
    if waited < LONG_WAIT {
        return;
    }
    let of_request = |request: &Request| {
        let Some(Names { operation, bucket, key }) = &request.names else { return };
        let reason = if is_slowed_down { "S3 has asked to slow down" } else { "others were under way" };
        tracing::debug!(target: TARGET, operation, bucket, key, waited_seconds = waited.as_secs_f64(),
            "{operation} of s3://{bucket}/{key}: waited {:.2} s for its turn: {reason}", waited.as_secs_f64());
    };
    // Requests of others, such as those for credentials, have no names.
    let _ = REQUEST.try_with(of_request);
}

impl Names {
    fn failed(&self, attempt: u32, reason: &str, wait: Duration) {
        let Self { operation, bucket, key } = self;
        tracing::debug!(target: TARGET, operation, bucket, key, attempt, reason, wait_seconds = wait.as_secs_f64(),
            "{operation} of s3://{bucket}/{key}: attempt {attempt} failed: {reason}; trying again in {:.2} s",
            wait.as_secs_f64());
    }
}

/// What went wrong with an attempt.
fn reason(context: &InterceptorContext) -> String {
    if let Some(response) = context.response() {
        let status = response.status().as_u16();
        let phrase = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        return phrase
            .map_or_else(|| format!("HTTP status {status}"), |phrase| format!("HTTP status {status} {phrase}"));
    }
    let Some(Err(error)) = context.output_or_error() else { return "no reply came".to_owned() };
    error.as_connector_error().map_or_else(|| "no reply came".to_owned(), connection)
}
