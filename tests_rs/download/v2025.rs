//! What only v2025 manifests have: directories, links, execute bits, chunks, diffs.

use super::*;
use rusty_attachments::manifest::chunks::CHUNK_BYTES;

fn path(name: &str) -> ManifestPath<'_> {
    ManifestPath::from_wtf8(name.as_bytes())
}

fn v2025(files: FileTable, directories: &[&str]) -> Manifest {
    let directory = |name: &&str| Directory { path: name.as_bytes().into(), deleted: false };
    Manifest {
        directories: directories.iter().map(directory).collect(),
        ..of_table(ManifestVersion::V2025_12_04, files)
    }
}

fn add_file(table: &mut FileTable, name: &str, contents: &[u8]) {
    table.push(path(name), Content::Hash(hash_bytes(contents)), size(contents), FIRST_MTIME_MICROS);
}

fn add_link(table: &mut FileTable, name: &str, destination: &str) {
    table.push(path(name), Content::Symlink(path(destination)), 0, 0);
}

/// Two links, before and among the files that they lead to.
fn with_links() -> Manifest {
    let mut files = FileTable::default();
    add_link(&mut files, "assets/textures/current", "assets/shared/latest.png");
    add_file(&mut files, "assets/shared/latest.png", b"png");
    add_file(&mut files, "run.sh", b"#!/bin/sh\n");
    files.mark_last_runnable();
    add_link(&mut files, "shared", "assets/shared");
    v2025(files, &["assets", "assets/shared", "assets/textures", "empty", "empty/below"])
}

#[tokio::test]
async fn directories_execute_bits_and_links_are_restored_links_last() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    let links_at_a_get = Arc::new(Mutex::new(0));
    let (seen, watched) = (Arc::clone(&links_at_a_get), root.clone());
    let store = store_that_tells(move |_| {
        let is_link = |name: &str| std::fs::symlink_metadata(watched.join(name)).is_ok();
        *seen.lock().unwrap() += usize::from(is_link("shared")) + usize::from(is_link("assets/textures/current"));
    });
    let store = Arc::new(filled(store, &[b"png", b"#!/bin/sh\n"]));
    let (report, counts) = fetch(&store, &root, &with_links(), ConflictResolution::CreateCopy).await.unwrap();
    let tree: [(&str, &[u8]); 9] = [
        ("assets", b"directory"),
        ("assets/shared", b"directory"),
        ("assets/shared/latest.png", b"png"),
        ("assets/textures", b"directory"),
        ("assets/textures/current", b"link to ../shared/latest.png"),
        ("empty", b"directory"),
        ("empty/below", b"directory"),
        ("run.sh", b"#!/bin/sh\n"),
        ("shared", b"link to assets/shared"),
    ];
    assert_eq!(tree_of(&root), expected(&tree));
    assert_eq!(std::fs::read(root.join("shared/../textures/current")).unwrap(), b"png", "the links lead there");
    assert_eq!(*links_at_a_get.lock().unwrap(), 0, "no link before all files are there");
    let mode = |name: &str| std::fs::metadata(root.join(name)).unwrap().permissions().mode() & 0o111;
    assert_eq!((mode("run.sh") & 0o100, mode("assets/shared/latest.png")), (0o100, 0));
    assert_eq!(counts.processed_files, 4);
    assert_eq!(report.written[0].len(), 4);
}

#[tokio::test]
async fn links_meet_conflicts_as_files_do() {
    for (resolution, expected_link, copy) in [
        (ConflictResolution::Skip, None, None),
        (ConflictResolution::Overwrite, Some("assets/shared"), None),
        (ConflictResolution::Resume, Some("assets/shared"), None),
        (ConflictResolution::CreateCopy, None, Some("assets/shared")),
    ] {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("shared"), "theirs").unwrap();
        let store = Arc::new(store_with(&[b"png", b"#!/bin/sh\n"]));
        fetch(&store, root.path(), &with_links(), resolution.clone()).await.unwrap();
        let link = |name: &str| std::fs::read_link(root.path().join(name)).ok();
        assert_eq!(link("shared"), expected_link.map(PathBuf::from), "{resolution:?}");
        assert_eq!(link("shared (1)"), copy.map(PathBuf::from), "{resolution:?}");
        if expected_link.is_none() {
            assert_eq!(std::fs::read(root.path().join("shared")).unwrap(), b"theirs");
        }
    }
    // What is right is left alone by a second run.
    let root = tempfile::tempdir().unwrap();
    let store = Arc::new(store_with(&[b"png", b"#!/bin/sh\n"]));
    fetch(&store, root.path(), &with_links(), ConflictResolution::Resume).await.unwrap();
    let (report, counts) = fetch(&store, root.path(), &with_links(), ConflictResolution::Resume).await.unwrap();
    assert_eq!((report.written[0].len(), counts.skipped_files, store.calls()), (0, 4, 2));
}

