//! Multipart uploads, with S3's rules.

use std::fmt::Write as _;
use std::time::SystemTime;

use http::request::Parts;
use http::{HeaderMap, StatusCode, header};

use super::body::Payload;
use super::checksum;
use super::config::Config;
use super::content::Content;
use super::objects::{kept_headers, quoted, wants_absence};
use super::reply::{Failure, Response, empty, xml_response};
use super::request::Target;
use super::store::{Bucket, Object, Part, Store, Upload, lock};
use super::xml;

/// Smallest part but the last. <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
const MIN_PART_BYTES: u64 = 5 * 1024 * 1024;
/// Most parts of an upload: the same page.
const MAX_PARTS: u32 = 10_000;

fn upload_id(target: &Target) -> &str {
    target.query.get("uploadId").unwrap_or_default()
}

pub fn create(store: &Store, bucket: &Bucket, target: &Target, headers: &HeaderMap) -> Response {
    let id = store.new_upload_id();
    let upload = Upload {
        key: target.key.clone(),
        headers: kept_headers(headers),
        parts: std::collections::BTreeMap::new(),
        started: SystemTime::now(),
    };
    lock(&bucket.uploads).insert(id.clone(), upload);
    let mut response = xml_response(format!(
        "{}<InitiateMultipartUploadResult xmlns=\"{}\"><Bucket>{}</Bucket><Key>{}</Key><UploadId>{id}</UploadId>\
         </InitiateMultipartUploadResult>",
        xml::DECLARATION,
        xml::NAMESPACE,
        xml::escape(&target.bucket),
        xml::escape(&target.key),
    ));
    for name in ["x-amz-checksum-algorithm", "x-amz-checksum-type"] {
        if let Some(value) = headers.get(name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

pub fn upload_part(
    bucket: &Bucket,
    target: &Target,
    parts: &Parts,
    payload: Payload,
    config: &Config,
) -> Result<Response, Failure> {
    let number: u32 = target.query.get("partNumber").and_then(|number| number.parse().ok()).unwrap_or(0);
    if !(1..=MAX_PARTS).contains(&number) {
        return Err(Failure::invalid_argument("Part number must be an integer between 1 and 10000, inclusive"));
    }
    let checksums = checksum::verify(&parts.headers, &payload, config.xxhash128)?;
    let etag = checksum::entity_tag(&checksums, &payload.content);
    let part = Part { content: payload.content, etag: etag.clone(), modified: SystemTime::now() };
    let mut uploads = lock(&bucket.uploads);
    let upload = uploads.get_mut(upload_id(target)).filter(|upload| upload.key == target.key);
    upload.ok_or_else(Failure::no_such_upload)?.parts.insert(number, part);
    drop(uploads);
    let mut response = empty(StatusCode::OK);
    response.headers_mut().insert(header::ETAG, quoted(&etag));
    for (name, value) in checksums {
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}

pub fn complete(
    bucket: &Bucket,
    target: &Target,
    parts: &Parts,
    payload: &Payload,
    config: &Config,
) -> Result<Response, Failure> {
    let wanted = wanted_parts(payload)?;
    let mut uploads = lock(&bucket.uploads);
    let upload = uploads.get(upload_id(target)).filter(|upload| upload.key == target.key);
    let upload = upload.ok_or_else(Failure::no_such_upload)?;
    let contents = chosen(upload, &wanted)?;
    let content = Content::concat(&contents);
    check_full_object(&parts.headers, &content, config)?;
    let tags: Vec<&str> = wanted.iter().map(|(_, tag)| tag.as_str()).collect();
    let etag = checksum::entity_tag_of_parts(&tags);
    let object = Object {
        content,
        etag: etag.clone(),
        modified: SystemTime::now(),
        headers: upload.headers.clone(),
        checksums: Vec::new(),
    };
    if !bucket.put(&target.key, object, wants_absence(&parts.headers, config)) {
        return Err(Failure::precondition("If-None-Match"));
    }
    uploads.remove(upload_id(target));
    Ok(xml_response(format!(
        "{}<CompleteMultipartUploadResult xmlns=\"{}\"><Location>/{bucket}/{key}</Location><Bucket>{bucket}</Bucket>\
         <Key>{key}</Key><ETag>&quot;{etag}&quot;</ETag></CompleteMultipartUploadResult>",
        xml::DECLARATION,
        xml::NAMESPACE,
        bucket = xml::escape(&target.bucket),
        key = xml::escape(&target.key),
    )))
}

/// A checksum of the whole object on the completing request.
fn check_full_object(headers: &HeaderMap, content: &Content, config: &Config) -> Result<(), Failure> {
    let whole = Payload { content: content.clone(), trailers: Vec::new() };
    let is_composite = |value: &http::HeaderValue| value.as_bytes().contains(&b'-');
    let any = headers.iter().any(|(name, value)| name.as_str().starts_with("x-amz-checksum-") && is_composite(value));
    if any { Ok(()) } else { checksum::verify(headers, &whole, config.xxhash128).map(|_| ()) }
}

fn wanted_parts(payload: &Payload) -> Result<Vec<(u32, String)>, Failure> {
    let malformed = || {
        let message = "The XML you provided was not well-formed or did not validate against our published schema";
        Failure::new(400, "MalformedXML", message)
    };
    let document = String::from_utf8(payload.content.to_vec()).map_err(|_| malformed())?;
    let mut wanted = Vec::new();
    for part in xml::elements(&document, "Part") {
        let number = xml::elements(part, "PartNumber").first().and_then(|number| number.trim().parse().ok());
        let etag = xml::elements(part, "ETag").first().map(|etag| xml::unescape(etag).trim_matches('"').to_owned());
        wanted.push(number.zip(etag).ok_or_else(malformed)?);
    }
    if wanted.is_empty() { Err(malformed()) } else { Ok(wanted) }
}

fn chosen(upload: &Upload, wanted: &[(u32, String)]) -> Result<Vec<Content>, Failure> {
    if wanted.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
        let message = "The list of parts was not in ascending order. Parts must be ordered by part number.";
        return Err(Failure::new(400, "InvalidPartOrder", message));
    }
    let mut contents = Vec::with_capacity(wanted.len());
    for (index, (number, etag)) in wanted.iter().enumerate() {
        let part = upload.parts.get(number).filter(|part| part.etag == *etag).ok_or_else(|| {
            let message = "One or more of the specified parts could not be found. The part may not have been uploaded, or \
                           the specified entity tag may not match the part's entity tag.";
            Failure::new(400, "InvalidPart", message)
        })?;
        if part.content.len() < MIN_PART_BYTES && index + 1 < wanted.len() {
            let message = "Your proposed upload is smaller than the minimum allowed size";
            return Err(Failure::new(400, "EntityTooSmall", message));
        }
        contents.push(part.content.clone());
    }
    Ok(contents)
}

pub fn abort(bucket: &Bucket, target: &Target) -> Result<Response, Failure> {
    let mut uploads = lock(&bucket.uploads);
    if uploads.get(upload_id(target)).is_none_or(|upload| upload.key != target.key) {
        return Err(Failure::no_such_upload());
    }
    uploads.remove(upload_id(target));
    Ok(empty(StatusCode::NO_CONTENT))
}

pub fn list_parts(bucket: &Bucket, target: &Target) -> Result<Response, Failure> {
    let uploads = lock(&bucket.uploads);
    let upload = uploads.get(upload_id(target)).filter(|upload| upload.key == target.key);
    let upload = upload.ok_or_else(Failure::no_such_upload)?;
    let limit = target.query.get("max-parts").and_then(|limit| limit.parse().ok()).unwrap_or(1_000_usize).min(1_000);
    let after: u32 = target.query.get("part-number-marker").and_then(|marker| marker.parse().ok()).unwrap_or(0);
    let mut rest = upload.parts.range(after + 1..);
    let page: Vec<(&u32, &Part)> = rest.by_ref().take(limit).collect();
    let mut document = format!(
        "{}<ListPartsResult xmlns=\"{}\"><Bucket>{}</Bucket><Key>{}</Key><UploadId>{}</UploadId><MaxParts>{limit}</MaxParts>\
         <PartNumberMarker>{after}</PartNumberMarker><IsTruncated>{}</IsTruncated>",
        xml::DECLARATION,
        xml::NAMESPACE,
        xml::escape(&target.bucket),
        xml::escape(&target.key),
        upload_id(target),
        rest.next().is_some(),
    );
    if let Some((last, _)) = page.last() {
        let _ = write!(document, "<NextPartNumberMarker>{last}</NextPartNumberMarker>");
    }
    for (number, part) in page {
        let _ = write!(
            document,
            "<Part><PartNumber>{number}</PartNumber><LastModified>{}</LastModified><ETag>&quot;{}&quot;</ETag><Size>{}</Size>\
             <ChecksumCRC32>{}</ChecksumCRC32></Part>",
            xml::iso_time(part.modified),
            part.etag,
            part.content.len(),
            checksum::crc32(&part.content),
        );
    }
    document.push_str("</ListPartsResult>");
    Ok(xml_response(document))
}

/// All unfinished uploads under the prefix; the rig does not page them.
pub fn list_uploads(bucket: &Bucket, target: &Target) -> Response {
    let prefix = target.query.get("prefix").unwrap_or_default();
    let mut document = format!(
        "{}<ListMultipartUploadsResult xmlns=\"{}\"><Bucket>{}</Bucket><Prefix>{}</Prefix><MaxUploads>1000</MaxUploads>\
         <IsTruncated>false</IsTruncated>",
        xml::DECLARATION,
        xml::NAMESPACE,
        xml::escape(&target.bucket),
        xml::escape(prefix),
    );
    for (id, upload) in lock(&bucket.uploads).iter().filter(|(_, upload)| upload.key.starts_with(prefix)) {
        let _ = write!(
            document,
            "<Upload><Key>{}</Key><UploadId>{id}</UploadId><Initiated>{}</Initiated></Upload>",
            xml::escape(&upload.key),
            xml::iso_time(upload.started),
        );
    }
    document.push_str("</ListMultipartUploadsResult>");
    xml_response(document)
}
