//! Runs concurrent workers over a queue and joins them all.

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, MutexGuard};
use tokio::task::JoinSet;

use crate::error::{Error, Result};
use crate::transfer::tasks::{finished, heard};

/// A list that several workers take items from, in order.
pub(super) struct Queue<T> {
    items: Vec<T>,
    order: Mutex<Order>,
}

/// Which items were taken.
#[derive(Default)]
struct Order {
    /// The next item, if it was not taken.
    next: usize,
    /// Once items were left out: which were taken, and how many were not.
    scattered: Option<(Vec<bool>, usize)>,
}

impl<T> Queue<T> {
    pub(super) fn new(items: Vec<T>) -> Arc<Self> {
        Arc::new(Self { items, order: Mutex::default() })
    }

    fn take(&self) -> Option<&T> {
        let mut order = self.lock();
        let Order { next, scattered } = &mut *order;
        if let Some((taken, left)) = scattered {
            if *left == 0 {
                return None;
            }
            while taken[*next % taken.len()] {
                *next += 1;
            }
            *next %= taken.len();
            taken[*next] = true;
            *left -= 1;
        }
        let item = self.items.get(*next);
        *next += 1;
        item
    }

    /// Goes on at an item drawn by chance; those that are left out come later.
    pub(super) fn go_on_elsewhere(&self) {
        let count = self.items.len();
        let mut order = self.lock();
        let Order { next, scattered } = &mut *order;
        let done = (*next).min(count);
        let (taken, _) =
            scattered.get_or_insert_with(|| ((0..count).map(|index| index < done).collect(), count - done));
        if !taken.is_empty() {
            // Seeded by the system, so that processes draw different numbers.
            let drawn = RandomState::new().hash_one(done) % taken.len() as u64;
            *next = usize::try_from(drawn).unwrap_or_default();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    fn lock(&self) -> MutexGuard<'_, Order> {
        self.order.lock()
    }
}

/// Set when an error makes further work pointless; what is under way is finished.
#[derive(Default)]
struct Stop(AtomicBool);

/// Workers that share a job. The first error stops them all after the items that they are at.
pub(super) struct Workers<J> {
    set: JoinSet<Result<()>>,
    job: Arc<J>,
    stop: Arc<Stop>,
}

impl<J: Send + Sync + 'static> Workers<J> {
    pub(super) fn new(job: &Arc<J>) -> Self {
        Self { set: JoinSet::new(), job: Arc::clone(job), stop: Arc::default() }
    }

    /// Runs `count` workers over a queue.
    pub(super) fn spawn<T, F, R>(&mut self, queue: &Arc<Queue<T>>, count: usize, work: F)
    where
        T: Clone + Send + Sync + 'static,
        F: Fn(Arc<J>, T) -> R + Copy + Send + 'static,
        R: Future<Output = Result<()>> + Send,
    {
        self.spawn_in_queue(queue, count, move |job, _, item| work(job, item));
    }

    /// As [`Workers::spawn`], for work that knows the queue that its item is from.
    pub(super) fn spawn_in_queue<T, F, R>(&mut self, queue: &Arc<Queue<T>>, count: usize, work: F)
    where
        T: Clone + Send + Sync + 'static,
        F: Fn(Arc<J>, Arc<Queue<T>>, T) -> R + Copy + Send + 'static,
        R: Future<Output = Result<()>> + Send,
    {
        for _ in 0..count.min(queue.len()) {
            let (queue, job, stop) = (Arc::clone(queue), Arc::clone(&self.job), Arc::clone(&self.stop));
            self.set.spawn(heard(async move {
                while !stop.0.load(Ordering::Relaxed) {
                    let Some(item) = queue.take().cloned() else { break };
                    let outcome = work(Arc::clone(&job), Arc::clone(&queue), item).await;
                    if outcome.is_err() {
                        stop.0.store(true, Ordering::Relaxed);
                    }
                    outcome?;
                }
                Ok(())
            }));
        }
    }

    /// Waits for all workers. The first error that is no cancellation wins; a worker's panic goes on here.
    pub(super) async fn finish(mut self) -> Result<()> {
        let mut failed: Option<Error> = None;
        while let Some(outcome) = self.set.join_next().await {
            let outcome = finished(outcome).unwrap_or_else(|| Err(Error::Sync("a worker was stopped".to_owned())));
            if let Err(error) = outcome
                && failed.as_ref().is_none_or(|first| first.is_cancelled() && !error.is_cancelled())
            {
                failed = Some(error);
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(queue: &Queue<usize>) -> Vec<usize> {
        std::iter::from_fn(|| queue.take().copied()).collect()
    }

    #[test]
    fn items_are_taken_in_order() {
        assert!(rest(&Queue::new((0..100).collect())).into_iter().eq(0..100));
        assert!(rest(&Queue::new(Vec::new())).is_empty());
    }

    #[test]
    fn each_item_is_taken_once_wherever_the_queue_goes_on() {
        for jumps in [vec![0], vec![3], vec![3, 3, 4], (0..50).collect(), vec![49], vec![50, 51]] {
            let queue = Queue::new((0..50).collect());
            let mut taken = Vec::new();
            for number in 0..52 {
                for _ in jumps.iter().filter(|jump| **jump == number) {
                    queue.go_on_elsewhere();
                }
                taken.extend(queue.take());
            }
            taken.extend(rest(&queue));
            taken.sort_unstable();
            assert!(taken.into_iter().eq(0..50), "{jumps:?}");
        }
        let empty = Queue::<usize>::new(Vec::new());
        empty.go_on_elsewhere();
        assert!(empty.take().is_none());
    }
}
