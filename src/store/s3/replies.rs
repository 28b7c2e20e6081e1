//! What becomes of a reply before the SDK reads it.
//!
//! The SDK refuses a whole reply for one header that it cannot read, whether the header is needed or not, and reads the
//! documents of listings as S3 writes them and no other way. Gateways and other servers write dates, truth values and text in
//! forms of their own. So the SDK is shown only the headers that are used here, in the forms that it knows; documents are read
//! by [`super::xml`], and the SDK gets an empty one in their place, or an error as S3 would have written it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat, SdkBody};
use aws_smithy_runtime_api::http::{Headers, Response};
use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};
use parking_lot::Mutex;

use super::xml::Element;
use crate::store::dates::parse_time;

/// Headers that a reply may have once. Where there are more, the first counts, as in botocore.
const SINGLE: &[&str] = &[CONTENT_LENGTH, LAST_MODIFIED, "content-range", "content-type", "date", "etag"];
/// Other headers that the SDK or this crate reads as text.
const PLAIN: &[&str] = &[
    "location",
    "retry-after",
    "x-amz-bucket-region",
    "x-amz-checksum-crc32",
    "x-amz-checksum-xxhash128",
    "x-amz-id-2",
    "x-amz-request-id",
    "x-amz-retry-after",
];
const METADATA: &str = "x-amz-meta-";
const CONTENT_LENGTH: &str = "content-length";
const LAST_MODIFIED: &str = "last-modified";

/// No reply to a request of this crate is longer: a page has 1,000 keys of 1,024 bytes, each of which may take three more as
/// text (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>).
const MAX_DOCUMENT_BYTES: usize = 16 * 1024 * 1024;

/// Makes a reply's headers such that the SDK can read them, and an error's body too.
pub(super) fn tidy(response: &mut Response) {
    tidy_headers(response.headers_mut());
    if response.status().as_u16() >= 300 {
        swap_body(response, None);
    }
}

fn tidy_headers(headers: &mut Headers) {
    let is_used = |name: &str| SINGLE.contains(&name) || PLAIN.contains(&name) || name.starts_with(METADATA);
    let unused: Vec<String> =
        headers.iter_bytes().filter(|(name, _)| !is_used(name)).map(|(name, _)| name.to_owned()).collect();
    for name in unused {
        headers.remove(name);
    }
    for name in SINGLE {
        if headers.get_all_bytes(name).nth(1).is_some() {
            let first = headers.get(name).map(str::to_owned);
            replace(headers, name, first);
        }
    }
    // A length that is no number is none. The connection has its own reading of it, and ends bodies by that.
    let is_length = |text: &str| text.trim().parse::<i64>().is_ok_and(|length| length >= 0);
    if headers.get(CONTENT_LENGTH).is_some_and(|text| !is_length(text)) {
        headers.remove(CONTENT_LENGTH);
    }
    if let Some(text) = headers.get(LAST_MODIFIED)
        && DateTime::from_str(text, DateTimeFormat::HttpDate).is_err()
    {
        let date = parse_time(text).and_then(|time| DateTime::from(time).fmt(DateTimeFormat::HttpDate).ok());
        replace(headers, LAST_MODIFIED, date);
    }
}

fn replace(headers: &mut Headers, name: &'static str, value: Option<String>) {
    headers.remove(name);
    if let Some(value) = value {
        // What was a header is one again; a date has nothing in it that a header may not have.
        let _ = headers.try_insert(name, value);
    }
}

/// Reads the document in the reply to one request.
#[derive(Debug, Clone, Default)]
pub(super) struct DocumentReader(Slot);

/// What the document of the last attempt was, or why it is none.
type Slot = Arc<Mutex<Option<Result<Element, String>>>>;

impl DocumentReader {
    /// What the last reply had.
    pub(super) fn take(&self) -> Option<Result<Element, String>> {
        self.0.lock().take()
    }
}

impl Intercept for DocumentReader {
    fn name(&self) -> &'static str {
        "JobAttachmentsDocuments"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        drop(self.take());
        let response = context.response_mut();
        if response.status().is_success() {
            swap_body(response, Some(Arc::clone(&self.0)));
        }
        Ok(())
    }
}

