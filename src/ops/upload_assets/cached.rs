//! What the S3 check cache says, and how far it is believed.

use std::sync::Arc;

use super::known::{SAMPLE, log_warnings};
use super::{CANCELLED, Job, LOGGER, Planned, cache_key, seen_in_cache};
use crate::error::{Error, Result};
use crate::store::ObjectKey;
use crate::transfer::context::LogLevel;
use crate::transfer::tasks::blocking;

/// How many rows go into the cache at once.
const CACHE_BATCH: usize = 1000;

impl Job {
    /// Leaves out what the cache has, unless a sample shows that it can't be believed.
    pub(super) async fn leave_out_cached(self: &Arc<Self>, planned: Vec<Planned>) -> Result<Vec<Planned>> {
        let Some(known) = &self.known else { return Ok(planned) };
        let (cached, mut unseen) = known.split(planned, self.context()).await;
        if cached.is_empty() {
            return Ok(unseen);
        }
        if known.sample_is_there(&cached, self.context()).await? {
            let cached = self.set_missing_aside(cached, &mut unseen).await?;
            for planned in &cached {
                self.skip(planned, planned.index, seen_in_cache);
                self.skip_duplicates(planned, seen_in_cache);
            }
            return Ok(unseen);
        }
        let place = match self.request.cas_prefix.as_str() {
            "" => format!("{}/", self.request.bucket),
            prefix => format!("{}/{prefix}/", self.request.bucket),
        };
        self.context().log(LogLevel::Debug, LOGGER, || {
            format!(
                "The S3 check cache forgets what is below {place}, as it names an object there that S3 does not have"
            )
        });
        let cache = Arc::clone(&known.cache);
        blocking(move || cache.remove_below(&place)).await;
        unseen.extend(cached);
        Ok(unseen)
    }

    /// Where all cached objects can be checked cheaply, those that are gone are uploaded again, and the cache forgets them.
    async fn set_missing_aside(
        self: &Arc<Self>,
        mut cached: Vec<Planned>,
        unseen: &mut Vec<Planned>,
    ) -> Result<Vec<Planned>> {
        if cached.len() <= SAMPLE {
            return Ok(cached); // the sample was all of them
        }
        let listed = tokio::select! {
            biased;
            () = self.context().cancel.cancelled() => return Err(Error::Cancelled(CANCELLED.to_owned())),
            listed = self.listed(cached.len()) => listed,
        };
        let Some(listed) = listed else { return Ok(cached) };
        let gone: Vec<_> = cached.extract_if(.., |planned| !listed.contains(&planned.hash)).collect();
        self.missed.lock().extend(gone.iter().map(|planned| cache_key(&self.object(planned))));
        unseen.extend(gone);
        Ok(cached)
    }

    pub(super) async fn note_seen(self: &Arc<Self>, object: &ObjectKey) {
        if self.request.check_cache.is_none() {
            return;
        }
        let full = {
            let mut seen = self.seen.lock();
            seen.push(cache_key(object));
            seen.len() >= CACHE_BATCH
        };
        if full {
            self.flush_cache(false).await;
        }
    }

    /// Writes what was seen into the cache, also after a failure: what is there is there.
    pub(super) async fn flush_cache(self: &Arc<Self>, last: bool) {
        let Some(cache) = self.request.check_cache.clone() else { return };
        let rows = std::mem::take(&mut *self.seen.lock());
        let missed = std::mem::take(&mut *self.missed.lock());
        if !rows.is_empty() || !missed.is_empty() {
            let writer = Arc::clone(&cache);
            blocking(move || {
                // What was gone and has been sent again is in both.
                writer.remove(&missed);
                writer.record(&rows);
            })
            .await;
        }
        if last {
            log_warnings(&cache, self.context());
        }
    }
}