#[tokio::test]
async fn links_out_of_the_root_and_files_below_links_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(store_with(&[b"x"]));
    for destination in ["../evil", "/etc/passwd", "a/../../b", ""] {
        let mut files = FileTable::default();
        add_link(&mut files, "link", destination);
        let error = fetch(&store, folder.path(), &v2025(files, &[]), ConflictResolution::Overwrite).await.unwrap_err();
        assert!(matches!(error, Error::PathOutsideRoot { .. }), "{destination:?}: {error}");
    }
    let mut files = FileTable::default();
    add_link(&mut files, "link", "target");
    add_file(&mut files, "link/below", b"x");
    let error = fetch(&store, folder.path(), &v2025(files, &[]), ConflictResolution::Overwrite).await.unwrap_err();
    assert!(error.to_string().contains("has a file at 'link' and 'link/below' below it"), "{error}");
    assert_eq!((store.calls(), tree_of(folder.path()).len()), (0, 0));
}

#[tokio::test]
async fn diffs_are_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(store_with(&[b"x"]));
    let mut files = FileTable::default();
    add_file(&mut files, "a", b"x");
    let diff = Manifest { parent_manifest_hash: Some("0".repeat(32)), ..v2025(files.clone(), &[]) };
    let error = fetch(&store, folder.path(), &diff, ConflictResolution::Overwrite).await.unwrap_err();
    assert_eq!(error.to_string(), "A diff manifest can't be downloaded: apply it to its parent snapshot first.");
    files.push(path("gone"), Content::Deleted, 0, 0);
    let error = fetch(&store, folder.path(), &v2025(files, &[]), ConflictResolution::Overwrite).await.unwrap_err();
    assert!(error.to_string().contains("is deleted, in a manifest that is no diff"), "{error}");
    assert_eq!((store.calls(), tree_of(folder.path()).len()), (0, 0));
}

/// A file of one whole chunk of zeros and a short one, with its objects.
fn chunked(last: &[u8]) -> (Manifest, MemoryStore) {
    let zeros = bytes::Bytes::from(vec![0; usize::try_from(CHUNK_BYTES).unwrap()]);
    let chunks = [hash_bytes(&zeros), hash_bytes(b"the end")];
    let store = MemoryStore::new();
    for (hash, body) in chunks.iter().zip([zeros, last.to_vec().into()]) {
        store.insert(ObjectKey::new(BUCKET, format!("root/Data/{hash}.xxh128")), body);
    }
    let mut files = FileTable::default();
    let size_bytes = i64::try_from(CHUNK_BYTES + 7).unwrap();
    files.push(path("large"), Content::Chunks(&chunks), size_bytes, FIRST_MTIME_MICROS);
    (v2025(files, &[]), store)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_make_up_a_large_file() {
    let root = tempfile::tempdir().unwrap();
    let (manifest, store) = chunked(b"the end");
    let store = Arc::new(store);
    let (_, counts) = fetch(&store, root.path(), &manifest, ConflictResolution::CreateCopy).await.unwrap();
    assert_eq!((counts.processed_files, counts.processed_bytes), (1, CHUNK_BYTES + 7));
    assert_eq!(store.calls(), CHUNK_BYTES / PART_BYTES + 1);
    let contents = std::fs::read(root.path().join("large")).unwrap();
    let (zeros, end) = contents.split_at(usize::try_from(CHUNK_BYTES).unwrap());
    assert!(hash_bytes(zeros) == hash_bytes(&vec![0; zeros.len()]) && end == b"the end");
    assert_eq!(mtime_micros(&root.path().join("large")), FIRST_MTIME_MICROS);
    // A file that is right is known by its chunks.
    let (_, counts) = fetch(&store, root.path(), &manifest, ConflictResolution::Resume).await.unwrap();
    assert_eq!(counts.skipped_files, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chunk_that_is_wrong_leaves_no_file() {
    let root = tempfile::tempdir().unwrap();
    let (manifest, store) = chunked(b"the END");
    let outcome = fetch(&Arc::new(store), root.path(), &manifest, ConflictResolution::CreateCopy).await;
    let error = outcome.unwrap_err();
    assert!(matches!(error, Error::Integrity(_)), "{error}");
    assert!(error.to_string().contains(&key_of(b"the end").key), "{error}");
    assert_eq!(tree_of(root.path()), BTreeMap::new());
}

#[tokio::test]
async fn chunks_that_do_not_make_up_the_size_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::new());
    let hash = hash_bytes(b"x");
    let chunk = i64::try_from(CHUNK_BYTES).unwrap();
    for (count, size_bytes) in [(0, 1), (1, chunk + 1), (2, chunk), (3, 2 * chunk), (1, i64::MAX)] {
        let mut files = FileTable::default();
        files.push(path("large"), Content::Chunks(&vec![hash.clone(); count]), size_bytes, 0);
        let error = fetch(&store, root.path(), &v2025(files, &[]), ConflictResolution::Overwrite).await.unwrap_err();
        assert!(error.to_string().contains("chunks, which don't make up"), "{error}");
    }
    assert_eq!(store.calls(), 0);
}
