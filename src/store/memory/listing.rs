//! Listings, page by page.

use super::{Asked, MemoryStore, Operation};
use crate::error::Result;
use crate::store::{ListPage, ListRequest, ObjectKey};

impl MemoryStore {
    pub(super) fn list_now(&self, request: &ListRequest<'_>) -> Result<ListPage> {
        let asked = Asked::listing(Operation::List, request.bucket, request.prefix);
        self.request(&asked, |state| {
            let mut page = ListPage::default();
            // The continuation is the last key or common prefix of the page before.
            let mut last = request.continuation.unwrap_or_default().to_owned();
            let matching =
                |object: &ObjectKey| object.bucket == request.bucket && object.key.starts_with(request.prefix);
            for (object, (_, info)) in state.objects.iter().filter(|(object, _)| matching(object)) {
                let (item, is_common) = item(&object.key, request);
                if *item <= *last {
                    continue;
                }
                if page.objects.len() + page.common_prefixes.len() >= self.page_keys {
                    page.continuation = Some(last);
                    break;
                }
                if is_common {
                    page.common_prefixes.push(item.to_owned());
                } else {
                    page.objects.push((object.key.clone(), info.clone()));
                }
                item.clone_into(&mut last);
            }
            Ok(page)
        })
    }
}

/// What a key is listed as: itself, or (then `true`) the prefix up to the delimiter.
fn item<'a>(key: &'a str, request: &ListRequest<'_>) -> (&'a str, bool) {
    let rest = &key[request.prefix.len()..];
    let end = request.delimiter.and_then(|delimiter| rest.find(delimiter).map(|at| at + delimiter.len()));
    end.map_or((key, false), |end| (&key[..request.prefix.len() + end], true))
}
