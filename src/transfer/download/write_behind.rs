//! Writing a body to a staged file: at once where that is a copy to memory, else behind whoever receives it.

use std::time::Instant;

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::write_throughput::WriteThroughput;
use crate::error::{Error, Result};
use crate::fs::stage::{StagedFile, WriteTurn};
use crate::sync::Arc;
use crate::transfer::tasks::finished;

/// So much is written behind at a time. By then it is still in the processor's cache, and handing it over costs little beside it.
pub(super) const BATCH_BYTES: usize = 256 * 1024;
/// So much waits for a disk that is slower than the network; then the network waits.
const MOST_BEHIND_BYTES: usize = 2 * BATCH_BYTES;

/// Writes what comes to where it belongs.
///
/// Where the disk is swift, a piece is written on the runtime's thread as it comes: it is in that processor's cache, a copy takes
/// no longer than hashing it did, and the connection gets its read buffer back. A disk that makes its writers wait would stop
/// the runtime, so batches go to a thread that may block, while more comes; a disk that begins to be slow can hold up each of
/// the runtime's threads for one batch. Batches also go there if another range of the file is written all the time: the kernel
/// has one writer at a time and lets the others spin.
pub(super) struct WriteBehind {
    staged: Arc<StagedFile>,
    throughput: WriteThroughput,
    batch: Batch,
    under_way: Option<JoinHandle<Result<()>>>,
}

/// What has come and is not being written yet.
struct Batch {
    offset: u64,
    pieces: Vec<Bytes>,
    bytes: usize,
}

impl WriteBehind {
    pub(super) const fn new(staged: Arc<StagedFile>, offset: u64, throughput: WriteThroughput) -> Self {
        Self { staged, throughput, batch: Batch { offset, pieces: Vec::new(), bytes: 0 }, under_way: None }
    }

    /// Takes what came. A batch grows while the one before it, or another range of the file, is being written.
    pub(super) async fn push(&mut self, piece: Bytes) -> Result<()> {
        self.batch.bytes += piece.len();
        self.batch.pieces.push(piece);
        if self.write_now()? {
            return Ok(());
        }
        let is_free = !self.throughput.is_fast() && self.under_way.as_ref().is_none_or(JoinHandle::is_finished);
        if self.batch.bytes >= if is_free { BATCH_BYTES } else { MOST_BEHIND_BYTES } {
            self.settle().await?;
            self.begin();
        }
        Ok(())
    }

    /// Writes the batch on this thread, if that takes no longer than copying it does.
    fn write_now(&mut self) -> Result<bool> {
        if !self.throughput.is_fast() {
            return Ok(false);
        }
        let Some(turn) = self.staged.try_turn_to_write() else { return Ok(false) };
        self.batch.take().write(&turn, &self.throughput)?;
        Ok(true)
    }

    /// Writes the batch on a thread that may block.
    fn begin(&mut self) {
        let (staged, throughput, batch) = (Arc::clone(&self.staged), self.throughput.clone(), self.batch.take());
        self.under_way = Some(tokio::task::spawn_blocking(move || batch.write(&staged.turn_to_write(), &throughput)));
    }

    /// Waits for the batch that is being written; what came after it is not written.
    pub(super) async fn settle(&mut self) -> Result<()> {
        let Some(task) = &mut self.under_way else { return Ok(()) };
        let stopped = || Err(Error::Cancelled("The runtime was stopped while a file was being written.".to_owned()));
        let outcome = finished(task.await).unwrap_or_else(stopped);
        self.under_way = None;
        outcome
    }

    /// Writes what is left, and waits for it.
    pub(super) async fn flush(&mut self) -> Result<()> {
        self.settle().await?;
        if !self.batch.pieces.is_empty() && !self.write_now()? {
            self.begin();
        }
        self.settle().await
    }
}

impl Batch {
    /// The batch; an empty one that goes where it ends is left.
    fn take(&mut self) -> Self {
        let next = Self { offset: self.offset + self.bytes as u64, pieces: Vec::new(), bytes: 0 };
        std::mem::replace(self, next)
    }

    fn write(self, turn: &WriteTurn<'_>, throughput: &WriteThroughput) -> Result<()> {
        let mut offset = self.offset;
        for piece in self.pieces {
            let since = Instant::now();
            turn.write_at(&piece, offset)?;
            throughput.record(piece.len(), since.elapsed());
            offset += piece.len() as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fs::target_root::TargetRoot;
    use crate::path::ManifestPath;

    const AT: u64 = 1000;

    fn stage(root: &tempfile::TempDir) -> Arc<StagedFile> {
        let root = TargetRoot::open(root.path()).unwrap();
        Arc::new(root.target(ManifestPath::from_wtf8(b"file")).unwrap().stage().unwrap())
    }

    fn swift() -> WriteThroughput {
        let throughput = WriteThroughput::default();
        throughput.record(64 * BATCH_BYTES, Duration::ZERO);
        throughput
    }

    /// Up to one byte more than expected.
    fn read_back(staged: &StagedFile, at: u64, expected: usize) -> Vec<u8> {
        let mut written = vec![1; expected + 1];
        let length = std::os::unix::fs::FileExt::read_at(staged.file(), &mut written, at).unwrap();
        written.truncate(length);
        written
    }

    #[tokio::test]
    async fn all_pieces_are_where_they_belong_however_the_disk_goes() {
        let root = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..5 * BATCH_BYTES + 3).map(|index| index.to_le_bytes()[1]).collect();
        // After so many pieces the disk changes: never slow, always slow, and in between.
        for changes_every in [0, 1, 2, 3, 7, 1000] {
            let staged = stage(&root);
            let throughput = WriteThroughput::default();
            let mut writer = WriteBehind::new(Arc::clone(&staged), AT, throughput.clone());
            for (number, piece) in bytes.chunks(60_000).enumerate() {
                let is_fast = changes_every == 0 || number / changes_every % 2 == 1;
                throughput.record(64 * BATCH_BYTES, if is_fast { Duration::ZERO } else { Duration::from_secs(1) });
                writer.push(Bytes::copy_from_slice(piece)).await.unwrap();
            }
            writer.flush().await.unwrap();
            assert!(read_back(&staged, AT, bytes.len()) == bytes, "{changes_every}");
        }
    }

    #[tokio::test]
    async fn a_swift_disk_has_the_bytes_at_once_and_keeps_none_of_them_in_memory() {
        let root = tempfile::tempdir().unwrap();
        let staged = stage(&root);
        let piece = Bytes::from(vec![1; 100]);
        WriteBehind::new(Arc::clone(&staged), AT, swift()).push(piece.clone()).await.unwrap();
        assert!(piece.is_unique());
        assert_eq!(staged.file().metadata().unwrap().len(), AT + 100);
    }

    #[tokio::test]
    async fn what_comes_while_another_range_is_written_waits_and_is_written_in_the_end() {
        let root = tempfile::tempdir().unwrap();
        let staged = stage(&root);
        let mut writer = WriteBehind::new(Arc::clone(&staged), 0, swift());
        let bytes: Vec<u8> = (0..MOST_BEHIND_BYTES + 1000).map(|index| index.to_le_bytes()[1]).collect();
        let other = staged.turn_to_write();
        for piece in bytes.chunks(1000) {
            writer.push(Bytes::copy_from_slice(piece)).await.unwrap();
        }
        assert!(writer.under_way.is_some(), "more than may wait was handed over");
        assert_eq!(staged.file().metadata().unwrap().len(), 0, "only one writes at a time");
        drop(other);
        writer.flush().await.unwrap();
        assert!(read_back(&staged, 0, bytes.len()) == bytes);
    }
}
