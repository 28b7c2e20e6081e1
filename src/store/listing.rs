//! Listings, page by page to their end.

use std::collections::HashSet;

use xxhash_rust::xxh3::xxh3_128;

use super::{ListPage, ListRequest, ObjectStore};
use crate::error::{Result, S3Action, S3ClientError};

/// How many pages without any key may follow each other. S3 has them where it rolls keys up, a few at a time.
const MOST_EMPTY_PAGES: u32 = 1000;

/// A listing under way. It ends, or is an error, whatever the server answers.
pub(crate) struct Listing<'a> {
    store: &'a dyn ObjectStore,
    request: ListRequest<'a>,
    continuation: Option<String>,
    ended: bool,
    circle: CircleGuard,
}

impl<'a> Listing<'a> {
    /// Begins a listing; `request.continuation` says where, if not at the beginning.
    #[must_use]
    pub(crate) fn new(store: &'a dyn ObjectStore, request: ListRequest<'a>) -> Self {
        let continuation = request.continuation.map(str::to_owned);
        Self { store, request, continuation, ended: false, circle: CircleGuard::default() }
    }

    /// The next page; `None` after the last.
    ///
    /// # Errors
    /// The store's; [`crate::Error::S3Client`] for a listing that does not get on.
    pub(crate) async fn next_page(&mut self) -> Result<Option<ListPage>> {
        if self.ended {
            return Ok(None);
        }
        let request = ListRequest { continuation: self.continuation.as_deref(), ..self.request };
        let page = self.store.list(request).await?;
        let first = page.objects.first().map(|(key, _)| key).or_else(|| page.common_prefixes.first());
        self.circle.check(first.map(String::as_str), page.continuation.as_deref()).map_err(|text| {
            S3ClientError::new(S3Action::ListingBucketContents, request.bucket, request.prefix, text)
        })?;
        self.continuation.clone_from(&page.continuation);
        self.ended = page.continuation.is_none();
        Ok(Some(page))
    }
}

/// Sees that the pages of a listing get on: neither a page's first entry nor what continues it may come twice.
#[derive(Debug, Default)]
pub(crate) struct CircleGuard {
    /// Hashes, so that a listing of millions of keys takes 32 bytes for each page.
    seen: HashSet<u128>,
    empty_pages: u32,
}

impl CircleGuard {
    /// Takes note of a page by its first entry and what continues it.
    pub(crate) fn check(&mut self, first: Option<&str>, continuation: Option<&str>) -> Result<(), String> {
        let Some(continuation) = continuation else { return Ok(()) };
        let mut is_new = |kind: u8, text: &str| self.seen.insert(xxh3_128(&[&[kind], text.as_bytes()].concat()));
        if !is_new(0, continuation) || !first.is_none_or(|first| is_new(1, first)) {
            return Err("the server's pages of the listing go round in a circle".to_owned());
        }
        self.empty_pages = if first.is_some() { 0 } else { self.empty_pages + 1 };
        if self.empty_pages > MOST_EMPTY_PAGES {
            return Err(format!("the server sent {MOST_EMPTY_PAGES} pages of the listing without a key"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_that_come_again_are_an_error() {
        let pages = |pages: &[(Option<&str>, Option<&str>)]| {
            let mut guard = CircleGuard::default();
            pages.iter().try_for_each(|(first, next)| guard.check(*first, *next))
        };
        assert!(pages(&[(Some("a"), Some("1")), (Some("b"), Some("2")), (None, Some("3")), (Some("c"), None)]).is_ok());
        assert!(pages(&[(Some("a"), Some("1")), (Some("b"), Some("1"))]).is_err(), "the same token");
        assert!(pages(&[(Some("a"), Some("1")), (Some("b"), Some("2")), (Some("c"), Some("1"))]).is_err(), "in turn");
        assert!(pages(&[(Some("a"), Some("1")), (Some("a"), Some("2"))]).is_err(), "the same page, other tokens");
        assert!(pages(&[(Some("1"), Some("a")), (Some("a"), Some("b"))]).is_ok(), "a token may be a key");
    }

    #[test]
    fn empty_pages_have_an_end() {
        let mut guard = CircleGuard::default();
        let tokens: Vec<String> = (0..=MOST_EMPTY_PAGES).map(|number| number.to_string()).collect();
        let failed = tokens.iter().position(|token| guard.check(None, Some(token)).is_err());
        assert_eq!(failed, Some(MOST_EMPTY_PAGES as usize));
    }
}
