//! Documents in replies: listings of objects, of uploads and of parts.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::Future;
use std::time::SystemTime;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::types::EncodingType;
use aws_smithy_runtime_api::http::Response;
use percent_encoding::percent_decode_str;

use super::S3Store;
use super::errors::{Failure, unanswered};
use super::replies::DocumentReader;
use super::request_info::RequestInfo;
use super::xml::Element;
use crate::error::{Error, Result, S3Action};
use crate::store::dates::parse_time;
use crate::store::listing::CircleGuard;
use crate::store::{ListPage, ListRequest, MultipartUpload, ObjectInfo, ObjectKey, UploadedPart};

/// How often a reply is asked for that is no document: one may have been cut off on its way.
const MOST_UNREADABLE: u32 = 2;

/// A page of a listing of uploads or parts, and where the next one begins.
struct Page<M> {
    document: Element,
    next: Option<M>,
}

impl S3Store {
    /// Makes a request whose reply is a document, and reads that.
    pub(super) async fn document<T, E, F, R>(&self, asked: RequestInfo<'_>, request: F) -> Result<Element, Failure>
    where
        F: Fn(DocumentReader) -> R,
        R: Future<Output = Result<T, SdkError<E, Response>>>,
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let reader = DocumentReader::default();
        let mut unreadable = 0;
        loop {
            let outcome = self.send(asked, || request(reader.clone())).await;
            let text = match (reader.take(), outcome) {
                (Some(Ok(document)), Ok(_)) => return Ok(document),
                (Some(Err(text)), _) => text,
                (_, Err(failure)) => return Err(failure),
                (None, Ok(_)) => "there is none".to_owned(),
            };
            unreadable += 1;
            if unreadable == MOST_UNREADABLE {
                let details = format!("the server's reply to {} cannot be read: {text}", asked.operation);
                return Err(Failure::without_reply(unanswered(asked, details)));
            }
        }
    }

    pub(super) async fn list_objects(&self, request: ListRequest<'_>) -> Result<ListPage> {
        let asked = RequestInfo {
            action: S3Action::ListingBucketContents,
            operation: "ListObjectsV2",
            bucket: request.bucket,
            key: request.prefix,
        };
        let send = |reader: DocumentReader| {
            let builder = self.client(request.bucket).list_objects_v2().bucket(request.bucket).prefix(request.prefix);
            builder
                .set_delimiter(request.delimiter.map(str::to_owned))
                .set_continuation_token(request.continuation.map(str::to_owned))
                // Keys may have characters that XML can't hold.
                .encoding_type(EncodingType::Url)
                .set_expected_bucket_owner(self.owner())
                .customize()
                .interceptor(reader)
                .send()
        };
        let document = self.document(asked, send).await.map_err(|failure| failure.error)?;
        object_page(&document).map_err(|text| unreadable(asked, &text))
    }

    pub(super) async fn list_upload_parts(&self, upload: &MultipartUpload) -> Result<Vec<UploadedPart>> {
        let asked = RequestInfo::object(S3Action::UploadingFile, "ListParts", &upload.object);
        let mut parts = Vec::new();
        let mut marker: Option<String> = None;
        let mut circle = CircleGuard::default();
        loop {
            let send = |reader: DocumentReader| {
                let builder = self.client(&upload.object.bucket).list_parts().bucket(&upload.object.bucket);
                builder
                    .key(&upload.object.key)
                    .upload_id(&upload.id)
                    .set_part_number_marker(marker.clone())
                    .set_expected_bucket_owner(self.owner())
                    .customize()
                    .interceptor(reader)
                    .send()
            };
            let document = self.document(asked, send).await.map_err(|failure| failure.error)?;
            let page = marked_page(document, "ListPartsResult", |document| {
                document.word("NextPartNumberMarker").map(str::to_owned)
            });
            let page = page.map_err(|text| unreadable(asked, &text))?;
            parts.extend(page.document.all("Part").filter_map(part));
            circle.check(None, page.next.as_deref()).map_err(|text| unreadable(asked, &text))?;
            match page.next {
                Some(next) => marker = Some(next),
                None => return Ok(parts),
            }
        }
    }

