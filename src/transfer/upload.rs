//! Getting one object into the store: sent once, hashed as it is sent, created only if it is right.

mod earlier;
mod parts;
mod resuming;

use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;

use self::resuming::Resuming;
use super::buffers::Buffers;
use super::context::{Context, LogLevel};
use super::limits::{Limits, RequestPermit};
use super::sizes::PART_BYTES;
use super::tasks::blocking;
use crate::cache::uploads::UploadRecords;
use crate::error::{Error, Result, S3Action, SourceProblem};
use crate::fs::open::OpenedFile;
use crate::hash::{ContentHash, Hasher, hash_bytes};
use crate::permits::Permit;
use crate::store::{Conditions, MAX_OBJECT_BYTES, ObjectKey, ObjectStore, PutOutcome, PutRequest};

/// Bodies up to this size may be sent without asking first whether they are there: the body costs no more than asking.
const PUT_FIRST_BYTES: u64 = 256 * 1024;
/// What is read and then hashed at a time: less than a core's own cache.
const CACHED_BYTES: usize = 256 * 1024;
/// How many objects of one call are asked for first, to find out whether the endpoint obeys `If-None-Match`.
const MOST_PROBES: u32 = 2;
const CANCELLED: &str = "File upload cancelled.";
const LOGGER: &str = "upload";

/// Opens what is to be sent.
pub(crate) trait OpenSource: Send + Sync + 'static {
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
pub(crate) struct ObjectUpload {
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
pub(crate) enum Sent {
    /// It was sent.
    Uploaded,
    /// The store had it.
    AlreadyThere,
}

/// What is at an object's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    Right,
    /// An object of this many bytes, which is not the right number.
    OfSize(u64),
}

/// Everything that many uploads share. Clones are cheap.
#[derive(Clone)]
pub(crate) struct Uploader {
    /// Where to.
    pub store: Arc<dyn ObjectStore>,
    /// How much at once.
    pub limits: Limits,
    /// Buffers for parts.
    pub buffers: Buffers,
    /// Progress, cancellation, log.
    pub context: Context,
    existing: Arc<ExistingShare>,
    /// Ask for every object before it is sent.
    always_asks: bool,
    resuming: Resuming,
}

impl Uploader {
    /// An uploader to a store.
    #[must_use]
    pub(crate) fn new(store: Arc<dyn ObjectStore>, limits: Limits, context: Context) -> Self {
        Self {
            store,
            limits,
            buffers: Buffers::default(),
            context,
            existing: Arc::default(),
            always_asks: false,
            resuming: Resuming::default(),
        }
    }

    /// The same, asking for every object before it is sent.
    #[must_use]
    pub(crate) fn asking_always(mut self, always: bool) -> Self {
        self.always_asks = always;
        self
    }

    /// The same, going on with large uploads that these records say were begun within this time and not finished.
    #[must_use]
    pub(crate) fn resuming(mut self, records: UploadRecords, within: Duration) -> Self {
        self.resuming = Resuming::new(records, within);
        self
    }

