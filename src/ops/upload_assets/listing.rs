//! Checking all cached objects at once by listing, where that costs little.
//!
//! A sample of 30 finds a store that was emptied, not one object of 10,000 that is gone; the job that names it would fail on
//! every worker. A listing gives a thousand keys a request. It pays where the objects below the prefix are few beside those
//! that are asked for; below a prefix that a whole studio shares it does not, and the sample has to do.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::{Job, LOGGER};
use crate::error::{Error, Result};
use crate::hash::ContentHash;
use crate::store::listing::Listing;
use crate::store::{ListPage, ListRequest};
use crate::transfer::context::LogLevel;
use crate::transfer::tasks::heard;

/// A listing is read to its end if it should have at most this many keys for every one that is asked for.
const KEYS_PER_QUESTION: f64 = 4.0;
/// The keys of a page of S3's listings: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>.
const PAGE_KEYS: usize = 1000;

/// What ends a hash in a key. As a listing's delimiter it makes S3 name each key's common prefix alone, without times, tags
/// and sizes: a quarter of the text, which is most of what a listing costs on both sides
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-prefixes.html>).
const DELIMITER: &str = ".";

/// A listing in parts that are read at the same time. Hashes are spread evenly, so that one part tells of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parts {
    /// All in one: what is asked for has room on a page or two.
    One,
    /// A part for each first digit of a hash.
    Digits,
}

impl Parts {
    const fn of(questions: usize) -> Self {
        if questions <= PAGE_KEYS { Self::One } else { Self::Digits }
    }

    /// What stands between the prefix and the rest of the keys of each part.
    const fn beginnings(self) -> &'static [&'static str] {
        match self {
            Self::One => &[""],
            Self::Digits => &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b", "c", "d", "e", "f"],
        }
    }
}

impl Job {
    /// Which contents S3 has, or `None` where finding out would cost too much for so many questions, or is not allowed.
    pub(super) async fn listed(self: &Arc<Self>, questions: usize) -> Option<HashSet<ContentHash>> {
        if self.request.cas_prefix.is_empty() {
            return None; // anything may be at the top of a bucket
        }
        match self.listed_below(questions).await {
            Ok(listed) => listed,
            Err(error) => {
                self.context()
                    .log(LogLevel::Debug, LOGGER, || format!("The cached objects could not be listed: {error}"));
                None
            }
        }
    }

    async fn listed_below(self: &Arc<Self>, questions: usize) -> Result<Option<HashSet<ContentHash>>> {
        let prefix = format!("{}/", self.request.cas_prefix);
        let parts = Parts::of(questions);
        let (first, others) = parts.beginnings().split_first().unwrap_or((&"", &[]));
        let place = format!("{prefix}{first}");
        let page = self.page(&place, None).await?;
        if !is_worth_it(&page, &prefix, parts, questions) {
            return Ok(None);
        }
        let mut hashes = HashSet::with_capacity(questions);
        hashes.extend(self.hashes(&page));
        let mut set = JoinSet::new();
        if page.continuation.is_some() {
            set.spawn(heard(Arc::clone(self).rest(place, page.continuation)));
        }
        for beginning in others {
            set.spawn(heard(Arc::clone(self).rest(format!("{prefix}{beginning}"), None)));
        }
        while let Some(found) = set.join_next().await {
            hashes.extend(found.map_err(|error| Error::Sync(error.to_string()))??);
        }
        Ok(Some(hashes))
    }

    /// A listing to its end, from its beginning or from where a page ended.
    async fn rest(self: Arc<Self>, prefix: String, continuation: Option<String>) -> Result<Vec<ContentHash>> {
        let mut hashes = Vec::new();
        let mut listing = Listing::new(self.request.store.as_ref(), self.asked(&prefix, continuation.as_deref()));
        loop {
            let permit = self.uploader.limits.request().await;
            let Some(page) = listing.next_page().await? else { return Ok(hashes) };
            drop(permit);
            hashes.extend(self.hashes(&page));
        }
    }

