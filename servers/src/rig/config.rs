//! What the rig is told at its start and, through `/_rig/config`, while it runs.

use serde::{Deserialize, Serialize};

/// What becomes of `x-amz-checksum-xxhash128`, which S3 takes and most S3-compatible servers do not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum XxhashMode {
    /// Contents that don't match are refused.
    Accept,
    /// The header itself is refused.
    Reject,
    /// The header is not looked at.
    Ignore,
}

/// Settings of a running rig.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Added to each reply.
    pub delay_ms: u64,
    /// Of the random faults.
    pub seed: u64,
    /// Owner of every bucket; a request that expects another owner is refused.
    pub account: Option<String>,
    /// Where every bucket is; a request that is signed for another region is sent there.
    pub region: Option<String>,
    /// What becomes of `x-amz-checksum-xxhash128`.
    pub xxhash128: XxhashMode,
    /// Whether `If-None-Match: *` is obeyed on writes; some S3-compatible servers overlook it.
    pub if_none_match: bool,
    /// Whether a bucket comes into being with its first request.
    pub auto_buckets: bool,
    /// Requests that one access key may make before its token counts as expired.
    pub token_requests: Option<u64>,
    /// Access keys whose tokens have expired already.
    pub expired_keys: Vec<String>,
    /// Whether `/_rig/log` lists each request.
    pub log: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            delay_ms: 0,
            seed: 1,
            account: None,
            region: None,
            xxhash128: XxhashMode::Accept,
            if_none_match: true,
            auto_buckets: false,
            token_requests: None,
            expired_keys: Vec::new(),
            log: false,
        }
    }
}
