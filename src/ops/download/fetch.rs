//! Fetching contents: small ones many at a time, large ones a few, each in ranges.

use std::path::PathBuf;
use std::sync::Arc;

use super::contents::{Contents, Wanted};
use super::job::DownloadJob;
use super::request::FileId;
use crate::error::{Error, Result, S3Action};
use crate::fs::stage::StagedFile;
use crate::hash::ContentHash;
use crate::manifest::chunks::chunk_length;
use crate::manifest::{Content, Manifest};
use crate::ops::lanes::{Queue, Workers};
use crate::settings::join_key;
use crate::store::ObjectKey;
use crate::transfer::PART_BYTES;
use crate::transfer::download::{Fetched, ObjectDownload, Verify};
use crate::transfer::tasks::blocking;

/// How many contents that are larger than one part are fetched at a time; each is fetched in parallel ranges.
const LARGE_AT_ONCE: usize = 3;
/// Contents up to this size are written in one go once they are there; larger ones while they come, from the processor's
/// cache.
const IN_MEMORY_BYTES: u64 = 1024 * 1024;

impl DownloadJob {
    pub(super) async fn fetch_all(self: &Arc<Self>, contents: Contents) -> Result<()> {
        let (small, large) = contents.partition(|id| self.is_small(id));
        let mut workers = Workers::new(self);
        let most = self.downloader.limits.most_requests();
        let fetch = |job: Arc<Self>, queue, wanted| job.fetch(queue, wanted);
        workers.spawn_in_queue(&Queue::new(small), most, fetch);
        workers.spawn_in_queue(&Queue::new(large), LARGE_AT_ONCE, fetch);
        workers.finish().await
    }

    /// Whether a file comes in one request.
    fn is_small(&self, id: FileId) -> bool {
        let is_chunked = matches!(self.manifest(id).files.content(id.index()), Content::Chunks(_));
        self.size_bytes(id) <= PART_BYTES && !is_chunked
    }

    async fn fetch(self: Arc<Self>, queue: Arc<Queue<Wanted>>, wanted: Wanted) -> Result<()> {
        let first = wanted.files()[0];
        let _object = self.downloader.object().await?;
        let outcome = if !self.is_small(first) {
            self.fetch_large(wanted.clone()).await
        } else if self.size_bytes(first) > IN_MEMORY_BYTES && self.downloader.verify != Verify::Off {
            self.fetch_part(wanted.clone()).await
        } else {
            // What is not checked may be of any size.
            self.fetch_in_memory(wanted.clone()).await
        };
        if outcome.map_err(|error| self.explain(error, first))? == Fetched::FoundThere {
            self.leave_to_others(&wanted);
            // Others work through the same list: to go on beside them would be to fetch what they fetch.
            queue.go_on_elsewhere();
        }
        Ok(())
    }

    async fn fetch_in_memory(self: &Arc<Self>, wanted: Wanted) -> Result<Fetched> {
        let (placer, download) = (Arc::clone(self), self.whole_object(&wanted));
        self.downloader.fetch_whole(&download, move |pieces| placer.place_pieces(wanted.files(), pieces)).await
    }

    async fn fetch_part(self: &Arc<Self>, wanted: Wanted) -> Result<Fetched> {
        let (placer, first) = (Arc::clone(self), wanted.files()[0]);
        let (download, size_bytes) = (self.whole_object(&wanted), self.size_bytes(first));
        match self.downloader.fetch_part(&download, move || placer.stage(first, size_bytes)).await? {
            Some(staged) => self.place(wanted, staged).await.map(|()| Fetched::Placed),
            None => Ok(Fetched::FoundThere),
        }
    }

