//! A failure at every step.

use std::sync::LazyLock;

use rusty_attachments::cache::uploads::{UploadPlace, UploadRecords};

use super::*;

/// What is uploaded below: a small file, one that is asked for first, one in parts.
static CONTENTS: LazyLock<[Vec<u8>; 3]> = LazyLock::new(|| [bytes(100, 1), bytes(300 * 1024, 2), bytes(PART + 9, 3)]);

fn files(root: &Path) -> Arc<Manifest> {
    tree(root, &[("small", &CONTENTS[0]), ("medium", &CONTENTS[1]), ("large", &CONTENTS[2])])
}

/// An upload that is left must stand in the log, by its id or (where nobody learned that) by its key.
fn assert_orphans_are_named(store: &MemoryStore, log: &[String]) {
    for (upload, _) in store.uploads() {
        let url = upload.object.url();
        let named = log
            .iter()
            .any(|line| line.contains(&url) && (line.contains(&upload.id) || line.contains("may have been begun")));
        assert!(named, "{upload:?} is not named in {log:#?}");
    }
}

#[tokio::test]
async fn whichever_request_fails_nothing_wrong_is_stored_and_the_next_run_completes() {
    let folder = tempfile::tempdir().unwrap();
    let (manifest, keys) = (files(folder.path()), CONTENTS.each_ref().map(|contents| key_of(contents)));
    let asked = |store: &Arc<MemoryStore>| request(store, folder.path(), Arc::clone(&manifest));
    let store = Arc::new(MemoryStore::new());
    upload_assets(asked(&store), &Context::new()).await.unwrap();
    let steps = store.calls();
    assert!(steps > 8, "{steps}");
    for fault in [Fault::Refused(500), Fault::Refused(403), Fault::Refused(404), Fault::Unreachable, Fault::ReplyLost] {
        for step in 1..=steps {
            let store =
                Arc::new(MemoryStore::failing(move |call| if call.number == step { fault } else { Fault::None }));
            let (context, log) = logging();
            let outcome = upload_assets(asked(&store), &context).await;
            let label = format!("{fault:?} at {step}");
            assert_nothing_wrong(&store);
            assert_orphans_are_named(&store, &log.lock().unwrap());
            let complete = keys.iter().all(|key| store.objects().contains_key(key));
            assert!(complete || !has_manifest(&store), "{label}: a manifest without its objects");
            match outcome {
                Ok(()) => assert!(complete && has_manifest(&store), "{label}: false success"),
                Err(error) => {
                    let text = error.to_string();
                    assert!(text.contains(BUCKET) && text.contains("root/"), "{label}: {text}");
                }
            }
            let store = Arc::new(Arc::into_inner(store).unwrap().now_failing(|_| Fault::None));
            upload_assets(asked(&store), &Context::new()).await.unwrap();
            assert_nothing_wrong(&store);
            assert!(has_manifest(&store), "{label}: the next run");
        }
    }
}

#[tokio::test]
async fn whichever_request_and_all_after_it_fail_orphans_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = files(folder.path());
    let whole = Arc::new(MemoryStore::new());
    upload_assets(request(&whole, folder.path(), Arc::clone(&manifest)), &Context::new()).await.unwrap();
    for fault in [Fault::Refused(503), Fault::Unreachable, Fault::ReplyLost] {
        for step in 1..=whole.calls() {
            let store =
                Arc::new(MemoryStore::failing(move |call| if call.number >= step { fault } else { Fault::None }));
            let (context, log) = logging();
            let outcome = upload_assets(request(&store, folder.path(), Arc::clone(&manifest)), &context).await;
            outcome.unwrap_err();
            assert_nothing_wrong(&store);
            assert!(!has_manifest(&store) || fault == Fault::ReplyLost, "{fault:?} at {step}");
            assert_orphans_are_named(&store, &log.lock().unwrap());
        }
    }
}

