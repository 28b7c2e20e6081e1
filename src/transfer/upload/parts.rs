//! Large objects: sent in parallel parts, made into an object only if their bytes are right.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;

use super::earlier::forget;
use super::{Found, LOGGER, ObjectUpload, Sent, Uploader, cancelled, changed, open, read_and_hash};
use crate::error::{Error, Result};
use crate::fs::open::OpenedFile;
use crate::hash::Hasher;
use crate::store::checksum::crc32_text;
use crate::store::{MultipartUpload, PutOutcome, UploadedPart};
use crate::transfer::buffers::Buffers;
use crate::transfer::context::LogLevel;
use crate::transfer::limits::{RequestPermit, Room};
use crate::transfer::sizes::part_size;
use crate::transfer::tasks::{blocking, finished, heard};

/// How long a cancelled call waits for S3 to drop the parts of an unfinished upload.
const CANCELLED_PATIENCE: Duration = Duration::from_millis(300);
/// The same for a call that fails: its error should not wait for as long as a request may be tried again.
const FAILED_PATIENCE: Duration = Duration::from_secs(10);
/// From this size on, the parts that S3 has are worth keeping when S3 is what failed: the next call goes on from them.
const KEPT_FROM_BYTES: u64 = 64 * 1024 * 1024;
/// How often an object is begun anew after its upload was ended by someone else.
const MOST_BEGINNINGS: u32 = 3;

/// What a part holds while it is sent.
struct PartPermits {
    _room: Room,
    _request: RequestPermit,
}

/// An upload under way.
struct Parts {
    multipart: MultipartUpload,
    /// Parts that S3 has from an earlier call.
    known: HashMap<i32, UploadedPart>,
    /// Bytes counted as done, to be taken back if they turn out not to be.
    counted_bytes: AtomicU64,
}

impl Parts {
    fn new(multipart: MultipartUpload) -> Self {
        Self { multipart, known: HashMap::new(), counted_bytes: AtomicU64::new(0) }
    }
}

impl Uploader {
    pub(super) async fn put_in_parts(&self, upload: &ObjectUpload, if_absent: bool) -> Result<Sent> {
        let mut record = if upload.replace { None } else { self.record(&upload.object).await };
        let mut earlier = self.earlier(upload, record.as_ref()).await?;
        let mut beginnings = 0;
        loop {
            let is_earlier = earlier.is_some();
            let parts = if let Some(earlier) = earlier.take() {
                Parts { known: earlier.known, ..Parts::new(earlier.multipart) }
            } else {
                let multipart = match self.begin(upload).await {
                    Ok(multipart) => multipart,
                    Err(error) => {
                        forget(record).await;
                        return Err(error);
                    }
                };
                if let Some(taken) = record.take() {
                    record = self.write_record(taken, &multipart).await;
                }
                Parts::new(multipart)
            };
            beginnings += 1;
            let parts = Arc::new(parts);
            let outcome = self.send_all(upload, &parts, if_absent).await;
            if !matches!(outcome, Ok(Sent::Uploaded)) {
                self.context.progress.take_back_bytes(parts.counted_bytes.load(Ordering::Relaxed));
            }
            match outcome {
                Err(error) if beginnings < MOST_BEGINNINGS && may_begin_anew(&error, is_earlier) => {
                    if let Some(sent) = self.after_its_end(upload, &parts.multipart, &error).await? {
                        forget(record).await;
                        return Ok(sent);
                    }
                }
                Err(error) => {
                    if self.end_failed(upload, &parts.multipart, &error, record.is_some()).await {
                        forget(record).await;
                    }
                    return Err(error);
                }
                Ok(sent) => {
                    if sent == Sent::AlreadyThere && !self.abort(&parts.multipart).await {
                        return Ok(sent); // its record stays: the next upload of the object drops it
                    }
                    forget(record).await;
                    return Ok(sent);
                }
            }
        }
    }

    async fn send_all(&self, upload: &ObjectUpload, parts: &Arc<Parts>, if_absent: bool) -> Result<Sent> {
        let sent = self.send_parts(upload, parts).await?;
        self.complete(upload, &parts.multipart, &sent, if_absent).await
    }

