//! What the S3 check cache says of a manifest's objects, and a sample that shows whether it can be believed.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::plan::Planned;
use crate::cache::s3_check_cache::S3CheckCache;
use crate::error::{Error, Result};
use crate::hash::ContentHash;
use crate::manifest::Manifest;
use crate::ops::in_parallel;
use crate::settings::join_key;
use crate::store::{ObjectKey, ObjectStore};
use crate::transfer::context::{Context, LogLevel};
use crate::transfer::limits::Limits;
use crate::transfer::tasks::{blocking, heard};

pub(super) const CANCELLED: &str = "File upload cancelled.";
pub(super) const LOGGER: &str = "upload";
/// How many cached keys are looked up in S3 before the cache is believed, as in the reference.
pub(super) const SAMPLE: usize = 30;

/// Where the contents of a manifest are stored.
#[derive(Debug, Clone)]
pub(in crate::ops) struct CasKeys {
    bucket: String,
    prefix: String,
    algorithm: String,
}

impl CasKeys {
    pub(in crate::ops) fn of(manifest: &Manifest, bucket: &str, prefix: &str) -> Self {
        let algorithm = manifest.hash_algorithm.to_string();
        Self { bucket: bucket.to_owned(), prefix: prefix.to_owned(), algorithm }
    }

    /// The object that has these contents.
    pub(super) fn object(&self, hash: &ContentHash) -> ObjectKey {
        let name = format!("{hash}.{}", self.algorithm);
        let key = if self.prefix.is_empty() { name } else { join_key(&[&self.prefix, &name]) };
        ObjectKey::new(self.bucket.clone(), key)
    }
}

/// The check cache beside the store whose objects it speaks of. Clones share both.
#[derive(Clone)]
pub(in crate::ops) struct KnownObjects {
    pub(in crate::ops) store: Arc<dyn ObjectStore>,
    pub(in crate::ops) limits: Limits,
    pub(in crate::ops) place: CasKeys,
    /// How long an object that was seen is taken to be there.
    pub(in crate::ops) trust_for: Duration,
    pub(in crate::ops) cache: Arc<S3CheckCache>,
}

impl KnownObjects {
    /// What the cache has, and the rest.
    pub(in crate::ops) async fn split(&self, planned: Vec<Planned>, context: &Context) -> (Vec<Planned>, Vec<Planned>) {
        let known = self.clone();
        let (cached, unseen) = blocking(move || {
            let seen = known.seen(&planned);
            split(planned, &seen)
        })
        .await;
        log_warnings(&self.cache, context);
        (cached, unseen)
    }

    /// Which of the contents the cache has.
    fn seen(&self, planned: &[Planned]) -> Vec<bool> {
        // In the cache's order: what a batch asks for is then in one run of the table.
        let mut order: Vec<usize> = (0..planned.len()).collect();
        order.sort_unstable_by(|left, right| planned[*left].hash.cmp(&planned[*right].hash));
        let mut seen = vec![false; planned.len()];
        for batch in in_parallel::batches(order.len()) {
            let batch = &order[batch];
            let keys = batch.iter().map(|index| cache_key(&self.place.object(&planned[*index].hash)));
            let answers = self.cache.seen_within(&keys, self.trust_for);
            for (index, answer) in batch.iter().zip(answers) {
                seen[*index] = answer;
            }
        }
        seen
    }

    /// Asks S3 for some of the cached objects. An answer that can't be had counts as a miss, as in the reference.
    pub(in crate::ops) async fn sample_is_there(&self, cached: &[Planned], context: &Context) -> Result<bool> {
        let mut set = JoinSet::new();
        for index in sample(cached.len(), SAMPLE) {
            let (known, object) = (self.clone(), self.place.object(&cached[index].hash));
            set.spawn(heard(async move {
                let _permit = known.limits.request().await;
                known.store.head(&object).await
            }));
        }
        let mut all = true;
        loop {
            let next = tokio::select! {
                biased;
                () = context.cancel.cancelled() => return Err(Error::Cancelled(CANCELLED.to_owned())),
                next = set.join_next() => next,
            };
            match next {
                Some(Ok(Ok(found))) => all &= found.is_some(),
                Some(Ok(Err(error))) => {
                    context
                        .log(LogLevel::Warning, LOGGER, || format!("Error while checking the S3 check cache: {error}"));
                    all = false;
                }
                Some(Err(error)) => return Err(Error::Sync(error.to_string())),
                None => return Ok(all),
            }
        }
    }
}

/// The key of an object in the cache.
pub(super) fn cache_key(object: &ObjectKey) -> String {
    join_key(&[&object.bucket, &object.key])
}

/// Hands the cache's own warnings to the log.
pub(super) fn log_warnings(cache: &S3CheckCache, context: &Context) {
    for warning in cache.take_warnings() {
        context.log(LogLevel::Warning, LOGGER, || warning);
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
