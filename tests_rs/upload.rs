//! Uploads into the store in memory: nothing wrong is ever stored, whatever fails.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use rusty_attachments::Error;
use rusty_attachments::cache::s3_check_cache::S3CheckCache;
use rusty_attachments::hash::{HashAlgorithm, hash_bytes};
use rusty_attachments::manifest::{Content, FileTable, Manifest, ManifestVersion};
use rusty_attachments::ops::put_object::NewObject;
use rusty_attachments::ops::upload_assets::{UploadOptions, UploadRequest, upload_assets};
use rusty_attachments::path::ManifestPath;
use rusty_attachments::store::memory::{Fault, MemoryStore, Operation};
use rusty_attachments::store::{Conditions, ObjectKey, ObjectStore};
use rusty_attachments::transfer::context::{Context, LogLevel};

mod faults;
mod hash_caches;
mod live;
mod objects;

/// A part of a large object, the engine's `PART_BYTES`.
pub const PART: usize = 8 * 1024 * 1024;
const _: () = assert!(PART as u64 == rusty_attachments::transfer::PART_BYTES);
pub const BUCKET: &str = "bucket";
const MANIFEST_KEY: &str = "root/Manifests/m_input";

/// Bytes that differ from place to place and from seed to seed.
pub fn bytes(length: usize, seed: u8) -> Vec<u8> {
    let byte = |at: usize| u8::try_from((at * 31 + (at >> 8)) & 255).unwrap() ^ seed;
    (0..length).map(byte).collect()
}

/// Writes files below a root, and makes their manifest.
pub fn tree(root: &Path, files: &[(&str, &[u8])]) -> Arc<Manifest> {
    let mut table = FileTable::with_capacity(files.len());
    for (name, contents) in files {
        std::fs::write(root.join(name), contents).unwrap();
        let hash = hash_bytes(contents);
        let path = ManifestPath::from_wtf8(name.as_bytes());
        table.push(path, Content::Hash(hash), i64::try_from(contents.len()).unwrap(), 0);
    }
    Arc::new(Manifest {
        version: ManifestVersion::V2023_03_03,
        hash_algorithm: HashAlgorithm::Xxh128,
        total_size_bytes: 0,
        files: table,
        directories: Vec::new(),
        parent_manifest_hash: None,
    })
}

pub fn request(store: &Arc<MemoryStore>, root: &Path, manifest: Arc<Manifest>) -> UploadRequest {
    UploadRequest {
        store: Arc::clone(store) as Arc<dyn ObjectStore>,
        manifest,
        root: root.to_path_buf(),
        bucket: BUCKET.to_owned(),
        cas_prefix: "root/Data".to_owned(),
        document: Some(NewObject {
            key: MANIFEST_KEY.to_owned(),
            body: bytes::Bytes::from_static(b"{}"),
            metadata: BTreeMap::new(),
            content_type: None,
        }),
        check_cache: None,
        records: None,
        options: UploadOptions::default(),
    }
}

/// A context that keeps its log.
pub fn logging() -> (Context, Arc<Mutex<Vec<String>>>) {
    let log = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&log);
    let context =
        Context::new().with_log(LogLevel::Debug, Arc::new(move |record| sink.lock().unwrap().push(record.message)));
    (context, log)
}

pub fn key_of(contents: &[u8]) -> ObjectKey {
    ObjectKey::new(BUCKET, format!("root/Data/{}.xxh128", hash_bytes(contents).text()))
}

/// Every object below `Data` has the hash that its key says.
pub fn assert_nothing_wrong(store: &MemoryStore) {
    for (object, body) in store.objects() {
        if let Some(name) = object.key.strip_prefix("root/Data/") {
            assert_eq!(name, format!("{}.xxh128", hash_bytes(&body).text()), "wrong contents");
        }
    }
}

pub fn has_manifest(store: &MemoryStore) -> bool {
    store.objects().contains_key(&ObjectKey::new(BUCKET, MANIFEST_KEY))
}

#[tokio::test]
async fn each_content_goes_once_and_the_manifest_last() {
    let folder = tempfile::tempdir().unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&order);
    let store = Arc::new(MemoryStore::failing(move |call| {
        seen.lock().unwrap().push((call.operation, call.key.to_owned()));
        Fault::None
    }));
    let manifest = tree(folder.path(), &[("a", b"same"), ("b", b"same"), ("c", b"other"), ("d", b"same")]);
    let context = Context::new();
    upload_assets(request(&store, folder.path(), manifest), &context).await.unwrap();
    let order = order.lock().unwrap();
    assert_eq!(order.len(), 3, "{order:?}");
    assert_eq!(order[2], (Operation::Put, MANIFEST_KEY.to_owned()));
    let counts = context.progress.snapshot();
    assert_eq!((counts.processed_files, counts.processed_bytes), (2, 9));
    assert_eq!((counts.skipped_files, counts.skipped_bytes), (2, 8));
    assert_nothing_wrong(&store);
}