    /// After someone else has ended an upload, or S3 will not make an object of the parts of an earlier call: what was sent, if
    /// the object is there by now. Otherwise it is begun anew.
    async fn after_its_end(
        &self,
        upload: &ObjectUpload,
        multipart: &MultipartUpload,
        error: &Error,
    ) -> Result<Option<Sent>> {
        self.context.log(LogLevel::Debug, LOGGER, || {
            let (id, url) = (&multipart.id, upload.object.url());
            format!("Upload {id} of {url} can't be gone on with ({error})")
        });
        if error.status_code() != Some(404) {
            self.abort(multipart).await;
        }
        let is_there = !upload.replace && self.look(upload).await? == Found::Right;
        Ok(is_there.then_some(Sent::AlreadyThere))
    }

    /// Begins an upload. A call that is cancelled meanwhile waits a moment to learn of it, so that it can be dropped.
    async fn begin(&self, upload: &ObjectUpload) -> Result<MultipartUpload> {
        let (store, object) = (Arc::clone(&self.store), upload.object.clone());
        let _permit = self.or_cancelled(self.request()).await?;
        let mut begun = tokio::spawn(heard(async move { store.create_multipart(&object).await }));
        let outcome = tokio::select! {
            biased;
            () = self.context.cancel.cancelled() => {
                if let Ok(Ok(Ok(multipart))) = tokio::time::timeout(CANCELLED_PATIENCE, &mut begun).await {
                    self.abort(&multipart).await;
                } else {
                    begun.abort();
                    self.tell_of_unknown(upload);
                }
                return Err(cancelled());
            }
            outcome = &mut begun => finished(outcome).unwrap_or_else(|| Err(cancelled())),
        };
        // S3 refuses with a status; without one it may have begun the upload and nobody learned its id.
        if outcome.as_ref().is_err_and(|error| error.status_code().is_none()) {
            self.tell_of_unknown(upload);
        }
        outcome
    }

    fn tell_of_unknown(&self, upload: &ObjectUpload) {
        self.context.log(LogLevel::Warning, LOGGER, || {
            let url = upload.object.url();
            format!("An upload of {url} may have been begun and left; abort_stale_uploads() removes such uploads")
        });
    }

    async fn send_parts(&self, upload: &ObjectUpload, parts: &Arc<Parts>) -> Result<Vec<UploadedPart>> {
        let mut under_way = JoinSet::new();
        let outcome = self.send_each(upload, parts, &mut under_way).await;
        // A part that arrives after the upload was dropped would stay: none is left on its way.
        under_way.shutdown().await;
        let mut sent = outcome?;
        sent.sort_by_key(|part| part.number);
        Ok(sent)
    }

    async fn send_each(
        &self,
        upload: &ObjectUpload,
        parts: &Arc<Parts>,
        under_way: &mut JoinSet<Result<UploadedPart>>,
    ) -> Result<Vec<UploadedPart>> {
        let job = upload.clone();
        let opened = Arc::new(blocking(move || open(&job)).await?);
        let part_bytes = part_size(upload.size_bytes);
        let mut hasher = Hasher::new();
        let mut sent = Vec::new();
        let (mut offset, mut number) = (0, 1);
        while offset < upload.size_bytes {
            let length = part_bytes.min(upload.size_bytes - offset);
            let room = self.or_cancelled(self.limits.bytes(length)).await?;
            let (job, file, buffers) = (upload.clone(), Arc::clone(&opened), self.buffers.clone());
            let known = parts.known.get(&number).filter(|part| part.size_bytes == length).cloned();
            let place = PartRange { offset, length, known };
            let read = blocking(move || read_part(&job, &file, &buffers, place, hasher)).await?;
            hasher = read.hasher;
            if let Some(part) = read.known {
                self.count(parts, length);
                sent.push(part);
            } else {
                let permit = self.or_cancelled(self.request()).await?;
                let parts = Arc::clone(parts);
                under_way.spawn(heard(self.clone().send_part(
                    parts,
                    number,
                    read.body,
                    PartPermits { _room: room, _request: permit },
                )));
            }
            while let Some(done) = under_way.try_join_next() {
                sent.push(finished(done).unwrap_or_else(|| Err(cancelled()))?);
            }
            offset += length;
            number += 1;
        }
        let found = hasher.finish();
        if found != upload.expected {
            return Err(changed(upload, &upload.expected.text(), &found.text()));
        }
        while let Some(done) = self.or_cancelled(under_way.join_next()).await? {
            sent.push(finished(done).unwrap_or_else(|| Err(cancelled()))?);
        }
        Ok(sent)
    }

    async fn send_part(self, parts: Arc<Parts>, number: i32, body: Bytes, _held: PartPermits) -> Result<UploadedPart> {
        let length = body.len() as u64;
        let part = self.store.upload_part(&parts.multipart, number, body).await?;
        self.count(&parts, length);
        Ok(part)
    }