    async fn fetch_large(self: &Arc<Self>, wanted: Wanted) -> Result<Fetched> {
        let first = wanted.files()[0];
        let (placer, size_bytes) = (Arc::clone(self), self.size_bytes(first));
        let staged = Arc::new(blocking(move || placer.stage(first, size_bytes)).await?);
        let mut offset = 0;
        for (hash, length) in self.pieces(first) {
            let download = self.object(&wanted, hash, length);
            if self.downloader.fetch_in_ranges(&download, &staged, offset).await? == Fetched::FoundThere {
                return Ok(Fetched::FoundThere);
            }
            offset += length;
        }
        self.place(wanted, staged).await.map(|()| Fetched::Placed)
    }

    async fn place(self: &Arc<Self>, wanted: Wanted, staged: Arc<StagedFile>) -> Result<()> {
        let placer = Arc::clone(self);
        blocking(move || {
            let staged = Arc::try_unwrap(staged)
                .map_err(|_| Error::Sync("a write to a finished file was still under way".to_owned()))?;
            placer.place_staged(wanted.files(), staged)
        })
        .await
    }

    /// The objects that make up a file, with their sizes.
    fn pieces(&self, id: FileId) -> Vec<(ContentHash, u64)> {
        pieces(self.manifest(id), id.index())
    }

    /// The object of a file that is one.
    fn whole_object(self: &Arc<Self>, wanted: &Wanted) -> ObjectDownload {
        let id = wanted.files()[0];
        self.object(wanted, self.content_hash(id), self.size_bytes(id))
    }

    fn object(self: &Arc<Self>, wanted: &Wanted, expected: ContentHash, size_bytes: u64) -> ObjectDownload {
        let id = wanted.files()[0];
        let algorithm = self.manifest(id).hash_algorithm;
        let prefix = self.request.cas_prefix.as_deref().unwrap_or_default();
        let key = |name: &str| if prefix.is_empty() { name.to_owned() } else { join_key(&[prefix, name]) };
        let place = |key: String| ObjectKey::new(self.request.bucket.clone(), key);
        ObjectDownload {
            object: place(key(&format!("{expected}.{algorithm}"))),
            fallback: Some(place(key(&expected.text()))),
            expected,
            size_bytes,
            look_again: self.look_again(wanted),
        }
    }

    fn content_hash(&self, id: FileId) -> ContentHash {
        match self.manifest(id).files.content(id.index()) {
            Content::Hash(hash) => hash,
            _ => ContentHash::Text("".into()),
        }
    }

    pub(super) fn manifest(&self, id: FileId) -> &Manifest {
        &self.request.roots[id.root as usize].manifest
    }

    pub(super) fn size_bytes(&self, id: FileId) -> u64 {
        u64::try_from(self.manifest(id).files.size_bytes(id.index())).unwrap_or(0)
    }

    /// Says where a failure of S3 would have gone, as the reference does.
    fn explain(&self, error: Error, id: FileId) -> Error {
        match error {
            Error::S3Service(mut error) if error.action == S3Action::DownloadingFile => {
                let path = self.shown(id);
                error.message = format!("{} (Failed to download the file to {})", error.message, path.display());
                Error::S3Service(error)
            }
            Error::Integrity(mut error) => {
                error.place = Some(self.shown(id).display().to_string());
                Error::Integrity(error)
            }
            other => other,
        }
    }

    fn shown(&self, id: FileId) -> PathBuf {
        let path = self.manifest(id).files.path(id.index());
        let root = &self.request.roots[id.root as usize].path;
        path.to_os_string().map_or_else(|_| root.join(path.display()), |path| root.join(path))
    }
}

/// The objects that make up a file of a manifest, with their sizes; none for a link.
pub(super) fn pieces(manifest: &Manifest, index: usize) -> Vec<(ContentHash, u64)> {
    let size_bytes = u64::try_from(manifest.files.size_bytes(index)).unwrap_or(0);
    match manifest.files.content(index) {
        Content::Hash(hash) => vec![(hash, size_bytes)],
        Content::Chunks(chunks) => {
            (0_u64..).zip(chunks).map(|(number, hash)| (hash.clone(), chunk_length(size_bytes, number))).collect()
        }
        Content::Symlink(_) | Content::Deleted => Vec::new(),
    }
}
