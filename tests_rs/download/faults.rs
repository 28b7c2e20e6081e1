//! A failure at every step: the listing, the manifest, small objects, ranges, and the key without its suffix.

use std::sync::LazyLock;

use super::*;
use bytes::Bytes;
use rusty_attachments::error::S3Action;
use rusty_attachments::manifest::encode;
use rusty_attachments::ops::list_outputs::find_outputs;
use rusty_attachments::store::PutRequest;

const MANIFEST_KEY: &str = "root/Manifests/f/q/job-1/step-1/task-1/2024_sessionaction-1/h_output";
const JOB_PREFIX: &str = "root/Manifests/f/q/job-1/";

/// A small file and its twin, an empty one, an old one whose key has no suffix, one in ranges.
static FILES: LazyLock<[(&str, Vec<u8>); 5]> = LazyLock::new(|| {
    [
        ("small", bytes(100, 1)),
        ("sub/twin", bytes(100, 1)),
        ("sub/empty", Vec::new()),
        ("old", bytes(300 * 1024, 2)),
        ("large", bytes(RANGE + 9, 3)),
    ]
});

fn files() -> [(&'static str, &'static [u8]); 5] {
    FILES.each_ref().map(|(name, contents)| (*name, contents.as_slice()))
}

/// A job with one output manifest.
async fn job() -> MemoryStore {
    let files = files();
    let store = MemoryStore::new();
    for (name, contents) in files {
        let suffix = if name == "old" { "" } else { ".xxh128" };
        let key = format!("root/Data/{}{suffix}", hash_bytes(contents).text());
        store.insert(ObjectKey::new(BUCKET, key), Bytes::from_static(contents));
    }
    let request = PutRequest {
        object: &ObjectKey::new(BUCKET, MANIFEST_KEY),
        body: encode(&manifest(&files)).unwrap().into(),
        xxh128: None,
        if_absent: false,
        metadata: &[("asset-root".to_owned(), "/root".to_owned())].into(),
        content_type: None,
        action: S3Action::UploadingFile,
    };
    store.put(request).await.unwrap();
    store.now_failing(|_| Fault::None)
}

/// Finds a job's outputs and downloads them, as a worker or a user does.
async fn fetch_outputs(store: &Arc<MemoryStore>, root: &Path, context: &Context) -> Result<(), Error> {
    let plain = Arc::clone(store) as Arc<dyn ObjectStore>;
    let outputs = find_outputs(&plain, BUCKET, JOB_PREFIX, context).await?;
    assert_eq!(outputs.len(), 1);
    let asked = request(store, &[(root, &outputs[0].1)], ConflictResolution::Resume);
    download(asked, context).await.map(drop)
}

/// A root in which the small file is there with other contents, and a file that no manifest knows.
fn root() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("small"), "theirs").unwrap();
    std::fs::write(folder.path().join("kept"), "kept").unwrap();
    folder
}

/// Every file is whole and right, and there is nothing else, temporary files included. Gives how many are there.
fn assert_nothing_wrong(root: &Path, label: &str) -> usize {
    let mut tree = tree_of(root);
    assert_eq!(tree.remove("kept").as_deref(), Some(&b"kept"[..]), "{label}");
    tree.remove("sub");
    if tree.get("small").is_some_and(|contents| contents == b"theirs") {
        tree.remove("small");
    }
    for (mtime, (name, contents)) in (FIRST_MTIME_MICROS..).zip(files()) {
        if let Some(found) = tree.remove(name) {
            assert!(found == contents, "{label}: {name} is wrong");
            assert_eq!(mtime_micros(&root.join(name)), mtime, "{label}: the time of {name}");
        }
    }
    assert_eq!(tree.keys().collect::<Vec<_>>(), [""; 0], "{label}: left behind");
    files()
        .iter()
        .filter(|(name, contents)| std::fs::read(root.join(name)).is_ok_and(|found| found == *contents))
        .count()
}

async fn assert_next_run_completes(store: Arc<MemoryStore>, root: &Path, label: &str) {
    let before = assert_nothing_wrong(root, label);
    let store = Arc::new(Arc::into_inner(store).expect("nothing goes on").now_failing(|_| Fault::None));
    let context = Context::new();
    fetch_outputs(&store, root, &context).await.unwrap();
    assert_eq!(assert_nothing_wrong(root, label), files().len(), "{label}: the next run");
    assert_eq!(
        context.progress.snapshot().skipped_files,
        before as u64,
        "{label}: what was there is not fetched again"
    );
}

