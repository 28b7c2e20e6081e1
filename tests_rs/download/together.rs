//! Processes that fill one folder together.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::resume::rested;
use super::*;

/// A store with room for one request at a time, and a call for what another process does during the first.
fn while_the_first_is_fetched(contents: &[&[u8]], meanwhile: impl Fn() + Send + Sync + 'static) -> Arc<MemoryStore> {
    let requests = AtomicUsize::new(0);
    let mut store = filled(
        store_that_tells(move |_| {
            if requests.fetch_add(1, Ordering::Relaxed) == 0 {
                meanwhile();
            }
        }),
        contents,
    );
    store.max_connections = 1;
    Arc::new(store)
}

#[tokio::test]
async fn what_another_process_has_finished_meanwhile_is_not_fetched() {
    let large = bytes(2 * RANGE + 3, 9);
    let medium = bytes(RANGE / 2, 8);
    let files: [(&str, &[u8]); 5] =
        [("first", b"first"), ("b", b"contents of b"), ("c", b"contents of c"), ("d", &medium), ("e", &large)];
    for resolution in [ConflictResolution::Skip, ConflictResolution::Resume] {
        let root = tempfile::tempdir().unwrap();
        let (path, big, mid) = (root.path().to_path_buf(), large.clone(), medium.clone());
        let store = while_the_first_is_fetched(&files.map(|(_, contents)| contents), move || {
            let bodies: [&[u8]; 4] = [b"contents of b", b"CONTENTS OF C", &mid, &big];
            for (number, (name, body)) in (1..).zip(["b", "c", "d", "e"].into_iter().zip(bodies)) {
                rested(&path.join(name), body, FIRST_MTIME_MICROS + number);
            }
        });
        let (report, counts) = fetch(&store, root.path(), &manifest(&files), resolution.clone()).await.unwrap();
        let tree = tree_of(root.path());
        let (requests, names): (u64, &[&str]) = if resolution == ConflictResolution::Skip {
            assert_eq!(tree["c"], b"CONTENTS OF C", "SKIP leaves what is there, whatever it is");
            (1, &["first"])
        } else {
            assert_eq!(tree["c"], b"contents of c", "RESUME replaces what is wrong");
            (2, &["c", "first"])
        };
        // The large file may have been on its way already: each of its ranges looks again.
        assert!(store.calls() <= requests + 1, "{resolution:?}: {} requests", store.calls());
        assert_eq!(written(&report, root.path()), names, "{resolution:?}");
        assert_eq!(counts.processed_files + counts.skipped_files, 5, "{resolution:?}");
        assert_eq!(tree.len(), 5, "{resolution:?}: nothing else is left");
    }
}

#[tokio::test]
async fn a_copy_and_a_replacement_are_written_whatever_came_meanwhile() {
    let files: [(&str, &[u8]); 2] = [("first", b"first"), ("b", b"b")];
    for (resolution, names) in
        [(ConflictResolution::CreateCopy, &["b (1)", "first"][..]), (ConflictResolution::Overwrite, &["b", "first"])]
    {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().to_path_buf();
        let store = while_the_first_is_fetched(&[b"first", b"b"], move || {
            rested(&path.join("b"), b"b", FIRST_MTIME_MICROS + 1);
        });
        let (report, _) = fetch(&store, root.path(), &manifest(&files), resolution.clone()).await.unwrap();
        assert_eq!(store.calls(), 2, "{resolution:?}");
        assert_eq!(written(&report, root.path()), names);
    }
}
