//! Large uploads that earlier calls began and did not finish: what S3 has of them need not be sent again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::OnceCell;

use super::{LOGGER, Uploader};
use crate::error::Result;
use crate::store::{MultipartUpload, ObjectKey};
use crate::transfer::context::LogLevel;

/// Unfinished uploads below a prefix, listed when the first large object is sent. Clones share them; the default has none.
#[derive(Debug, Clone, Default)]
pub(super) struct Leftovers(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    bucket: String,
    prefix: String,
    within: Duration,
    found: OnceCell<Mutex<HashMap<String, MultipartUpload>>>,
}

impl Leftovers {
    pub(super) fn below(bucket: &str, prefix: &str, within: Duration) -> Self {
        let (bucket, prefix) = (bucket.to_owned(), prefix.to_owned());
        Self(Some(Arc::new(Inner { bucket, prefix, within, found: OnceCell::new() })))
    }
}

impl Uploader {
    /// The newest unfinished upload of an object, once: whoever gets it goes on with it or leaves it.
    pub(super) async fn leftover(&self, object: &ObjectKey) -> Result<Option<MultipartUpload>> {
        let Some(inner) = &self.leftovers.0 else { return Ok(None) };
        let found = self.or_cancelled(inner.found.get_or_init(|| self.list_leftovers(inner))).await?;
        Ok(found.lock().unwrap_or_else(PoisonError::into_inner).remove(&object.key))
    }

    /// A caller who may not list uploads (it is a permission of its own) has none to go on with.
    async fn list_leftovers(&self, inner: &Inner) -> Mutex<HashMap<String, MultipartUpload>> {
        let permit = self.request().await;
        let listed = self.store.list_multiparts(&inner.bucket, &inner.prefix).await;
        drop(permit);
        let uploads = listed.unwrap_or_else(|error| {
            self.context.log(LogLevel::Debug, LOGGER, || {
                format!("Whether there are unfinished uploads to go on with could not be seen: {error}")
            });
            Vec::new()
        });
        let now = SystemTime::now();
        let mut newest: HashMap<String, MultipartUpload> = HashMap::new();
        let mut orphans = Vec::new();
        for upload in uploads {
            let age = upload.initiated.map(|begun| now.duration_since(begun).unwrap_or_default());
            if age.is_none_or(|age| age > inner.within) {
                orphans.push(upload);
                continue;
            }
            let known = newest.get(&upload.object.key);
            if known.is_none_or(|known| known.initiated < upload.initiated) {
                newest.insert(upload.object.key.clone(), upload);
            }
        }
        self.tell_of_orphans(&orphans);
        Mutex::new(newest)
    }

    /// One line: a bucket may hold thousands.
    fn tell_of_orphans(&self, orphans: &[MultipartUpload]) {
        if let Some(first) = orphans.first() {
            self.context.log(LogLevel::Warning, LOGGER, || {
                let (count, id, url) = (orphans.len(), &first.id, first.object.url());
                format!(
                    "{count} uploads were never finished and cost storage, {id} of {url} among them; \
                     abort_stale_uploads() removes them"
                )
            });
        }
    }
}
