//! Single flight.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::error::Error;
use crate::transfer::once_per_key::{OncePerKey, Outcome};
use crate::transfer::sync::switch;

/// What the callers of one schedule have seen. Its lock is the standard library's: it is no place to switch at.
#[derive(Default)]
struct Seen {
    at_work: HashMap<u8, usize>,
    /// How often work for a key ended well, and badly.
    ended: HashMap<u8, (usize, usize)>,
}

struct AtWork<'a>(&'a Mutex<Seen>, u8);

impl<'a> AtWork<'a> {
    fn begin(seen: &'a Mutex<Seen>, key: u8) -> Self {
        let mut all = seen.lock().unwrap();
        let at_work = all.at_work.entry(key).or_default();
        *at_work += 1;
        assert_eq!(*at_work, 1, "two at work for key {key}");
        Self(seen, key)
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        *self.0.lock().unwrap().at_work.get_mut(&self.1).unwrap() -= 1;
    }
}

async fn call(flights: OncePerKey<u8, usize>, seen: Arc<Mutex<Seen>>, key: u8, fails: bool) {
    let work = || async {
        let _at_work = AtWork::begin(&seen, key);
        switch();
        shuttle::future::yield_now().await;
        let mut all = seen.lock().unwrap();
        let (well, badly) = all.ended.entry(key).or_default();
        if fails {
            *badly += 1;
            return Err(Error::Sync(format!("work {badly} for key {key} failed")));
        }
        *well += 1;
        Ok(*well)
    };
    let outcome = flights.run(key, work).await;
    let seen = seen.lock().unwrap();
    let (well, badly) = seen.ended.get(&key).copied().unwrap_or_default();
    match outcome {
        Outcome::Own(outcome) => assert_eq!(outcome.is_err(), fails),
        // What is shared is an outcome that somebody's work has had: nobody takes a failure for a success.
        Outcome::Shared(Ok(number)) => assert!((1..=well).contains(&number), "key {key}: {number} of {well}"),
        Outcome::Shared(Err(error)) => {
            let known = (1..=badly).any(|number| error.to_string() == format!("work {number} for key {key} failed"));
            assert!(known, "{error}");
        }
    }
}

#[test]
fn one_at_work_per_key_and_every_waiter_has_an_outcome_that_was() {
    crate::explore(|| {
        let flights = OncePerKey::default();
        let seen = Arc::default();
        let tasks: Vec<_> = (0..5)
            .map(|number| {
                let (key, fails) = (number % 2, crate::below(2) == 0);
                shuttle::future::spawn(call(flights.clone(), Arc::clone(&seen), key, fails))
            })
            .collect();
        for task in tasks {
            shuttle::future::block_on(task).unwrap();
        }
    });
}

/// The owner fails while others wait for it: all of them fail.
#[test]
fn a_failing_owner_fails_its_waiters() {
    crate::explore(|| {
        let flights: OncePerKey<u8, ()> = OncePerKey::default();
        let worked = Arc::new(Mutex::new(0));
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let (flights, worked) = (flights.clone(), Arc::clone(&worked));
                shuttle::future::spawn(async move {
                    let work = || async {
                        *worked.lock().unwrap() += 1;
                        shuttle::future::yield_now().await;
                        Err(Error::Sync("no".to_owned()))
                    };
                    match flights.run(1, work).await {
                        Outcome::Own(outcome) => (true, outcome.is_err()),
                        Outcome::Shared(outcome) => (false, outcome.is_err()),
                    }
                })
            })
            .collect();
        let ended: Vec<_> = tasks.into_iter().map(|task| shuttle::future::block_on(task).unwrap()).collect();
        assert!(ended.iter().all(|(_, has_failed)| *has_failed));
        assert_eq!(ended.iter().filter(|(own, _)| *own).count(), *worked.lock().unwrap());
    });
}

/// Owners go away without an outcome: someone else does the work, and nobody waits for ever.
#[test]
fn an_owner_that_is_dropped_leaves_its_place() {
    crate::explore(|| {
        let flights = OncePerKey::default();
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let alive = Arc::new(());
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let (work, alive) = (call(flights.clone(), Arc::clone(&seen), 1, false), Arc::clone(&alive));
                shuttle::future::spawn(async move {
                    work.await;
                    drop(alive);
                })
            })
            .collect();
        let mut stay = Vec::new();
        for (number, task) in tasks.into_iter().enumerate() {
            if number < 2 {
                switch();
                task.abort();
            } else {
                stay.push(task);
            }
        }
        for task in stay {
            shuttle::future::block_on(task).unwrap();
        }
        // Those that were told to stop are gone too before the schedule ends.
        while Arc::strong_count(&alive) > 1 {
            shuttle::thread::yield_now();
        }
        assert!(seen.lock().unwrap().ended[&1].0 >= 1);
    });
}
