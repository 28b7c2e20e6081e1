//! What an object store does: the same checks over S3's client against s3s-fs, over S3's client against the rig, and over
//! the store in memory, which the other tests take for S3.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use rusty_attachments::Error;
use rusty_attachments::error::{Result, S3Action};
use rusty_attachments::hash::hash_bytes;
use rusty_attachments::store::credentials::{CredentialSource, Credentials};
use rusty_attachments::store::memory::MemoryStore;
use rusty_attachments::store::s3::{S3Options, S3Shared, S3Store};
use rusty_attachments::store::{
    Conditions, ListRequest, MIN_PART_BYTES, MultipartUpload, ObjectBody, ObjectKey, ObjectStore, PutOutcome,
    PutRequest, UploadedPart,
};
use rusty_attachments_servers::rig::Rig;
use rusty_attachments_servers::strict::{ACCESS_KEY, S3sServer, SECRET_KEY};

mod multipart;
mod objects;

const BUCKET: &str = "bucket";

/// The keys of the test servers.
#[derive(Debug)]
pub struct TestCredentials;

impl CredentialSource for TestCredentials {
    fn fetch(&self) -> BoxFuture<'_, Result<Credentials, String>> {
        let credentials = Credentials {
            access_key_id: ACCESS_KEY.to_owned(),
            secret_access_key: SECRET_KEY.to_owned(),
            session_token: None,
            expires: None,
            account_id: None,
        };
        Box::pin(async move { Ok(credentials) })
    }
}

/// The client of S3, pointed at a test server.
pub async fn connect(endpoint: String) -> Arc<S3Store> {
    let options = S3Options {
        region: Some("us-west-2".to_owned()),
        endpoint_url: Some(endpoint),
        credentials: Some(Arc::new(TestCredentials)),
        // A loaded machine is no fault: nothing is tried again because it took long.
        retry_budget: Duration::from_mins(10),
        stall_limit: Duration::from_mins(5),
        check_bucket_owner: false,
        ..S3Options::default()
    };
    Arc::new(S3Store::connect(&S3Shared::new(), options).await.unwrap())
}

/// A store, the bucket [`BUCKET`] in it, and what keeps it going.
struct Subject {
    store: Arc<dyn ObjectStore>,
    /// s3s-fs leaves out entity tags in lists of parts, has no lists of uploads, makes buckets as they are written to, and
    /// calls an upload that is gone forbidden.
    is_s3s_fs: bool,
    _server: Box<dyn Any + Send>,
}

#[expect(clippy::unused_async, reason = "one of several that are called alike")]
async fn in_memory() -> Subject {
    let mut store = MemoryStore::new();
    store.buckets = Some([BUCKET.to_owned()].into());
    Subject { store: Arc::new(store), is_s3s_fs: false, _server: Box::new(()) }
}

async fn over_the_rig() -> Subject {
    let rig = Rig::start().await.unwrap();
    rig.create_bucket(BUCKET);
    Subject { store: connect(rig.endpoint()).await, is_s3s_fs: false, _server: Box::new(rig) }
}

async fn over_s3s_fs() -> Subject {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
    let server = S3sServer::start(folder.path(), 0).await.unwrap();
    Subject { store: connect(server.endpoint()).await, is_s3s_fs: true, _server: Box::new((server, folder)) }
}

/// One test for each check and each store.
macro_rules! check_each_store {
    ($($area:ident::$check:ident),* $(,)?) => {
        mod memory_store {
            $(#[tokio::test]
            async fn $check() {
                super::$area::$check(&super::in_memory().await).await;
            })*
        }
        mod s3_store_with_rig {
            $(#[tokio::test]
            async fn $check() {
                super::$area::$check(&super::over_the_rig().await).await;
            })*
        }
        mod s3_store_with_s3s_fs {
            $(#[tokio::test]
            async fn $check() {
                super::$area::$check(&super::over_s3s_fs().await).await;
            })*
        }
    };
}

check_each_store! {
    objects::what_was_put_comes_back_with_its_metadata,
    objects::ranges_are_parts_of_the_object,
    objects::a_range_beyond_the_end_is_refused,
    objects::the_first_of_conditional_puts_wins,
    objects::contents_of_another_hash_are_refused,
    objects::what_is_absent_is_an_error_that_names_it,
    objects::an_absent_bucket_is_an_error_that_names_it,
    objects::lists_come_in_order_and_in_pages,
    objects::lists_roll_up_at_a_delimiter,
    multipart::parts_make_an_object,
    multipart::a_conditional_upload_gives_way,
    multipart::an_upload_is_not_there_before_it_is_complete_nor_after_it_was_aborted,
    multipart::parts_that_are_missing_or_too_small_make_no_object,
    multipart::uploads_that_were_left_are_listed_with_their_parts,
}

fn object(key: &str) -> ObjectKey {
    ObjectKey::new(BUCKET, key)
}

async fn put(store: &dyn ObjectStore, key: &str, body: &[u8]) {
    let object = object(key);
    assert_eq!(store.put(plain(&object, body, &BTreeMap::new())).await.unwrap(), PutOutcome::Created);
}

/// A PUT without anything special.
fn plain<'a>(object: &'a ObjectKey, body: &[u8], metadata: &'a BTreeMap<String, String>) -> PutRequest<'a> {
    PutRequest {
        object,
        body: Bytes::copy_from_slice(body),
        xxh128: None,
        if_absent: false,
        metadata,
        content_type: None,
        action: S3Action::UploadingFile,
    }
}

async fn read(mut body: ObjectBody) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(piece) = body.chunks.next_chunk().await.unwrap() {
        bytes.extend_from_slice(&piece);
    }
    assert_eq!(body.length_bytes, Some(bytes.len() as u64));
    bytes
}

async fn get(store: &dyn ObjectStore, key: &str) -> Vec<u8> {
    read(store.get(&object(key), None, S3Action::DownloadingFile).await.unwrap()).await
}

/// An error's status, if it says what was done to what.
fn status(error: &Error, action: S3Action, bucket: &str, key: &str) -> u16 {
    let Error::S3Service(error) = error else { panic!("{error:?}") };
    assert_eq!((error.action, error.bucket.as_str(), error.key.as_str()), (action, bucket, key), "{error}");
    error.status_code
}