/// Steps of a run without faults: a page, a manifest, an empty and a small object, an old one that is asked for by two keys,
/// two ranges.
const STEPS: u64 = 8;

/// The keys that were struck.
type Struck = Arc<Mutex<Vec<String>>>;

/// A job whose requests fail with `fault` where `strikes` says so; a manifest is never given a wrong byte, since nothing but
/// its form tells whether it is right.
async fn failing_job(
    fault: Fault,
    strikes: impl Fn(u64) -> bool + Send + Sync + 'static,
) -> (Arc<MemoryStore>, Struck) {
    let struck = Struck::default();
    let keys = Arc::clone(&struck);
    let store = job().await.now_failing(move |call| {
        if !strikes(call.number) || (fault == Fault::WrongByte && call.key == MANIFEST_KEY) {
            return Fault::None;
        }
        keys.lock().unwrap().push(call.key.to_owned());
        fault
    });
    (Arc::new(store), struck)
}

/// The error says which of the struck requests it is about. After a 404 that is the key without its suffix.
fn assert_key_is_named(error: &Error, struck: &Struck, label: &str) {
    let text = error.to_string();
    let is_named = |key: &String| text.contains(key.trim_end_matches(".xxh128"));
    let struck = struck.lock().unwrap();
    assert!(struck.iter().any(is_named) && text.contains(BUCKET), "{label}: {struck:?} in {text}");
}

#[tokio::test]
async fn a_run_without_faults_has_the_steps_that_are_failed_below() {
    let root = root();
    let (store, context) = (Arc::new(job().await), Context::new());
    fetch_outputs(&store, root.path(), &context).await.unwrap();
    assert_eq!(store.calls(), STEPS);
    assert_eq!(assert_nothing_wrong(root.path(), "no fault"), files().len());
}

/// Failures before a body are the store's to repeat, so here they are final, but for manifests' lost connections.
#[tokio::test]
async fn whichever_request_fails_nothing_wrong_is_written_and_the_next_run_completes() {
    for fault in [Fault::Refused(500), Fault::Refused(403), Fault::Refused(404), Fault::Unreachable, Fault::ReplyLost] {
        for step in 1..=STEPS {
            let (root, label) = (root(), format!("{fault:?} at {step}"));
            let (store, struck) = failing_job(fault, move |number| number == step).await;
            let outcome = fetch_outputs(&store, root.path(), &Context::new()).await;
            let keys = struck.lock().unwrap().clone();
            let has_all = assert_nothing_wrong(root.path(), &label) == files().len();
            match outcome {
                Ok(()) => {
                    // The old file's first key is absent anyway.
                    let is_old = keys == [key_of(files()[3].1).key] && fault == Fault::Refused(404);
                    let is_repeated = keys == [MANIFEST_KEY] && matches!(fault, Fault::Unreachable | Fault::ReplyLost);
                    assert!(has_all && (is_old || is_repeated), "{label}: false success");
                }
                Err(error) => assert_key_is_named(&error, &struck, &label),
            }
            assert_next_run_completes(store, root.path(), &label).await;
        }
    }
}

#[tokio::test]
async fn a_body_that_is_not_right_once_is_asked_for_again() {
    for fault in [Fault::BodyLost, Fault::BodyShort, Fault::ObjectShort, Fault::WrongByte] {
        for step in 1..=STEPS {
            let (root, label) = (root(), format!("{fault:?} at {step}"));
            let (store, struck) = failing_job(fault, move |number| number == step).await;
            let context = Context::new();
            fetch_outputs(&store, root.path(), &context).await.unwrap_or_else(|error| panic!("{label}: {error}"));
            assert_eq!(assert_nothing_wrong(root.path(), &label), files().len(), "{label}");
            let all_bytes: usize = files().iter().map(|(_, contents)| contents.len()).sum();
            let counts = context.progress.snapshot();
            assert_eq!((counts.processed_files, counts.processed_bytes), (5, all_bytes as u64), "{label}");
            assert!(struck.lock().unwrap().len() <= 1, "{label}");
        }
    }
}