#[tokio::test]
async fn parallel_calls_send_each_content_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::new());
    let contents: Vec<Vec<u8>> = (0..50).map(|seed| bytes(1000, seed)).collect();
    let names: Vec<String> = (0..50).map(|number| format!("f{number}")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(String::as_str).zip(contents.iter().map(Vec::as_slice)).collect();
    let manifest = tree(folder.path(), &files);
    let base = UploadRequest { document: None, ..request(&store, folder.path(), manifest) };
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let base = base.clone();
        calls.spawn(async move { upload_assets(base, &Context::new()).await });
    }
    while let Some(outcome) = calls.join_next().await {
        outcome.unwrap().unwrap();
    }
    assert_eq!(store.objects().len(), 50);
    // A call that comes after an object was sent may ask for it again; nothing is sent twice at the same time.
    assert_nothing_wrong(&store);
}

#[tokio::test]
async fn files_that_are_not_what_the_manifest_says_fail_the_call_after_the_others_are_done() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::new());
    let cache_folder = tempfile::tempdir().unwrap();
    let large = bytes(2 * PART + 5, 1);
    let files: [(&str, &[u8]); 7] = [
        ("good", b"good"),
        ("edited", b"edited"),
        ("grown", b"grown"),
        ("cut", b"cut short"),
        ("gone", b"gone"),
        ("folder", b"folder"),
        ("large", &large),
    ];
    let manifest = tree(folder.path(), &files);
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("edited"), b"EDITED").unwrap();
    std::fs::write(at("grown"), b"grown up").unwrap();
    std::fs::write(at("cut"), b"cut").unwrap();
    std::fs::remove_file(at("gone")).unwrap();
    std::fs::remove_file(at("folder")).unwrap();
    std::fs::create_dir(at("folder")).unwrap();
    let mut other = large.clone();
    *other.last_mut().unwrap() ^= 1;
    std::fs::write(at("large"), &other).unwrap();
    let cache = Arc::new(S3CheckCache::open(Some(cache_folder.path())));
    let mut asked = request(&store, folder.path(), manifest);
    asked.check_cache = Some(Arc::clone(&cache));
    let error = upload_assets(asked, &Context::new()).await.unwrap_err().to_string();
    assert!(error.contains("cut: changed after it was hashed"), "{error}");
    assert!(error.contains("(and 5 more files could not be uploaded)"), "{error}");
    assert_eq!(store.objects().keys().collect::<Vec<_>>(), [&key_of(b"good")]);
    assert_eq!(store.uploads(), [], "the large file's parts are dropped");
    let rows = |contents: &[u8]| cache.seen(&[format!("{BUCKET}/{}", key_of(contents).key)]) == [true];
    assert!(rows(b"good"));
    assert!(!rows(b"gone") && !rows(b"edited") && !rows(&large));
}

#[tokio::test]
async fn a_key_that_does_not_name_its_contents_is_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::new());
    let object = ObjectKey::new(BUCKET, "any/key");
    for contents in [bytes(10, 1), bytes(10, 2), bytes(2 * PART, 3), bytes(2 * PART, 4)] {
        let path = folder.path().join("file");
        std::fs::write(&path, &contents).unwrap();
        let plain = Arc::clone(&store) as Arc<dyn ObjectStore>;
        rusty_attachments::ops::put_file::put_file(plain, path, object.clone(), &Context::new()).await.unwrap();
        assert_eq!(store.objects()[&object], contents);
    }
}

#[tokio::test]
async fn an_object_of_another_size_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    for contents in [bytes(300 * 1024, 1), bytes(2 * PART, 2)] {
        let store = Arc::new(MemoryStore::new());
        store.insert(key_of(&contents), b"truncated".to_vec());
        let manifest = tree(folder.path(), &[("file", &contents)]);
        let (context, log) = logging();
        upload_assets(request(&store, folder.path(), manifest), &context).await.unwrap();
        assert_nothing_wrong(&store);
        let log = log.lock().unwrap().join("\n");
        assert!(log.contains("has 9 bytes instead of"), "{log}");
    }
}

#[tokio::test]
async fn an_endpoint_that_overlooks_conditions_is_asked_first() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = MemoryStore::new();
    store.conditions = Conditions::Unusable;
    store.insert(key_of(b"there"), b"there".to_vec());
    let store = Arc::new(store);
    let manifest = tree(folder.path(), &[("file", b"there")]);
    let base = UploadRequest { document: None, ..request(&store, folder.path(), manifest) };
    let context = Context::new();
    upload_assets(base, &context).await.unwrap();
    assert_eq!(store.calls(), 1, "one HEAD");
    assert_eq!(context.progress.snapshot().skipped_files, 1);
}