    fn count(&self, parts: &Parts, bytes: u64) {
        parts.counted_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.context.progress.add_bytes(bytes);
    }

    /// Makes the object. A failure may mean that an earlier attempt made it and only its reply was lost: under a key that
    /// names its contents, an object of the right size is the right one.
    async fn complete(
        &self,
        upload: &ObjectUpload,
        multipart: &MultipartUpload,
        parts: &[UploadedPart],
        if_absent: bool,
    ) -> Result<Sent> {
        let _permit = self.or_cancelled(self.request()).await?;
        let error = match self.or_cancelled(self.store.complete_multipart(multipart, parts, if_absent)).await? {
            Ok(PutOutcome::Created) => return Ok(Sent::Uploaded),
            Ok(PutOutcome::AlreadyThere) => return Ok(Sent::AlreadyThere),
            Err(error) => error,
        };
        if upload.replace {
            return Err(error);
        }
        match self.or_cancelled(self.store.head(&upload.object)).await? {
            Ok(Some(info)) if info.size_bytes.is_none_or(|size| size == upload.size_bytes) => Ok(Sent::Uploaded),
            _ => Err(error),
        }
    }

    /// What becomes of an upload that failed: its parts are dropped, unless it was S3 that failed, they are many, and there is
    /// a record to go on from. Gives whether they were dropped.
    async fn end_failed(
        &self,
        upload: &ObjectUpload,
        multipart: &MultipartUpload,
        error: &Error,
        has_record: bool,
    ) -> bool {
        let is_outage = match error {
            Error::S3Client(_) => true,
            Error::S3Service(error) => error.status_code >= 500,
            _ => false,
        };
        if is_outage && has_record && upload.size_bytes >= KEPT_FROM_BYTES {
            self.context.log(LogLevel::Warning, LOGGER, || {
                let (id, url) = (&multipart.id, upload.object.url());
                format!(
                    "Upload {id} of {url} could not be finished. Its parts stay, so that the next upload of the same file \
                     goes on from them; abort_stale_uploads() removes them"
                )
            });
            return false;
        }
        self.abort(multipart).await
    }

    /// Drops an unfinished upload; gives whether it is gone. What can't be dropped is named in the log: it costs storage until
    /// it is.
    pub(super) async fn abort(&self, multipart: &MultipartUpload) -> bool {
        let patience = if self.context.cancel.is_cancelled() { CANCELLED_PATIENCE } else { FAILED_PATIENCE };
        let outcome = tokio::time::timeout(patience, self.store.abort_multipart(multipart)).await;
        let outcome = outcome.unwrap_or_else(|_| Err(Error::Sync("no answer in time".to_owned())));
        if let Err(error) = &outcome {
            self.context.log(LogLevel::Warning, LOGGER, || {
                format!(
                    "The unfinished upload {} of {} could not be dropped: {error}",
                    multipart.id,
                    multipart.object.url()
                )
            });
        }
        outcome.is_ok()
    }
}

/// Whether an upload is over through no fault of the file: someone else has completed or dropped it, or S3 has other parts of
/// an earlier call's upload than it listed.
fn may_begin_anew(error: &Error, is_earlier: bool) -> bool {
    const OTHER_PARTS: &[&str] = &["InvalidPart", "InvalidPartOrder", "EntityTooSmall"];
    let code = if let Error::S3Service(error) = error { error.code.as_deref() } else { None };
    let are_others = is_earlier && code.is_some_and(|code| OTHER_PARTS.contains(&code));
    error.status_code() == Some(404) || are_others
}

/// Which bytes of an object are a part.
struct PartRange {
    offset: u64,
    length: u64,
    /// The part that S3 has in this place.
    known: Option<UploadedPart>,
}

/// A part as it was read.
struct ReadPart {
    body: Bytes,
    hasher: Hasher,
    /// The same part as S3 has it.
    known: Option<UploadedPart>,
}

fn read_part(
    upload: &ObjectUpload,
    opened: &OpenedFile,
    buffers: &Buffers,
    place: PartRange,
    mut hasher: Hasher,
) -> Result<ReadPart> {
    let mut buffer = buffers.take(usize::try_from(place.length).unwrap_or(usize::MAX));
    read_and_hash(upload, opened, buffer.as_mut(), place.offset, &mut hasher)?;
    let known = place.known.filter(|part| part.crc32.as_deref() == Some(&crc32_text(buffer.as_ref())));
    Ok(ReadPart { body: buffer.freeze(), hasher, known })
}
