//! What the S3 check cache says, and how far it is believed.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{CANCELLED, Job, LOGGER, Planned, cache_key, lock, seen_in_cache};
use crate::cache::s3_check_cache::S3CheckCache;
use crate::error::{Error, Result};
use crate::ops::in_parallel;
use crate::store::ObjectKey;
use crate::transfer::context::LogLevel;
use crate::transfer::tasks::blocking;

/// How many cached keys are looked up in S3 before the cache is believed, as in the reference.
const SAMPLE: usize = 30;
/// How many rows go into the cache at once.
const CACHE_BATCH: usize = 1000;

impl Job {
    /// What the cache has, and the rest.
    pub(super) async fn split_by_cache(self: &Arc<Self>, mut planned: Vec<Planned>) -> (Vec<Planned>, Vec<Planned>) {
        let Some(cache) = self.request.check_cache.clone().filter(|_| !self.request.options.force_check) else {
            return (Vec::new(), planned);
        };
        let trust = self.request.options.trust_cache_for;
        let mut seen = Vec::with_capacity(planned.len());
        for batch in in_parallel::batches(planned.len()) {
            let keys: Vec<String> = planned[batch].iter().map(|planned| cache_key(&self.object(planned))).collect();
            let reader = Arc::clone(&cache);
            seen.append(&mut blocking(move || reader.seen_within(&keys, trust)).await);
        }
        self.log_cache_warnings(&cache);
        let mut seen = seen.into_iter();
        let cached = planned.extract_if(.., |_| seen.next() == Some(true)).collect();
        (cached, planned)
    }

    /// Leaves out what the cache has, unless a sample shows that it can't be believed.
    pub(super) async fn leave_out_cached(self: &Arc<Self>, planned: Vec<Planned>) -> Result<Vec<Planned>> {
        let (cached, mut unseen) = self.split_by_cache(planned).await;
        if cached.is_empty() {
            return Ok(unseen);
        }
        if self.sample_is_there(&cached).await? {
            let cached = self.set_missing_aside(cached, &mut unseen).await;
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
        if let Some(cache) = self.request.check_cache.clone() {
            blocking(move || cache.remove_below(&place)).await;
        }
        unseen.extend(cached);
        Ok(unseen)
    }

    /// Where all cached objects can be checked cheaply, those that are gone are uploaded again, and the cache forgets them.
    async fn set_missing_aside(self: &Arc<Self>, cached: Vec<Planned>, unseen: &mut Vec<Planned>) -> Vec<Planned> {
        if cached.len() <= SAMPLE {
            return cached; // the sample was all of them
        }
        let Some(missing) = self.missing_by_listing(&cached).await.filter(|missing| !missing.is_empty()) else {
            return cached;
        };
        let (gone, there): (Vec<_>, Vec<_>) =
            cached.into_iter().partition(|planned| missing.contains(&self.object(planned).key));
        lock(&self.missed).extend(gone.iter().map(|planned| cache_key(&self.object(planned))));
        unseen.extend(gone);
        there
    }

    /// Asks S3 for some of the cached objects. An answer that can't be had counts as a miss, as in the reference.
    pub(super) async fn sample_is_there(self: &Arc<Self>, cached: &[Planned]) -> Result<bool> {
        let mut set = JoinSet::new();
        for index in sample(cached.len(), SAMPLE) {
            let (job, object) = (Arc::clone(self), self.object(&cached[index]));
            set.spawn(async move {
                let _permit = job.uploader.limits.request().await;
                job.request.store.head(&object).await
            });
        }
        let mut all = true;
        loop {
            let next = tokio::select! {
                biased;
                () = self.context().cancel.cancelled() => return Err(Error::Cancelled(CANCELLED.to_owned())),
                next = set.join_next() => next,
            };
            match next {
                Some(Ok(Ok(found))) => all &= found.is_some(),
                Some(Ok(Err(error))) => {
                    self.context()
                        .log(LogLevel::Warning, LOGGER, || format!("Error while checking the S3 check cache: {error}"));
                    all = false;
                }
                Some(Err(error)) => return Err(Error::Sync(error.to_string())),
                None => return Ok(all),
            }
        }
    }

    pub(super) async fn note_seen(self: &Arc<Self>, object: &ObjectKey) {
        if self.request.check_cache.is_none() {
            return;
        }
        let full = {
            let mut seen = lock(&self.seen);
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
        let rows = std::mem::take(&mut *lock(&self.seen));
        let missed = std::mem::take(&mut *lock(&self.missed));
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
            self.log_cache_warnings(&cache);
        }
    }

    fn log_cache_warnings(&self, cache: &S3CheckCache) {
        for warning in cache.take_warnings() {
            self.context().log(LogLevel::Warning, LOGGER, || warning);
        }
    }
}

/// Up to `count` different indexes below `length`, spread at random.
fn sample(length: usize, count: usize) -> Vec<usize> {
    use std::hash::{BuildHasher, RandomState};
    if length <= count {
        return (0..length).collect();
    }
    let random = RandomState::new();
    let mut chosen = std::collections::BTreeSet::new();
    let mut draw = 0_u64;
    while chosen.len() < count {
        // RandomState is seeded by the system: good enough to spread a sample.
        let number = random.hash_one(draw) % length as u64;
        chosen.insert(usize::try_from(number).unwrap_or(0));
        draw += 1;
    }
    chosen.into_iter().collect()
}
