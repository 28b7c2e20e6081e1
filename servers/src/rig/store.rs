//! Buckets, objects and unfinished multipart uploads, in memory.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::ops::{Bound, ControlFlow};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::SystemTime;

use http::{HeaderName, HeaderValue};
use xxhash_rust::xxh3::xxh3_64;

use super::content::Content;

/// Locks per bucket: enough that two threads rarely want the same one.
const SHARDS: usize = 64;

pub type Headers = Vec<(HeaderName, HeaderValue)>;

#[derive(Debug)]
pub struct Object {
    pub content: Content,
    /// Without quotation marks.
    pub etag: String,
    pub modified: SystemTime,
    /// Headers that come back with the object: content type, user metadata.
    pub headers: Headers,
    /// `x-amz-checksum-…`: come back when they are asked for.
    pub checksums: Headers,
}

#[derive(Debug, Clone)]
pub struct Part {
    pub content: Content,
    pub etag: String,
    pub modified: SystemTime,
}

#[derive(Debug)]
pub struct Upload {
    pub key: String,
    pub headers: Headers,
    pub parts: BTreeMap<u32, Part>,
    pub started: SystemTime,
}

#[derive(Debug)]
pub struct Bucket {
    shards: Vec<Mutex<BTreeMap<String, Arc<Object>>>>,
    pub uploads: Mutex<BTreeMap<String, Upload>>,
}

/// A lock that a panic elsewhere does not spoil: each test looks at the state that it made itself.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Bucket {
    fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::new(BTreeMap::new())).collect();
        Self { shards, uploads: Mutex::new(BTreeMap::new()) }
    }

    fn shard(&self, key: &str) -> MutexGuard<'_, BTreeMap<String, Arc<Object>>> {
        let index = usize::try_from(xxh3_64(key.as_bytes()) % SHARDS as u64).unwrap_or(0);
        lock(&self.shards[index])
    }

    pub fn get(&self, key: &str) -> Option<Arc<Object>> {
        self.shard(key).get(key).cloned()
    }

    /// Stores the object; with `only_if_absent`, only where there is none: false means that there was one.
    pub fn put(&self, key: &str, object: Object, only_if_absent: bool) -> bool {
        let object = Arc::new(object);
        let mut shard = self.shard(key);
        if only_if_absent && shard.contains_key(key) {
            return false;
        }
        shard.insert(key.to_owned(), object);
        true
    }

    pub fn delete(&self, key: &str) -> bool {
        self.shard(key).remove(key).is_some()
    }

    /// Shows the keys that begin with the prefix and come after `after`, in the order of their bytes, until `visit` breaks.
    /// What a page costs depends on its own keys, not on how many there are.
    pub fn walk(&self, prefix: &str, after: &str, mut visit: impl FnMut(&str, &Arc<Object>) -> ControlFlow<()>) {
        let first = if after >= prefix { Bound::Excluded(after) } else { Bound::Included(prefix) };
        // Others hold one of these locks at a time, so that holding all of them can't end in a deadlock.
        let shards: Vec<_> = self.shards.iter().map(lock).collect();
        let below = |shard| BTreeMap::range::<str, _>(shard, (first, Bound::Unbounded));
        let begins = |(key, _): &(&String, _)| key.starts_with(prefix);
        let mut runs: Vec<_> = shards.iter().map(|shard| below(shard).take_while(begins).peekable()).collect();
        let heads = runs.iter_mut().enumerate().filter_map(|(run, keys)| Some(Reverse((keys.peek()?.0, run))));
        let mut heads: BinaryHeap<_> = heads.collect();
        while let Some(Reverse((_, run))) = heads.pop() {
            let Some((key, object)) = runs[run].next() else { continue };
            if visit(key, object).is_break() {
                return;
            }
            heads.extend(runs[run].peek().map(|(key, _)| Reverse((*key, run))));
        }
    }

    /// Keys that begin with the prefix, sorted by their bytes.
    pub fn list(&self, prefix: &str) -> Vec<(String, Arc<Object>)> {
        let mut found = Vec::new();
        self.walk(prefix, "", |key, object| {
            found.push((key.to_owned(), Arc::clone(object)));
            ControlFlow::Continue(())
        });
        found
    }

    pub fn is_empty(&self) -> bool {
        self.shards.iter().all(|shard| lock(shard).is_empty())
    }
}

#[derive(Debug, Default)]
pub struct Store {
    buckets: RwLock<HashMap<String, Arc<Bucket>>>,
    uploads_started: AtomicU64,
}

impl Store {
    pub fn bucket(&self, name: &str) -> Option<Arc<Bucket>> {
        self.buckets.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// The bucket of that name, made if it was not there; the flag tells whether it was.
    pub fn create_bucket(&self, name: &str) -> (Arc<Bucket>, bool) {
        let mut buckets = self.buckets.write().unwrap_or_else(PoisonError::into_inner);
        let existed = buckets.contains_key(name);
        (buckets.entry(name.to_owned()).or_insert_with(|| Arc::new(Bucket::new())).clone(), existed)
    }

    pub fn delete_bucket(&self, name: &str) -> Option<Arc<Bucket>> {
        self.buckets.write().unwrap_or_else(PoisonError::into_inner).remove(name)
    }

    pub fn bucket_names(&self) -> Vec<String> {
        let buckets = self.buckets.read().unwrap_or_else(PoisonError::into_inner);
        let mut names: Vec<String> = buckets.keys().cloned().collect();
        names.sort();
        names
    }

    pub fn clear(&self) {
        self.buckets.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub fn new_upload_id(&self) -> String {
        format!("rig-upload-{:08}", self.uploads_started.fetch_add(1, Ordering::Relaxed))
    }
}
