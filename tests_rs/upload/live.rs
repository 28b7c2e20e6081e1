//! Uploads that others have under way, and those that an earlier call of this machine left.

use rusty_attachments::cache::uploads::{UploadPlace, UploadRecord, UploadRecords};
use rusty_attachments::ops::abort_stale_uploads::{AbortStaleUploadsRequest, abort_stale_uploads};
use rusty_attachments::store::MultipartUpload;

use super::*;

fn records(folder: &tempfile::TempDir) -> UploadRecords {
    UploadRecords::beside(Some(folder.path())).unwrap()
}

fn take(folder: &tempfile::TempDir, store: &MemoryStore, object: &ObjectKey) -> Option<UploadRecord> {
    records(folder).take(UploadPlace { store: store.place(), bucket: BUCKET, key: &object.key })
}

/// A file of three parts, its key, and an upload of it that has two of them.
async fn left_upload(store: &MemoryStore, root: &Path) -> (Arc<Manifest>, Vec<u8>, MultipartUpload) {
    let contents = bytes(2 * PART + 9, 7);
    let manifest = tree(root, &[("large", &contents)]);
    let left = store.create_multipart(&key_of(&contents)).await.unwrap();
    for (number, part) in (1..=2).zip(contents.chunks(PART)) {
        store.upload_part(&left, number, bytes::Bytes::copy_from_slice(part)).await.unwrap();
    }
    (manifest, contents, left)
}

/// The keys and numbers of calls of one operation.
fn counting(
    operation: Operation,
) -> (Arc<Mutex<u32>>, impl Fn(&rusty_attachments::store::memory::StoreCall<'_>) -> Fault) {
    let count = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&count);
    (count, move |call: &rusty_attachments::store::memory::StoreCall<'_>| {
        *counted.lock().unwrap() += u32::from(call.operation == operation);
        Fault::None
    })
}

#[tokio::test]
async fn an_upload_without_a_record_is_somebody_elses() {
    let (root, caches) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (parts_sent, decide) = counting(Operation::UploadPart);
    let store = Arc::new(MemoryStore::failing(decide));
    let (manifest, contents, theirs) = left_upload(&store, root.path()).await;
    *parts_sent.lock().unwrap() = 0;
    let request = UploadRequest { records: Some(records(&caches)), ..request(&store, root.path(), manifest) };
    upload_assets(request, &Context::new()).await.unwrap();
    assert_eq!(store.objects()[&key_of(&contents)], contents);
    assert_eq!(*parts_sent.lock().unwrap(), 3, "all are sent to an upload of our own");
    let left: Vec<String> = store.uploads().into_iter().map(|(upload, _)| upload.id).collect();
    assert_eq!(left, [theirs.id], "theirs is as it was");
}

#[tokio::test]
async fn an_upload_whose_record_is_held_has_an_owner() {
    let (root, caches) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Arc::new(MemoryStore::new());
    let (manifest, contents, theirs) = left_upload(&store, root.path()).await;
    let mut owner = take(&caches, &store, &key_of(&contents)).unwrap();
    owner.write(&theirs.id).unwrap();
    let request = UploadRequest { records: Some(records(&caches)), ..request(&store, root.path(), manifest) };
    upload_assets(request, &Context::new()).await.unwrap();
    assert_eq!(store.objects()[&key_of(&contents)], contents);
    assert_eq!(store.uploads().len(), 1, "the owner's");
    drop(owner);
    assert_eq!(take(&caches, &store, &key_of(&contents)).unwrap().left().unwrap().id, theirs.id, "its record stays");
}

#[tokio::test]
async fn an_upload_whose_owner_is_gone_goes_on_from_its_parts() {
    let (root, caches) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (parts_sent, decide) = counting(Operation::UploadPart);
    let store = Arc::new(MemoryStore::failing(decide));
    let (manifest, contents, left) = left_upload(&store, root.path()).await;
    take(&caches, &store, &key_of(&contents)).unwrap().write(&left.id).unwrap();
    *parts_sent.lock().unwrap() = 0;
    let request = UploadRequest { records: Some(records(&caches)), ..request(&store, root.path(), manifest) };
    upload_assets(request, &Context::new()).await.unwrap();
    assert_eq!(*parts_sent.lock().unwrap(), 1);
    assert_eq!((store.objects()[&key_of(&contents)].clone(), store.uploads()), (contents.clone().into(), vec![]));
    assert_eq!(take(&caches, &store, &key_of(&contents)).unwrap().left(), None, "its record is gone");
}

