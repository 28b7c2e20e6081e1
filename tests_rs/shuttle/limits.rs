//! How much is under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;

use crate::transfer::limits::{Budget, Limits};
use crate::transfer::permits::Permits;
use crate::transfer::sync::switch;
use crate::transfer::window::Window;

/// How many requests may ever be under way in these tests.
pub const MOST: usize = 3;

/// How many requests can begin now without waiting for any to end.
pub fn can_begin(limits: &Limits) -> usize {
    let permits: Vec<_> = std::iter::from_fn(|| limits.request().now_or_never()).take(4 * MOST).collect();
    permits.len()
}

/// How many permits can be taken now without waiting, once what is owed was paid.
fn free(permits: &Permits) -> usize {
    for _ in 0..8 * MOST {
        drop(permits.take().now_or_never());
    }
    let taken: Vec<_> = std::iter::from_fn(|| permits.take().now_or_never()).take(8 * MOST).collect();
    taken.len()
}

#[test]
fn the_window_is_what_can_be_under_way() {
    crate::explore(|| {
        let window = Window::new(MOST);
        let (under_way, highest) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let tasks: Vec<_> = (0..5)
            .map(|_| {
                let (window, under_way, highest) = (window.clone(), Arc::clone(&under_way), Arc::clone(&highest));
                let stalls = crate::below(3) == 0;
                shuttle::future::spawn(async move {
                    let permit = window.enter().await;
                    highest.fetch_max(under_way.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    switch();
                    if stalls {
                        window.fall();
                    } else {
                        window.succeeded(std::time::Duration::ZERO);
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
        let size = window.size();
        assert!((1..=MOST).contains(&size), "the window is {size}");
        for _ in 0..4 * MOST {
            drop(window.enter().now_or_never());
        }
        let begun: Vec<_> = std::iter::from_fn(|| window.enter().now_or_never()).take(4 * MOST).collect();
        assert_eq!(begun.len(), size, "permits and window have come apart");
    });
}

#[test]
fn permits_are_as_many_as_was_said_last_whoever_holds_some_meanwhile() {
    crate::explore(|| {
        let permits = Permits::new(MOST);
        let sizes: Vec<usize> = (0..3).map(|_| 1 + crate::below(2 * MOST)).collect();
        let users: Vec<_> = (0..3)
            .map(|_| {
                let permits = permits.clone();
                shuttle::future::spawn(async move {
                    let permit = permits.take().await;
                    switch();
                    drop(permit);
                })
            })
            .collect();
        for size in &sizes {
            permits.resize(*size);
        }
        for user in users {
            shuttle::future::block_on(user).unwrap();
        }
        assert_eq!((permits.size(), permits.taken(), free(&permits)), (sizes[2], 0, sizes[2]));
    });
}

/// Operations that share a budget which is smaller than what they want together: each holds a part and waits for more, and
/// all of them end.
#[test]
fn operations_that_share_a_budget_all_end_and_give_it_back() {
    crate::explore(|| {
        let budget = Budget::new(0);
        let operations: Vec<_> = (0..3).map(|_| Limits::within(&budget, MOST, 64 << 20)).collect();
        let tasks: Vec<_> = (0..6)
            .map(|number| {
                let limits = operations[number % operations.len()].clone();
                let is_document = crate::below(3) == 0;
                shuttle::future::spawn(async move {
                    if is_document {
                        return document(&limits).await;
                    }
                    let _object = limits.object().await;
                    let _room = limits.bytes(40 << 20).await;
                    switch();
                    let _request = limits.request().await;
                    switch();
                })
            })
            .collect();
        budget.fit(crate::below(50));
        for task in tasks {
            shuttle::future::block_on(task).unwrap();
        }
        assert!(operations[0].has_half_of_its_room());
        let _all = operations[1].try_bytes(64 << 20).expect("all room is free again");
    });
}

/// As `src/transfer/document.rs` does: its length is known once its request is under way.
async fn document(limits: &Limits) {
    let mut room = None;
    loop {
        let request = limits.request().await;
        switch();
        room = room.or_else(|| limits.try_bytes(40 << 20));
        if room.is_some() {
            return;
        }
        drop(request);
        room = Some(limits.bytes(40 << 20).await);
    }
}
