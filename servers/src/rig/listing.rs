//! `ListObjectsV2`: prefixes, delimiters and pages.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::reply::{Failure, Response, xml_response};
use super::request::Target;
use super::store::{Bucket, Object};
use super::xml;

/// `encoding-type=url` leaves these as they are.
const URL: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'*');

enum Row {
    Key(String, Arc<Object>),
    CommonPrefix(String),
}

impl Row {
    fn name(&self) -> &str {
        match self {
            Self::Key(name, _) | Self::CommonPrefix(name) => name,
        }
    }
}

pub fn list(bucket: &Bucket, target: &Target) -> Result<Response, Failure> {
    let query = &target.query;
    let prefix = query.get("prefix").unwrap_or_default();
    let delimiter = query.get("delimiter").filter(|delimiter| !delimiter.is_empty());
    let limit = match query.get("max-keys") {
        None => 1_000,
        Some(limit) => {
            limit.parse::<usize>().map_err(|_| Failure::invalid_argument("max-keys is no number"))?.min(1_000)
        }
    };
    let after = match query.get("continuation-token") {
        None => query.get("start-after").unwrap_or_default().to_owned(),
        Some(token) => token_text(token)
            .ok_or_else(|| Failure::invalid_argument("The continuation token provided is incorrect"))?,
    };
    let (rows, truncated) = page(bucket, (prefix, delimiter), &after, limit);
    Ok(xml_response(document(target, prefix, limit, (&rows, truncated))))
}

fn page(bucket: &Bucket, (prefix, delimiter): (&str, Option<&str>), after: &str, limit: usize) -> (Vec<Row>, bool) {
    let mut rows: Vec<Row> = Vec::new();
    let mut truncated = false;
    bucket.walk(prefix, after, |key, object| {
        let common = delimiter.and_then(|delimiter| {
            let end = key[prefix.len()..].find(delimiter)? + prefix.len() + delimiter.len();
            Some(&key[..end])
        });
        let name = common.unwrap_or(key);
        if name <= after || rows.last().is_some_and(|last| last.name() == name) {
            return ControlFlow::Continue(());
        }
        if rows.len() == limit {
            truncated = limit > 0;
            return ControlFlow::Break(());
        }
        let name = name.to_owned();
        rows.push(if common.is_some() { Row::CommonPrefix(name) } else { Row::Key(name, Arc::clone(object)) });
        ControlFlow::Continue(())
    });
    (rows, truncated)
}

fn document(target: &Target, prefix: &str, limit: usize, (rows, truncated): (&[Row], bool)) -> String {
    let query = &target.query;
    let url = query.get("encoding-type") == Some("url");
    // What is encoded for a URL has nothing that XML would escape.
    let written = |text| if url { Cow::Owned(utf8_percent_encode(text, URL).to_string()) } else { xml::escape(text) };
    let mut document = String::with_capacity(512 * (rows.len() + 1));
    let _ = write!(
        document,
        "{}<ListBucketResult xmlns=\"{}\"><Name>{}</Name><Prefix>{}</Prefix><KeyCount>{}</KeyCount><MaxKeys>{limit}</MaxKeys>\
         <IsTruncated>{truncated}</IsTruncated>",
        xml::DECLARATION,
        xml::NAMESPACE,
        xml::escape(&target.bucket),
        written(prefix),
        rows.len(),
    );
    for (parameter, tag) in [("delimiter", "Delimiter"), ("start-after", "StartAfter")] {
        if let Some(value) = query.get(parameter) {
            let _ = write!(document, "<{tag}>{}</{tag}>", written(value));
        }
    }
    if url {
        document.push_str("<EncodingType>url</EncodingType>");
    }
    if let Some(token) = query.get("continuation-token") {
        let _ = write!(document, "<ContinuationToken>{token}</ContinuationToken>");
    }
    if truncated && let Some(last) = rows.last() {
        let _ = write!(document, "<NextContinuationToken>{}</NextContinuationToken>", token(last.name()));
    }
    for row in rows {
        let _ = match row {
            Row::CommonPrefix(name) => {
                write!(document, "<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", written(name))
            }
            Row::Key(name, object) => write!(
                document,
                "<Contents><Key>{}</Key><LastModified>{}</LastModified><ETag>&quot;{}&quot;</ETag><Size>{}</Size>\
                 <StorageClass>STANDARD</StorageClass></Contents>",
                written(name),
                xml::iso_time(object.modified),
                object.etag,
                object.content.len(),
            ),
        };
    }
    document.push_str("</ListBucketResult>");
    document
}

/// The last name of the page, in hexadecimal digits: opaque to clients, and needing no state here.
fn token(name: &str) -> String {
    name.bytes().fold("rig".to_owned(), |mut token, byte| {
        let _ = write!(token, "{byte:02x}");
        token
    })
}

fn token_text(token: &str) -> Option<String> {
    let digits = token.strip_prefix("rig")?;
    let bytes: Option<Vec<u8>> =
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()).collect();
    String::from_utf8(bytes?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back() {
        assert_eq!(token_text(&token("a/ü \n")).as_deref(), Some("a/ü \n"));
        assert_eq!(token_text("garbage"), None);
    }
}
