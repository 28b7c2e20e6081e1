//! Single flight and limits under many interleavings: futures are polled in orders drawn from a seed, some are dropped in the
//! middle, and after every step the rules must hold. The order of polls is all that decides what happens, so a failing seed
//! fails again.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rusty_attachments::Error;
use rusty_attachments::permits::{Permit, Permits};
use rusty_attachments::store::memory::MemoryStore;
use rusty_attachments::transfer::limits::{Budget, Limits};
use rusty_attachments::transfer::once_per_key::{OncePerKey, Outcome};

/// A small generator of numbers, so that a seed says everything.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        // xorshift64*: https://en.wikipedia.org/wiki/Xorshift
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap() % bound
    }
}

/// Ready at the `n`th poll.
struct After(usize);

impl Future for After {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<()> {
        if self.0 == 0 {
            return Poll::Ready(());
        }
        self.0 -= 1;
        Poll::Pending
    }
}

/// Polls futures in drawn order until all are done or dropped. `drop_one_in` of them are dropped at a random poll.
fn run_in_drawn_order(mut tasks: Vec<BoxFuture<'static, ()>>, draw: &mut Draw, drop_one_in: usize) {
    let mut context = Context::from_waker(Waker::noop());
    let mut polls = 0;
    while !tasks.is_empty() {
        let chosen = draw.below(tasks.len());
        let gives_up = draw.below(drop_one_in * 16) == 0;
        if gives_up || tasks[chosen].as_mut().poll(&mut context).is_ready() {
            drop(tasks.swap_remove(chosen));
        }
        polls += 1;
        assert!(polls < 200_000, "somebody waits for ever");
    }
}

#[derive(Default)]
struct Seen {
    /// How many are at work for a key now.
    at_work: HashMap<u8, usize>,
    owners: usize,
    shared: usize,
    failures_shared: usize,
}

/// Callers of one key: the owner works for some polls, then succeeds or fails.
async fn caller(flights: OncePerKey<u8, u64>, seen: Arc<Mutex<Seen>>, key: u8, polls: usize, fails: bool) {
    struct AtWork(Arc<Mutex<Seen>>, u8);
    impl Drop for AtWork {
        fn drop(&mut self) {
            *self.0.lock().unwrap().at_work.get_mut(&self.1).unwrap() -= 1;
        }
    }
    let work = || async {
        {
            let mut seen = seen.lock().unwrap();
            let at_work = seen.at_work.entry(key).or_default();
            *at_work += 1;
            assert_eq!(*at_work, 1, "two at work for key {key}");
        }
        let _working = AtWork(Arc::clone(&seen), key);
        After(polls).await;
        if fails { Err(Error::Sync(format!("key {key} failed"))) } else { Ok(u64::from(key)) }
    };
    let outcome: Outcome<u64> = flights.run(key, work).await;
    let mut seen = seen.lock().unwrap();
    match outcome {
        Outcome::Own(_) => seen.owners += 1,
        Outcome::Shared(Ok(value)) => {
            assert_eq!(value, u64::from(key));
            seen.shared += 1;
        }
        Outcome::Shared(Err(error)) => {
            assert_eq!(error.to_string(), format!("key {key} failed"));
            seen.failures_shared += 1;
        }
    }
}

#[test]
fn one_at_work_per_key_and_its_outcome_is_everybodys() {
    let (mut shared, mut failures_shared) = (0, 0);
    for seed in 1..=2000 {
        let mut draw = Draw(seed);
        let flights = OncePerKey::default();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let tasks = (0..12)
            .map(|_| {
                let key = u8::try_from(draw.below(3)).unwrap();
                let (polls, fails) = (draw.below(6), draw.below(3) == 0);
                Box::pin(caller(flights.clone(), Arc::clone(&seen), key, polls, fails)) as BoxFuture<'static, ()>
            })
            .collect();
        run_in_drawn_order(tasks, &mut draw, 8);
        let seen = seen.lock().unwrap();
        assert!(seen.at_work.values().all(|at_work| *at_work == 0), "seed {seed}");
        shared += seen.shared;
        failures_shared += seen.failures_shared;
    }
    assert!(shared > 1000 && failures_shared > 500, "the test met nothing: {shared} and {failures_shared}");
}

