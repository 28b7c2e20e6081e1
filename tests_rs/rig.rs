//! The test rig's S3 server agrees with s3s-fs, and its faults are the ones that were ordered.

use std::fmt::Write as _;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier};
use rusty_attachments_servers::rig::{self as s3_rig, Rig, Rule};
use rusty_attachments_servers::strict::S3sServer;
use serde_json::json;

const PART: usize = 5 * 1024 * 1024;

fn client(endpoint: &str) -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-west-2"))
        .endpoint_url(endpoint)
        .force_path_style(true)
        .response_checksum_validation(aws_sdk_s3::config::ResponseChecksumValidation::WhenRequired)
        .credentials_provider(Credentials::new("test", "testsecret", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Client::from_conf(config)
}

/// The status and the code of an error.
fn failure<E: ProvideErrorMetadata>(error: &SdkError<E>) -> String {
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code).unwrap_or("-");
    format!("{status} {code}")
}

macro_rules! told {
    ($outcome:expr, $told:expr) => {
        match $outcome {
            Ok(output) => $told(output),
            Err(error) => failure(&error),
        }
    };
}

async fn put(client: &Client, key: &str, body: &[u8]) -> String {
    let request = client.put_object().bucket("bucket").key(key).body(ByteStream::from(body.to_vec()));
    told!(request.send().await, |_| "put".to_owned())
}

async fn get(client: &Client, key: &str, range: Option<&str>) -> String {
    let request = client.get_object().bucket("bucket").key(key).set_range(range.map(str::to_owned));
    match request.send().await {
        Ok(output) => {
            let content_range = output.content_range().map(str::to_owned);
            let length = output.content_length();
            let body = output.body.collect().await.unwrap().into_bytes();
            format!("{length:?} {content_range:?} {:016x}", xxhash_rust::xxh3::xxh3_64(&body))
        }
        Err(error) => failure(&error),
    }
}

async fn list(client: &Client, prefix: &str, delimiter: Option<&str>, page: i32) -> String {
    let mut told = String::new();
    let mut token = None;
    loop {
        let request =
            client.list_objects_v2().bucket("bucket").prefix(prefix).set_delimiter(delimiter.map(str::to_owned));
        let output = match request.max_keys(page).set_continuation_token(token).send().await {
            Ok(output) => output,
            Err(error) => return failure(&error),
        };
        for object in output.contents() {
            let _ = write!(told, "{}:{} ", object.key().unwrap(), object.size().unwrap());
        }
        for common in output.common_prefixes() {
            let _ = write!(told, "[{}] ", common.prefix().unwrap());
        }
        token = output.next_continuation_token().map(str::to_owned);
        if token.is_none() {
            return told;
        }
    }
}

/// Buckets and whole objects.
async fn observe_objects(client: &Client) -> Vec<String> {
    let mut seen = Vec::new();
    seen.push(told!(client.head_bucket().bucket("bucket").send().await, |_| "there".to_owned()));
    seen.push(told!(client.create_bucket().bucket("bucket").send().await, |_| "made".to_owned()));
    seen.push(told!(client.head_bucket().bucket("bucket").send().await, |_| "there".to_owned()));
    seen.push(get(client, "absent", None).await);
    seen.push(told!(client.head_object().bucket("bucket").key("absent").send().await, |_| "there".to_owned()));
    seen.push(put(client, "root/Data/empty", b"").await);
    seen.push(put(client, "root/Data/one", b"0123456789").await);
    seen.push(get(client, "root/Data/empty", None).await);
    for range in ["bytes=0-0", "bytes=2-5", "bytes=7-", "bytes=-3", "bytes=5-500", "bytes=10-11"] {
        seen.push(format!("{range} {}", get(client, "root/Data/one", Some(range)).await));
    }
    let metadata =
        client.put_object().bucket("bucket").key("meta").metadata("asset-root", "/a b").content_type("text/x");
    seen.push(told!(metadata.body(ByteStream::from_static(b"m")).send().await, |_| "put".to_owned()));
    let head = client.head_object().bucket("bucket").key("meta").send().await;
    seen.push(told!(head, |output: aws_sdk_s3::operation::head_object::HeadObjectOutput| format!(
        "{:?} {:?} {:?}",
        output.content_length(),
        output.content_type(),
        output.metadata()
    )));
    seen.push(told!(
        client.copy_object().bucket("bucket").key("copied").copy_source("bucket/root/Data/one").send().await,
        |_| "copied".to_owned()
    ));
    seen.push(get(client, "copied", None).await);
    seen.push(told!(client.delete_object().bucket("bucket").key("copied").send().await, |_| "deleted".to_owned()));
    seen.push(get(client, "copied", None).await);
    seen
}