    pub(super) async fn list_uploads(&self, bucket: &str, prefix: &str) -> Result<Vec<MultipartUpload>> {
        let asked = RequestInfo {
            action: S3Action::ListingBucketContents,
            operation: "ListMultipartUploads",
            bucket,
            key: prefix,
        };
        let mut uploads = Vec::new();
        let mut markers: Option<(String, Option<String>)> = None;
        let mut circle = CircleGuard::default();
        loop {
            let (key_marker, id_marker) = markers.unzip();
            let send = |reader: DocumentReader| {
                let builder = self.client(bucket).list_multipart_uploads().bucket(bucket).prefix(prefix);
                builder
                    .set_key_marker(key_marker.clone())
                    .set_upload_id_marker(id_marker.clone().flatten())
                    .encoding_type(EncodingType::Url)
                    .set_expected_bucket_owner(self.owner())
                    .customize()
                    .interceptor(reader)
                    .send()
            };
            let document = self.document(asked, send).await.map_err(|failure| failure.error)?;
            let page = marked_page(document, "ListMultipartUploadsResult", |document| {
                let key = document.word("NextKeyMarker").map(|key| decoded(document, key).into_owned())?;
                Some((key, document.word("NextUploadIdMarker").map(str::to_owned)))
            });
            let Page { document, next } = page.map_err(|text| unreadable(asked, &text))?;
            uploads.extend(document.all("Upload").filter_map(|row| {
                let key = decoded(&document, row.text_of("Key")?).into_owned();
                let id = row.word("UploadId")?.to_owned();
                Some(MultipartUpload { object: ObjectKey::new(bucket, key), id, initiated: time(row, "Initiated") })
            }));
            let continuation = next.as_ref().map(|(key, id)| format!("{key}\n{}", id.as_deref().unwrap_or_default()));
            circle.check(None, continuation.as_deref()).map_err(|text| unreadable(asked, &text))?;
            if next.is_none() {
                return Ok(uploads);
            }
            markers = next;
        }
    }
}

fn unreadable(asked: RequestInfo<'_>, text: &str) -> Error {
    unanswered(asked, format!("the server's reply to {} cannot be used: {text}", asked.operation))
}

fn object_page(document: &Element) -> Result<ListPage, String> {
    if document.name != "ListBucketResult" {
        return Err(format!("it is a {}, no ListBucketResult", document.name));
    }
    let mut page = ListPage::default();
    for row in document.all("Contents") {
        let info = ObjectInfo {
            size_bytes: row.word("Size").and_then(|size| size.parse().ok()),
            last_modified: time(row, "LastModified"),
            etag: row.word("ETag").map(str::to_owned),
            metadata: BTreeMap::new(),
        };
        page.objects.push((name(document, row, "Key")?, info));
    }
    for row in document.all("CommonPrefixes") {
        // S3 gives each an element of its own; a server may put several into one.
        for prefix in row.all("Prefix") {
            page.common_prefixes.push(decoded(document, &prefix.text).into_owned());
        }
    }
    page.continuation = continuation(document)?;
    Ok(page)
}

/// What a row names. A row without a name is no row to pass over: outputs would be missing, and nobody would know.
fn name(document: &Element, row: &Element, element: &str) -> Result<String, String> {
    let text = row.text_of(element).filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| format!("an entry has no {element}"))?;
    Ok(decoded(document, text).into_owned())
}

/// The token for the next page, if there is one. `IsTruncated` decides: some servers send tokens on the last page, or empty
/// ones. Where it is missing, a token is all that there is.
fn continuation(document: &Element) -> Result<Option<String>, String> {
    let token = document.word("NextContinuationToken").map(str::to_owned);
    match (document.flag("IsTruncated")?, token) {
        (Some(true), None) => Err("it says that there are more keys, and not how to ask for them".to_owned()),
        (Some(false), _) | (None, None) => Ok(None),
        (_, token) => Ok(token),
    }
}

/// The same for listings that go on by markers.
fn marked_page<M>(document: Element, name: &str, marker: impl Fn(&Element) -> Option<M>) -> Result<Page<M>, String> {
    if document.name != name {
        return Err(format!("it is a {}, no {name}", document.name));
    }
    let next = if document.flag("IsTruncated")? == Some(true) {
        Some(marker(&document).ok_or("it says that there is more, and not how to ask for that")?)
    } else {
        None
    };
    Ok(Page { document, next })
}

