//! Getting one object into the store: sent once, hashed as it is sent, created only if it is right.

use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;

use super::PART_BYTES;
use super::buffers::Buffers;
use super::context::{Context, LogLevel};
use super::limits::{Limits, RequestPermit};
use crate::error::{Error, Result, S3Action, SourceProblem};
use crate::fs::open::OpenedFile;
use crate::hash::{ContentHash, Hasher, hash_bytes};
use crate::store::{
    MAX_OBJECT_BYTES, MAX_PARTS, MultipartUpload, ObjectKey, ObjectStore, PutOutcome, PutRequest, UploadedPart,
};

/// Bodies up to this size may be sent without asking first whether they are there: the body costs no more than asking.
const PUT_FIRST_BYTES: u64 = 256 * 1024;
/// How long a cancelled call waits for S3 to drop the parts of an unfinished upload.
const ABORT_PATIENCE: Duration = Duration::from_millis(300);
const CANCELLED: &str = "File upload cancelled.";

/// Opens what is to be sent.
pub trait OpenSource: Send + Sync + 'static {
    /// Opens entry `index`.
    ///
    /// # Errors
    /// [`Error::SourceFile`] naming the file.
    fn open(&self, index: usize) -> Result<OpenedFile>;

    /// The path of entry `index`, for messages.
    fn shown(&self, index: usize) -> PathBuf;
}

/// One object that should be in the store.
#[derive(Clone)]
pub struct ObjectUpload {
    /// Where.
    pub object: ObjectKey,
    /// What its contents hash to.
    pub expected: ContentHash,
    /// Their size in bytes.
    pub size_bytes: u64,
    /// Where the contents come from.
    pub source: Arc<dyn OpenSource>,
    /// Which of the source's entries.
    pub index: usize,
    /// Where in that file they begin: 0 but for the chunks of a large file.
    pub offset_bytes: u64,
    /// The whole file's size in bytes.
    pub file_size_bytes: u64,
    /// Send it even if something is there, and replace that: for keys that don't name their contents.
    pub replace: bool,
}

/// What became of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It was sent.
    Uploaded,
    /// The store had it.
    AlreadyThere,
}

/// Everything that many uploads share. Clones are cheap.
#[derive(Clone)]
pub struct Uploader {
    /// Where to.
    pub store: Arc<dyn ObjectStore>,
    /// How much at once.
    pub limits: Limits,
    /// Buffers for parts.
    pub buffers: Buffers,
    /// Progress, cancellation, log.
    pub context: Context,
    existing: Arc<ExistingShare>,
}