/// Listings, after `observe_objects`.
async fn observe_listings(client: &Client) -> Vec<String> {
    let mut seen = Vec::new();
    for key in ["root/Manifests/a", "root/Manifests/b/c", "root/Manifests/b/d", "root/Manifests/ü x", "root/Manifestsz"]
    {
        seen.push(put(client, key, key.as_bytes()).await);
    }
    seen.push(list(client, "root/", None, 1_000).await);
    seen.push(list(client, "root/Manifests/", None, 2).await);
    seen.push(list(client, "root/Manifests", Some("/"), 1_000).await);
    seen.push(list(client, "root/Manifests/", Some("/"), 1_000).await);
    for key in ["root/Data/1a.xxh128", "root/Data/1b.bak", "root/Data/1b.xxh128"] {
        seen.push(put(client, key, b"").await);
    }
    seen.push(list(client, "root/Data/", Some("."), 2).await);
    seen.push(list(client, "root/Data/1", Some("."), 1_000).await);
    seen.push(list(client, "nothing", None, 1_000).await);
    let two = ["root/Manifests/a", "root/Manifestsz"].map(|key| ObjectIdentifier::builder().key(key).build().unwrap());
    let delete = Delete::builder().set_objects(Some(two.to_vec())).build().unwrap();
    let deleted = client.delete_objects().bucket("bucket").delete(delete).send().await;
    seen.push(told!(deleted, |_| "deleted".to_owned()));
    seen.push(list(client, "root/", None, 1_000).await);
    seen
}

/// Multipart uploads, after `observe_objects`.
async fn observe_multipart(client: &Client) -> Vec<String> {
    let mut seen = Vec::new();
    let started = client.create_multipart_upload().bucket("bucket").key("large").send().await.unwrap();
    let id = started.upload_id().unwrap().to_owned();
    let mut parts = Vec::new();
    for (number, length) in [(1, PART), (2, 11)] {
        let body = ByteStream::from(vec![u8::try_from(number).unwrap(); length]);
        let part = client.upload_part().bucket("bucket").key("large").upload_id(&id).part_number(number).body(body);
        let output = part.send().await.unwrap();
        let etag = output.e_tag().map(str::to_owned);
        parts.push(CompletedPart::builder().part_number(number).set_e_tag(etag).build());
    }
    let listed = client.list_parts().bucket("bucket").key("large").upload_id(&id).send().await.unwrap();
    // s3s-fs lists parts in any order.
    let mut sizes: Vec<_> = listed.parts().iter().map(|part| (part.part_number(), part.size())).collect();
    sizes.sort_unstable();
    seen.push(format!("{sizes:?}"));
    let whole = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
    let complete =
        client.complete_multipart_upload().bucket("bucket").key("large").upload_id(&id).multipart_upload(whole);
    seen.push(told!(complete.send().await, |_| "completed".to_owned()));
    seen.push(get(client, "large", None).await);
    seen.push(get(client, "large", Some(&format!("bytes={}-{}", PART - 2, PART + 2))).await);
    let started = client.create_multipart_upload().bucket("bucket").key("given up").send().await.unwrap();
    let id = started.upload_id().unwrap().to_owned();
    let aborted = client.abort_multipart_upload().bucket("bucket").key("given up").upload_id(&id).send().await;
    seen.push(told!(aborted, |_| "aborted".to_owned()));
    let late = client.upload_part().bucket("bucket").key("given up").upload_id(&id).part_number(1);
    let late = late.body(ByteStream::from_static(b"late")).send().await;
    seen.push(late.err().map_or("taken", |_| "refused").to_owned());
    seen.push(get(client, "given up", None).await);
    seen
}

#[tokio::test]
async fn the_rig_agrees_with_s3s_fs() {
    let rig = Rig::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = S3sServer::start(folder.path(), 0).await.unwrap();
    let (ours, theirs) = (client(&rig.endpoint()), client(&server.endpoint()));
    assert_eq!(observe_objects(&ours).await, observe_objects(&theirs).await);
    assert_eq!(observe_listings(&ours).await, observe_listings(&theirs).await);
    assert_eq!(observe_multipart(&ours).await, observe_multipart(&theirs).await);
}

