//! Working through a list with many hands, and seeing to it that none is left behind.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::task::JoinSet;

use crate::error::{Error, Result};
use crate::transfer::tasks::finished;

/// A list that several workers take items from, in order.
pub(super) struct Queue<T> {
    items: Vec<T>,
    next: AtomicUsize,
}

impl<T> Queue<T> {
    pub(super) fn new(items: Vec<T>) -> Arc<Self> {
        Arc::new(Self { items, next: AtomicUsize::new(0) })
    }

    fn take(&self) -> Option<&T> {
        self.items.get(self.next.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }
}

/// Set when an error makes further work pointless; what is under way is finished.
#[derive(Default)]
pub(super) struct Stop(AtomicBool);

/// Runs `workers` workers over a queue inside `set`. The first error stops them all after what they are at.
pub(super) fn spawn<T, J, F, R>(
    set: &mut JoinSet<Result<()>>,
    queue: &Arc<Queue<T>>,
    workers: usize,
    (job, stop): (&Arc<J>, &Arc<Stop>),
    work: F,
) where
    T: Clone + Send + Sync + 'static,
    J: Send + Sync + 'static,
    F: Fn(Arc<J>, T) -> R + Copy + Send + 'static,
    R: Future<Output = Result<()>> + Send,
{
    for _ in 0..workers.min(queue.len()) {
        let (queue, job, stop) = (Arc::clone(queue), Arc::clone(job), Arc::clone(stop));
        set.spawn(async move {
            while !stop.0.load(Ordering::Relaxed) {
                let Some(item) = queue.take() else { break };
                let outcome = work(Arc::clone(&job), item.clone()).await;
                if outcome.is_err() {
                    stop.0.store(true, Ordering::Relaxed);
                }
                outcome?;
            }
            Ok(())
        });
    }
}

/// Waits for all workers. The first error that is no cancellation wins; a worker's panic goes on here.
pub(super) async fn finish(mut set: JoinSet<Result<()>>) -> Result<()> {
    let mut failed: Option<Error> = None;
    while let Some(outcome) = set.join_next().await {
        let outcome = finished(outcome).unwrap_or_else(|| Err(Error::Sync("a worker was stopped".to_owned())));
        if let Err(error) = outcome
            && failed.as_ref().is_none_or(|first| first.is_cancelled() && !error.is_cancelled())
        {
            failed = Some(error);
        }
    }
    failed.map_or(Ok(()), Err)
}