    fn hashes<'a>(&'a self, page: &'a ListPage) -> impl Iterator<Item = ContentHash> + 'a {
        let (prefix, algorithm) = (self.request.cas_prefix.as_str(), self.request.manifest.hash_algorithm.as_str());
        names(page).filter_map(move |name| hash_in(name, prefix, algorithm))
    }

    async fn page(&self, prefix: &str, continuation: Option<&str>) -> Result<ListPage> {
        let _permit = self.uploader.limits.request().await;
        self.request.store.list(self.asked(prefix, continuation)).await
    }

    fn asked<'a>(&'a self, prefix: &'a str, continuation: Option<&'a str>) -> ListRequest<'a> {
        ListRequest { bucket: &self.request.bucket, prefix, delimiter: Some(DELIMITER), continuation }
    }
}

/// The hash in `<prefix>/<hash>.`, or in a whole key where the store knows no delimiters.
fn hash_in(name: &str, prefix: &str, algorithm: &str) -> Option<ContentHash> {
    let (hash, rest) = name.strip_prefix(prefix)?.strip_prefix('/')?.split_once(DELIMITER)?;
    (rest.is_empty() || rest == algorithm).then(|| ContentHash::from_text(hash))
}

fn names(page: &ListPage) -> impl Iterator<Item = &str> {
    page.common_prefixes.iter().chain(page.objects.iter().map(|(key, _)| key)).map(String::as_str)
}

/// The first page of the first part tells how many keys there are: as many in each part or, where there are more, as many in
/// all hashes as in those up to the page's last.
fn is_worth_it(first: &ListPage, prefix: &str, parts: Parts, questions: usize) -> bool {
    let share = if first.continuation.is_none() {
        1.0 / float(parts.beginnings().len())
    } else {
        let last = names(first).max().and_then(|name| name.get(prefix.len()..prefix.len() + 8));
        let Some(reached) = last.and_then(|digits| u32::from_str_radix(digits, 16).ok()) else { return false };
        f64::from(reached.max(1)) / f64::from(u32::MAX)
    };
    float(names(first).count()) / share <= float(questions).mul_add(KEYS_PER_QUESTION, float(PAGE_KEYS))
}

#[allow(clippy::cast_precision_loss, reason = "for an estimate")]
const fn float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &str = "root/Data/";

    #[test]
    fn hashes_are_found_in_common_prefixes_and_in_keys() {
        let found = |name: &str| hash_in(name, "root/Data", "xxh128").map(|hash| hash.text().into_owned());
        let hash = "0123456789abcdef0123456789abcdef";
        assert_eq!(found(&format!("root/Data/{hash}.")).as_deref(), Some(hash));
        assert_eq!(found(&format!("root/Data/{hash}.xxh128")).as_deref(), Some(hash));
        for other in ["root/Data/abc", "root/Data/abc.md5", "root/Data", "root/Dataabc.", "other/abc."] {
            assert_eq!(found(other), None, "{other}");
        }
    }

    fn page_up_to(hash: &str, continuation: Option<&str>) -> ListPage {
        ListPage {
            common_prefixes: vec![format!("{PREFIX}{hash}."); PAGE_KEYS],
            continuation: continuation.map(str::to_owned),
            ..ListPage::default()
        }
    }

    #[test]
    fn a_shared_prefix_is_not_listed_and_a_small_one_is() {
        let worth = |page: &ListPage, questions| is_worth_it(page, PREFIX, Parts::of(questions), questions);
        // A thousand keys reach a tenth of the way: 10,000 keys.
        let a_tenth = page_up_to("1999999900000000", Some("more"));
        assert!(worth(&a_tenth, 10_000));
        assert!(!worth(&a_tenth, 100));
        // A thousand keys reach almost nowhere: millions.
        assert!(!worth(&page_up_to("0000ffff00000000", Some("more")), 10_000));
        assert!(!worth(&page_up_to("no hash at all", Some("more")), 10_000));
        // There are no more: for few questions that is all of them, for many it is one part of sixteen.
        let complete = page_up_to("0fff000000000000", None);
        assert!(worth(&complete, 31));
        assert!(worth(&complete, 10_000));
        assert!(!worth(&complete, 1_001));
    }
}
