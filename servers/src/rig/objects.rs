//! HEAD, GET, PUT, copy and DELETE of single objects.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::body::Payload;
use super::checksum;
use super::config::Config;
use super::content::Content;
use super::reply::{Failure, ReplyBody, Response, empty, xml_response};
use super::request::Target;
use super::store::{Bucket, Headers, Object};
use super::xml;

/// Largest object of one PUT: 5 GiB. <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
const MAX_PUT_BYTES: u64 = 5 * 1024 * 1024 * 1024;

/// Ways in which a GET may go wrong before its reply is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeTwist {
    None,
    Ignore,
    OtherPlace,
}

pub fn text<'headers>(headers: &'headers HeaderMap, name: &str) -> Option<&'headers str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

pub fn quoted(etag: &str) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{etag}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// Headers of a request that S3 keeps with the object.
pub fn kept_headers(headers: &HeaderMap) -> Headers {
    let mut kept: Headers = Vec::new();
    for (name, value) in headers {
        let standard =
            [header::CONTENT_TYPE, header::CACHE_CONTROL, header::CONTENT_DISPOSITION, header::CONTENT_LANGUAGE];
        if name.as_str().starts_with("x-amz-meta-") || standard.contains(name) {
            kept.push((name.clone(), value.clone()));
        }
    }
    let encoding = text(headers, "content-encoding").unwrap_or_default();
    let rest: Vec<&str> =
        encoding.split(',').map(str::trim).filter(|part| !part.is_empty() && *part != "aws-chunked").collect();
    if !rest.is_empty()
        && let Ok(value) = HeaderValue::from_str(&rest.join(","))
    {
        kept.push((header::CONTENT_ENCODING, value));
    }
    kept
}

pub fn wants_absence(headers: &HeaderMap, config: &Config) -> bool {
    config.if_none_match && text(headers, "if-none-match") == Some("*")
}

pub fn put(
    bucket: &Bucket,
    target: &Target,
    parts: &Parts,
    payload: Payload,
    config: &Config,
) -> Result<Response, Failure> {
    if payload.content.len() > MAX_PUT_BYTES {
        return Err(Failure::new(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size"));
    }
    if target.key.len() > 1024 {
        return Err(Failure::new(400, "KeyTooLongError", "Your key is too long"));
    }
    let checksums = checksum::verify(&parts.headers, &payload, config.xxhash128)?;
    let object = Object {
        etag: checksum::entity_tag(&checksums, &payload.content),
        content: payload.content,
        modified: SystemTime::now(),
        headers: kept_headers(&parts.headers),
        checksums: checksums.clone(),
    };
    let etag = quoted(&object.etag);
    if !bucket.put(&target.key, object, wants_absence(&parts.headers, config)) {
        return Err(Failure::precondition("If-None-Match"));
    }
    let mut response = empty(StatusCode::OK);
    response.headers_mut().insert(header::ETAG, etag);
    response
        .headers_mut()
        .extend(checksums.into_iter().map(|(name, value)| (Some(name), value)).collect::<HeaderPairs>());
    Ok(response)
}

type HeaderPairs = Vec<(Option<HeaderName>, HeaderValue)>;

pub fn get(bucket: &Bucket, target: &Target, parts: &Parts, twist: RangeTwist) -> Result<Response, Failure> {
    let object = bucket.get(&target.key).ok_or_else(Failure::no_such_key)?;
    check_conditions(&parts.headers, &object)?;
    let length = object.content.len();
    let range = match text(&parts.headers, "range") {
        Some(range) if twist != RangeTwist::Ignore => parse_range(range, length)?,
        _ => None,
    };
    let sent = match (&range, twist) {
        (Some(range), RangeTwist::OtherPlace) => other_place(range, length),
        (Some(range), _) => range.clone(),
        (None, _) => 0..length,
    };
    let mut response = Response::new(ReplyBody::content(object.content.slices(sent.clone())));
    describe(&mut response, &object, range.is_none() && wants_checksums(&parts.headers));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(sent.end - sent.start));
    if let Some(range) = range {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let text = format!("bytes {}-{}/{length}", range.start, range.end - 1);
        response.headers_mut().extend(HeaderValue::from_str(&text).ok().map(|value| (header::CONTENT_RANGE, value)));
    }
    Ok(response)
}

fn other_place(range: &Range<u64>, length: u64) -> Range<u64> {
    let size = range.end - range.start;
    let start = if range.start == 0 { length - size } else { 0 };
    start..start + size
}

pub fn head(bucket: &Bucket, target: &Target, parts: &Parts) -> Result<Response, Failure> {
    let object = bucket.get(&target.key).ok_or_else(Failure::no_such_key)?;
    check_conditions(&parts.headers, &object)?;
    let mut response = Response::new(ReplyBody::empty());
    describe(&mut response, &object, wants_checksums(&parts.headers));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(object.content.len()));
    Ok(response)
}