impl Uploader {
    /// An uploader to a store.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, limits: Limits, context: Context) -> Self {
        Self { store, limits, buffers: Buffers::default(), context, existing: Arc::default() }
    }

    /// Sees to it that the object is in the store.
    ///
    /// # Errors
    /// [`Error::SourceFile`] where the file is not what its hash says, is missing or can't be read; the store's errors.
    pub async fn ensure(&self, upload: &ObjectUpload) -> Result<Sent> {
        if upload.size_bytes > MAX_OBJECT_BYTES {
            return Err(Error::InvalidArgument(format!(
                "{}: {} bytes are more than S3's limit of 5 TiB for one object",
                upload.source.shown(upload.index).display(),
                upload.size_bytes
            )));
        }
        if upload.replace {
            return self.send(upload, false).await;
        }
        let ask_first =
            upload.size_bytes > PUT_FIRST_BYTES || !self.store.conditional_put_works() || self.existing.is_likely();
        if ask_first && self.is_there(upload).await? {
            return Ok(Sent::AlreadyThere);
        }
        let sent = self.send(upload, !ask_first).await?;
        if !ask_first {
            self.existing.note(sent == Sent::AlreadyThere);
        }
        Ok(sent)
    }

    async fn send(&self, upload: &ObjectUpload, if_absent: bool) -> Result<Sent> {
        if upload.size_bytes <= PART_BYTES {
            self.put(upload, if_absent).await
        } else {
            self.put_in_parts(upload).await
        }
    }

    /// An object of another size is not what its key says; it is sent again.
    async fn is_there(&self, upload: &ObjectUpload) -> Result<bool> {
        let _permit = self.or_cancelled(self.request()).await?;
        let found = self.or_cancelled(self.store.head(&upload.object)).await??;
        self.limits.report(self.store.as_ref());
        let there = found.is_some_and(|info| info.size_bytes == upload.size_bytes);
        self.existing.note(there);
        Ok(there)
    }

    async fn put(&self, upload: &ObjectUpload, if_absent: bool) -> Result<Sent> {
        let _room = self.or_cancelled(self.limits.bytes(upload.size_bytes)).await?;
        let (job, buffers) = (upload.clone(), self.buffers.clone());
        let body = blocking(move || read_whole(&job, &buffers)).await?;
        let _permit = self.or_cancelled(self.request()).await?;
        let metadata = std::collections::BTreeMap::new();
        let request = PutRequest {
            object: &upload.object,
            body,
            xxh128: match &upload.expected {
                ContentHash::Xxh128(bytes) => Some(*bytes),
                ContentHash::Text(_) => None,
            },
            if_absent,
            metadata: &metadata,
            content_type: None,
            action: S3Action::UploadingFile,
        };
        let outcome = self.or_cancelled(self.store.put(request)).await??;
        self.limits.report(self.store.as_ref());
        match outcome {
            PutOutcome::Created => {
                self.context.progress.add_bytes(upload.size_bytes);
                Ok(Sent::Uploaded)
            }
            PutOutcome::AlreadyThere => Ok(Sent::AlreadyThere),
        }
    }

    async fn put_in_parts(&self, upload: &ObjectUpload) -> Result<Sent> {
        let multipart = self.or_cancelled(self.store.create_multipart(&upload.object)).await??;
        let outcome = match self.send_parts(upload, &multipart).await {
            Ok(parts) => self.complete(upload, &multipart, &parts).await,
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            self.abort(&multipart).await;
        }
        outcome
    }

    async fn send_parts(&self, upload: &ObjectUpload, multipart: &MultipartUpload) -> Result<Vec<UploadedPart>> {
        let job = upload.clone();
        let opened = Arc::new(blocking(move || open(&job)).await?);
        let part_bytes = part_size(upload.size_bytes);
        let mut hasher = Hasher::new();
        let mut under_way = JoinSet::new();
        let mut parts = Vec::new();
        let (mut offset, mut number) = (0, 1);
        while offset < upload.size_bytes {
            let length = part_bytes.min(upload.size_bytes - offset);
            let room = self.or_cancelled(self.limits.bytes(length)).await?;
            let (job, file, buffers) = (upload.clone(), Arc::clone(&opened), self.buffers.clone());
            let (body, hashed) = blocking(move || read_part(&job, &file, &buffers, (offset, length), hasher)).await?;
            hasher = hashed;
            let permit = self.or_cancelled(self.request()).await?;
            under_way.spawn(self.clone().send_part(multipart.clone(), number, body, (room, permit)));
            while let Some(done) = under_way.try_join_next() {
                parts.push(joined(done)?);
            }
            offset += length;
            number += 1;
        }
        let found = hasher.finish();
        if found != upload.expected {
            return Err(changed(upload, &upload.expected.text(), &found.text()));
        }
        while let Some(done) = self.or_cancelled(under_way.join_next()).await? {
            parts.push(joined(done)?);
        }
        parts.sort_by_key(|part| part.number);
        Ok(parts)
    }

    async fn send_part(
        self,
        multipart: MultipartUpload,
        number: i32,
        body: Bytes,
        _held: (Option<OwnedSemaphorePermit>, RequestPermit),
    ) -> Result<UploadedPart> {
        let length = body.len() as u64;
        let part = self.store.upload_part(&multipart, number, body).await?;
        self.limits.report(self.store.as_ref());
        self.context.progress.add_bytes(length);
        Ok(part)
    }

    /// Completes an upload. A 404 may mean that an earlier attempt did so and only its reply was lost.
    async fn complete(
        &self,
        upload: &ObjectUpload,
        multipart: &MultipartUpload,
        parts: &[UploadedPart],
    ) -> Result<Sent> {
        let _permit = self.or_cancelled(self.request()).await?;
        match self.or_cancelled(self.store.complete_multipart(multipart, parts, !upload.replace)).await? {
            Ok(PutOutcome::Created) => Ok(Sent::Uploaded),
            Ok(PutOutcome::AlreadyThere) => {
                self.abort(multipart).await;
                Ok(Sent::AlreadyThere)
            }
            Err(error) if error.status_code() == Some(404) => match self.store.head(&upload.object).await? {
                Some(info) if info.size_bytes == upload.size_bytes => Ok(Sent::Uploaded),
                _ => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// Drops an unfinished upload. What can't be dropped is named in the log: it costs storage until it is.
    async fn abort(&self, multipart: &MultipartUpload) {
        let outcome = if self.context.cancel.is_cancelled() {
            tokio::time::timeout(ABORT_PATIENCE, self.store.abort_multipart(multipart))
                .await
                .unwrap_or_else(|_| Err(Error::Sync("no answer in time".to_owned())))
        } else {
            self.store.abort_multipart(multipart).await
        };
        if let Err(error) = outcome {
            self.context.log(LogLevel::Warning, "upload", || {
                format!(
                    "The unfinished upload {} of {} could not be dropped: {error}",
                    multipart.id,
                    multipart.object.url()
                )
            });
        }
    }

    async fn request(&self) -> RequestPermit {
        self.limits.request().await
    }

    async fn or_cancelled<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.context.cancel.cancelled() => Err(Error::Cancelled(CANCELLED.to_owned())),
            value = work => Ok(value),
        }
    }
}

