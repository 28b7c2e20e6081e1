//! Objects and listings.

use super::*;

pub async fn what_was_put_comes_back_with_its_metadata(subject: &Subject) {
    let store = &*subject.store;
    let before = SystemTime::now() - Duration::from_secs(2);
    let metadata: BTreeMap<String, String> = [("asset-root".to_owned(), "/a b".to_owned())].into();
    for (key, body) in [("root/Data/x", &b"0123456789"[..]), ("empty", b""), ("odd/ü +&%/k", b"odd")] {
        let object = object(key);
        let request = PutRequest { content_type: Some("text/x"), ..plain(&object, body, &metadata) };
        assert_eq!(store.put(request).await.unwrap(), PutOutcome::Created);
        let head = store.head(&object).await.unwrap().unwrap();
        assert_eq!((head.size_bytes, &head.metadata), (Some(body.len() as u64), &metadata), "{key}");
        assert!(head.last_modified.unwrap() >= before, "{head:?}");
        let found = store.get(&object, None, S3Action::DownloadingFile).await.unwrap();
        assert_eq!((&found.info.metadata, &found.info.etag), (&metadata, &head.etag));
        assert_eq!(found.info.size_bytes, Some(body.len() as u64));
        assert_eq!(read(found).await, body);
    }
    put(store, "root/Data/x", b"other").await;
    assert_eq!(get(store, "root/Data/x").await, b"other", "a plain PUT replaces");
    assert!(store.head(&object("root/Data/x")).await.unwrap().unwrap().metadata.is_empty());
}

pub async fn ranges_are_parts_of_the_object(subject: &Subject) {
    let store = &*subject.store;
    put(store, "k", b"0123456789").await;
    for range in [0..1, 0..10, 2..6, 9..10] {
        let expected =
            b"0123456789"[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()].to_vec();
        let found = store.get(&object("k"), Some(range), S3Action::DownloadingFile).await.unwrap();
        assert_eq!(found.info.size_bytes, Some(10), "the whole object's");
        assert_eq!(found.length_bytes, Some(expected.len() as u64));
        assert_eq!(read(found).await, expected);
    }
}

pub async fn a_range_beyond_the_end_is_refused(subject: &Subject) {
    let store = &*subject.store;
    put(store, "k", b"0123456789").await;
    let error = store.get(&object("k"), Some(10..12), S3Action::DownloadingFile).await.unwrap_err();
    assert_eq!(status(&error, S3Action::DownloadingFile, BUCKET, "k"), 416);
    // S3 answers with what there is, which is not what was asked for.
    let error = store.get(&object("k"), Some(5..12), S3Action::DownloadingFile).await.unwrap_err();
    let Error::Integrity(error) = error else { panic!("{error:?}") };
    assert_eq!((error.subject.as_str(), error.expected.as_str()), ("s3://bucket/k", "bytes 5-11"));
    assert!(error.found.ends_with("5-9/10"), "{error}");
}

pub async fn the_first_of_conditional_puts_wins(subject: &Subject) {
    let store = &*subject.store;
    let (object, none) = (object("k"), BTreeMap::new());
    let request = |body| PutRequest { if_absent: true, ..plain(&object, body, &none) };
    assert_eq!(store.put(request(b"first")).await.unwrap(), PutOutcome::Created);
    assert_eq!(store.put(request(b"second")).await.unwrap(), PutOutcome::AlreadyThere);
    assert_eq!(get(store, "k").await, b"first");
    assert_eq!(store.conditions(), Conditions::Obeyed);
}

pub async fn contents_of_another_hash_are_refused(subject: &Subject) {
    let store = &*subject.store;
    let (object, none) = (object("k"), BTreeMap::new());
    let rusty_attachments::hash::ContentHash::Xxh128(right) = hash_bytes(b"right") else { panic!("not a text") };
    let request = |body| PutRequest { xxh128: Some(right), ..plain(&object, body, &none) };
    assert_eq!(store.put(request(b"right")).await.unwrap(), PutOutcome::Created);
    assert_eq!(get(store, "k").await, b"right");
    if subject.is_s3s_fs {
        return; // It does not know the header.
    }
    let error = store.put(request(b"wrong")).await.unwrap_err();
    assert_eq!(status(&error, S3Action::UploadingFile, BUCKET, "k"), 400);
    assert_eq!(get(store, "k").await, b"right");
}