fn swap_body(response: &mut Response, slot: Option<Slot>) {
    let body = std::mem::replace(response.body_mut(), SdkBody::taken());
    let document = Document { body, read: BytesMut::new(), slot, is_done: false };
    *response.body_mut() = SdkBody::from_body_1_x(document);
}

/// A body that is read to its end, and then is another.
struct Document {
    body: SdkBody,
    read: BytesMut,
    /// Where a document goes that is no error.
    slot: Option<Slot>,
    is_done: bool,
}

impl Document {
    /// What the SDK gets.
    fn finish(&mut self) -> Bytes {
        let read = std::mem::take(&mut self.read).freeze();
        let element = Element::parse(&read);
        if let Some(error) = element.as_ref().ok().and_then(Element::error_as_s3_writes_it) {
            return error.into();
        }
        let Some(slot) = &self.slot else { return read };
        // An unreadable document is found in the slot, whatever the SDK makes of an empty one.
        let empty = element.as_ref().map_or_else(|_| "<Unreadable/>".to_owned(), |root| format!("<{}/>", root.name));
        *slot.lock() = Some(element);
        empty.into()
    }
}

impl Body for Document {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.get_mut();
        while !this.is_done {
            match ready!(Pin::new(&mut this.body).poll_frame(context)) {
                Some(Ok(frame)) => {
                    let bytes = frame.into_data().unwrap_or_default();
                    if this.read.len() + bytes.len() > MAX_DOCUMENT_BYTES {
                        this.is_done = true;
                        let text = format!("the reply is longer than {MAX_DOCUMENT_BYTES} bytes");
                        return Poll::Ready(Some(Err(text.into())));
                    }
                    this.read.extend_from_slice(&bytes);
                }
                Some(Err(error)) => {
                    this.is_done = true;
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    this.is_done = true;
                    let bytes = this.finish();
                    if !bytes.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(bytes))));
                    }
                }
            }
        }
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tidied(headers: &[(&'static str, &'static str)]) -> Vec<(String, String)> {
        let mut response = Response::new(200.try_into().unwrap(), SdkBody::empty());
        for (name, value) in headers {
            response.headers_mut().append(*name, *value);
        }
        tidy(&mut response);
        let mut found: Vec<_> =
            response.headers().iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        found.sort();
        found
    }

    #[test]
    fn headers_that_are_not_used_cannot_fail_a_reply() {
        let odd = [
            ("expires", "0"),
            ("x-amz-delete-marker", ""),
            ("x-amz-missing-meta", "many"),
            ("x-amz-mp-parts-count", "?"),
        ];
        assert_eq!(tidied(&odd), []);
        let kept = [("content-length", "5"), ("etag", "\"x\""), ("x-amz-meta-asset-root", "/a")];
        assert_eq!(tidied(&kept), kept.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn the_first_of_headers_that_stand_twice_counts() {
        let twice = [("etag", "\"x\""), ("etag", "\"y\""), ("x-amz-meta-a", "1"), ("x-amz-meta-a", "2")];
        let found = tidied(&twice);
        assert_eq!(
            found.iter().filter(|(name, _)| name == "etag").map(|(_, value)| value).collect::<Vec<_>>(),
            ["\"x\""]
        );
    }

    #[test]
    fn dates_take_the_form_that_the_sdk_reads() {
        let right = "Thu, 01 Jan 2026 10:20:30 GMT";
        for form in [right, "2026-01-01T10:20:30Z", "Thu, 1 Jan 2026 10:20:30 +0000", "2026-01-01 10:20:30"] {
            let found = tidied(&[("last-modified", form)]).remove(0).1;
            let read = DateTime::from_str(&found, DateTimeFormat::HttpDate).unwrap();
            assert_eq!(read.secs(), 1_767_262_830, "{form} became {found}");
        }
        assert_eq!(tidied(&[("last-modified", "yesterday")]), []);
    }

    #[test]
    fn lengths_that_are_none_are_left_out() {
        for length in ["-1", "", "many", "99999999999999999999"] {
            assert_eq!(tidied(&[("content-length", length)]), [], "{length}");
        }
    }
}
