//! How many requests are under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;

use crate::store::memory::MemoryStore;
use crate::transfer::limits::Limits;
use crate::transfer::sync::switch;

/// How many requests may ever be under way in these tests.
const MOST: usize = 3;

pub fn store() -> MemoryStore {
    let mut store = MemoryStore::new();
    store.max_connections = MOST;
    store
}

/// How many requests can begin now without waiting for any to end, once what is owed was paid.
pub fn can_begin(limits: &Limits) -> usize {
    for _ in 0..4 * MOST {
        drop(limits.request().now_or_never());
    }
    let permits: Vec<_> = std::iter::from_fn(|| limits.request().now_or_never()).take(4 * MOST).collect();
    permits.len()
}

#[test]
fn the_window_is_what_can_be_under_way() {
    crate::explore(|| {
        let limits = Limits::new(&store(), 1 << 20);
        let (under_way, highest) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let tasks: Vec<_> = (0..5)
            .map(|_| {
                let (limits, under_way, highest) = (limits.clone(), Arc::clone(&under_way), Arc::clone(&highest));
                let complains = crate::below(3) == 0;
                shuttle::future::spawn(async move {
                    let permit = limits.request().await;
                    highest.fetch_max(under_way.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    switch();
                    if complains {
                        limits.complain();
                    } else {
                        limits.report(&store());
                    }
                    under_way.fetch_sub(1, Ordering::SeqCst);
                    drop(permit);
                })
            })
            .collect();
        for task in tasks {
            shuttle::future::block_on(task).unwrap();
        }
        assert!(highest.load(Ordering::SeqCst) <= MOST, "{highest:?} under way");
        assert!((1..=MOST).contains(&limits.window()), "the window is {}", limits.window());
        assert_eq!(can_begin(&limits), limits.window(), "permits and window have come apart");
    });
}
