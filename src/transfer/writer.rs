//! Writing a body to a staged file: at once where that is a copy to memory, else behind whoever receives it.

use std::time::Instant;

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::disk_pace::DiskPace;
use super::sync::Arc;
use super::tasks::finished;
use crate::error::{Error, Result};
use crate::fs::stage::StagedFile;

/// So much is written behind at a time. By then it is still in the processor's cache, and handing it over costs little beside it.
pub(super) const BATCH_BYTES: usize = 256 * 1024;
/// So much waits for a disk that is slower than the network; then the network waits.
const MOST_BEHIND_BYTES: usize = 2 * BATCH_BYTES;

/// Writes what comes to where it belongs, in order.
///
/// Where the disk is swift, a piece is written on the runtime's thread as it comes: it is in that processor's cache, a copy takes
/// no longer than hashing it did, and the connection gets its read buffer back. A disk that makes its writers wait would stop
/// the runtime, so batches go to a thread that may block, while more comes.
pub(super) struct Writer {
    staged: Arc<StagedFile>,
    pace: DiskPace,
    /// Where the batch goes.
    offset: u64,
    batch: Vec<Bytes>,
    batch_bytes: usize,
    under_way: Option<JoinHandle<Result<()>>>,
}

impl Writer {
    pub(super) const fn new(staged: Arc<StagedFile>, offset: u64, pace: DiskPace) -> Self {
        Self { staged, pace, offset, batch: Vec::new(), batch_bytes: 0, under_way: None }
    }

    /// Takes what came. A batch grows while the one before it is being written.
    pub(super) async fn push(&mut self, piece: Bytes) -> Result<()> {
        if self.batch.is_empty() && self.pace.is_swift() {
            let offset = self.offset;
            self.offset += piece.len() as u64;
            return write(&self.staged, &self.pace, &piece, offset);
        }
        self.batch_bytes += piece.len();
        self.batch.push(piece);
        let is_free = self.under_way.as_ref().is_none_or(JoinHandle::is_finished);
        if self.batch_bytes >= if is_free { BATCH_BYTES } else { MOST_BEHIND_BYTES } {
            self.settle().await?;
            self.begin();
        }
        Ok(())
    }

    fn begin(&mut self) {
        let (staged, pace) = (Arc::clone(&self.staged), self.pace.clone());
        let batch = std::mem::take(&mut self.batch);
        let mut offset = self.offset;
        self.offset += std::mem::take(&mut self.batch_bytes) as u64;
        self.under_way = Some(tokio::task::spawn_blocking(move || {
            for piece in batch {
                write(&staged, &pace, &piece, offset)?;
                offset += piece.len() as u64;
            }
            Ok(())
        }));
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
        if !self.batch.is_empty() {
            self.begin();
        }
        self.settle().await
    }
}

fn write(staged: &StagedFile, pace: &DiskPace, piece: &[u8], offset: u64) -> Result<()> {
    let since = Instant::now();
    staged.write_at(piece, offset)?;
    pace.wrote(piece.len(), since.elapsed());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fs::target::TargetRoot;
    use crate::path::ManifestPath;

    const AT: u64 = 1000;

    #[tokio::test]
    async fn all_pieces_are_where_they_belong_however_the_disk_goes() {
        let root = tempfile::tempdir().unwrap();
        let target = TargetRoot::open(root.path()).unwrap().target(ManifestPath::from_wtf8(b"file")).unwrap();
        let bytes: Vec<u8> = (0..5 * BATCH_BYTES + 3).map(|index| index.to_le_bytes()[1]).collect();
        // After so many pieces the disk changes: never slow, always slow, and in between.
        for changes_every in [0, 1, 2, 3, 7, 1000] {
            let staged = Arc::new(target.stage().unwrap());
            let pace = DiskPace::default();
            let mut writer = Writer::new(Arc::clone(&staged), AT, pace.clone());
            for (number, piece) in bytes.chunks(60_000).enumerate() {
                let is_swift = changes_every == 0 || number / changes_every % 2 == 1;
                pace.wrote(64 * BATCH_BYTES, if is_swift { Duration::ZERO } else { Duration::from_secs(1) });
                assert_eq!(pace.is_swift(), is_swift);
                writer.push(Bytes::copy_from_slice(piece)).await.unwrap();
            }
            writer.flush().await.unwrap();
            let mut written = vec![1; bytes.len() + 1];
            let length = std::os::unix::fs::FileExt::read_at(staged.file(), &mut written, AT).unwrap();
            assert!(written[..length] == bytes, "{changes_every}");
        }
    }

    #[tokio::test]
    async fn a_swift_disk_has_the_bytes_at_once_and_keeps_none_of_them_in_memory() {
        let root = tempfile::tempdir().unwrap();
        let target = TargetRoot::open(root.path()).unwrap().target(ManifestPath::from_wtf8(b"file")).unwrap();
        let staged = Arc::new(target.stage().unwrap());
        let pace = DiskPace::default();
        pace.wrote(64 * BATCH_BYTES, Duration::ZERO);
        let piece = Bytes::from(vec![1; 100]);
        Writer::new(Arc::clone(&staged), AT, pace).push(piece.clone()).await.unwrap();
        assert!(piece.is_unique());
        assert_eq!(staged.file().metadata().unwrap().len(), AT + 100);
    }
}