#[tokio::test]
async fn an_upload_that_was_cut_off_goes_on_from_its_parts() {
    let (folder, caches) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let records = UploadRecords::beside(Some(caches.path()));
    // Large enough for its parts to be kept when S3 is what fails.
    let contents = bytes(9 * PART + 1, 5);
    let manifest = tree(folder.path(), &[("large", &contents)]);
    let store = Arc::new(MemoryStore::failing(|call| {
        if call.operation == Operation::CompleteMultipart { Fault::Unreachable } else { Fault::None }
    }));
    let (context, log) = logging();
    let asked = UploadRequest { records: records.clone(), ..request(&store, folder.path(), Arc::clone(&manifest)) };
    upload_assets(asked, &context).await.unwrap_err();
    assert!(log.lock().unwrap().join("\n").contains("goes on from them"));
    let (left, parts) = store.uploads().remove(0);
    assert_eq!(parts, 10);

    let parts_sent = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&parts_sent);
    let store = Arc::new(Arc::into_inner(store).unwrap().now_failing(move |call| {
        *counted.lock().unwrap() += u32::from(call.operation == Operation::UploadPart);
        Fault::None
    }));
    let (context, log) = logging();
    let asked = UploadRequest { records, ..request(&store, folder.path(), manifest) };
    upload_assets(asked, &context).await.unwrap();
    assert_eq!(*parts_sent.lock().unwrap(), 0, "S3 had all parts");
    assert!(log.lock().unwrap().join("\n").contains(&format!("Going on with upload {}", left.id)));
    assert_eq!(store.uploads(), []);
    assert_eq!(store.objects()[&key_of(&contents)], contents);
    assert_eq!(context.progress.snapshot().processed_bytes, contents.len() as u64);
}

#[tokio::test]
async fn parts_that_are_not_the_files_are_sent_again() {
    let (folder, caches) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let records = UploadRecords::beside(Some(caches.path())).unwrap();
    let contents = bytes(2 * PART + 1, 5);
    let manifest = tree(folder.path(), &[("large", &contents)]);
    let store = Arc::new(MemoryStore::new());
    let left = store.create_multipart(&key_of(&contents)).await.unwrap();
    store.upload_part(&left, 1, bytes(PART, 99).into()).await.unwrap();
    store.upload_part(&left, 2, contents[PART..2 * PART].to_vec().into()).await.unwrap();
    let place = UploadPlace { store: store.place(), bucket: BUCKET, key: &key_of(&contents).key };
    records.take(place).unwrap().write(&left.id).unwrap();
    let asked = UploadRequest { records: Some(records), ..request(&store, folder.path(), manifest) };
    upload_assets(asked, &Context::new()).await.unwrap();
    assert_eq!(store.objects()[&key_of(&contents)], contents);
    assert_eq!(store.uploads(), []);
}

#[tokio::test]
async fn an_upload_that_someone_else_ended_is_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let contents = bytes(2 * PART + 1, 5);
    let manifest = tree(folder.path(), &[("large", &contents)]);
    for operation in [Operation::UploadPart, Operation::CompleteMultipart] {
        let first = Mutex::new(true);
        let store = Arc::new(MemoryStore::failing(move |call| {
            let strikes = call.operation == operation && std::mem::take(&mut *first.lock().unwrap());
            if strikes { Fault::Refused(404) } else { Fault::None }
        }));
        let context = Context::new();
        upload_assets(request(&store, folder.path(), Arc::clone(&manifest)), &context).await.unwrap();
        assert_eq!(store.objects()[&key_of(&contents)], contents);
        assert_eq!(context.progress.snapshot().processed_bytes, contents.len() as u64);
    }
}

#[tokio::test]
async fn a_cancelled_upload_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let contents = bytes(9 * PART, 6);
    for step in 1..=8 {
        let context = Context::new();
        let cancel = context.cancel.clone();
        let store = Arc::new(MemoryStore::failing(move |call| {
            if call.number == step {
                cancel.cancel();
            }
            Fault::None
        }));
        let manifest = tree(folder.path(), &[("large", &contents)]);
        let error = upload_assets(request(&store, folder.path(), manifest), &context).await.unwrap_err();
        assert!(error.is_cancelled(), "{step}: {error}");
        assert_eq!(error.to_string(), "File upload cancelled.");
        assert_eq!(store.uploads(), [], "step {step}");
        assert!(!has_manifest(&store));
    }
}
