//! What a store in memory can be told to do wrong.

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::store::{Chunks, ObjectInfo, StoreFuture};

/// What is asked of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub(crate) enum Operation {
    Head,
    Get,
    Put,
    List,
    CreateMultipart,
    UploadPart,
    CompleteMultipart,
    AbortMultipart,
    ListParts,
    ListMultiparts,
}

/// One request, as the function that decides on faults sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoreCall<'a> {
    /// Counted from 1, over all operations.
    pub number: u64,
    /// What is asked.
    pub operation: Operation,
    /// The key or prefix.
    pub key: &'a str,
}

/// What becomes of a request. Faults of bodies strike a GET; any other request they leave alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is done.
    None,
    /// It is refused with this HTTP status, and nothing is done.
    Refused(u16),
    /// The same with this code of S3's.
    RefusedWith(u16, &'static str),
    /// No connection: nothing is done.
    Unreachable,
    /// It is done, but the reply does not arrive.
    ReplyLost,
    /// The connection breaks in the middle of the body.
    BodyLost,
    /// The body ends in its middle as if that were its end, against the length that it was announced with.
    BodyShort,
    /// The object has lost its last byte, and so its size.
    ObjectShort,
    /// One byte of the body, in its middle, is another.
    WrongByte,
}

impl Fault {
    /// An object as it is under the fault.
    pub(super) fn disturb(self, body: &Bytes, info: &ObjectInfo) -> (Bytes, ObjectInfo) {
        let mut info = info.clone();
        let mut body = body.clone();
        if self == Self::ObjectShort {
            body.truncate(body.len().saturating_sub(1));
            info.size_bytes = Some(body.len() as u64);
        }
        (body, info)
    }

    /// The bytes of an answer as they come under the fault, in two pieces where they have two; `lost` is how a body that
    /// breaks off ends.
    pub(super) fn body(self, bytes: Bytes, lost: Error) -> Box<dyn Chunks> {
        let middle = bytes.len() / 2;
        let mut rest = bytes;
        let first = rest.split_to(middle);
        let second = match self {
            Self::BodyLost => Err(lost),
            Self::BodyShort => Ok(Bytes::new()),
            Self::WrongByte => Ok(with_other_first_byte(&rest)),
            _ => Ok(rest),
        };
        Box::new(Pieces(vec![second, Ok(first)]))
    }
}

fn with_other_first_byte(bytes: &Bytes) -> Bytes {
    let mut bytes = bytes.to_vec();
    if let Some(byte) = bytes.first_mut() {
        *byte ^= 1;
    }
    bytes.into()
}

/// What is still to come, the last first.
struct Pieces(Vec<Result<Bytes>>);

impl Chunks for Pieces {
    fn next_chunk(&mut self) -> StoreFuture<'_, Option<Bytes>> {
        let next = loop {
            match self.0.pop() {
                Some(Ok(piece)) if piece.is_empty() => {}
                other => break other.transpose(),
            }
        };
        Box::pin(async move { next })
    }
}
