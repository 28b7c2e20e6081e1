//! Getting small objects whole into memory: manifests, which have no hash to check them against.

use super::context::{Context, LogLevel};
use super::limits::{Limits, Room};
use crate::error::{Error, Result, S3Action, S3ClientError};
use crate::store::backoff::Backoff;
use crate::store::{ObjectInfo, ObjectKey, ObjectStore};

/// How often a body that breaks off is asked for again. Requests that fail before their body are the store's to repeat.
const ATTEMPTS: u32 = 6;
/// Longer than any manifest: one of ten million files has under 2 GB. A reply that promises or sends more is not read.
const MOST_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// Memory is taken for so much before anything has come: a reply's length is only what the network says.
const FIRST_BYTES: u64 = 8 * 1024 * 1024;
/// Room for a manifest whose length the server does not say: most have less.
const UNKNOWN_LENGTH_BYTES: u64 = 1024 * 1024;

/// An object in memory, and the room that it takes there until it is dropped.
#[derive(Debug)]
pub(crate) struct ObjectInMemory {
    /// What S3 says of it.
    pub info: ObjectInfo,
    /// Its bytes.
    pub text: Vec<u8>,
    #[expect(dead_code, reason = "held")]
    room: Room,
}

/// Fetches an object in one request, and in another where its body breaks off.
///
/// # Errors
/// The store's, as `downloading binary file`; after [`ATTEMPTS`] broken bodies, the last one's; [`Error::Sync`] for a body that is
/// longer than any manifest.
pub(crate) async fn fetch_into_memory(
    store: &dyn ObjectStore,
    limits: &Limits,
    context: &Context,
    object: &ObjectKey,
) -> Result<ObjectInMemory> {
    let mut attempt = 0;
    loop {
        match fetch_once(store, limits, object).await {
            Err(error @ Error::S3Client(_)) if attempt + 1 < ATTEMPTS => {
                context.log(LogLevel::Debug, "download", || format!("{error}; asking again"));
                attempt += 1;
                tokio::time::sleep(Backoff::OF_BODIES.wait(attempt)).await;
            }
            outcome => return outcome,
        }
    }
}

async fn fetch_once(store: &dyn ObjectStore, limits: &Limits, object: &ObjectKey) -> Result<ObjectInMemory> {
    let too_long = |length: u64| {
        let url = object.url();
        Error::Sync(format!("{url} has {length} bytes or more: no manifest has more than {MOST_BYTES}"))
    };
    let mut waited_for = None;
    let (_permit, mut body, room, promised) = loop {
        let permit = limits.request().await;
        let body = store.get(object, None, S3Action::DownloadingBinaryFile).await?;
        let promised = body.length_bytes.unwrap_or(UNKNOWN_LENGTH_BYTES);
        if promised > MOST_BYTES {
            return Err(too_long(promised));
        }
        let taken: Option<Room> = waited_for.take();
        if let Some(room) = taken.or_else(|| limits.try_bytes(promised)) {
            break (permit, body, room, promised);
        }
        // Nobody who holds a request may wait for room: who holds room may wait for a request. So it is asked for anew.
        drop((permit, body));
        waited_for = Some(limits.bytes(promised).await);
    };
    let mut text = Vec::with_capacity(usize::try_from(promised.min(FIRST_BYTES)).unwrap_or_default());
    while let Some(piece) = body.chunks.next_chunk().await? {
        text.extend_from_slice(&piece);
        if text.len() as u64 > MOST_BYTES {
            return Err(too_long(text.len() as u64));
        }
    }
    let Some(length) = body.length_bytes.filter(|length| *length != text.len() as u64) else {
        return Ok(ObjectInMemory { info: body.info, text, room });
    };
    let details = format!("the body ended after {} of {length} bytes", text.len());
    Err(S3ClientError::new(S3Action::DownloadingBinaryFile, &object.bucket, &object.key, details).into())
}