    /// Waits for the right to work on an object of the process.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub(crate) async fn object(&self) -> Result<Permit> {
        self.or_cancelled(self.limits.object()).await
    }

    /// Sees to it that the object is in the store.
    ///
    /// # Errors
    /// [`Error::SourceFile`] where the file is not what its hash says, is missing or can't be read; the store's errors.
    pub(crate) async fn ensure(&self, upload: &ObjectUpload) -> Result<Sent> {
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
        if !self.asks_first(upload) {
            let sent = self.send(upload, true).await?;
            self.existing.note(sent == Sent::AlreadyThere);
            return Ok(sent);
        }
        match self.look(upload).await? {
            Found::Right => {
                self.try_conditions(upload).await?;
                Ok(Sent::AlreadyThere)
            }
            // Under these keys contents are the same for everyone: if someone else sends them meanwhile, nothing is lost.
            Found::Nothing => self.send(upload, upload.size_bytes > PART_BYTES).await,
            Found::OfSize(found) => {
                self.context.log(LogLevel::Warning, LOGGER, || {
                    let url = upload.object.url();
                    format!("{url} has {found} bytes instead of {}; it is sent again", upload.size_bytes)
                });
                self.send(upload, false).await
            }
        }
    }

    /// Whether asking is cheaper than sending, or the only way to find out.
    fn asks_first(&self, upload: &ObjectUpload) -> bool {
        self.always_asks
            || upload.size_bytes > PUT_FIRST_BYTES
            || self.existing.is_likely()
            || match self.store.conditions() {
                Conditions::Obeyed => false,
                Conditions::Unusable => true,
                Conditions::Unknown => self.existing.probes.fetch_add(1, Ordering::Relaxed) < MOST_PROBES,
            }
    }

    async fn send(&self, upload: &ObjectUpload, if_absent: bool) -> Result<Sent> {
        if upload.size_bytes <= PART_BYTES {
            self.put(upload, if_absent).await
        } else {
            self.put_in_parts(upload, if_absent).await
        }
    }

    async fn look(&self, upload: &ObjectUpload) -> Result<Found> {
        let _permit = self.or_cancelled(self.request()).await?;
        let found = self.or_cancelled(self.store.head(&upload.object)).await??;
        let found = match found {
            // An object of another size is not what its key says. Of one whose size the server does not say, the key has to do.
            Some(info) => match info.size_bytes.filter(|size| *size != upload.size_bytes) {
                Some(size) => Found::OfSize(size),
                None => Found::Right,
            },
            None => Found::Nothing,
        };
        self.existing.note(found == Found::Right);
        Ok(found)
    }

    /// A conditional PUT over what is there shows whether the endpoint obeys the condition. The contents stay the same.
    async fn try_conditions(&self, upload: &ObjectUpload) -> Result<()> {
        let is_small = upload.size_bytes <= PUT_FIRST_BYTES;
        if self.always_asks || !is_small || self.store.conditions() != Conditions::Unknown {
            return Ok(());
        }
        let sent = self.put(upload, true).await?;
        if sent == Sent::Uploaded {
            self.context.progress.take_back_bytes(upload.size_bytes);
        }
        self.store.note_conditions(sent == Sent::AlreadyThere);
        Ok(())
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
        match outcome {
            PutOutcome::Created => {
                self.context.progress.add_bytes(upload.size_bytes);
                Ok(Sent::Uploaded)
            }
            PutOutcome::AlreadyThere => Ok(Sent::AlreadyThere),
        }
    }

    async fn request(&self) -> RequestPermit {
        self.limits.request().await
    }

    async fn or_cancelled<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.context.cancel.cancelled() => Err(cancelled()),
            value = work => Ok(value),
        }
    }
}

/// How many objects turn out to be there already, as a moving average of what the store said.
#[derive(Debug, Default)]
struct ExistingShare {
    average: AtomicU32,
    probes: AtomicU32,
}

impl ExistingShare {
    /// Of 1,024; a reply moves the average by an eighth.
    const ONE: u32 = 1024;

    fn note(&self, there: bool) {
        let target = if there { Self::ONE } else { 0 };
        let average = self.average.load(Ordering::Relaxed);
        // Two racing notes may lose one: it is an estimate.
        self.average.store((average * 7 + target) / 8, Ordering::Relaxed);
    }

    /// Asking costs about as much as sending a small body, so it pays once more than half are there.
    fn is_likely(&self) -> bool {
        self.average.load(Ordering::Relaxed) > Self::ONE / 2
    }
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
    let found = if length <= CACHED_BYTES {
        read_exactly(upload, &opened, buffer.as_mut(), 0)?;
        hash_bytes(buffer.as_ref())
    } else {
        let mut hasher = Hasher::new();
        read_and_hash(upload, &opened, buffer.as_mut(), 0, &mut hasher)?;
        hasher.finish()
    };
    if found != upload.expected {
        return Err(changed(upload, &upload.expected.text(), &found.text()));
    }
    Ok(buffer.freeze())
}

/// Hashes bytes while the processor's cache still has them from the copy.
fn read_and_hash(
    upload: &ObjectUpload,
    opened: &OpenedFile,
    buffer: &mut [u8],
    offset: u64,
    hasher: &mut Hasher,
) -> Result<()> {
    for (block, start) in buffer.chunks_mut(CACHED_BYTES).zip((offset..).step_by(CACHED_BYTES)) {
        read_exactly(upload, opened, block, start)?;
        hasher.update(block);
    }
    Ok(())
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

fn cancelled() -> Error {
    Error::Cancelled(CANCELLED.to_owned())
}