#[test]
fn a_failing_owner_fails_its_waiters() {
    let flights: OncePerKey<&str, ()> = OncePerKey::default();
    let mut context = Context::from_waker(Waker::noop());
    let mut owner = Box::pin(flights.run("key", || async {
        After(1).await;
        Err(Error::Sync("no".to_owned()))
    }));
    assert!(owner.as_mut().poll(&mut context).is_pending());
    let mut waiter = Box::pin(flights.run("key", || async { Ok(()) }));
    assert!(waiter.as_mut().poll(&mut context).is_pending());
    assert!(matches!(owner.as_mut().poll(&mut context), Poll::Ready(Outcome::Own(Err(_)))));
    assert!(matches!(waiter.as_mut().poll(&mut context), Poll::Ready(Outcome::Shared(Err(_)))));
}

#[test]
fn a_waiter_takes_the_place_of_an_owner_that_went_away() {
    let flights: OncePerKey<&str, u8> = OncePerKey::default();
    let mut context = Context::from_waker(Waker::noop());
    let mut owner = Box::pin(flights.run("key", || async {
        After(5).await;
        Ok(1)
    }));
    assert!(owner.as_mut().poll(&mut context).is_pending());
    let mut waiter = Box::pin(flights.run("key", || async { Ok(2) }));
    assert!(waiter.as_mut().poll(&mut context).is_pending());
    drop(owner);
    assert!(matches!(waiter.as_mut().poll(&mut context), Poll::Ready(Outcome::Own(Ok(2)))));
}

#[test]
fn requests_stay_below_the_ceiling() {
    for seed in 1..=300 {
        let mut store = MemoryStore::new();
        store.max_connections = 20;
        let limits = Limits::new(store.max_connections, 64 << 20);
        let under_way = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let mut draw = Draw(seed);
        let tasks = (0..300)
            .map(|_| {
                let limits = limits.clone();
                let (under_way, most) = (Arc::clone(&under_way), Arc::clone(&most));
                let polls = draw.below(5);
                Box::pin(async move {
                    struct Leave(Arc<AtomicUsize>);
                    impl Drop for Leave {
                        fn drop(&mut self) {
                            self.0.fetch_sub(1, Ordering::SeqCst);
                        }
                    }
                    let _permit = limits.request().await;
                    most.fetch_max(under_way.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    let _leave = Leave(under_way);
                    After(polls).await;
                }) as BoxFuture<'static, ()>
            })
            .collect();
        run_in_drawn_order(tasks, &mut draw, 40);
        assert!(most.load(Ordering::SeqCst) <= 20, "seed {seed}: {} under way", most.load(Ordering::SeqCst));
        assert_eq!(under_way.load(Ordering::SeqCst), 0);
    }
}

/// How many can be taken now, once what is owed was paid.
fn free(permits: &Permits) -> usize {
    (0..100).for_each(|_| drop(permits.take().now_or_never()));
    let taken: Vec<Permit> = std::iter::from_fn(|| permits.take().now_or_never()).take(100).collect();
    taken.len()
}

#[test]
fn as_many_permits_can_be_taken_as_there_are_however_often_that_changes() {
    let permits = Permits::new(5);
    for size in [5, 2, 7, 1, 3, 3, 9, 4] {
        permits.resize(size);
        assert_eq!((permits.size(), free(&permits), permits.taken()), (size, size, 0));
    }
}

#[test]
fn permits_that_are_taken_while_their_number_falls_are_not_given_out_again() {
    let permits = Permits::new(3);
    let taken: Vec<Permit> = (0..3).filter_map(|_| permits.take().now_or_never()).collect();
    permits.resize(1);
    assert_eq!(permits.taken(), 3);
    permits.resize(2);
    drop(taken);
    assert_eq!((free(&permits), permits.taken()), (2, 0));
}

#[test]
fn room_is_the_operations_and_the_processs() {
    let (budget, store) = (Budget::new(100), MemoryStore::new());
    let mib = |count: u64| count << 20;
    let [first, second] = [mib(48), mib(48)].map(|bytes| Limits::within(&budget, store.max_connections, bytes));
    let taken = first.try_bytes(mib(40)).unwrap();
    assert!(first.try_bytes(mib(10)).is_none(), "the operation's share");
    assert!(second.try_bytes(mib(30)).is_none(), "64 MiB are the process's");
    let other = second.try_bytes(mib(20)).unwrap();
    drop(taken);
    assert!(!second.has_half_of_its_room() || second.try_bytes(mib(28)).is_some());
    drop(other);
    // An operation that may have more by itself makes the process's budget larger.
    let large = Limits::within(&budget, store.max_connections, mib(256));
    assert!(large.try_bytes(mib(1 << 20)).is_some(), "all that it may have");
}
