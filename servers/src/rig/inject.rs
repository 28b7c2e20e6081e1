//! Faults done to a finished reply.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, StatusCode, header};

use super::content::Content;
use super::faults::{At, Fault};
use super::reply::{Failure, ReplyBody, Response, Step};

/// Long enough for what was sent to leave this process, so that the break comes after it.
const FLUSH: Duration = Duration::from_millis(20);

/// Longer than any client waits.
pub const FOREVER: Duration = Duration::from_hours(1);

/// The failure that a status fault stands for.
pub fn failure(status: u16, code: Option<&str>, message: Option<&str>, retry_after: Option<u64>) -> Failure {
    let (known_code, known_message) = match status {
        400 => ("ExpiredToken", "The provided token has expired."),
        301 => (
            "PermanentRedirect",
            "The bucket you are attempting to access must be addressed using the specified endpoint.",
        ),
        403 => ("AccessDenied", "Access Denied"),
        404 => ("NoSuchKey", "The specified key does not exist."),
        409 => ("ConditionalRequestConflict", "The conditional request cannot succeed due to a conflicting operation."),
        412 => ("PreconditionFailed", "At least one of the pre-conditions you specified did not hold"),
        503 => ("SlowDown", "Please reduce your request rate."),
        _ => ("InternalError", "We encountered an internal error. Please try again."),
    };
    let failure = Failure::new(status, code.unwrap_or(known_code), message.unwrap_or(known_message));
    match retry_after {
        Some(seconds) => failure.with_header(header::RETRY_AFTER, &seconds.to_string()),
        None => failure,
    }
}

/// The reply with the fault in its body; the second value tells that the connection is to be reset, not closed.
pub fn spoil(response: Response, fault: &Fault, other: Option<Content>) -> (Response, bool) {
    if response.status().is_client_error() || response.status().is_server_error() {
        return (response, false);
    }
    let (mut parts, body) = response.into_parts();
    let content = Content::new(body.into_bytes());
    let mut reset = false;
    let steps = match fault {
        Fault::Reset { at: Some(at) } => {
            reset = true;
            cut(&content, *at)
        }
        Fault::Truncate { at } => cut(&content, *at),
        Fault::Short { at } => {
            let length = at.within(content.len());
            parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
            content.slices(0..length).map(Step::Send).collect()
        }
        Fault::WrongByte { at } => wrong_byte(&content, *at),
        Fault::OtherObject { same_length, .. } => {
            let other = other.unwrap_or_else(|| Content::new(vec![Bytes::from_static(b"another object")]));
            let bytes = if *same_length { fitted(&other, content.len()) } else { other };
            parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
            bytes.all().map(Step::Send).collect()
        }
        Fault::Trickle { bytes, every_ms } => trickle(&content, *bytes, Duration::from_millis(*every_ms)),
        Fault::Stall { at: Some(at), ms } => {
            let at = at.within(content.len());
            let wait = Step::Wait(ms.map_or(FOREVER, Duration::from_millis));
            let before = content.slices(0..at).map(Step::Send);
            before.chain([wait]).chain(content.slices(at..content.len()).map(Step::Send)).collect()
        }
        _ => content.all().map(Step::Send).collect(),
    };
    (Response::from_parts(parts, ReplyBody::steps(steps)), reset)
}

fn cut(content: &Content, at: At) -> VecDeque<Step> {
    let before = content.slices(0..at.within(content.len())).map(Step::Send);
    before.chain([Step::Wait(FLUSH), Step::BreakOff]).collect()
}

fn wrong_byte(content: &Content, at: At) -> VecDeque<Step> {
    let at = at.within(content.len().saturating_sub(1));
    let before = content.slices(0..at).map(Step::Send);
    let wrong = content.slices(at..(at + 1).min(content.len())).map(|byte| Step::Send(Bytes::from(vec![!byte[0]])));
    let after = content.slices((at + 1).min(content.len())..content.len()).map(Step::Send);
    before.chain(wrong).chain(after).collect()
}

fn fitted(content: &Content, length: u64) -> Content {
    let mut bytes = BytesMut::new();
    while (bytes.len() as u64) < length {
        let left = length - bytes.len() as u64;
        if content.len() == 0 {
            bytes.extend_from_slice(b"?");
        }
        content.slices(0..left.min(content.len())).for_each(|slice| bytes.extend_from_slice(&slice));
    }
    Content::new(vec![bytes.freeze()])
}

fn trickle(content: &Content, bytes: u64, every: Duration) -> VecDeque<Step> {
    let mut steps = VecDeque::new();
    let mut from = 0;
    while from < content.len() {
        let to = (from + bytes.max(1)).min(content.len());
        steps.extend(content.slices(from..to).map(Step::Send));
        steps.push_back(Step::Wait(every));
        from = to;
    }
    steps
}

/// 200 with an error in the body, as `CompleteMultipartUpload` may answer once it has begun to write its reply.
pub fn error_in_200(code: Option<&str>, resource: &str) -> Response {
    let failure =
        Failure::new(200, code.unwrap_or("InternalError"), "We encountered an internal error. Please try again.");
    let mut response = failure.into_response(resource, false);
    *response.status_mut() = StatusCode::OK;
    response
}
