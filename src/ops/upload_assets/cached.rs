//! What the S3 check cache says, and how far it is believed.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{CANCELLED, Job, LOGGER, Planned, cache_key, seen_in_cache};
use crate::cache::s3_check_cache::S3CheckCache;
use crate::error::{Error, Result};
use crate::ops::in_parallel;
use crate::store::ObjectKey;
use crate::transfer::context::LogLevel;
use crate::transfer::tasks::{blocking, heard};

/// How many cached keys are looked up in S3 before the cache is believed, as in the reference.
const SAMPLE: usize = 30;
/// How many rows go into the cache at once.
const CACHE_BATCH: usize = 1000;

impl Job {
    /// What the cache has, and the rest.
    pub(super) async fn split_by_cache(self: &Arc<Self>, planned: Vec<Planned>) -> (Vec<Planned>, Vec<Planned>) {
        let Some(cache) = self.request.check_cache.clone().filter(|_| !self.request.options.force_check) else {
            return (Vec::new(), planned);
        };
        let (job, reader) = (Arc::clone(self), Arc::clone(&cache));
        let (cached, unseen) = blocking(move || {
            let seen = job.seen_in(&reader, &planned);
            split(planned, &seen)
        })
        .await;
        self.log_cache_warnings(&cache);
        (cached, unseen)
    }

    /// Which of the contents the cache has.
    fn seen_in(&self, cache: &S3CheckCache, planned: &[Planned]) -> Vec<bool> {
        // In the cache's order: what a batch asks for is then in one run of the table.
        let mut order: Vec<usize> = (0..planned.len()).collect();
        order.sort_unstable_by(|left, right| planned[*left].hash.cmp(&planned[*right].hash));
        let mut seen = vec![false; planned.len()];
        for batch in in_parallel::batches(order.len()) {
            let batch = &order[batch];
            let keys = batch.iter().map(|index| cache_key(&self.object(&planned[*index])));
            let answers = cache.seen_within(&keys, self.request.options.trust_cache_for);
            for (index, answer) in batch.iter().zip(answers) {
                seen[*index] = answer;
            }
        }
        seen
    }

    /// Leaves out what the cache has, unless a sample shows that it can't be believed.
    pub(super) async fn leave_out_cached(self: &Arc<Self>, planned: Vec<Planned>) -> Result<Vec<Planned>> {
        let (cached, mut unseen) = self.split_by_cache(planned).await;
        if cached.is_empty() {
            return Ok(unseen);
        }
        if self.sample_is_there(&cached).await? {
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
        if let Some(cache) = self.request.check_cache.clone() {
            blocking(move || cache.remove_below(&place)).await;
        }
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

    /// Asks S3 for some of the cached objects. An answer that can't be had counts as a miss, as in the reference.
    pub(super) async fn sample_is_there(self: &Arc<Self>, cached: &[Planned]) -> Result<bool> {
        let mut set = JoinSet::new();
        for index in sample(cached.len(), SAMPLE) {
            let (job, object) = (Arc::clone(self), self.object(&cached[index]));
            set.spawn(heard(async move {
                let _permit = job.uploader.limits.request().await;
                job.request.store.head(&object).await
            }));
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
            self.log_cache_warnings(&cache);
        }
    }

    fn log_cache_warnings(&self, cache: &S3CheckCache) {
        for warning in cache.take_warnings() {
            self.context().log(LogLevel::Warning, LOGGER, || warning);
        }
    }
}

/// What was seen and the rest, each in its order. The larger part, of hundred bytes each, stays where it is.
fn split(mut planned: Vec<Planned>, seen: &[bool]) -> (Vec<Planned>, Vec<Planned>) {
    let count = seen.iter().filter(|seen| **seen).count();
    let takes_seen = count <= planned.len() / 2;
    let mut taken = Vec::with_capacity(count.min(planned.len() - count));
    let mut flags = seen.iter();
    taken.extend(planned.extract_if(.., |_| flags.next() == Some(&takes_seen)));
    if takes_seen { (taken, planned) } else { (planned, taken) }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::hash_bytes;

    #[test]
    fn seen_and_unseen_are_told_apart_in_their_order() {
        let planned = |index| Planned {
            hash: hash_bytes(b"contents"),
            index,
            offset_bytes: 0,
            size_bytes: 8,
            duplicates: Vec::new(),
            completes_file: true,
        };
        for seen in [&[][..], &[false; 5], &[true; 5], &[true, false, false, true, false], &[true, false, true, true]] {
            let (cached, unseen) = split((0..seen.len()).map(planned).collect(), seen);
            let indices = |wanted| (0..seen.len()).filter(move |index| seen[*index] == wanted).collect::<Vec<_>>();
            assert_eq!(cached.iter().map(|planned| planned.index).collect::<Vec<_>>(), indices(true));
            assert_eq!(unseen.iter().map(|planned| planned.index).collect::<Vec<_>>(), indices(false));
        }
    }

    #[test]
    fn a_sample_is_of_different_indices() {
        assert_eq!(sample(3, 30), [0, 1, 2]);
        let chosen = sample(10_000, 30);
        assert_eq!(chosen.len(), 30);
        assert!(chosen.is_sorted_by(|left, right| left < right) && chosen.iter().all(|index| *index < 10_000));
    }
}