#[tokio::test]
async fn a_forced_check_asks_for_every_object_and_writes_the_cache() {
    let folder = tempfile::tempdir().unwrap();
    let heads = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&heads);
    let store = Arc::new(MemoryStore::failing(move |call| {
        *counted.lock().unwrap() += u32::from(call.operation == Operation::Head);
        Fault::None
    }));
    let manifest = tree(folder.path(), &[("a", b"1"), ("b", b"2"), ("c", b"3")]);
    let cache = Arc::new(S3CheckCache::open(Some(folder.path())));
    let mut asked = request(&store, folder.path(), manifest);
    asked.check_cache = Some(Arc::clone(&cache));
    asked.options.force_check = true;
    upload_assets(asked, &Context::new()).await.unwrap();
    assert_eq!(*heads.lock().unwrap(), 3);
    assert_eq!(cache.seen(&[format!("{BUCKET}/{}", key_of(b"2").key)]), [true]);
}

#[tokio::test]
async fn a_cache_that_names_a_missing_object_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::new());
    let manifest = tree(folder.path(), &[("a", b"1"), ("b", b"2")]);
    let cache = Arc::new(S3CheckCache::open(Some(folder.path())));
    let mut asked = request(&store, folder.path(), manifest);
    asked.check_cache = Some(Arc::clone(&cache));
    upload_assets(asked.clone(), &Context::new()).await.unwrap();
    cache.record(&["elsewhere/root/Data/x.xxh128"]);
    store.remove(&key_of(b"1"));
    upload_assets(asked.clone(), &Context::new()).await.unwrap();
    assert!(store.objects().contains_key(&key_of(b"1")), "sent again");
    assert_eq!(cache.seen(&["elsewhere/root/Data/x.xxh128".to_owned()]), [true], "another bucket's row stays");

    // Rows that are not trusted any more are asked for one by one.
    store.remove(&key_of(b"2"));
    asked.options.trust_cache_for = Duration::ZERO;
    upload_assets(asked, &Context::new()).await.unwrap();
    assert!(store.objects().contains_key(&key_of(b"2")));
}

#[tokio::test]
async fn a_bucket_that_is_none_is_refused_before_anything_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::new());
    for bucket in ["", "with space", "a/b", "ü"] {
        let mut asked = request(&store, folder.path(), tree(folder.path(), &[("a", b"1")]));
        asked.bucket = bucket.to_owned();
        let error = upload_assets(asked, &Context::new()).await.unwrap_err();
        assert!(matches!(&error, Error::S3Client(error) if error.details.contains("Invalid bucket name")), "{error}");
    }
    assert_eq!(store.calls(), 0);
}

#[tokio::test]
async fn one_cached_object_of_many_that_is_gone_is_sent_again_and_cached() {
    // On one page of a listing, and on more than a few.
    for count in [200_usize, 2_500] {
        let folder = tempfile::tempdir().unwrap();
        let contents: Vec<Vec<u8>> = (0..count).map(|number| format!("contents {number}").into_bytes()).collect();
        let gone = key_of(&contents[77]);
        let listings = Arc::new(Mutex::new(0));
        let (counted, victim) = (Arc::clone(&listings), gone.clone());
        // It goes after the sample was asked for: a sample that meets it makes the cache forget all, and nothing is listed.
        let store = Arc::new_cyclic(|store: &Weak<MemoryStore>| {
            let store = Weak::clone(store);
            MemoryStore::failing(move |call| {
                if call.operation == Operation::List {
                    *counted.lock().unwrap() += 1;
                    store.upgrade().unwrap().remove(&victim);
                }
                Fault::None
            })
        });
        let names: Vec<String> = (0..count).map(|number| format!("f{number}")).collect();
        let files: Vec<(&str, &[u8])> =
            names.iter().map(String::as_str).zip(contents.iter().map(Vec::as_slice)).collect();
        let cache = Arc::new(S3CheckCache::open(Some(folder.path())));
        let mut asked = request(&store, folder.path(), tree(folder.path(), &files));
        asked.check_cache = Some(Arc::clone(&cache));
        upload_assets(asked.clone(), &Context::new()).await.unwrap();
        assert_eq!(*listings.lock().unwrap(), 0, "nothing was cached");
        upload_assets(asked, &Context::new()).await.unwrap();
        assert!(store.objects().contains_key(&gone), "of {count}");
        assert_eq!(cache.seen(&[format!("{BUCKET}/{}", gone.key)]), [true]);
        assert_eq!(*listings.lock().unwrap(), if count <= 1_000 { 1 } else { 16 });
    }
}