fn wants_checksums(headers: &HeaderMap) -> bool {
    text(headers, "x-amz-checksum-mode").is_some_and(|mode| mode.eq_ignore_ascii_case("enabled"))
}

fn describe(response: &mut Response, object: &Object, with_checksums: bool) {
    let headers = response.headers_mut();
    headers.insert(header::ETAG, quoted(&object.etag));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Ok(modified) = HeaderValue::from_str(&xml::http_time(object.modified)) {
        headers.insert(header::LAST_MODIFIED, modified);
    }
    for (name, value) in &object.headers {
        headers.insert(name.clone(), value.clone());
    }
    if !headers.contains_key(header::CONTENT_TYPE) {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("binary/octet-stream"));
    }
    if with_checksums {
        for (name, value) in &object.checksums {
            headers.insert(name.clone(), value.clone());
        }
    }
}

fn check_conditions(headers: &HeaderMap, object: &Object) -> Result<(), Failure> {
    let names = |condition: &str| {
        condition.split(',').any(|etag| etag.trim() == "*" || etag.trim().trim_matches('"') == object.etag)
    };
    if text(headers, "if-match").is_some_and(|condition| !names(condition)) {
        return Err(Failure::precondition("If-Match"));
    }
    if text(headers, "if-none-match").is_some_and(names) {
        return Err(Failure::new(304, "NotModified", "Not Modified"));
    }
    Ok(())
}

/// One range of bytes; a malformed one counts as none, as RFC 9110 has it.
fn parse_range(text: &str, length: u64) -> Result<Option<Range<u64>>, Failure> {
    let Some((first, last)) = text.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Ok(None);
    };
    let range = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if last >= first => first..last.saturating_add(1).min(length),
        (Ok(first), Err(_)) if last.is_empty() => first..length,
        (Err(_), Ok(suffix)) if first.is_empty() => length.saturating_sub(suffix)..length,
        _ => return Ok(None),
    };
    if range.start >= range.end {
        let failure = Failure::new(416, "InvalidRange", "The requested range is not satisfiable");
        return Err(failure.with_header(header::CONTENT_RANGE, &format!("bytes */{length}")));
    }
    Ok(Some(range))
}

pub fn delete(bucket: &Bucket, target: &Target) -> Response {
    bucket.delete(&target.key);
    empty(StatusCode::NO_CONTENT)
}

pub fn delete_many(bucket: &Bucket, payload: &Payload) -> Response {
    let document = String::from_utf8_lossy(&payload.content.to_vec()).into_owned();
    let quiet = xml::elements(&document, "Quiet").first() == Some(&"true");
    let mut reply = format!("{}<DeleteResult xmlns=\"{}\">", xml::DECLARATION, xml::NAMESPACE);
    for key in xml::elements(&document, "Key").into_iter().map(xml::unescape) {
        bucket.delete(&key);
        if !quiet {
            let _ = write!(reply, "<Deleted><Key>{}</Key></Deleted>", xml::escape(&key));
        }
    }
    reply.push_str("</DeleteResult>");
    xml_response(reply)
}

pub fn copy(bucket: &Bucket, source: &Arc<Object>, target: &Target, parts: &Parts) -> Response {
    let replaces = text(&parts.headers, "x-amz-metadata-directive") == Some("REPLACE");
    let modified = SystemTime::now();
    let object = Object {
        content: source.content.clone(),
        etag: source.etag.clone(),
        modified,
        headers: if replaces { kept_headers(&parts.headers) } else { source.headers.clone() },
        checksums: source.checksums.clone(),
    };
    bucket.put(&target.key, object, false);
    xml_response(format!(
        "{}<CopyObjectResult xmlns=\"{}\"><LastModified>{}</LastModified><ETag>&quot;{}&quot;</ETag></CopyObjectResult>",
        xml::DECLARATION,
        xml::NAMESPACE,
        xml::iso_time(modified),
        source.etag,
    ))
}

/// The bytes that stand in for the wanted ones: the named object's, or any other's.
pub fn other_content(bucket: &Bucket, wanted: &str, named: Option<&str>) -> Option<Content> {
    match named {
        Some(key) => bucket.get(key).map(|object| object.content.clone()),
        None => bucket.list("").into_iter().find(|(key, _)| key != wanted).map(|(_, object)| object.content.clone()),
    }
}