async fn rig_with(rules: serde_json::Value) -> (Rig, Client) {
    let rig = Rig::start().await.unwrap();
    rig.create_bucket("bucket");
    let client = client(&rig.endpoint());
    rig.rules(serde_json::from_value::<Vec<Rule>>(rules).unwrap());
    (rig, client)
}

#[tokio::test]
async fn conditional_writes_have_one_winner() {
    let (_rig, client) = rig_with(json!([])).await;
    let attempt = || {
        let request = client.put_object().bucket("bucket").key("k").if_none_match("*");
        request.body(ByteStream::from_static(b"x")).send()
    };
    assert!(attempt().await.is_ok());
    assert_eq!(failure(&attempt().await.unwrap_err()), "412 PreconditionFailed");
}

#[tokio::test]
async fn wrong_checksums_are_refused() {
    let (rig, client) = rig_with(json!([])).await;
    let put = || client.put_object().bucket("bucket").key("k").body(ByteStream::from_static(b"x"));
    let refused = put().checksum_crc32("AAAAAA==").send().await.unwrap_err();
    assert_eq!(failure(&refused), "400 BadDigest");
    let hash = xxhash_rust::xxh3::xxh3_128(b"x").to_be_bytes();
    let header = |bytes: &[u8]| aws_smithy_types::base64::encode(bytes);
    let with = |value: String| {
        let put = put().customize();
        put.mutate_request(move |request| {
            request.headers_mut().insert("x-amz-checksum-xxhash128", value.clone());
        })
    };
    assert_eq!(failure(&with(header(&[0; 16])).send().await.unwrap_err()), "400 BadDigest");
    assert!(with(header(&hash)).send().await.is_ok());
    let config = s3_rig::Config { xxhash128: s3_rig::XxhashMode::Reject, ..s3_rig::Config::default() };
    rig.shared.configure(config);
    assert_eq!(failure(&with(header(&hash)).send().await.unwrap_err()), "400 InvalidRequest");
}

#[tokio::test]
async fn multipart_follows_the_rules_of_s3() {
    let (_rig, client) = rig_with(json!([])).await;
    let started = client.create_multipart_upload().bucket("bucket").key("k").send().await.unwrap();
    let id = started.upload_id().unwrap();
    let mut parts = Vec::new();
    for number in 1..=2 {
        let part = client.upload_part().bucket("bucket").key("k").upload_id(id).part_number(number);
        let output = part.body(ByteStream::from_static(b"small")).send().await.unwrap();
        parts.push(CompletedPart::builder().part_number(number).set_e_tag(output.e_tag().map(str::to_owned)).build());
    }
    let complete = |parts: Vec<CompletedPart>| {
        let whole = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        client.complete_multipart_upload().bucket("bucket").key("k").upload_id(id).multipart_upload(whole).send()
    };
    assert_eq!(failure(&complete(parts.clone()).await.unwrap_err()), "400 EntityTooSmall");
    parts.reverse();
    assert_eq!(failure(&complete(parts.clone()).await.unwrap_err()), "400 InvalidPartOrder");
    let unknown = CompletedPart::builder().part_number(1).e_tag("no").build();
    assert_eq!(failure(&complete(vec![unknown]).await.unwrap_err()), "400 InvalidPart");
    assert!(complete(parts.split_off(1)).await.is_ok());
}

#[tokio::test]
async fn expected_owner_and_expired_tokens_are_looked_at() {
    let (rig, client) = rig_with(json!([])).await;
    rig.shared.configure(s3_rig::Config { account: Some("1".into()), ..s3_rig::Config::default() });
    let head = |owner: &str| client.head_bucket().bucket("bucket").expected_bucket_owner(owner).send();
    assert!(head("1").await.is_ok());
    assert!(failure(&head("2").await.unwrap_err()).starts_with("403"));
    rig.shared.configure(s3_rig::Config { token_requests: Some(1), ..s3_rig::Config::default() });
    assert_eq!(put(&client, "k", b"").await, "put");
    assert_eq!(put(&client, "k", b"").await, "400 ExpiredToken");
}

