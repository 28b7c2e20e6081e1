//! `/_rig/…`: how tests in any language steer the rig and look into it. Bodies are JSON.
//!
//! | request | does |
//! |---|---|
//! | `GET /_rig/stats` | counts by operation, bytes, connections (all, open ones), the most requests at once, faults by rule |
//! | `GET /_rig/objects?bucket=B&prefix=P&hash=1` | objects with size, metadata and, with `hash`, xxh128 |
//! | `GET /_rig/uploads?bucket=B` | unfinished multipart uploads |
//! | `PUT /_rig/cas?bucket=B&prefix=P` | stores the body under `P<its xxh128>.xxh128`; without a bucket, only hashes it |
//! | `GET /_rig/log` | requests since `log` was turned on |
//! | `PUT /_rig/rules` | replaces the fault rules by a list of rules |
//! | `GET`, `PUT /_rig/config` | the settings; a PUT may name some of them |
//! | `POST /_rig/reset` | counts to zero, no rules, the settings of the start; `?objects=1` also drops all buckets |

use std::collections::BTreeMap;
use std::time::SystemTime;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::content::Content;
use super::faults::Rule;
use super::reply::{Response, text_response};
use super::request::Query;
use super::server::Shared;
use super::store::{Bucket, Headers, Object, lock};

pub fn handle(shared: &Shared, method: &Method, path: &str, query: &Query, content: Content) -> Response {
    let body = &content.to_vec();
    let outcome = match (method.as_str(), path) {
        ("GET", "/_rig/stats") => Ok(shared.stats.report(&shared.faults.fired())),
        ("GET", "/_rig/objects") => Ok(objects(shared, query)),
        ("GET", "/_rig/uploads") => Ok(uploads(shared, query)),
        ("GET", "/_rig/log") => Ok(Value::Array(lock(&shared.log).clone())),
        ("GET", "/_rig/config") => Ok(json!(*shared.config())),
        ("PUT" | "POST", "/_rig/cas") => Ok(store(shared, query, content)),
        ("PUT" | "POST", "/_rig/rules") => rules(shared, body),
        ("PUT" | "POST", "/_rig/config") => configure(shared, body),
        ("PUT" | "POST", "/_rig/reset") => {
            shared.reset(query.has("objects"));
            Ok(json!({}))
        }
        _ => Err(format!("the rig knows no {method} {path}")),
    };
    match outcome {
        Ok(value) => text_response(value.to_string(), "application/json"),
        Err(message) => {
            let mut response = text_response(json!({ "error": message }).to_string(), "application/json");
            *response.status_mut() = StatusCode::BAD_REQUEST;
            response
        }
    }
}

/// What an uploader of job attachments would have made of the body.
fn store(shared: &Shared, query: &Query, content: Content) -> Value {
    let hash = content.xxh128_hex();
    if let Some(bucket) = query.get("bucket") {
        let object = Object {
            content,
            etag: hash.clone(),
            modified: SystemTime::now(),
            headers: Vec::new(),
            checksums: Vec::new(),
        };
        let key = format!("{}{hash}.xxh128", query.get("prefix").unwrap_or_default());
        shared.store.create_bucket(bucket).0.put(&key, object, false);
    }
    json!({ "xxh128": hash })
}

fn rules(shared: &Shared, body: &[u8]) -> Result<Value, String> {
    let rules: Vec<Rule> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let count = rules.len();
    shared.faults.replace(rules);
    Ok(json!({ "rules": count }))
}

fn configure(shared: &Shared, body: &[u8]) -> Result<Value, String> {
    let changes: serde_json::Map<String, Value> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let mut config = json!(*shared.config());
    if let Value::Object(settings) = &mut config {
        settings.extend(changes);
    }
    let config = serde_json::from_value(config).map_err(|error| error.to_string())?;
    shared.configure(config);
    Ok(json!(*shared.config()))
}

fn chosen<'query>(shared: &Shared, query: &'query Query) -> Vec<(String, std::sync::Arc<Bucket>, &'query str)> {
    let names = query.get("bucket").map_or_else(|| shared.store.bucket_names(), |name| vec![name.to_owned()]);
    let prefix = query.get("prefix").unwrap_or_default();
    names.into_iter().filter_map(|name| Some((name.clone(), shared.store.bucket(&name)?, prefix))).collect()
}

fn headers_as_json(headers: &Headers) -> BTreeMap<String, String> {
    headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}

fn objects(shared: &Shared, query: &Query) -> Value {
    let mut rows = Vec::new();
    for (name, bucket, prefix) in chosen(shared, query) {
        for (key, object) in bucket.list(prefix) {
            let hash = query.has("hash").then(|| object.content.xxh128_hex());
            rows.push(json!({
                "bucket": name,
                "key": key,
                "size": object.content.len(),
                "etag": object.etag,
                "headers": headers_as_json(&object.headers),
                "xxh128": hash,
            }));
        }
    }
    Value::Array(rows)
}

fn uploads(shared: &Shared, query: &Query) -> Value {
    let mut rows = Vec::new();
    for (name, bucket, prefix) in chosen(shared, query) {
        for (id, upload) in lock(&bucket.uploads).iter().filter(|(_, upload)| upload.key.starts_with(prefix)) {
            rows.push(json!({ "bucket": name, "key": upload.key, "upload_id": id, "parts": upload.parts.len() }));
        }
    }
    Value::Array(rows)
}
