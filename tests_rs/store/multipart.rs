//! Multipart uploads.

use super::*;

/// The smallest part that is not the last.
fn part(fill: u8) -> Bytes {
    vec![fill; usize::try_from(MIN_PART_BYTES).unwrap()].into()
}

async fn begin(store: &dyn ObjectStore, key: &str) -> MultipartUpload {
    let upload = store.create_multipart(&object(key)).await.unwrap();
    assert_eq!(upload.object, object(key));
    assert!(!upload.id.is_empty());
    upload
}

async fn send(store: &dyn ObjectStore, upload: &MultipartUpload, bodies: &[Bytes]) -> Vec<UploadedPart> {
    let mut parts = Vec::new();
    for (number, body) in (1..).zip(bodies) {
        let part = store.upload_part(upload, number, body.clone()).await.unwrap();
        assert_eq!((part.number, part.size_bytes), (number, body.len() as u64));
        parts.push(part);
    }
    parts
}

pub async fn parts_make_an_object(subject: &Subject) {
    let store = &*subject.store;
    let upload = begin(store, "large").await;
    let bodies = [part(1), part(2), Bytes::from_static(b"end")];
    let parts = send(store, &upload, &bodies).await;
    assert_eq!(store.complete_multipart(&upload, &parts, true).await.unwrap(), PutOutcome::Created);
    assert_eq!(get(store, "large").await, bodies.concat());
    let head = store.head(&object("large")).await.unwrap().unwrap();
    assert_eq!(head.size_bytes, Some(2 * MIN_PART_BYTES + 3));
}

pub async fn a_conditional_upload_gives_way(subject: &Subject) {
    let store = &*subject.store;
    put(store, "large", b"first").await;
    let upload = begin(store, "large").await;
    let parts = send(store, &upload, &[Bytes::from_static(b"second")]).await;
    assert_eq!(store.complete_multipart(&upload, &parts, true).await.unwrap(), PutOutcome::AlreadyThere);
    assert_eq!(get(store, "large").await, b"first");
    assert_eq!(store.complete_multipart(&upload, &parts, false).await.unwrap(), PutOutcome::Created);
    assert_eq!(get(store, "large").await, b"second", "without the condition it replaces");
}

pub async fn an_upload_is_not_there_before_it_is_complete_nor_after_it_was_aborted(subject: &Subject) {
    let store = &*subject.store;
    let upload = begin(store, "large").await;
    let parts = send(store, &upload, &[Bytes::from_static(b"only")]).await;
    assert_eq!(store.head(&object("large")).await.unwrap(), None);
    store.abort_multipart(&upload).await.unwrap();
    // s3s-fs asks whose an upload is before it asks whether there is one.
    let gone = if subject.is_s3s_fs { 403 } else { 404 };
    let late = store.upload_part(&upload, 1, Bytes::from_static(b"late")).await.unwrap_err();
    assert_eq!(status(&late, S3Action::UploadingFile, BUCKET, "large"), gone);
    let late = store.complete_multipart(&upload, &parts, false).await.unwrap_err();
    assert_eq!(status(&late, S3Action::UploadingFile, BUCKET, "large"), gone);
    assert_eq!(store.head(&object("large")).await.unwrap(), None);
    if !subject.is_s3s_fs {
        store.abort_multipart(&upload).await.unwrap();
    }
}

pub async fn parts_that_are_missing_or_too_small_make_no_object(subject: &Subject) {
    let store = &*subject.store;
    let upload = begin(store, "large").await;
    let parts = send(store, &upload, &[Bytes::from_static(b"small"), Bytes::from_static(b"end")]).await;
    let error = store.complete_multipart(&upload, &parts, false).await.unwrap_err();
    assert_eq!(status(&error, S3Action::UploadingFile, BUCKET, "large"), 400);
    let upload = begin(store, "large").await;
    let mut parts = send(store, &upload, &[part(1), part(2)]).await;
    parts.reverse();
    let error = store.complete_multipart(&upload, &parts, false).await.unwrap_err();
    assert_eq!(status(&error, S3Action::UploadingFile, BUCKET, "large"), 400);
    assert_eq!(store.head(&object("large")).await.unwrap(), None);
    if subject.is_s3s_fs {
        return; // It counts parts and looks at no entity tags.
    }
    parts.reverse();
    "\"other\"".clone_into(&mut parts[1].etag);
    let error = store.complete_multipart(&upload, &parts, false).await.unwrap_err();
    assert_eq!(status(&error, S3Action::UploadingFile, BUCKET, "large"), 400);
    parts.pop();
    assert_eq!(store.complete_multipart(&upload, &parts, false).await.unwrap(), PutOutcome::Created);
    assert_eq!(get(store, "large").await, part(1), "parts that are not named are left out");
}

pub async fn uploads_that_were_left_are_listed_with_their_parts(subject: &Subject) {
    let store = &*subject.store;
    let upload = begin(store, "root/Data/a").await;
    let other = begin(store, "root/Data/b").await;
    begin(store, "elsewhere").await;
    // Parts come in any order, and the last of one number counts.
    let second = store.upload_part(&upload, 2, Bytes::from_static(b"end")).await.unwrap();
    store.upload_part(&upload, 1, part(1)).await.unwrap();
    let first = store.upload_part(&upload, 1, part(2)).await.unwrap();
    if subject.is_s3s_fs {
        assert_eq!(store.list_parts(&upload).await.unwrap(), [], "parts without entity tags are of no use");
        let error = store.list_multiparts(BUCKET, "root/Data/").await.unwrap_err();
        assert_eq!(status(&error, S3Action::ListingBucketContents, BUCKET, "root/Data/"), 501);
        return;
    }
    let listed = store.list_parts(&upload).await.unwrap();
    assert!(listed.iter().all(|part| part.last_modified.is_some()), "{listed:?}");
    let untimed: Vec<_> = listed.into_iter().map(|part| UploadedPart { last_modified: None, ..part }).collect();
    assert_eq!(untimed, [first, second]);
    assert_eq!(store.list_parts(&other).await.unwrap(), []);
    let listed = store.list_multiparts(BUCKET, "root/Data/").await.unwrap();
    let ids: Vec<(&str, &str)> = listed.iter().map(|it| (it.object.key.as_str(), it.id.as_str())).collect();
    assert_eq!(ids, [("root/Data/a", upload.id.as_str()), ("root/Data/b", other.id.as_str())]);
    assert!(listed.iter().all(|upload| upload.initiated.is_some()));
    store.abort_multipart(&other).await.unwrap();
    assert_eq!(store.list_multiparts(BUCKET, "root/Data/").await.unwrap().len(), 1);
    let error = store.list_parts(&other).await.unwrap_err();
    assert_eq!(status(&error, S3Action::UploadingFile, BUCKET, "root/Data/b"), 404);
}