#[tokio::test]
async fn faults_strike_the_requests_that_they_name() {
    let rules = json!([
        {"operation": "PutObject", "key": "*/Data/*", "nth": [2], "fault": {"kind": "status", "status": 503, "retry_after": 1}},
        {"operation": "PutObject", "key": "lost", "times": 1, "fault": {"kind": "lost_reply"}},
    ]);
    let (rig, client) = rig_with(rules).await;
    assert_eq!(put(&client, "r/Data/a", b"1").await, "put");
    assert_eq!(put(&client, "r/Data/b", b"1").await, "503 SlowDown");
    assert_eq!(put(&client, "r/Data/b", b"1").await, "put");
    assert_eq!(put(&client, "lost", b"1").await, "0 -");
    assert!(rig.shared.store.bucket("bucket").unwrap().get("lost").is_some(), "the work is done");
    assert_eq!(rig.shared.faults.fired(), [1, 1]);
    assert_eq!(rig.shared.stats.count(s3_rig::request::Operation::PutObject), 4);
}

/// What a client without retries gets to see of a body of ten bytes: all of it, or what came before it broke off or stalled.
async fn body_under(fault: serde_json::Value, range: Option<&str>) -> Result<Vec<u8>, Vec<u8>> {
    // Only a stall shows by silence. Any other body ends by itself, however long a busy machine takes for it.
    let silence = (fault["kind"] == "stall").then_some(Duration::from_millis(500));
    let (_rig, client) = rig_with(json!([{"operation": "GetObject", "fault": fault}])).await;
    put(&client, "k", b"0123456789").await;
    put(&client, "other", b"abcdefghij").await;
    let mut output =
        client.get_object().bucket("bucket").key("k").set_range(range.map(str::to_owned)).send().await.unwrap();
    let mut body = Vec::new();
    loop {
        let next = match silence {
            Some(silence) if !body.is_empty() => tokio::time::timeout(silence, output.body.next()).await,
            _ => Ok(output.body.next().await),
        };
        match next {
            Ok(Some(Ok(chunk))) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Ok(Some(Err(_))) | Err(_) => return Err(body),
        }
    }
}

#[tokio::test]
async fn faults_in_bodies_are_what_was_ordered() {
    let kept = |text: &str| text.as_bytes().to_vec();
    assert_eq!(body_under(json!({"kind": "reset", "at": 3}), None).await, Err(kept("012")));
    assert_eq!(body_under(json!({"kind": "truncate", "at": -1}), None).await, Err(kept("012345678")));
    assert_eq!(body_under(json!({"kind": "stall", "at": 0.5}), None).await, Err(kept("01234")));
    assert_eq!(body_under(json!({"kind": "short", "at": 4}), None).await, Ok(kept("0123")));
    assert_eq!(body_under(json!({"kind": "wrong_byte", "at": 1}), None).await, Ok(b"0\xce23456789".to_vec()));
    assert_eq!(body_under(json!({"kind": "trickle", "bytes": 4, "every_ms": 1}), None).await, Ok(kept("0123456789")));
    assert_eq!(body_under(json!({"kind": "other_object"}), None).await, Ok(kept("abcdefghij")));
    assert_eq!(body_under(json!({"kind": "ignore_range"}), Some("bytes=2-3")).await, Ok(kept("0123456789")));
    assert_eq!(body_under(json!({"kind": "other_range"}), Some("bytes=2-3")).await, Ok(kept("01")));
}

#[tokio::test]
async fn an_error_in_a_completing_200_completes_nothing() {
    let rules = json!([{"operation": "CompleteMultipartUpload", "fault": {"kind": "error_in_200"}}]);
    let (rig, client) = rig_with(rules).await;
    let started = client.create_multipart_upload().bucket("bucket").key("k").send().await.unwrap();
    let id = started.upload_id().unwrap();
    let part = client.upload_part().bucket("bucket").key("k").upload_id(id).part_number(1);
    let etag = part.body(ByteStream::from_static(b"x")).send().await.unwrap().e_tag().map(str::to_owned);
    let whole = CompletedMultipartUpload::builder()
        .parts(CompletedPart::builder().part_number(1).set_e_tag(etag).build())
        .build();
    let complete = client.complete_multipart_upload().bucket("bucket").key("k").upload_id(id).multipart_upload(whole);
    assert_eq!(failure(&complete.send().await.unwrap_err()), "200 InternalError");
    assert!(rig.shared.store.bucket("bucket").unwrap().get("k").is_none());
}
