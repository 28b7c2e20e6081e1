//! Checking all cached objects at once by listing, where that costs little.
//!
//! A sample of 30 finds a store that was emptied, not one object of 10,000 that is gone; the job that names it would fail on
//! every worker. A listing gives a thousand keys a request. It pays where the objects below the prefix are few beside those
//! that are asked for; below a prefix that a whole studio shares it does not, and the sample has to do.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::{Job, LOGGER, Planned};
use crate::error::{Error, Result};
use crate::store::{ListPage, ListRequest};
use crate::transfer::context::LogLevel;

/// A listing is read to its end if it should have at most this many keys for every one that is asked for.
const KEYS_PER_QUESTION: f64 = 4.0;
/// The keys of a page of S3's listings: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>.
const PAGE_KEYS: f64 = 1000.0;

impl Job {
    /// Which of the cached contents S3 does not have, or `None` where finding out would cost too much or is not allowed.
    pub(super) async fn missing_by_listing(self: &Arc<Self>, cached: &[Planned]) -> Option<HashSet<String>> {
        let prefix = match self.request.cas_prefix.as_str() {
            "" => return None, // anything may be at the top of a bucket
            prefix => format!("{prefix}/"),
        };
        match self.listed_keys(&prefix, cached.len()).await {
            Ok(Some(listed)) => {
                let keys = cached.iter().map(|planned| self.object(planned).key);
                Some(keys.filter(|key| !listed.contains(key)).collect())
            }
            Ok(None) => None,
            Err(error) => {
                self.context()
                    .log(LogLevel::Debug, LOGGER, || format!("The cached objects could not be listed: {error}"));
                None
            }
        }
    }

    async fn listed_keys(self: &Arc<Self>, prefix: &str, questions: usize) -> Result<Option<HashSet<String>>> {
        let first = self.page(prefix, None).await?;
        let mut keys = HashSet::with_capacity(questions);
        let more = first.continuation.is_some();
        if more && !is_worth_it(&first, prefix, questions) {
            return Ok(None);
        }
        keys.extend(first.objects.into_iter().map(|(key, _)| key));
        if more {
            // Hashes are spread evenly: one listing for each first digit, all at once.
            let mut shards = JoinSet::new();
            for digit in "0123456789abcdef".chars() {
                shards.spawn(Arc::clone(self).all_pages(format!("{prefix}{digit}")));
            }
            while let Some(shard) = shards.join_next().await {
                keys.extend(shard.map_err(|error| Error::Sync(error.to_string()))??);
            }
        }
        Ok(Some(keys))
    }

    async fn all_pages(self: Arc<Self>, prefix: String) -> Result<Vec<String>> {
        let mut keys = Vec::new();
        let mut continuation = None;
        loop {
            let page = self.page(&prefix, continuation.as_deref()).await?;
            keys.extend(page.objects.into_iter().map(|(key, _)| key));
            continuation = page.continuation;
            if continuation.is_none() {
                return Ok(keys);
            }
        }
    }

    async fn page(&self, prefix: &str, continuation: Option<&str>) -> Result<ListPage> {
        let _permit = self.uploader.limits.request().await;
        let request = ListRequest { bucket: &self.request.bucket, prefix, delimiter: None, continuation };
        self.request.store.list(request).await
    }
}

/// How far the first page got among all hashes tells how many keys there are.
fn is_worth_it(first: &ListPage, prefix: &str, questions: usize) -> bool {
    let last = first.objects.last().and_then(|(key, _)| key.get(prefix.len()..prefix.len() + 8));
    let Some(reached) = last.and_then(|digits| u32::from_str_radix(digits, 16).ok()) else { return false };
    let share = f64::from(reached.max(1)) / f64::from(u32::MAX);
    #[allow(clippy::cast_precision_loss, reason = "an estimate")]
    let questions = questions as f64;
    PAGE_KEYS / share <= questions.mul_add(KEYS_PER_QUESTION, PAGE_KEYS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ObjectInfo;

    fn page_up_to(hash: &str) -> ListPage {
        ListPage { objects: vec![(format!("root/Data/{hash}.xxh128"), ObjectInfo::default())], ..ListPage::default() }
    }

    #[test]
    fn a_shared_prefix_is_not_listed_and_a_small_one_is() {
        // A thousand keys reach a tenth of the way: 10,000 keys.
        assert!(is_worth_it(&page_up_to("1999999900000000"), "root/Data/", 10_000));
        assert!(!is_worth_it(&page_up_to("1999999900000000"), "root/Data/", 100));
        // A thousand keys reach almost nowhere: millions.
        assert!(!is_worth_it(&page_up_to("0000ffff00000000"), "root/Data/", 10_000));
        assert!(!is_worth_it(&page_up_to("no hash at all"), "root/Data/", 10_000));
    }
}
