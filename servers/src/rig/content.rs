//! Bytes of an object, as the pieces in which they arrived. Zeros cost nothing: sparse files may be larger than memory.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use xxhash_rust::xxh3::Xxh3;

/// Contents up to this size are copied into one piece, so that they don't keep a connection's read buffer alive.
const ONE_PIECE: u64 = 256 * 1024;
/// What pieces of nothing but zeros are slices of.
static ZEROS: [u8; 8 << 20] = [0; 8 << 20];

#[derive(Debug, Clone)]
struct Piece {
    start: u64,
    bytes: Bytes,
}

/// Shared, immutable bytes.
#[derive(Debug, Clone)]
pub struct Content {
    pieces: Arc<[Piece]>,
    length: u64,
}

impl Content {
    pub fn new(parts: Vec<Bytes>) -> Self {
        let length: u64 = parts.iter().map(|part| part.len() as u64).sum();
        if length <= ONE_PIECE {
            let mut whole = BytesMut::with_capacity(usize::try_from(length).unwrap_or(0));
            for part in &parts {
                whole.extend_from_slice(part);
            }
            let pieces = if length == 0 { Vec::new() } else { vec![Piece { start: 0, bytes: whole.freeze() }] };
            return Self { pieces: pieces.into(), length };
        }
        Self::joined(parts.into_iter())
    }

    /// The contents one after the other, without a copy.
    pub fn concat(contents: &[Self]) -> Self {
        Self::joined(contents.iter().flat_map(|content| content.pieces.iter().map(|piece| piece.bytes.clone())))
    }

    fn joined(parts: impl Iterator<Item = Bytes>) -> Self {
        let mut length = 0;
        let pieces: Vec<Piece> = parts
            .filter(|bytes| !bytes.is_empty())
            .map(|bytes| {
                let piece = Piece { start: length, bytes: without_zeros(bytes) };
                length += piece.bytes.len() as u64;
                piece
            })
            .collect();
        Self { pieces: pieces.into(), length }
    }

    pub fn len(&self) -> u64 {
        self.length
    }

    pub fn slices(&self, range: Range<u64>) -> Slices {
        let next = self.pieces.partition_point(|piece| piece.start + piece.bytes.len() as u64 <= range.start);
        Slices { pieces: self.pieces.clone(), next, range }
    }

    pub fn all(&self) -> Slices {
        self.slices(0..self.length)
    }

    pub fn to_vec(&self) -> Vec<u8> {
        self.all().fold(Vec::new(), |mut whole, slice| {
            whole.extend_from_slice(&slice);
            whole
        })
    }

    /// xxh3-128, as 32 hexadecimal digits: what a key under `Data/` spells.
    pub fn xxh128_hex(&self) -> String {
        format!("{:032x}", self.xxh128())
    }

    pub fn xxh128(&self) -> u128 {
        if let [piece] = &*self.pieces {
            return xxhash_rust::xxh3::xxh3_128(&piece.bytes);
        }
        let mut state = Xxh3::new();
        for piece in self.pieces.iter() {
            state.update(&piece.bytes);
        }
        state.digest128()
    }
}

/// The same bytes, in shared memory where all of them are zero.
fn without_zeros(bytes: Bytes) -> Bytes {
    match ZEROS.get(..bytes.len()) {
        Some(zeros) if bytes == zeros => Bytes::from_static(zeros),
        _ => bytes,
    }
}

/// The pieces of one range.
#[derive(Debug, Clone)]
pub struct Slices {
    pieces: Arc<[Piece]>,
    next: usize,
    range: Range<u64>,
}

impl Slices {
    pub fn remaining(&self) -> u64 {
        self.range.end.saturating_sub(self.range.start)
    }
}

impl Iterator for Slices {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.remaining() == 0 {
            return None;
        }
        let piece = self.pieces.get(self.next)?;
        self.next += 1;
        let from = usize::try_from(self.range.start - piece.start).ok()?;
        let wanted = usize::try_from(self.range.end - piece.start).unwrap_or(usize::MAX);
        let to = wanted.min(piece.bytes.len());
        self.range.start += (to - from) as u64;
        Some(piece.bytes.slice(from..to))
    }
}
