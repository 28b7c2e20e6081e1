//! What programs hear that subscribe with `tracing`.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use rusty_attachments::ops::upload_assets::{UploadRequest, upload_assets};
use rusty_attachments::store::ObjectStore;
use rusty_attachments::store::memory::MemoryStore;
use rusty_attachments::store::s3::{S3Options, S3Shared, S3Store};
use rusty_attachments::transfer::context::{Context, LogLevel};
use serde_json::json;
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;
use tracing::{Dispatch, Instrument, info_span};

use crate::tests_rs::store::{TestCredentials, connect};
use crate::tests_rs::upload::{BUCKET, request, tree};
use rusty_attachments_servers::rig::{Rig, Rule};

/// What a subscriber of the crate `tracing-subscriber` writes.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Heard {
    fn subscriber(&self, level: tracing::Level) -> Dispatch {
        // A second one: where there is one alone, tests on other threads, which have none, may answer for it.
        static OTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::new()));
        LazyLock::force(&OTHER);
        let heard = self.clone();
        let subscriber = tracing_subscriber::fmt().with_max_level(level).without_time();
        Dispatch::new(subscriber.with_ansi(false).with_writer(move || heard.clone()).finish())
    }

    fn lines(&self, wanted: &[&str]) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().filter(|line| wanted.iter().all(|text| line.contains(text))).map(str::to_owned).collect()
    }
}

fn over(store: Arc<dyn ObjectStore>, root: &Path) -> UploadRequest {
    let manifest = tree(root, &[("small", b"few bytes")]);
    UploadRequest { store, ..request(&Arc::new(MemoryStore::new()), root, manifest) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_and_the_attempts_that_it_repeats_are_events_in_the_callers_span() {
    let (rig, root, heard) = (Rig::start().await.unwrap(), tempfile::tempdir().unwrap(), Heard::default());
    rig.create_bucket(BUCKET);
    let rules = json!([{"operation": "PutObject", "key": "root/Data/*", "times": 2, "fault": {"kind": "status", "status": 503}}]);
    rig.rules(serde_json::from_value::<Vec<Rule>>(rules).unwrap());
    let store = connect(rig.endpoint()).await;
    // The context is made in the scope, as a call of the interface makes it.
    let upload = async { upload_assets(over(store, root.path()), &Context::new()).await };
    let work = async { upload.instrument(info_span!("session", id = 7)).await };
    work.with_subscriber(heard.subscriber(tracing::Level::DEBUG)).await.unwrap();
    let manifest = heard.lines(&["DEBUG session{id=7}", " rusty_attachments::upload: Uploading the manifest to"]);
    assert_eq!(manifest.len(), 1, "{:?}", heard.lines(&["rusty_attachments::"]));
    let place = format!("PutObject of s3://{BUCKET}/root/Data/");
    for attempt in [1, 2] {
        let failed = format!("attempt {attempt} failed: HTTP status 503 Service Unavailable; trying again in 0.");
        let field = format!("attempt={attempt} ");
        let lines = heard.lines(&[
            "DEBUG session{id=7}",
            " rusty_attachments::s3: ",
            &place,
            &failed,
            &field,
            "wait_seconds=0.",
        ]);
        assert_eq!(lines.len(), 1, "{:?}", heard.lines(&["rusty_attachments::"]));
    }
    let others = heard.lines(&["attempt 3 failed"]);
    assert!(others.is_empty(), "{others:?}");
}

#[tokio::test]
async fn what_is_unreachable_is_said_and_for_how_long_it_is_waited_out() {
    let (root, heard) = (tempfile::tempdir().unwrap(), Heard::default());
    // A port that is not taken by anyone else meanwhile, and that refuses connections.
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    drop(socket);
    let options = S3Options {
        region: Some("us-west-2".to_owned()),
        endpoint_url: Some(format!("http://127.0.0.1:{port}")),
        credentials: Some(Arc::new(TestCredentials)),
        retry_budget: Duration::from_millis(300),
        check_bucket_owner: false,
        ..S3Options::default()
    };
    let store = Arc::new(S3Store::connect(&S3Shared::new(), options).await.unwrap());
    let work = async { upload_assets(over(store, root.path()), &Context::new()).await };
    work.with_subscriber(heard.subscriber(tracing::Level::DEBUG)).await.unwrap_err();
    let lines =
        heard.lines(&["rusty_attachments::s3: ", "attempt 1 failed: ", "refused", "trying again in 0.", "root/Data/"]);
    assert!(!lines.is_empty(), "{:?}", heard.lines(&["rusty_attachments::"]));
    assert!(!lines[0].contains("DispatchFailure") && !lines[0].contains("Some("), "{lines:?}");
}

#[tokio::test]
async fn levels_are_the_subscribers_and_a_log_of_texts_has_its_own() {
    let (root, heard, texts) = (tempfile::tempdir().unwrap(), Heard::default(), Arc::new(Mutex::new(Vec::new())));
    let store = Arc::new(MemoryStore::new());
    let work = async { upload_assets(over(store, root.path()), &Context::new()).await };
    work.with_subscriber(heard.subscriber(tracing::Level::INFO)).await.unwrap();
    assert!(heard.lines(&["DEBUG"]).is_empty(), "{:?}", heard.lines(&["rusty_attachments::"]));
    let sink = Arc::clone(&texts);
    let context = Context::new().with_log(LogLevel::Info, Arc::new(move |record| sink.lock().unwrap().push(record)));
    context.log(LogLevel::Debug, "upload", || unreachable!("nobody listens at this level"));
    context.log(LogLevel::Warning, "caches", || "a text with {braces}".to_owned());
    let records = texts.lock().unwrap();
    let [record] = &records[..] else { panic!("{records:?}") };
    assert_eq!(
        (record.level, record.logger, record.message.as_str()),
        (LogLevel::Warning, "caches", "a text with {braces}")
    );
}
