//! Single flight and limits under many interleavings: futures are polled in orders drawn from a seed, some are dropped in the
//! middle, and after every step the rules must hold. The order of polls is all that decides what happens, so a failing seed
//! fails again.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use futures_util::future::BoxFuture;
use rusty_attachments::Error;
use rusty_attachments::error::{Result, S3Action};
use rusty_attachments::store::{
    ListPage, ListRequest, MultipartUpload, ObjectBody, ObjectInfo, ObjectKey, ObjectStore, PutOutcome, PutRequest,
    StoreFuture, UploadedPart,
};
use rusty_attachments::transfer::limits::Limits;
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

/// A store that only says how often it was throttled.
#[derive(Default)]
struct Throttled(AtomicU64);

impl ObjectStore for Throttled {
    fn head<'a>(&'a self, _: &'a ObjectKey) -> StoreFuture<'a, Option<ObjectInfo>> {
        unused()
    }
    fn get<'a>(
        &'a self,
        _: &'a ObjectKey,
        _: Option<std::ops::Range<u64>>,
        _: S3Action,
    ) -> StoreFuture<'a, ObjectBody> {
        unused()
    }
    fn put<'a>(&'a self, _: PutRequest<'a>) -> StoreFuture<'a, PutOutcome> {
        unused()
    }
    fn list<'a>(&'a self, _: ListRequest<'a>) -> StoreFuture<'a, ListPage> {
        unused()
    }
    fn create_multipart<'a>(&'a self, _: &'a ObjectKey) -> StoreFuture<'a, MultipartUpload> {
        unused()
    }
    fn upload_part<'a>(&'a self, _: &'a MultipartUpload, _: i32, _: bytes::Bytes) -> StoreFuture<'a, UploadedPart> {
        unused()
    }
    fn complete_multipart<'a>(
        &'a self,
        _: &'a MultipartUpload,
        _: &'a [UploadedPart],
        _: bool,
    ) -> StoreFuture<'a, PutOutcome> {
        unused()
    }
    fn abort_multipart<'a>(&'a self, _: &'a MultipartUpload) -> StoreFuture<'a, ()> {
        unused()
    }
    fn list_parts<'a>(&'a self, _: &'a MultipartUpload) -> StoreFuture<'a, Vec<UploadedPart>> {
        unused()
    }
    fn list_multiparts<'a>(&'a self, _: &'a str, _: &'a str) -> StoreFuture<'a, Vec<MultipartUpload>> {
        unused()
    }
    fn throttles(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
    fn place(&self) -> &'static str {
        "throttled"
    }
    fn max_connections(&self) -> usize {
        80
    }
}

fn unused<'a, T: Send + 'a>() -> StoreFuture<'a, T> {
    Box::pin(async { Result::Err(Error::Sync("the test makes no requests".to_owned())) })
}

#[test]
fn requests_stay_below_the_ceiling_and_fall_when_throttled() {
    for seed in 1..=300 {
        let store = Arc::new(Throttled::default());
        let limits = Limits::new(store.as_ref(), 64 << 20);
        let under_way = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let mut draw = Draw(seed);
        let throttle_at = draw.below(300);
        let tasks = (0..300)
            .map(|number| {
                let (store, limits) = (Arc::clone(&store), limits.clone());
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
                    if number == throttle_at {
                        store.0.fetch_add(1, Ordering::SeqCst);
                    }
                    limits.report(store.as_ref());
                }) as BoxFuture<'static, ()>
            })
            .collect();
        let before = limits.window();
        run_in_drawn_order(tasks, &mut draw, 40);
        assert!(most.load(Ordering::SeqCst) <= 80, "seed {seed}: {} under way", most.load(Ordering::SeqCst));
        assert!(limits.window() <= 80 && before <= 80);
        assert_eq!(under_way.load(Ordering::SeqCst), 0);
    }
}

#[test]
fn a_throttle_lowers_the_window_once_a_burst_and_success_raises_it_again() {
    let store = Throttled::default();
    let limits = Limits::new(&store, 64 << 20);
    let full = limits.window();
    for _ in 0..10 {
        store.0.fetch_add(1, Ordering::SeqCst);
        limits.report(&store);
    }
    let fallen = limits.window();
    assert!(fallen < full && fallen >= full / 2, "{full} fell to {fallen}: once, by a third");
    for _ in 0..full * full {
        limits.report(&store);
    }
    assert!(limits.window() > fallen, "it recovers");
}
