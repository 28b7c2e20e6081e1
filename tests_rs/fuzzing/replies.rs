//! Error bodies as the client of S3 gets them: whatever comes, the error names bucket and key, and nothing panics.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use rusty_attachments::error::S3Action;
use rusty_attachments::store::s3::{S3Options, S3Shared, S3Store};
use rusty_attachments::store::{ListRequest, ObjectKey, ObjectStore, PutRequest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::error_invariants::{BUCKET, KEY, names_its_object, reply};
use crate::tests_rs::store::TestCredentials;

/// Statuses that are tried again with pauses, until the budget of the test is used up.
const SLOW: [u16; 5] = [429, 500, 502, 503, 504];

type Answer = Arc<Mutex<Vec<u8>>>;

/// Gives every request the same answer.
async fn serve(listener: TcpListener, answer: Answer) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer_all(stream, Arc::clone(&answer)));
    }
}

async fn answer_all(mut stream: TcpStream, answer: Answer) -> std::io::Result<()> {
    let mut request = Vec::new();
    // Requests have no bodies but for the PUT's one byte, which ends with the connection.
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let bytes = answer.lock().unwrap().clone();
    stream.write_all(&bytes).await?;
    stream.shutdown().await
}

async fn client(endpoint: String) -> S3Store {
    let options = S3Options {
        region: Some("us-west-2".to_owned()),
        endpoint_url: Some(endpoint),
        credentials: Some(Arc::new(TestCredentials)),
        retry_budget: Duration::from_millis(150),
        check_bucket_owner: false,
        ..S3Options::default()
    };
    S3Store::connect(&S3Shared::new(), options).await.unwrap()
}

#[tokio::test]
async fn whatever_s3_says_the_error_names_bucket_and_key() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let answer = Answer::default();
    let server = tokio::spawn(serve(listener, Arc::clone(&answer)));
    let object = ObjectKey::new(BUCKET, KEY);
    let mut slow = 0;
    for data in super::corpus("s3_errors") {
        let Some(reply) = reply(&data) else { continue };
        if SLOW.contains(&reply.status) {
            slow += 1;
            if slow > 4 {
                continue;
            }
        }
        let (status, length) = (reply.status, reply.body.len());
        let head = format!("HTTP/1.1 {status} Said\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
        *answer.lock().unwrap() = [head.as_bytes(), reply.body].concat();
        // A store of its own: one that was refused would go slowly.
        let store = client(endpoint.clone()).await;
        names_its_object(&store.get(&object, None, S3Action::DownloadingFile).await.unwrap_err());
        let list = ListRequest { bucket: BUCKET, prefix: KEY, delimiter: None, continuation: None };
        names_its_object(&store.list(list).await.unwrap_err());
        let put = PutRequest {
            object: &object,
            body: Bytes::from_static(b"x"),
            xxh128: None,
            if_absent: false,
            metadata: &std::collections::BTreeMap::new(),
            content_type: None,
            action: S3Action::UploadingFile,
        };
        names_its_object(&store.put(put).await.unwrap_err());
        if status != 404 {
            names_its_object(&store.head(&object).await.unwrap_err());
        }
    }
    server.abort();
}
