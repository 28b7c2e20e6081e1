//! Files that are uploaded and downloaded again, through S3's client and s3s-fs, and through the store in memory.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use rusty_attachments::hash::hash_bytes;
use rusty_attachments::manifest::{Content, FileTable, Manifest};
use rusty_attachments::ops::download::{DownloadOptions, DownloadRequest, RootDownload, download};
use rusty_attachments::ops::upload_assets::{UploadOptions, UploadRequest, upload_assets};
use rusty_attachments::path::ManifestPath;
use rusty_attachments::store::ObjectStore;
use rusty_attachments::store::memory::MemoryStore;
use rusty_attachments::transfer::PART_BYTES;
use rusty_attachments::transfer::context::Context;
use rusty_attachments_servers::strict::S3sServer;

use crate::tests_rs::upload::{BUCKET, bytes, tree};

/// Sizes around the limits of parts, which are those of ranges too.
fn sizes() -> [usize; 6] {
    let part = usize::try_from(PART_BYTES).unwrap();
    [0, 1, part - 1, part, part + 1, 3 * part + 7]
}

struct TestFile {
    name: String,
    contents: Vec<u8>,
    mtime_micros: i64,
}

/// Files of the sizes, with times of their own, and their manifest.
fn files(root: &Path) -> (Vec<TestFile>, Arc<Manifest>) {
    let mut files = Vec::new();
    for (seed, length) in (1..).zip(sizes()) {
        let contents = bytes(length, seed);
        let mtime_micros = 1_700_000_000_123_456 + i64::from(seed);
        files.push(TestFile { name: format!("{length} bytes"), contents, mtime_micros });
    }
    let named: Vec<(&str, &[u8])> = files.iter().map(|file| (&*file.name, &*file.contents)).collect();
    let plain = tree(root, &named);
    let mut table = FileTable::with_capacity(files.len());
    for TestFile { name, contents, mtime_micros } in &files {
        let content = Content::Hash(hash_bytes(contents));
        table.push(
            ManifestPath::from_wtf8(name.as_bytes()),
            content,
            contents.len().try_into().unwrap(),
            *mtime_micros,
        );
    }
    (files, Arc::new(plain.with_files(table)))
}

async fn send(store: &Arc<dyn ObjectStore>, root: &Path, manifest: &Arc<Manifest>) -> Context {
    let request = UploadRequest {
        store: Arc::clone(store),
        manifest: Arc::clone(manifest),
        root: root.to_path_buf(),
        bucket: BUCKET.to_owned(),
        cas_prefix: "root/Data".to_owned(),
        document: None,
        check_cache: None,
        records: None,
        options: UploadOptions::default(),
    };
    let context = Context::new();
    upload_assets(request, &context).await.unwrap();
    context
}

async fn fetch(store: &Arc<dyn ObjectStore>, root: PathBuf, manifest: &Arc<Manifest>) -> Context {
    let request = DownloadRequest {
        store: Arc::clone(store),
        bucket: BUCKET.to_owned(),
        cas_prefix: Some("root/Data".to_owned()),
        roots: vec![RootDownload { path: root, manifest: Arc::clone(manifest) }],
        options: DownloadOptions::default(),
    };
    let context = Context::new();
    download(request, &context).await.unwrap();
    context
}

/// Uploads, uploads again, downloads, compares.
async fn there_and_back(store: Arc<dyn ObjectStore>) {
    let (source, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (files, manifest) = files(source.path());
    let all_bytes: u64 = sizes().iter().map(|length| *length as u64).sum();
    let sent = send(&store, source.path(), &manifest).await.progress.snapshot();
    assert_eq!((sent.processed_files, sent.processed_bytes, sent.skipped_files), (6, all_bytes, 0));
    let again = send(&store, source.path(), &manifest).await.progress.snapshot();
    assert_eq!((again.processed_bytes, again.skipped_files), (0, 6));

    let root = folder.path().join("session");
    let received = fetch(&store, root.clone(), &manifest).await.progress.snapshot();
    assert_eq!((received.processed_files, received.processed_bytes, received.skipped_files), (6, all_bytes, 0));
    for TestFile { name, contents, mtime_micros } in files {
        let path = root.join(&name);
        assert!(std::fs::read(&path).unwrap() == contents, "{name}: other bytes");
        let mtime = std::fs::metadata(&path).unwrap().modified().unwrap().duration_since(UNIX_EPOCH).unwrap();
        assert_eq!(mtime, Duration::from_micros(mtime_micros.try_into().unwrap()), "{name}");
    }
    assert_eq!(std::fs::read_dir(&root).unwrap().count(), 6, "nothing else is left there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sizes_around_a_part_come_back_as_they_were_through_s3s_fs() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
    let server = S3sServer::start(folder.path(), 0).await.unwrap();
    there_and_back(crate::tests_rs::store::connect(server.endpoint()).await).await;

    // What the server has is named after its own hash, whole, and all that it has.
    let data = folder.path().join(BUCKET).join("root/Data");
    let mut found: Vec<usize> = Vec::new();
    for entry in std::fs::read_dir(&data).unwrap() {
        let entry = entry.unwrap();
        let body = std::fs::read(entry.path()).unwrap();
        assert_eq!(entry.file_name().to_str().unwrap(), format!("{}.xxh128", hash_bytes(&body).text()));
        found.push(body.len());
    }
    found.sort_unstable();
    assert_eq!(found, sizes());
    let left = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let left: Vec<String> = left.filter(|name| name.starts_with(".upload")).collect();
    assert!(left.is_empty(), "parts were left: {left:?}");
}

#[tokio::test]
async fn sizes_around_a_part_come_back_as_they_were_through_the_store_in_memory() {
    let store = Arc::new(MemoryStore::new());
    there_and_back(Arc::clone(&store) as Arc<dyn ObjectStore>).await;
    crate::tests_rs::upload::assert_nothing_wrong(&store);
    assert_eq!(store.objects().values().map(bytes::Bytes::len).sum::<usize>(), sizes().iter().sum::<usize>());
    assert_eq!(store.uploads(), []);
}