#[tokio::test]
async fn whichever_request_and_all_after_it_fail_nothing_wrong_is_written() {
    for fault in [Fault::Refused(503), Fault::Refused(404), Fault::Unreachable, Fault::ObjectShort, Fault::WrongByte] {
        // Lost connections before the manifest is there are tried again for seconds.
        for step in if fault == Fault::Unreachable { 3..=STEPS } else { 1..=STEPS } {
            let (root, label) = (root(), format!("{fault:?} from {step}"));
            let (store, struck) = failing_job(fault, move |number| number >= step).await;
            let outcome = fetch_outputs(&store, root.path(), &Context::new()).await;
            let is_of_body = matches!(fault, Fault::ObjectShort | Fault::WrongByte);
            match outcome {
                Ok(()) => {
                    // The last requests may be those for the empty file or an absent key, which have no body to break.
                    assert!(is_of_body && step > 3 || fault == Fault::Refused(404), "{label}: false success");
                    assert_eq!(assert_nothing_wrong(root.path(), &label), files().len(), "{label}: false success");
                }
                // What is no manifest is said in the reference's words, which name no key; the log does.
                Err(Error::StoredManifest { .. }) => assert!(fault == Fault::ObjectShort && step <= 2, "{label}"),
                Err(error) => {
                    assert_eq!(matches!(error, Error::Integrity(_)), is_of_body, "{label}: {error}");
                    assert_key_is_named(&error, &struck, &label);
                }
            }
            assert_next_run_completes(store, root.path(), &label).await;
        }
    }
}

#[tokio::test]
async fn contents_that_stay_wrong_are_an_error_that_names_key_expected_and_found() {
    for (name, contents) in files().into_iter().filter(|(_, contents)| !contents.is_empty()) {
        let root = root();
        let hash = hash_bytes(contents).text().into_owned();
        let own = hash.clone();
        let store = Arc::new(
            job().await.now_failing(move |call| if call.key.contains(&own) { Fault::WrongByte } else { Fault::None }),
        );
        let error = fetch_outputs(&store, root.path(), &Context::new()).await.unwrap_err();
        let Error::Integrity(integrity) = &error else { panic!("{name}: {error}") };
        assert!(integrity.subject.starts_with(&format!("s3://{BUCKET}/root/Data/{hash}")), "{error}");
        assert_eq!(integrity.expected, hash);
        assert_ne!(integrity.found, hash);
        assert!(integrity.place.as_ref().is_some_and(|place| place.starts_with(root.path().to_str().unwrap())));
        assert!(assert_nothing_wrong(root.path(), name) < files().len());
        assert_next_run_completes(store, root.path(), name).await;
    }
}

/// Eight times in all, with pauses that grow: this test waits for ten seconds, and does nothing meanwhile.
#[tokio::test]
async fn a_body_that_never_comes_whole_is_an_error_that_names_its_key() {
    let mut runs = tokio::task::JoinSet::new();
    for (name, contents) in files() {
        for fault in [Fault::BodyLost, Fault::BodyShort] {
            if contents.is_empty() {
                continue;
            }
            runs.spawn(async move {
                let root = root();
                let hash = hash_bytes(contents).text().into_owned();
                let own = hash.clone();
                let store = Arc::new(
                    job().await.now_failing(move |call| if call.key.contains(&own) { fault } else { Fault::None }),
                );
                let error = fetch_outputs(&store, root.path(), &Context::new()).await.unwrap_err();
                assert!(matches!(error, Error::S3Client(_)), "{name}: {error}");
                assert!(error.to_string().contains(&hash), "{name}: {error}");
                assert_next_run_completes(store, root.path(), name).await;
            });
        }
    }
    runs.join_all().await;
}

#[tokio::test]
async fn a_cancelled_download_leaves_whole_files_only() {
    for step in 1..=STEPS {
        let (root, label) = (root(), format!("cancelled at {step}"));
        let context = Context::new();
        let cancel = context.cancel.clone();
        let store = Arc::new(job().await.now_failing(move |call| {
            if call.number == step {
                cancel.cancel();
            }
            Fault::None
        }));
        let error = fetch_outputs(&store, root.path(), &context).await.unwrap_err();
        assert!(error.is_cancelled(), "{label}: {error}");
        assert_eq!(error.to_string(), "File download cancelled.");
        assert_next_run_completes(store, root.path(), &label).await;
    }
}
