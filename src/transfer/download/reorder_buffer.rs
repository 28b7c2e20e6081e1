//! Bytes that wait for their turn.

use bytes::Bytes;

use crate::transfer::buffers::{Buffer, Buffers};
use crate::transfer::limits::Limits;

/// Buffers of this size are filled one after another.
const BLOCK_BYTES: usize = super::write_behind::BATCH_BYTES;
/// A frame of so much may stay as it is: half of a connection's read buffer, which it keeps alive.
const LARGE_FRAME_BYTES: usize = 200 * 1024;

/// What came of a range before its turn.
///
/// Frames keep the connections' read buffers of 400 KiB alive, which is several times what the transfer has taken room for if
/// they are small. So what comes is copied to buffers that are used again; large frames stay as they are, which saves the copy,
/// while half of the room is free.
pub(super) struct ReorderBuffer {
    limits: Limits,
    buffers: Buffers,
    full: Vec<Bytes>,
    filling: Option<(Buffer, usize)>,
}

impl ReorderBuffer {
    pub(super) const fn new(limits: Limits, buffers: Buffers) -> Self {
        Self { limits, buffers, full: Vec::new(), filling: None }
    }

    /// Keeps a frame; gives what can be written now, in order.
    pub(super) fn push(&mut self, frame: Bytes) -> Vec<Bytes> {
        // What is given up of a chunk is no more than what is in it.
        let ends_here = self.filling.as_ref().is_none_or(|(_, end)| *end >= BLOCK_BYTES / 2);
        if ends_here && frame.len() >= LARGE_FRAME_BYTES && self.limits.has_half_of_its_room() {
            let before = self.flush();
            self.full.push(frame.clone());
            return before.into_iter().chain([frame]).collect();
        }
        self.copy(&frame)
    }

    fn copy(&mut self, mut bytes: &[u8]) -> Vec<Bytes> {
        let mut filled = Vec::new();
        while !bytes.is_empty() {
            let (mut buffer, start) = self.filling.take().unwrap_or_else(|| (self.buffers.take(BLOCK_BYTES), 0));
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK_BYTES - start));
            let end = start + now.len();
            buffer.as_mut()[start..end].copy_from_slice(now);
            self.filling = Some((buffer, end));
            if end == BLOCK_BYTES {
                filled.extend(self.flush());
            }
            bytes = later;
        }
        filled
    }

    /// The chunk that is not full yet, as if it were.
    pub(super) fn flush(&mut self) -> Option<Bytes> {
        let (buffer, end) = self.filling.take()?;
        let chunk = buffer.freeze().slice(..end);
        self.full.push(chunk.clone());
        Some(chunk)
    }

    /// All chunks that were given, in order.
    pub(super) fn chunks(&self) -> &[Bytes] {
        &self.full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_given_is_what_came_whatever_the_frames_and_the_room() {
        let bytes: Vec<u8> = (0..3 * BLOCK_BYTES + 5).map(|index| index.to_le_bytes()[1]).collect();
        for frame in [1000, LARGE_FRAME_BYTES, BLOCK_BYTES - 1, BLOCK_BYTES, 2 * BLOCK_BYTES + 1] {
            let limits = Limits::new(8, 1 << 30);
            let mut kept = ReorderBuffer::new(limits.clone(), Buffers::default());
            let mut given = Vec::new();
            for (index, frame) in bytes.chunks(frame).enumerate() {
                let _taken = if index % 3 == 0 { None } else { Some(limits.bytes(1 << 30).await) };
                given.extend(kept.push(Bytes::copy_from_slice(frame)));
            }
            given.extend(kept.flush());
            assert_eq!(given.concat(), bytes, "{frame}");
            assert_eq!(kept.chunks(), given, "{frame}");
            assert!(kept.flush().is_none());
        }
    }

    #[tokio::test]
    async fn frames_stay_as_they_are_only_while_there_is_room() {
        let limits = Limits::new(8, 1 << 30);
        let mut kept = ReorderBuffer::new(limits.clone(), Buffers::default());
        let frame = Bytes::from(vec![1; BLOCK_BYTES]);
        assert_eq!(kept.push(frame.clone())[0].as_ptr(), frame.as_ptr());
        let _taken = limits.bytes((1 << 29) + 4096).await;
        assert_ne!(kept.push(frame.clone())[0].as_ptr(), frame.as_ptr());
    }
}
