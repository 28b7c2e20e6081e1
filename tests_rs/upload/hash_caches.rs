//! A hash that turns out to be wrong is forgotten, so that hashing again helps.

use rusty_attachments::cache::{HashCache, Lookup};
use rusty_attachments::error::SourceProblem;
use rusty_attachments::fs::open::LinkPolicy;
use rusty_attachments::ops::snapshot_assets::{SnapshotRequest, snapshot_assets};

use super::*;
use crate::tests_rs::hash_rows::{keep, known};

/// A root whose file `changed`, which is behind a link, has other contents than its manifest and the cache say; and a manifest.
fn with_a_wrong_hash(root: &Path, caches: &Path, contents: &[u8]) -> Arc<Manifest> {
    let manifest = tree(root, &[("changed", contents), ("right", b"right")]);
    let mut other = contents.to_vec();
    other[contents.len() / 2] ^= 1;
    std::fs::write(root.join("elsewhere"), &other).unwrap();
    std::fs::remove_file(root.join("changed")).unwrap();
    std::os::unix::fs::symlink("elsewhere", root.join("changed")).unwrap();
    let cache = HashCache::open(Some(caches));
    for (name, hash) in [("elsewhere", hash_bytes(contents)), ("right", hash_bytes(b"right"))] {
        let path = root.join(name).canonicalize().unwrap();
        keep(&cache, &path, &hash);
    }
    assert_eq!(known(&cache, &root.join("changed")), Lookup::Hit(hash_bytes(contents)));
    manifest
}

fn assert_forgotten(caches: &Path, root: &Path, error: &Error) {
    let is_changed = matches!(error, Error::SourceFile { problem: SourceProblem::Changed { .. }, .. });
    assert!(is_changed && error.to_string().contains("changed"), "{error}");
    let cache = HashCache::open(Some(caches));
    assert_eq!(known(&cache, &root.join("changed")), Lookup::Absent, "neither table knows it any more");
    assert_eq!(known(&cache, &root.join("right")), Lookup::Hit(hash_bytes(b"right")));
}

#[tokio::test]
async fn an_upload_that_finds_other_contents_makes_the_caches_forget_the_file() {
    for contents in [bytes(700, 3), bytes(PART + 700, 3)] {
        let (root, caches) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let manifest = with_a_wrong_hash(root.path(), caches.path(), &contents);
        let store = Arc::new(MemoryStore::new());
        let mut request = request(&store, root.path(), manifest);
        // One of the folders has no cache, and gets none.
        let empty = tempfile::tempdir().unwrap();
        request.options.hash_caches = vec![empty.path().to_path_buf(), caches.path().to_path_buf()];
        let error = upload_assets(request, &Context::new()).await.unwrap_err();
        assert_forgotten(caches.path(), root.path(), &error);
        assert!(!has_manifest(&store));
        assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0);
    }
}

#[test]
fn a_copy_that_finds_other_contents_makes_the_caches_forget_the_file() {
    let (root, caches, folder) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let manifest = with_a_wrong_hash(root.path(), caches.path(), &bytes(700, 3));
    let request = SnapshotRequest {
        manifest,
        root: root.path().to_path_buf(),
        folder: folder.path().join("snapshot"),
        document: ("Manifests/m".to_owned(), b"{}".to_vec()),
        links: LinkPolicy::Follow,
        hash_caches: vec![caches.path().to_path_buf()],
    };
    let error = snapshot_assets(&request, &Context::new()).unwrap_err();
    assert_forgotten(caches.path(), root.path(), &error);
}

#[test]
fn a_cache_that_was_opened_here_is_known() {
    let caches = tempfile::tempdir().unwrap();
    drop(HashCache::open(Some(caches.path())));
    assert!(UploadOptions::default().hash_caches.iter().any(|folder| folder == caches.path()));
}
