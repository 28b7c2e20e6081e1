//! Each key is worked on once at a time, in the whole process; whoever else wants it waits for that outcome.
//!
//! A waiter shares the owner's outcome, its failure included: to take another's work for done whatever came of it would be
//! to name objects in a manifest that are not there. An owner that went away without an outcome (its call was cancelled)
//! decides nothing; one of the waiters takes its place.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;

use crate::error::{Error, Result};
use crate::sync::{Arc, Mutex, MutexGuard, watch};

/// Work under way, by key. Clones share it.
#[derive(Debug)]
pub(crate) struct OncePerKey<K, T> {
    flights: Arc<Mutex<Flights<K, T>>>,
}

type Flights<K, T> = HashMap<K, watch::Receiver<Option<Result<T>>>>;

/// What came of asking for a key.
#[derive(Debug)]
pub(crate) enum Outcome<T> {
    /// This caller did the work.
    Own(Result<T>),
    /// Someone else did.
    Shared(Result<T>),
}

impl<K, T> Default for OncePerKey<K, T> {
    fn default() -> Self {
        Self { flights: Arc::default() }
    }
}

impl<K, T> Clone for OncePerKey<K, T> {
    fn clone(&self) -> Self {
        Self { flights: Arc::clone(&self.flights) }
    }
}

impl<K, T> OncePerKey<K, T>
where
    K: Clone + Eq + Hash + Send,
    T: Clone + Send + Sync,
{
    /// Does `work` for `key`, or waits for whoever is at it already.
    pub(crate) async fn run<F, W>(&self, key: K, work: F) -> Outcome<T>
    where
        F: FnOnce() -> W,
        W: Future<Output = Result<T>>,
    {
        let mut work = Some(work);
        loop {
            let (sender, flight) = watch::channel(None);
            let theirs = {
                let mut flights = self.lock();
                if let Some(theirs) = flights.get(&key) {
                    Some(theirs.clone())
                } else {
                    flights.insert(key.clone(), flight);
                    None
                }
            };
            if let Some(mut theirs) = theirs {
                // An error here means that the owner is gone without an outcome: try to take its place.
                if theirs.wait_for(Option::is_some).await.is_ok()
                    && let Some(outcome) = theirs.borrow().clone()
                {
                    return Outcome::Shared(outcome);
                }
                continue;
            }
            // From here on the flight is removed however this future ends.
            let _landing = Landing { flights: &self.flights, key: &key };
            let Some(work) = work.take() else {
                return Outcome::Own(Err(Error::Sync("work was started twice for one key".to_owned())));
            };
            return match work().await {
                Ok(value) => {
                    let _ = sender.send(Some(Ok(value.clone())));
                    Outcome::Own(Ok(value))
                }
                Err(error) if error.is_cancelled() => Outcome::Own(Err(error)),
                Err(error) => {
                    let _ = sender.send(Some(Err(error.clone())));
                    Outcome::Own(Err(error))
                }
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, Flights<K, T>> {
        self.flights.lock()
    }
}

struct Landing<'a, K: Eq + Hash, T> {
    flights: &'a Mutex<Flights<K, T>>,
    key: &'a K,
}

impl<K: Eq + Hash, T> Drop for Landing<'_, K, T> {
    fn drop(&mut self) {
        self.flights.lock().remove(self.key);
    }
}
