//! What a request asks for: bucket, key, query and the S3 operation.

use http::request::Parts;
use http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;
use serde::Serialize;

use super::reply::Failure;

/// The operations of S3 that the rig has, by their names there; STS's one besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Operation {
    AbortMultipartUpload,
    CompleteMultipartUpload,
    CopyObject,
    CreateBucket,
    CreateMultipartUpload,
    DeleteBucket,
    DeleteObject,
    DeleteObjects,
    GetBucketLocation,
    GetCallerIdentity,
    GetObject,
    HeadBucket,
    HeadObject,
    ListBuckets,
    ListMultipartUploads,
    ListObjectsV2,
    ListParts,
    PutObject,
    UploadPart,
    Unknown,
}

impl Operation {
    pub const ALL: [Self; 20] = [
        Self::AbortMultipartUpload,
        Self::CompleteMultipartUpload,
        Self::CopyObject,
        Self::CreateBucket,
        Self::CreateMultipartUpload,
        Self::DeleteBucket,
        Self::DeleteObject,
        Self::DeleteObjects,
        Self::GetBucketLocation,
        Self::GetCallerIdentity,
        Self::GetObject,
        Self::HeadBucket,
        Self::HeadObject,
        Self::ListBuckets,
        Self::ListMultipartUploads,
        Self::ListObjectsV2,
        Self::ListParts,
        Self::PutObject,
        Self::UploadPart,
        Self::Unknown,
    ];

    pub fn name(self) -> String {
        format!("{self:?}")
    }

    pub fn is_head(self) -> bool {
        matches!(self, Self::HeadBucket | Self::HeadObject)
    }
}

/// A parsed query: S3's parameters come once each.
#[derive(Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    pub fn parse(query: Option<&str>) -> Self {
        let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode(name), decode(&value.replace('+', " ")))
                })
                .collect(),
        )
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8().map(std::borrow::Cow::into_owned).unwrap_or_default()
}

#[derive(Debug)]
pub struct Target {
    pub bucket: String,
    pub key: String,
    pub query: Query,
    pub operation: Operation,
}

impl Target {
    /// Path style, and virtual-host style for hosts under `.localhost`.
    pub fn parse(parts: &Parts) -> Result<Self, Failure> {
        let path = parts.uri.path();
        let rest = path.strip_prefix('/').unwrap_or(path);
        let (bucket, raw_key) = match virtual_host_bucket(&parts.headers) {
            Some(bucket) => (bucket, rest),
            None => match rest.split_once('/') {
                Some((bucket, key)) => (bucket.to_owned(), key),
                None => (rest.to_owned(), ""),
            },
        };
        let Ok(key) = percent_decode_str(raw_key).decode_utf8() else {
            return Err(Failure::new(400, "InvalidURI", "Couldn't parse the specified URI."));
        };
        let key = key.into_owned();
        let query = Query::parse(parts.uri.query());
        let operation = operation(parts, &bucket, &key, &query);
        Ok(Self { bucket, key, query, operation })
    }

    pub fn resource(&self) -> String {
        format!("/{}/{}", self.bucket, self.key)
    }
}

fn virtual_host_bucket(headers: &HeaderMap) -> Option<String> {
    let host = headers.get(http::header::HOST)?.to_str().ok()?;
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name.strip_suffix(".localhost").map(str::to_owned)
}

fn operation(parts: &Parts, bucket: &str, key: &str, query: &Query) -> Operation {
    if bucket.is_empty() {
        return match parts.method {
            Method::GET => Operation::ListBuckets,
            Method::POST => Operation::GetCallerIdentity,
            _ => Operation::Unknown,
        };
    }
    if key.is_empty() { bucket_operation(&parts.method, query) } else { object_operation(parts, query) }
}

fn bucket_operation(method: &Method, query: &Query) -> Operation {
    match *method {
        Method::HEAD => Operation::HeadBucket,
        Method::PUT => Operation::CreateBucket,
        Method::DELETE => Operation::DeleteBucket,
        Method::GET if query.has("uploads") => Operation::ListMultipartUploads,
        Method::GET if query.has("location") => Operation::GetBucketLocation,
        Method::GET => Operation::ListObjectsV2,
        Method::POST if query.has("delete") => Operation::DeleteObjects,
        _ => Operation::Unknown,
    }
}

fn object_operation(parts: &Parts, query: &Query) -> Operation {
    let of_upload = query.has("uploadId");
    match parts.method {
        Method::HEAD => Operation::HeadObject,
        Method::GET if of_upload => Operation::ListParts,
        Method::GET => Operation::GetObject,
        Method::PUT if of_upload => Operation::UploadPart,
        Method::PUT if parts.headers.contains_key("x-amz-copy-source") => Operation::CopyObject,
        Method::PUT => Operation::PutObject,
        Method::POST if query.has("uploads") => Operation::CreateMultipartUpload,
        Method::POST if of_upload => Operation::CompleteMultipartUpload,
        Method::DELETE if of_upload => Operation::AbortMultipartUpload,
        Method::DELETE => Operation::DeleteObject,
        _ => Operation::Unknown,
    }
}

/// The region that a request was signed for.
pub fn signed_region(headers: &HeaderMap) -> Option<&str> {
    let authorization = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?;
    authorization.split_once("Credential=")?.1.split('/').nth(2)
}

/// The access key that signed the request, if it was signed.
pub fn access_key(headers: &HeaderMap) -> Option<&str> {
    let authorization = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?;
    let credential = authorization.split_once("Credential=")?.1;
    credential.split('/').next()
}