pub async fn what_is_absent_is_an_error_that_names_it(subject: &Subject) {
    let store = &*subject.store;
    let absent = object("a/b");
    assert_eq!(store.head(&absent).await.unwrap(), None);
    for range in [None, Some(0..1)] {
        let error = store.get(&absent, range, S3Action::DownloadingBinaryFile).await.unwrap_err();
        assert_eq!(status(&error, S3Action::DownloadingBinaryFile, BUCKET, "a/b"), 404);
    }
}

pub async fn an_absent_bucket_is_an_error_that_names_it(subject: &Subject) {
    let store = &*subject.store;
    let absent = ObjectKey::new("absent", "k");
    assert_eq!(store.head(&absent).await.unwrap(), None);
    let error = store.get(&absent, None, S3Action::DownloadingFile).await.unwrap_err();
    assert_eq!(status(&error, S3Action::DownloadingFile, "absent", "k"), 404);
    let request = ListRequest { bucket: "absent", prefix: "p", delimiter: None, continuation: None };
    let error = store.list(request).await.unwrap_err();
    assert_eq!(status(&error, S3Action::ListingBucketContents, "absent", "p"), 404);
    if subject.is_s3s_fs {
        // It makes buckets as they are written to.
        store.put(plain(&absent, b"x", &BTreeMap::new())).await.unwrap();
        return;
    }
    let error = store.put(plain(&absent, b"x", &BTreeMap::new())).await.unwrap_err();
    assert_eq!(status(&error, S3Action::UploadingFile, "absent", "k"), 404);
    let error = store.create_multipart(&absent).await.unwrap_err();
    assert_eq!(status(&error, S3Action::UploadingFile, "absent", "k"), 404);
    let error = store.list_multiparts("absent", "p").await.unwrap_err();
    assert_eq!(status(&error, S3Action::ListingBucketContents, "absent", "p"), 404);
}

/// The keys or prefixes of each page.
async fn pages(store: &dyn ObjectStore, prefix: &str, delimiter: Option<&str>) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut continuation: Option<String> = None;
    loop {
        let request = ListRequest { bucket: BUCKET, prefix, delimiter, continuation: continuation.as_deref() };
        let page = store.list(request).await.unwrap();
        let mut names: Vec<String> = page.objects.into_iter().map(|(key, _)| key).collect();
        names.extend(page.common_prefixes.into_iter().map(|prefix| format!("[{prefix}]")));
        pages.push(names);
        continuation = page.continuation;
        if continuation.is_none() {
            return pages;
        }
    }
}

pub async fn lists_come_in_order_and_in_pages(subject: &Subject) {
    let store = &subject.store;
    // S3 lists a thousand keys in a page.
    let mut keys: Vec<String> = (0..1003).map(|number| format!("root/Manifests/{number}_output")).collect();
    keys.push("root/Manifests/ü x".to_owned());
    let mut tasks = tokio::task::JoinSet::new();
    for worker in 0..8 {
        let (store, keys) = (Arc::clone(store), keys.clone());
        tasks.spawn(async move {
            for key in keys.iter().skip(worker).step_by(8) {
                put(&*store, key, key.as_bytes()).await;
            }
        });
    }
    tasks.join_all().await;
    put(&**store, "root/Other", b"").await;
    keys.sort();
    let listed = pages(&**store, "root/Manifests/", None).await;
    assert_eq!(listed.iter().map(Vec::len).collect::<Vec<_>>(), [1000, 4]);
    assert_eq!(listed.concat(), keys);
    let request = ListRequest { bucket: BUCKET, prefix: "root/Manifests/7_", delimiter: None, continuation: None };
    let page = store.list(request).await.unwrap();
    let (key, info) = &page.objects[0];
    assert_eq!((key.as_str(), info.size_bytes), ("root/Manifests/7_output", Some(23)));
    assert!(info.last_modified.is_some());
    assert_eq!(pages(&**store, "nothing", None).await, [Vec::<String>::new()]);
}

pub async fn lists_roll_up_at_a_delimiter(subject: &Subject) {
    let store = &*subject.store;
    for key in ["r/a", "r/b/c", "r/b/d", "r/b/e/f", "rz", "r/g/h"] {
        put(store, key, b"").await;
    }
    assert_eq!(pages(store, "r/", Some("/")).await, [["r/a", "[r/b/]", "[r/g/]"]]);
    assert_eq!(pages(store, "r", Some("/")).await, [["rz", "[r/]"]]);
    assert_eq!(pages(store, "r/b/", Some("/")).await, [["r/b/c", "r/b/d", "[r/b/e/]"]]);
}
