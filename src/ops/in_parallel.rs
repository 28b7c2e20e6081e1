//! Blocking work on many things, on as many threads as serve.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::error::{Error, Result};
use crate::threads::helper;
use parking_lot::Mutex;

/// How many things a thread takes at a time, at most: enough to make the taking cheap, few enough to end together.
const MOST_AT_ONCE: usize = 64;

/// How many things are handed over together where there may be a million: enough to keep all threads busy, few enough that what
/// is only needed meanwhile, some hundred bytes for each, does not grow with their number.
const BATCH: usize = 8192;

/// The indices below `count`, some thousands at a time.
pub(crate) fn batches(count: usize) -> impl Iterator<Item = Range<usize>> {
    (0..count).step_by(BATCH).map(move |first| first..count.min(first + BATCH))
}

/// One thread more than processors: one can wait for the disk while the others work.
#[must_use]
pub(crate) fn thread_count(things: usize) -> usize {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (processors + 1).min(things.div_ceil(8)).max(1)
}

/// The indices that a thread does next: the fewer the fewer are left, so that all threads end together though one has large
/// files. None where all are taken.
fn take(next: &AtomicUsize, count: usize, threads: usize) -> Range<usize> {
    let end_of = |start: usize| start + ((count - start) / (threads * 4)).clamp(1, MOST_AT_ONCE);
    let advance = |start: usize| (start < count).then(|| end_of(start));
    match next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, advance) {
        Ok(start) => start..end_of(start),
        Err(_) => 0..0,
    }
}

/// What became of a list of items: each result stands beside its own item, so that a list that ended early can't be taken for
/// that of other items.
#[derive(Debug)]
pub(crate) struct Mapped<'items, I, T> {
    /// The items that were worked on to their end, in order, with their results: all of them, unless there is an error.
    pub done: Vec<(&'items I, T)>,
    /// The error with the lowest index.
    pub error: Option<Error>,
}

impl<I, T> Mapped<'_, I, T> {
    /// The results of all items, in order.
    ///
    /// # Errors
    /// The error, where there was one.
    pub(crate) fn all(self) -> Result<Vec<T>> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(self.done.into_iter().map(|(_, result)| result).collect()),
        }
    }
}

/// Threads for work that waits more than it computes: a look at a file server's files is a round trip.
#[must_use]
pub(crate) fn waiting_thread_count(things: usize) -> usize {
    const MOST: usize = 16;
    thread_count(things).max(things.div_ceil(8).min(MOST))
}

/// Calls `work(state, item)` for each item, on several threads, each with a state of its own. After the first error no new work
/// begins.
pub(crate) fn map<'items, I: Sync, S, T: Send>(
    items: &'items [I],
    new_state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, &'items I) -> Result<T> + Sync,
) -> Mapped<'items, I, T> {
    map_on(thread_count(items.len()), items, new_state, work)
}

/// As [`map`], on so many threads.
pub(crate) fn map_on<'items, I: Sync, S, T: Send>(
    threads: usize,
    items: &'items [I],
    new_state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, &'items I) -> Result<T> + Sync,
) -> Mapped<'items, I, T> {
    let count = items.len();
    let next = AtomicUsize::new(0);
    let has_failed = AtomicBool::new(false);
    let first_error: Mutex<Option<(usize, Error)>> = Mutex::new(None);
    let run = || {
        let mut state = new_state();
        let mut results: Vec<(usize, T)> = Vec::with_capacity(count / threads + MOST_AT_ONCE.min(count));
        while !has_failed.load(Ordering::Relaxed) {
            let taken = take(&next, count, threads);
            if taken.is_empty() {
                break;
            }
            for index in taken {
                match work(&mut state, &items[index]) {
                    Ok(result) => results.push((index, result)),
                    Err(error) => {
                        has_failed.store(true, Ordering::Relaxed);
                        let mut first = first_error.lock();
                        if first.as_ref().is_none_or(|(earlier, _)| index < *earlier) {
                            *first = Some((index, error));
                        }
                        return results;
                    }
                }
            }
        }
        results
    };
    let mut all: Vec<Option<T>> = std::iter::repeat_with(|| None).take(count).collect();
    std::thread::scope(|scope| {
        let helpers: Vec<_> = (1..threads).map_while(|_| helper(scope, run)).collect();
        let mut place =
            |results: Vec<(usize, T)>| results.into_iter().for_each(|(index, result)| all[index] = Some(result));
        place(run());
        for helper in helpers {
            match helper.join() {
                Ok(results) => place(results),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    let done = items.iter().zip(all).filter_map(|(item, result)| Some((item, result?))).collect();
    let error = first_error.into_inner().map(|(_, error)| error);
    Mapped { done, error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_all_indices_in_order() {
        for count in [0, 1, BATCH - 1, BATCH, BATCH + 1, 3 * BATCH] {
            let batches: Vec<Range<usize>> = batches(count).collect();
            assert!(batches.iter().all(|batch| !batch.is_empty() && batch.len() <= BATCH));
            assert!(batches.into_iter().flatten().eq(0..count));
        }
    }

    #[test]
    fn every_index_is_taken_once_and_the_last_ones_singly() {
        for (count, threads) in [(0, 1), (1, 3), (200, 3), (8192, 3), (8192, 64)] {
            let next = AtomicUsize::new(0);
            let mut taken: Vec<Range<usize>> = Vec::new();
            loop {
                let range = take(&next, count, threads);
                if range.is_empty() {
                    break;
                }
                taken.push(range);
            }
            assert!(taken.iter().all(|range| range.len() <= MOST_AT_ONCE));
            assert!(taken.iter().rev().take(threads).all(|range| range.len() == 1), "{count} {threads}");
            assert!(taken.into_iter().flatten().eq(0..count));
        }
    }

    #[test]
    fn results_come_in_order_and_each_item_is_done_once() {
        let items: Vec<usize> = (0..1000).rev().collect();
        let calls = AtomicUsize::new(0);
        let work = |(): &mut (), item: &usize| {
            calls.fetch_add(1, Ordering::Relaxed);
            Ok(item * 2)
        };
        let results = map(&items, || (), work).all().unwrap();
        assert_eq!(calls.into_inner(), 1000);
        assert!(results.into_iter().eq(items.iter().map(|item| item * 2)));
    }

    #[test]
    fn an_error_stops_the_work_and_what_was_done_stands_beside_its_items() {
        let items: Vec<usize> = (0..10_000).map(|index| index * 3).collect();
        for failing in [0, 5, 700, 9_999] {
            let work = |(): &mut (), item: &usize| {
                if *item == failing * 3 { Err(Error::Sync(failing.to_string())) } else { Ok(item * 2) }
            };
            let Mapped { done, error } = map(&items, || (), work);
            assert_eq!(error.map(|error| error.to_string()), Some(failing.to_string()));
            assert!(done.iter().all(|(item, result)| *result == **item * 2 && **item != failing * 3));
            assert!(done.is_sorted_by_key(|(item, _)| **item));
            assert!(map(&items, || (), work).all().is_err());
        }
    }
}
