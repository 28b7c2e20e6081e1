//! Single objects, and the sample of the check cache: they can be stopped, and calls at once send each content once.

use std::future::Future;

use rusty_attachments::Result;
use rusty_attachments::ops::head_object::head_object;
use rusty_attachments::ops::put_object::put_object;
use rusty_attachments::ops::sample_check_cache::{SampleRequest, sample_check_cache};

use super::*;

fn object(key: &str) -> NewObject {
    NewObject {
        key: key.to_owned(),
        body: bytes::Bytes::from_static(b"body"),
        metadata: BTreeMap::from([("asset-root".to_owned(), "/r".to_owned())]),
        content_type: None,
    }
}

fn sampled(store: &Arc<dyn ObjectStore>, manifest: &Arc<Manifest>, cache: &Arc<S3CheckCache>) -> SampleRequest {
    SampleRequest {
        store: Arc::clone(store),
        manifest: Arc::clone(manifest),
        bucket: BUCKET.to_owned(),
        cas_prefix: "root/Data".to_owned(),
        check_cache: Arc::clone(cache),
    }
}

#[tokio::test]
async fn an_object_is_stored_and_found() {
    let store: Arc<dyn ObjectStore> = Arc::new(MemoryStore::new());
    let (key, context) = (ObjectKey::new(BUCKET, "k"), Context::new());
    assert!(head_object(&store, &key, &context).await.unwrap().is_none());
    put_object(&store, BUCKET, &object("k"), &context).await.unwrap();
    let found = head_object(&store, &key, &context).await.unwrap().unwrap();
    assert_eq!(found.size_bytes, Some(4));
    let error = put_object(&store, "no bucket", &object("k"), &context).await.unwrap_err();
    assert!(error.to_string().contains("Invalid bucket name"), "{error}");
}

/// Cancels a request once a server that never answers has got it.
async fn stopped<T, W: Future<Output = Result<T>>>(work: impl FnOnce(Arc<dyn ObjectStore>, Context) -> W) -> Error {
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", server.local_addr().unwrap());
    let context = Context::new();
    let cancel = context.cancel.clone();
    let store = crate::tests_rs::store::connect(endpoint).await;
    let (outcome, _connection) = tokio::join!(work(store, context), async move {
        let connection = server.accept().await.unwrap();
        cancel.cancel();
        connection
    });
    outcome.err().unwrap()
}

#[tokio::test]
async fn a_request_without_an_answer_can_be_stopped() {
    let (folder, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let key = ObjectKey::new(BUCKET, "k");
    let put = stopped(async |store, context| put_object(&store, BUCKET, &object("k"), &context).await).await;
    let head = stopped(async |store, context| head_object(&store, &key, &context).await).await;
    let manifest = tree(root.path(), &[("a", b"contents")]);
    let cache = Arc::new(S3CheckCache::open(Some(folder.path())));
    cache.record(&[format!("{BUCKET}/{}", key_of(b"contents").key)]);
    let sample =
        stopped(async |store, context| sample_check_cache(sampled(&store, &manifest, &cache), &context).await).await;
    assert!([&put, &head, &sample].iter().all(|error| error.is_cancelled()), "{put} {head} {sample}");
}

#[tokio::test]
async fn a_sample_tells_whether_the_cache_is_right() {
    let (folder, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store: Arc<dyn ObjectStore> = Arc::new(MemoryStore::new());
    let manifest = tree(root.path(), &[("a", b"contents")]);
    let cache = Arc::new(S3CheckCache::open(Some(folder.path())));
    let context = Context::new();
    assert!(sample_check_cache(sampled(&store, &manifest, &cache), &context).await.unwrap(), "it has nothing");
    let key = key_of(b"contents").key;
    cache.record(&[format!("{BUCKET}/{key}")]);
    assert!(!sample_check_cache(sampled(&store, &manifest, &cache), &context).await.unwrap(), "S3 has nothing");
    put_object(&store, BUCKET, &object(&key), &context).await.unwrap();
    assert!(sample_check_cache(sampled(&store, &manifest, &cache), &context).await.unwrap());
}

#[tokio::test]
async fn calls_at_once_send_each_content_once() {
    let root = tempfile::tempdir().unwrap();
    let manifest = tree(root.path(), &[("a", &bytes(3 * PART, 1)), ("b", b"small")]);
    let begun = Arc::new(Mutex::new(0));
    let count = Arc::clone(&begun);
    let store = Arc::new(MemoryStore::failing(move |call| {
        *count.lock().unwrap() += u32::from(call.operation == Operation::CreateMultipart);
        Fault::None
    }));
    let call = || async {
        upload_assets(request(&store, root.path(), Arc::clone(&manifest)), &Context::new()).await.unwrap();
    };
    tokio::join!(call(), call(), call());
    assert_eq!(*begun.lock().unwrap(), 1);
    assert_nothing_wrong(&store);
    assert!(has_manifest(&store));
}
