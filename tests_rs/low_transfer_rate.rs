//! The detector of low transfer rates as the observer of a download's counters.

use std::sync::Arc;

use rusty_attachments::hash::{HashAlgorithm, hash_bytes};
use rusty_attachments::manifest::{Content, FileTable, Manifest, ManifestVersion};
use rusty_attachments::ops::download::{ConflictResolution, DownloadOptions, DownloadRequest, RootDownload, download};
use rusty_attachments::path::ManifestPath;
use rusty_attachments::store::memory::MemoryStore;
use rusty_attachments::store::{ObjectKey, ObjectStore};
use rusty_attachments::transfer::context::Context;
use rusty_attachments::transfer::progress::ProgressSnapshot;
use rusty_attachments::worker::LowTransferRateDetector;

const FILES: u64 = 300;

/// Files and bytes that came, which is what the detector hears of a snapshot.
fn came(now: ProgressSnapshot) -> (u64, u64) {
    (now.processed_files + now.skipped_files, now.processed_bytes + now.checked_bytes)
}

fn observe(detector: &mut LowTransferRateDetector, (files, bytes): (u64, u64)) -> bool {
    detector.observe(0.0, files, Some(bytes))
}

/// A download of small files, and all of them once more.
fn request(store: MemoryStore, root: &std::path::Path) -> DownloadRequest {
    let mut files = FileTable::with_capacity(300);
    for number in 0..FILES {
        let body = number.to_string().into_bytes();
        let hash = hash_bytes(&body);
        let key = ObjectKey { bucket: "bucket".to_owned(), key: format!("root/Data/{hash}.xxh128") };
        let size_bytes = i64::try_from(body.len()).unwrap();
        store.insert(key, body);
        files.push(ManifestPath::from_wtf8(format!("{number:04}").as_bytes()), Content::Hash(hash), size_bytes, 0);
    }
    let manifest = Manifest {
        version: ManifestVersion::V2023_03_03,
        hash_algorithm: HashAlgorithm::Xxh128,
        total_size_bytes: 0,
        files,
        directories: Vec::new(),
        parent_manifest_hash: None,
    };
    DownloadRequest {
        store: Arc::new(store) as Arc<dyn ObjectStore>,
        bucket: "bucket".to_owned(),
        cas_prefix: Some("root/Data".to_owned()),
        roots: vec![RootDownload { path: root.to_path_buf(), manifest: Arc::new(manifest) }],
        options: DownloadOptions { conflicts: ConflictResolution::Resume, ..DownloadOptions::default() },
    }
}

#[tokio::test]
async fn a_download_and_its_repetition_show_that_they_live() {
    let folder = tempfile::tempdir().unwrap();
    let request = request(MemoryStore::new(), folder.path());
    let mut detector = LowTransferRateDetector::new(1e9, 2);
    for is_repeated in [false, true] {
        let context = Context::new();
        let (wanted, watched) = (request.clone(), context.clone());
        let running = tokio::spawn(async move { download(wanted, &watched).await });
        let mut seen = came(ProgressSnapshot::default());
        while !running.is_finished() {
            // A snapshot taken while a file is being counted may differ in its skipped bytes alone.
            let now = came(context.progress.snapshot());
            if now != seen {
                seen = now;
                assert!(observe(&mut detector, now), "something came: {now:?}");
            }
            tokio::task::yield_now().await;
        }
        running.await.unwrap().unwrap();
        let end = context.progress.snapshot();
        assert_eq!((end.processed_files, end.skipped_files), if is_repeated { (0, FILES) } else { (FILES, 0) });
        let size_bytes: u64 = (0..FILES).map(|number| number.to_string().len() as u64).sum();
        assert_eq!(end.checked_bytes, if is_repeated { size_bytes } else { 0 });
        let goes_on: Vec<bool> = (0..3).map(|_| observe(&mut detector, came(end))).collect();
        assert_eq!(goes_on.last(), Some(&false), "nothing comes any more: {goes_on:?}");
        detector = LowTransferRateDetector::new(1e9, 2);
    }
}