#[tokio::test]
async fn the_record_is_there_before_the_first_part() {
    let (root, caches) = (tempfile::tempdir().unwrap(), Arc::new(tempfile::tempdir().unwrap()));
    let contents = bytes(PART + 9, 7);
    let manifest = tree(root.path(), &[("large", &contents)]);
    let (folder, seen) = (Arc::clone(&caches), Arc::new(Mutex::new(Vec::new())));
    let noted = Arc::clone(&seen);
    let store = Arc::new(MemoryStore::failing(move |call| {
        if call.operation == Operation::UploadPart {
            let files = std::fs::read_dir(folder.path().join("uploads")).unwrap();
            let text: String = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
            noted.lock().unwrap().push(text.contains("upload-1"));
        }
        Fault::None
    }));
    let request = UploadRequest { records: Some(records(&caches)), ..request(&store, root.path(), manifest) };
    upload_assets(request, &Context::new()).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [true, true]);
}

#[tokio::test]
async fn a_left_upload_that_s3_will_not_complete_is_begun_anew() {
    let (root, caches) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for status in [404, 400] {
        let first = Mutex::new(true);
        let store = Arc::new(MemoryStore::failing(move |call| {
            let strikes = call.operation == Operation::CompleteMultipart && std::mem::take(&mut *first.lock().unwrap());
            if strikes { Fault::RefusedWith(status, "InvalidPart") } else { Fault::None }
        }));
        let (manifest, contents, left) = left_upload(&store, root.path()).await;
        take(&caches, &store, &key_of(&contents)).unwrap().write(&left.id).unwrap();
        let request = UploadRequest { records: Some(records(&caches)), ..request(&store, root.path(), manifest) };
        upload_assets(request, &Context::new()).await.unwrap();
        assert_eq!(store.objects()[&key_of(&contents)], contents, "{status}");
        let left = usize::from(status == 404);
        assert_eq!(store.uploads().len(), left, "{status}: one that is gone needs no dropping, ours is dropped");
    }
}

#[tokio::test]
async fn what_somebody_has_stored_meanwhile_is_not_sent_again() {
    let (root, caches) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let contents = bytes(2 * PART + 9, 7);
    let manifest = tree(root.path(), &[("large", &contents)]);
    let slot: Arc<Mutex<Option<Weak<MemoryStore>>>> = Arc::default();
    let (of_store, body, creations) = (Arc::clone(&slot), contents.clone(), Arc::new(Mutex::new(0)));
    let created = Arc::clone(&creations);
    let struck = Mutex::new(false);
    let store = Arc::new(MemoryStore::failing(move |call| {
        *created.lock().unwrap() += u32::from(call.operation == Operation::CreateMultipart);
        if call.operation == Operation::UploadPart && !std::mem::replace(&mut *struck.lock().unwrap(), true) {
            // Another client completes it, and S3 knows our upload no more.
            let store = of_store.lock().unwrap().as_ref().and_then(Weak::upgrade).unwrap();
            store.insert(key_of(&body), body.clone());
            return Fault::Refused(404);
        }
        Fault::None
    }));
    *slot.lock().unwrap() = Some(Arc::downgrade(&store));
    let request = UploadRequest { records: Some(records(&caches)), ..request(&store, root.path(), manifest) };
    upload_assets(request, &Context::new()).await.unwrap();
    assert_eq!(*creations.lock().unwrap(), 1, "it is there: nothing is begun anew");
    assert!(has_manifest(&store));
}

#[tokio::test]
async fn stale_uploads_are_those_that_get_no_parts() {
    let root = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::new());
    let (_, contents, upload) = left_upload(&store, root.path()).await;
    let bare = store.create_multipart(&key_of(b"other")).await.unwrap();
    let day = Duration::from_hours(24);
    for id in [&upload.id, &bare.id] {
        store.set_initiated(id, std::time::SystemTime::now() - 30 * day);
    }
    let stale = |older_than| {
        let store = Arc::clone(&store) as Arc<dyn ObjectStore>;
        let (bucket, cas_prefix) = (BUCKET.to_owned(), "root/Data".to_owned());
        let request = AbortStaleUploadsRequest { store, bucket, cas_prefix, older_than };
        async move { abort_stale_uploads(request, &Context::new()).await.unwrap() }
    };
    let dropped: Vec<String> = stale(day).await.into_iter().map(|upload| upload.id).collect();
    assert_eq!(dropped, [bare.id], "a part came a moment ago");
    let dropped: Vec<String> = stale(Duration::ZERO).await.into_iter().map(|upload| upload.object.key).collect();
    assert_eq!(dropped, [key_of(&contents).key]);
}
