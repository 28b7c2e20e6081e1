//! Buckets in another region than the client was told: S3 says which, and is believed once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::Region;
use parking_lot::{Mutex, MutexGuard};

use super::S3Store;
use super::errors::Failure;

/// Clients for buckets whose region was wrong.
#[derive(Debug, Default)]
pub(super) struct Redirects {
    any: AtomicBool,
    by_bucket: Mutex<HashMap<String, Client>>,
}

impl Redirects {
    fn find(&self, bucket: &str) -> Option<Client> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        self.lock().get(bucket).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Client>> {
        self.by_bucket.lock()
    }
}

impl S3Store {
    /// The client for a bucket.
    pub(super) fn client(&self, bucket: &str) -> Client {
        self.redirects.find(bucket).unwrap_or_else(|| self.client.clone())
    }

    /// After a reply that names another region for the bucket: whether the request should go there.
    pub(super) fn follow_redirect(&self, bucket: &str, failure: &Failure) -> bool {
        let Some(region) = failure.bucket_region.as_deref() else { return false };
        let used = self.client.config().region().map(ToString::to_string).unwrap_or_default();
        if used == region || !matches!(failure.status, Some(301 | 307 | 400)) {
            return false;
        }
        let mut by_bucket = self.redirects.lock();
        if !by_bucket.contains_key(bucket) {
            let config = self.client.config().to_builder().region(Region::new(region.to_owned())).build();
            by_bucket.insert(bucket.to_owned(), Client::from_conf(config));
            self.redirects.any.store(true, Ordering::Release);
            self.endpoint.notice(format!(
                "Bucket {bucket} is in region {region}, not {used}: requests go there. Set the region to save a round trip."
            ));
        }
        true
    }
}
