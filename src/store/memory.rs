//! An object store in memory that fails where it is told to: for tests of this crate and of programs that use it.

mod faults;
mod listing;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use parking_lot::{Mutex, MutexGuard};

use super::checksum::crc32_text;
use super::guidance::ErrorReply;
use super::{
    Conditions, ListPage, ListRequest, MAX_PARTS, MIN_PART_BYTES, MultipartUpload, ObjectBody, ObjectInfo, ObjectKey,
    ObjectStore, PutOutcome, PutRequest, StoreFuture, UploadedPart,
};
use crate::error::{Error, IntegrityError, Result, S3Action, S3ClientError};
use crate::hash::{ContentHash, hash_bytes};
pub(crate) use faults::{Fault, Operation, StoreCall};

type Decide = Box<dyn Fn(&StoreCall<'_>) -> Fault + Send + Sync>;

/// The most keys in one page of a listing: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>.
const PAGE_KEYS: usize = 1000;

/// How many stores the process has made, so that each has a place of its own.
static STORES: AtomicU64 = AtomicU64::new(0);

/// The store.
pub(crate) struct MemoryStore {
    state: Mutex<State>,
    calls: AtomicU64,
    decide: Decide,
    place: String,
    /// The most requests at once.
    pub max_connections: usize,
    /// Whether `if_absent` is obeyed.
    pub conditions: Conditions,
    /// The buckets that are there; `None` for any that is named.
    pub buckets: Option<BTreeSet<String>>,
    /// The most keys and common prefixes in one page of a listing.
    pub page_keys: usize,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<ObjectKey, (Bytes, ObjectInfo)>,
    uploads: BTreeMap<String, Upload>,
    began: u64,
}

#[derive(Debug)]
struct Upload {
    object: ObjectKey,
    initiated: SystemTime,
    parts: BTreeMap<i32, (Bytes, UploadedPart)>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryStore").field("state", &self.state).finish_non_exhaustive()
    }
}

