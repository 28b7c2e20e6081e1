//! Bodies of objects on their way, and when to give one up.

use std::time::{Duration, Instant};

use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;

use super::errors::{Asked, unanswered};
use crate::error::{Error, S3Action};
use crate::store::{Chunks, ObjectKey, StoreFuture};

/// A body that brings fewer bytes a second than this, over the stall limit, has as good as stalled.
const SLOWEST_BYTES_PER_SECOND: u64 = 512;

/// A body from the SDK.
pub(super) struct SdkChunks {
    body: ByteStream,
    object: ObjectKey,
    action: S3Action,
    stall_limit: Duration,
    /// How many bytes are still to come; without an end where nobody knows.
    missing: u64,
    /// How long the body was waited for since the last count of its bytes, and how many came. What the caller does in
    /// between takes no time here.
    waited: Duration,
    received: u64,
}

impl SdkChunks {
    pub(super) fn new(
        (body, length_bytes): (ByteStream, Option<u64>),
        (object, action): (&ObjectKey, S3Action),
        stall_limit: Duration,
    ) -> Self {
        let object = object.clone();
        Self {
            body,
            object,
            action,
            stall_limit,
            missing: length_bytes.unwrap_or(u64::MAX),
            waited: Duration::ZERO,
            received: 0,
        }
    }

    fn fail(&self, details: String) -> Error {
        unanswered(Asked::object(self.action, "GetObject", &self.object), details)
    }

    /// Whether the body trickles. One that is complete never does, however small it is.
    fn trickles(&mut self, waited: Duration, received: usize) -> bool {
        self.waited += waited;
        self.received += received as u64;
        self.missing = self.missing.saturating_sub(received as u64);
        if self.waited < self.stall_limit || self.missing == 0 {
            return false;
        }
        let (waited, received) = (std::mem::take(&mut self.waited), std::mem::take(&mut self.received));
        u128::from(received) * 1000 < waited.as_millis() * u128::from(SLOWEST_BYTES_PER_SECOND)
    }
}

impl Chunks for SdkChunks {
    fn next_chunk(&mut self) -> StoreFuture<'_, Option<Bytes>> {
        Box::pin(async move {
            let since = Instant::now();
            match tokio::time::timeout(self.stall_limit, self.body.next()).await {
                Ok(None) => Ok(None),
                Ok(Some(Ok(bytes))) => {
                    if self.trickles(since.elapsed(), bytes.len()) {
                        return Err(self.fail(format!(
                            "fewer than {SLOWEST_BYTES_PER_SECOND} bytes a second came for {} seconds",
                            self.stall_limit.as_secs_f32()
                        )));
                    }
                    Ok(Some(bytes))
                }
                Ok(Some(Err(error))) => {
                    Err(self.fail(format!("the connection broke in the middle of the object: {error}")))
                }
                Err(_) => Err(self.fail(format!("no byte came for {} seconds", self.stall_limit.as_secs_f32()))),
            }
        })
    }
}