/// Text as it was before it was encoded for a URL, where the reply says that it is: a `+` is a blank, as botocore reads it.
fn decoded<'a>(document: &Element, text: &'a str) -> Cow<'a, str> {
    if !document.word("EncodingType").is_some_and(|encoding| encoding.eq_ignore_ascii_case("url")) {
        return Cow::Borrowed(text);
    }
    let blanks = text.replace('+', " ");
    match percent_decode_str(&blanks).decode_utf8() {
        Ok(decoded) => Cow::Owned(decoded.into_owned()),
        Err(_) => Cow::Borrowed(text),
    }
}

fn part(row: &Element) -> Option<UploadedPart> {
    Some(UploadedPart {
        number: row.word("PartNumber")?.parse().ok()?,
        etag: row.word("ETag")?.to_owned(),
        size_bytes: row.word("Size")?.parse().ok()?,
        crc32: row.word("ChecksumCRC32").map(str::to_owned),
        last_modified: time(row, "LastModified"),
    })
}

fn time(row: &Element, name: &str) -> Option<SystemTime> {
    row.word(name).and_then(parse_time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(inner: &str) -> Result<ListPage, String> {
        let document = format!("<ListBucketResult>{inner}</ListBucketResult>");
        object_page(&Element::parse(document.as_bytes()).unwrap())
    }

    #[test]
    fn a_listing_goes_on_where_it_says_that_it_is_truncated() {
        let next = |inner: &str| page(inner).unwrap().continuation;
        let token = "<NextContinuationToken>t</NextContinuationToken>";
        assert_eq!(next(&format!("<IsTruncated>true</IsTruncated>{token}")).as_deref(), Some("t"));
        assert_eq!(next(&format!("<IsTruncated> True </IsTruncated>{token}")).as_deref(), Some("t"));
        assert_eq!(next(&format!("<IsTruncated>1</IsTruncated>{token}")).as_deref(), Some("t"));
        assert_eq!(next(&format!("<IsTruncated>false</IsTruncated>{token}")), None);
        assert_eq!(next("<IsTruncated>false</IsTruncated><NextContinuationToken/>"), None);
        assert_eq!(next("<NextContinuationToken/>"), None);
        assert_eq!(next(token).as_deref(), Some("t"));
        for bad in [
            "<IsTruncated>true</IsTruncated>",
            "<IsTruncated>true</IsTruncated><NextContinuationToken> </NextContinuationToken>",
            "<IsTruncated>maybe</IsTruncated>",
        ] {
            assert!(page(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn entries_are_read_in_every_form_and_none_is_passed_over() {
        let found = page(
            "<Contents><Key><![CDATA[a&b]]></Key><Size> 5 </Size><LastModified>2026-01-01 10:20:30</LastModified></Contents>
             <Contents><Key>%20+</Key><Size>-1</Size><LastModified>never</LastModified></Contents>
             <CommonPrefixes><Prefix>x/</Prefix></CommonPrefixes><CommonPrefixes><Prefix>y/</Prefix><Prefix>z/</Prefix></CommonPrefixes>",
        )
        .unwrap();
        let keys: Vec<&str> = found.objects.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(
            (keys.as_slice(), found.common_prefixes.as_slice()),
            (&["a&b", "%20+"][..], &["x/", "y/", "z/"].map(str::to_owned)[..])
        );
        assert_eq!((found.objects[0].1.size_bytes, found.objects[1].1.size_bytes), (Some(5), None));
        assert!(found.objects[0].1.last_modified.is_some() && found.objects[1].1.last_modified.is_none());
        for bad in ["<Contents/>", "<Contents><Key/></Contents>", "<Contents><key>a</key></Contents>"] {
            assert!(page(bad).is_err(), "{bad}");
        }
        assert!(object_page(&Element::parse(b"<html><body/></html>").unwrap()).is_err());
    }

    #[test]
    fn keys_are_decoded_where_the_reply_says_so() {
        let found = page("<EncodingType>url</EncodingType><Contents><Key>a%2Bb+c%01%C3%BC</Key></Contents>").unwrap();
        assert_eq!(found.objects[0].0, "a+b c\u{1}ü");
    }
}