impl MemoryStore {
    /// An empty store without faults.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self::failing(|_| Fault::None)
    }

    /// An empty store that asks a function what becomes of each request.
    #[must_use]
    pub(crate) fn failing(decide: impl Fn(&StoreCall<'_>) -> Fault + Send + Sync + 'static) -> Self {
        Self {
            state: Mutex::default(),
            calls: AtomicU64::new(0),
            decide: Box::new(decide),
            place: format!("memory {}", STORES.fetch_add(1, Ordering::Relaxed)),
            max_connections: 8,
            conditions: Conditions::Obeyed,
            buckets: None,
            page_keys: PAGE_KEYS,
        }
    }

    /// The same contents, with other faults and the count of requests at zero.
    #[must_use]
    pub(crate) fn now_failing(self, decide: impl Fn(&StoreCall<'_>) -> Fault + Send + Sync + 'static) -> Self {
        Self { calls: AtomicU64::new(0), decide: Box::new(decide), ..self }
    }

    /// How many requests were made.
    #[must_use]
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// The objects with their contents.
    #[must_use]
    pub(crate) fn objects(&self) -> BTreeMap<ObjectKey, Bytes> {
        self.lock().objects.iter().map(|(object, (body, _))| (object.clone(), body.clone())).collect()
    }

    /// Uploads that were neither completed nor dropped, with the number of their parts.
    #[must_use]
    pub(crate) fn uploads(&self) -> Vec<(MultipartUpload, usize)> {
        let state = self.lock();
        state.uploads.iter().map(|(id, upload)| (upload.named(id), upload.parts.len())).collect()
    }

    /// Has an unfinished upload begun at another time.
    pub(crate) fn set_initiated(&self, id: &str, initiated: SystemTime) {
        if let Some(upload) = self.lock().uploads.get_mut(id) {
            upload.initiated = initiated;
        }
    }

    /// Stores an object as it is.
    pub(crate) fn insert(&self, object: ObjectKey, body: impl Into<Bytes>) {
        let body = body.into();
        let info = info(&body, BTreeMap::new());
        self.lock().objects.insert(object, (body, info));
    }

    /// Removes an object; whether it was there.
    pub(crate) fn remove(&self, object: &ObjectKey) -> bool {
        self.lock().objects.remove(object).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Does the work of a request, unless it is to fail.
    fn request<T>(&self, asked: &Asked<'_>, work: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        self.request_with_fault(asked, |state, _| work(state))
    }

    /// As [`MemoryStore::request`], where the fault may be one of the body that comes back.
    fn request_with_fault<T>(&self, asked: &Asked<'_>, work: impl FnOnce(&mut State, Fault) -> Result<T>) -> Result<T> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let call = StoreCall { number, operation: asked.operation, key: asked.key };
        let fault = (self.decide)(&call);
        let is_there = self.buckets.as_ref().is_none_or(|buckets| buckets.contains(asked.bucket));
        let answer = |state: &mut State| {
            if is_there {
                work(state, fault)
            } else {
                Err(asked.refused(404, "NoSuchBucket", "The specified bucket does not exist"))
            }
        };
        match fault {
            Fault::Refused(status) => Err(asked.refused(status, code(status), "told to fail")),
            Fault::RefusedWith(status, code) => Err(asked.refused(status, code, "told to fail")),
            Fault::Unreachable => Err(asked.lost("the connection was refused")),
            Fault::ReplyLost => {
                // Done or refused, nobody learns of it.
                drop(answer(&mut self.lock()));
                Err(asked.lost("the connection was reset before the reply"))
            }
            _ => answer(&mut self.lock()),
        }
    }

    fn put_now(&self, request: &PutRequest<'_>) -> Result<PutOutcome> {
        let asked = Asked::object(Operation::Put, request.action, request.object);
        self.request(&asked, |state| {
            if request.if_absent && self.conditions == Conditions::Obeyed && state.objects.contains_key(request.object)
            {
                return Ok(PutOutcome::AlreadyThere);
            }
            let found = hash_bytes(&request.body);
            if request.xxh128.is_some_and(|expected| found != ContentHash::Xxh128(expected)) {
                return Err(asked.refused(400, "BadDigest", "the checksum did not match"));
            }
            let info = info(&request.body, request.metadata.clone());
            state.objects.insert(request.object.clone(), (request.body.clone(), info));
            Ok(PutOutcome::Created)
        })
    }

    fn complete_now(&self, upload: &MultipartUpload, parts: &[UploadedPart], if_absent: bool) -> Result<PutOutcome> {
        let asked = Asked::object(Operation::CompleteMultipart, S3Action::UploadingFile, &upload.object);
        self.request(&asked, |state| {
            let known = state.uploads.get(&upload.id).ok_or_else(|| asked.no_such_upload())?;
            let mut body = BytesMut::new();
            for (index, part) in parts.iter().enumerate() {
                let (bytes, have) = known
                    .parts
                    .get(&part.number)
                    .filter(|(_, have)| have.etag == part.etag)
                    .ok_or_else(|| asked.refused(400, "InvalidPart", "a part could not be found"))?;
                if part.crc32.is_some() && part.crc32 != have.crc32 {
                    return Err(asked.refused(400, "InvalidPart", "a part's checksum did not match"));
                }
                if have.size_bytes < MIN_PART_BYTES && index + 1 < parts.len() {
                    return Err(asked.refused(400, "EntityTooSmall", "a part is too small"));
                }
                body.extend_from_slice(bytes);
            }
            if parts.is_empty() || !parts.is_sorted_by(|one, next| one.number < next.number) {
                return Err(asked.refused(400, "InvalidPartOrder", "parts are missing or out of order"));
            }
            if if_absent && self.conditions == Conditions::Obeyed && state.objects.contains_key(&upload.object) {
                return Ok(PutOutcome::AlreadyThere);
            }
            let body = body.freeze();
            let info = info(&body, BTreeMap::new());
            state.objects.insert(upload.object.clone(), (body, info));
            state.uploads.remove(&upload.id);
            Ok(PutOutcome::Created)
        })
    }

    fn part_now(&self, upload: &MultipartUpload, number: i32, body: Bytes) -> Result<UploadedPart> {
        let asked = Asked::object(Operation::UploadPart, S3Action::UploadingFile, &upload.object);
        self.request(&asked, |state| {
            let known = state.uploads.get_mut(&upload.id).ok_or_else(|| asked.no_such_upload())?;
            if !u64::try_from(number).is_ok_and(|number| (1..=MAX_PARTS).contains(&number)) {
                return Err(asked.refused(400, "InvalidArgument", "part numbers go from 1 to 10,000"));
            }
            let part = UploadedPart {
                number,
                etag: etag(&body),
                size_bytes: body.len() as u64,
                crc32: Some(crc32_text(&body)),
                last_modified: None,
            };
            let listed = UploadedPart { last_modified: Some(SystemTime::now()), ..part.clone() };
            known.parts.insert(number, (body, listed));
            Ok(part)
        })
    }

    fn get_now(&self, object: &ObjectKey, range: Option<Range<u64>>, action: S3Action) -> Result<ObjectBody> {
        let asked = Asked::object(Operation::Get, action, object);
        self.request_with_fault(&asked, |state, fault| {
            let (body, info) =
                state.objects.get(object).ok_or_else(|| asked.refused(404, "NoSuchKey", "no such key"))?;
            let (body, info) = fault.disturb(body, info);
            let length = body.len() as u64;
            let range = range.unwrap_or(0..length);
            let bounds = usize::try_from(range.start).ok().zip(usize::try_from(range.end.min(length)).ok());
            let (start, end) = bounds
                .filter(|(start, end)| start < end || length == 0)
                .ok_or_else(|| asked.refused(416, "InvalidRange", "the range is not within the object"))?;
            if range.end > length {
                return Err(beyond_the_end(object, &range, length));
            }
            let bytes = body.slice(start..end);
            let length_bytes = Some(bytes.len() as u64);
            Ok(ObjectBody { info, length_bytes, chunks: fault.body(bytes, asked.lost("the connection was reset")) })
        })
    }
}

impl Upload {
    fn named(&self, id: &str) -> MultipartUpload {
        MultipartUpload { object: self.object.clone(), id: id.to_owned(), initiated: Some(self.initiated) }
    }
}

impl ObjectStore for MemoryStore {
    fn head<'a>(&'a self, object: &'a ObjectKey) -> StoreFuture<'a, Option<ObjectInfo>> {
        Box::pin(async move {
            let asked = Asked::object(Operation::Head, S3Action::CheckingIfObjectExists, object);
            let found = self.request(&asked, |state| Ok(state.objects.get(object).map(|(_, info)| info.clone())));
            match found {
                Err(error) if error.status_code() == Some(404) => Ok(None),
                other => other,
            }
        })
    }

    fn get<'a>(
        &'a self,
        object: &'a ObjectKey,
        range: Option<Range<u64>>,
        action: S3Action,
    ) -> StoreFuture<'a, ObjectBody> {
        Box::pin(async move { self.get_now(object, range, action) })
    }

    fn put<'a>(&'a self, request: PutRequest<'a>) -> StoreFuture<'a, PutOutcome> {
        Box::pin(async move { self.put_now(&request) })
    }

    fn list<'a>(&'a self, request: ListRequest<'a>) -> StoreFuture<'a, ListPage> {
        Box::pin(async move { self.list_now(&request) })
    }

    fn create_multipart<'a>(&'a self, object: &'a ObjectKey) -> StoreFuture<'a, MultipartUpload> {
        Box::pin(async move {
            let asked = Asked::object(Operation::CreateMultipart, S3Action::UploadingFile, object);
            self.request(&asked, |state| {
                state.began += 1;
                let id = format!("upload-{}", state.began);
                let (object, initiated) = (object.clone(), SystemTime::now());
                let upload = Upload { object, initiated, parts: BTreeMap::new() };
                let named = MultipartUpload { initiated: None, ..upload.named(&id) };
                state.uploads.insert(id, upload);
                Ok(named)
            })
        })
    }

    fn upload_part<'a>(
        &'a self,
        upload: &'a MultipartUpload,
        number: i32,
        body: Bytes,
    ) -> StoreFuture<'a, UploadedPart> {
        Box::pin(async move { self.part_now(upload, number, body) })
    }

    fn complete_multipart<'a>(
        &'a self,
        upload: &'a MultipartUpload,
        parts: &'a [UploadedPart],
        if_absent: bool,
    ) -> StoreFuture<'a, PutOutcome> {
        Box::pin(async move { self.complete_now(upload, parts, if_absent) })
    }

    fn abort_multipart<'a>(&'a self, upload: &'a MultipartUpload) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let asked = Asked::object(Operation::AbortMultipart, S3Action::UploadingFile, &upload.object);
            self.request(&asked, |state| {
                state.uploads.remove(&upload.id);
                Ok(())
            })
        })
    }

    fn list_parts<'a>(&'a self, upload: &'a MultipartUpload) -> StoreFuture<'a, Vec<UploadedPart>> {
        Box::pin(async move {
            let asked = Asked::object(Operation::ListParts, S3Action::UploadingFile, &upload.object);
            self.request(&asked, |state| {
                let known = state.uploads.get(&upload.id).ok_or_else(|| asked.no_such_upload())?;
                Ok(known.parts.values().map(|(_, part)| part.clone()).collect())
            })
        })
    }

    fn list_multiparts<'a>(&'a self, bucket: &'a str, prefix: &'a str) -> StoreFuture<'a, Vec<MultipartUpload>> {
        Box::pin(async move {
            let asked = Asked::listing(Operation::ListMultiparts, bucket, prefix);
            self.request(&asked, |state| {
                let below =
                    |upload: &MultipartUpload| upload.object.bucket == bucket && upload.object.key.starts_with(prefix);
                Ok(state.uploads.iter().map(|(id, upload)| upload.named(id)).filter(below).collect())
            })
        })
    }

    fn place(&self) -> &str {
        &self.place
    }

    fn max_connections(&self) -> usize {
        self.max_connections
    }

    fn conditions(&self) -> Conditions {
        self.conditions
    }
}

