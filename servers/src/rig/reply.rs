//! Replies: bodies that can wait and break off, and errors as S3 writes them.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use http_body::{Body, Frame};
use tokio::time::Sleep;

use super::content::{Content, Slices};
use super::xml;

pub type Response = http::Response<ReplyBody>;

/// The connection is closed where it stands, without the rest of the reply.
#[derive(Debug)]
pub struct BrokenOff;

impl fmt::Display for BrokenOff {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the rig breaks the connection off")
    }
}

impl std::error::Error for BrokenOff {}

impl From<Infallible> for BrokenOff {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// What a body with a fault does next.
#[derive(Debug)]
pub enum Step {
    Send(Bytes),
    Wait(Duration),
    BreakOff,
}

enum Source {
    Whole(Slices),
    Steps(VecDeque<Step>),
}

pub struct ReplyBody {
    source: Source,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl ReplyBody {
    pub fn empty() -> Self {
        Self::steps(VecDeque::new())
    }

    pub fn content(slices: Slices) -> Self {
        Self { source: Source::Whole(slices), sleep: None }
    }

    pub fn steps(steps: VecDeque<Step>) -> Self {
        Self { source: Source::Steps(steps), sleep: None }
    }

    pub fn text(text: String) -> Self {
        Self::content(Content::new(vec![Bytes::from(text)]).all())
    }

    /// The bytes that are still to be sent.
    pub fn into_bytes(self) -> Vec<Bytes> {
        match self.source {
            Source::Whole(slices) => slices.collect(),
            Source::Steps(steps) => steps
                .into_iter()
                .filter_map(|step| if let Step::Send(bytes) = step { Some(bytes) } else { None })
                .collect(),
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let this = self.get_mut();
        loop {
            if let Some(sleep) = &mut this.sleep {
                ready!(sleep.as_mut().poll(context));
                this.sleep = None;
            }
            let steps = match &mut this.source {
                Source::Whole(slices) => return Poll::Ready(slices.next().map(|bytes| Ok(Frame::data(bytes)))),
                Source::Steps(steps) => steps,
            };
            match steps.pop_front() {
                None => return Poll::Ready(None),
                Some(Step::Send(bytes)) if bytes.is_empty() => {}
                Some(Step::Send(bytes)) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Some(Step::Wait(time)) => this.sleep = Some(Box::pin(tokio::time::sleep(time))),
                Some(Step::BreakOff) => return Poll::Ready(Some(Err(BrokenOff))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Whole(slices) => slices.remaining() == 0,
            Source::Steps(steps) => steps.is_empty() && self.sleep.is_none(),
        }
    }
}

/// An error as S3 reports it.
#[derive(Debug, Clone)]
pub struct Failure {
    pub status: StatusCode,
    pub code: String,
    pub message: String,
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Failure {
    pub fn new(status: u16, code: &str, message: &str) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, code: code.to_owned(), message: message.to_owned(), headers: Vec::new() }
    }

    pub fn no_such_key() -> Self {
        Self::new(404, "NoSuchKey", "The specified key does not exist.")
    }

    pub fn no_such_bucket() -> Self {
        Self::new(404, "NoSuchBucket", "The specified bucket does not exist")
    }

    pub fn no_such_upload() -> Self {
        let message = "The specified upload does not exist. The upload ID may be invalid, or the upload may have been \
                       aborted or completed.";
        Self::new(404, "NoSuchUpload", message)
    }

    pub fn precondition(condition: &str) -> Self {
        let message = format!("At least one of the pre-conditions you specified did not hold ({condition})");
        Self::new(412, "PreconditionFailed", &message)
    }

    pub fn invalid_argument(message: &str) -> Self {
        Self::new(400, "InvalidArgument", message)
    }

    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    pub fn document(&self, resource: &str) -> String {
        format!(
            "{}<Error><Code>{}</Code><Message>{}</Message><Resource>{}</Resource><RequestId>RIG</RequestId></Error>",
            xml::DECLARATION,
            xml::escape(&self.code),
            xml::escape(&self.message),
            xml::escape(resource),
        )
    }

    /// HEAD gets the status alone, as from S3.
    pub fn into_response(self, resource: &str, head: bool) -> Response {
        let bodyless = head || self.status == StatusCode::NOT_MODIFIED;
        let document = if bodyless { String::new() } else { self.document(resource) };
        let mut response = xml_response(document);
        *response.status_mut() = self.status;
        for (name, value) in self.headers {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

pub fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(ReplyBody::empty());
    *response.status_mut() = status;
    if status != StatusCode::NO_CONTENT {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    response
}

pub fn xml_response(document: String) -> Response {
    text_response(document, "application/xml")
}

pub fn text_response(document: String, content_type: &'static str) -> Response {
    let length = HeaderValue::from(document.len());
    let mut response = Response::new(ReplyBody::text(document));
    response.headers_mut().insert(header::CONTENT_LENGTH, length);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