/// How many objects turn out to be there already, as a moving average of what the store said.
#[derive(Debug, Default)]
struct ExistingShare(AtomicU32);

impl ExistingShare {
    /// Of 1,024; a reply moves the average by an eighth.
    const ONE: u32 = 1024;

    fn note(&self, there: bool) {
        let target = if there { Self::ONE } else { 0 };
        let average = self.0.load(Ordering::Relaxed);
        // Two racing notes may lose one: it is an estimate.
        self.0.store((average * 7 + target) / 8, Ordering::Relaxed);
    }

    /// Asking costs about as much as sending a small body, so it pays once more than half are there.
    fn is_likely(&self) -> bool {
        self.0.load(Ordering::Relaxed) > Self::ONE / 2
    }
}

/// The part size for an object, so that 10,000 parts suffice.
fn part_size(size_bytes: u64) -> u64 {
    const STEP: u64 = 1024 * 1024;
    PART_BYTES.max(size_bytes.div_ceil(MAX_PARTS).div_ceil(STEP) * STEP)
}

/// Opens the file and sees that it has the size that it had when it was hashed.
fn open(upload: &ObjectUpload) -> Result<OpenedFile> {
    let opened = upload.source.open(upload.index)?;
    let (expected, found) = (upload.file_size_bytes, opened.stamp.size_bytes);
    if expected == found {
        return Ok(opened);
    }
    Err(changed(upload, &format!("{expected} bytes"), &format!("{found} bytes")))
}

fn read_whole(upload: &ObjectUpload, buffers: &Buffers) -> Result<Bytes> {
    let opened = open(upload)?;
    let length = usize::try_from(upload.size_bytes).unwrap_or(usize::MAX);
    let mut buffer = buffers.take(length);
    read_exactly(upload, &opened, buffer.as_mut(), 0)?;
    let found = hash_bytes(buffer.as_ref());
    if found != upload.expected {
        return Err(changed(upload, &upload.expected.text(), &found.text()));
    }
    Ok(buffer.freeze())
}

fn read_part(
    upload: &ObjectUpload,
    opened: &OpenedFile,
    buffers: &Buffers,
    (offset, length): (u64, u64),
    mut hasher: Hasher,
) -> Result<(Bytes, Hasher)> {
    let mut buffer = buffers.take(usize::try_from(length).unwrap_or(usize::MAX));
    read_exactly(upload, opened, buffer.as_mut(), offset)?;
    hasher.update(buffer.as_ref());
    Ok((buffer.freeze(), hasher))
}

fn read_exactly(upload: &ObjectUpload, opened: &OpenedFile, buffer: &mut [u8], offset: u64) -> Result<()> {
    match opened.file.read_exact_at(buffer, upload.offset_bytes + offset) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            Err(changed(upload, &format!("{} bytes", upload.size_bytes), "fewer bytes"))
        }
        Err(error) => Err(Error::source_file(upload.source.shown(upload.index), &error)),
    }
}

fn changed(upload: &ObjectUpload, expected: &str, found: &str) -> Error {
    Error::SourceFile {
        path: upload.source.shown(upload.index),
        problem: SourceProblem::Changed { expected: expected.to_owned(), found: found.to_owned() },
    }
}

/// Runs work that blocks on a thread that may block. A panic in it is a panic here.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    joined(tokio::task::spawn_blocking(work).await)
}

/// The outcome of a task; its panic goes on here.
pub(super) fn joined<T>(outcome: Result<Result<T>, tokio::task::JoinError>) -> Result<T> {
    match outcome {
        Ok(outcome) => outcome,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(Error::Cancelled(CANCELLED.to_owned())),
    }
}