struct Asked<'a> {
    operation: Operation,
    action: S3Action,
    bucket: &'a str,
    key: &'a str,
}

impl<'a> Asked<'a> {
    fn object(operation: Operation, action: S3Action, object: &'a ObjectKey) -> Self {
        Self { operation, action, bucket: &object.bucket, key: &object.key }
    }

    fn listing(operation: Operation, bucket: &'a str, prefix: &'a str) -> Self {
        Self { operation, action: S3Action::ListingBucketContents, bucket, key: prefix }
    }

    fn refused(&self, status_code: u16, code: &str, message: &str) -> Error {
        let operation = format!("{:?}", self.operation);
        let reply = ErrorReply {
            action: self.action,
            operation: &operation,
            status_code,
            code: Some(code),
            message: Some(message),
            bucket: self.bucket,
            key: self.key,
            account_id: None,
            request_id: None,
            host_id: None,
        };
        reply.into_error().into()
    }

    fn no_such_upload(&self) -> Error {
        self.refused(404, "NoSuchUpload", "the upload does not exist")
    }

    fn lost(&self, details: &str) -> Error {
        S3ClientError::new(self.action, self.bucket, self.key, details).into()
    }
}

fn info(body: &Bytes, metadata: BTreeMap<String, String>) -> ObjectInfo {
    let last_modified = Some(SystemTime::now());
    ObjectInfo { size_bytes: Some(body.len() as u64), last_modified, etag: Some(etag(body)), metadata }
}

/// What the client of S3 makes of an answer that has less than the range that was asked for.
fn beyond_the_end(object: &ObjectKey, range: &Range<u64>, length: u64) -> Error {
    let error = IntegrityError {
        subject: object.url(),
        expected: format!("bytes {}-{}", range.start, range.end.saturating_sub(1)),
        found: format!("bytes {}-{}/{length}", range.start, length.saturating_sub(1)),
        place: None,
    };
    error.into()
}

fn etag(body: &Bytes) -> String {
    format!("\"{}\"", hash_bytes(body).text())
}

const fn code(status: u16) -> &'static str {
    match status {
        403 => "AccessDenied",
        404 => "NoSuchKey",
        409 => "ConditionalRequestConflict",
        412 => "PreconditionFailed",
        503 => "SlowDown",
        _ => "InternalError",
    }
}
