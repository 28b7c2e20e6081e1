//! Single flight and limits under schedules that shuttle chooses: at random, and by priorities (PCT), which finds what needs
//! few switches at just the right places.
//!
//! The modules are compiled in by path, with shuttle's mutexes and atomics in the place of the standard library's. Tokio's
//! semaphore, channel and cancellation token are the real ones; the scheduler may switch before and after each of their
//! operations, and not within, since they are proven elsewhere. What is not here: the engine around them, which needs a
//! Tokio runtime, and the retry budget, which is the client's (`faults/`, row F2, runs it out).
//! Orderings of atomics are all taken for sequentially consistent.

#![allow(unreachable_pub, reason = "tests use what others have")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(missing_docs, dead_code, reason = "the modules under test are compiled in, with more than is used here")]

use transfer::{permits, sync};

mod cancelling;
mod flights;
mod limits;
mod transfer;

/// In the place of `src/error.rs`.
mod error {
    pub use rusty_attachments::{Error, Result};
}

/// Runs a test under many schedules of both kinds.
fn explore(test: fn()) {
    let mut config = shuttle::Config::new();
    config.max_steps = shuttle::MaxSteps::FailAfter(100_000);
    shuttle::Runner::new(shuttle::scheduler::RandomScheduler::new(4_000), config.clone()).run(test);
    shuttle::Runner::new(shuttle::scheduler::PctScheduler::new(3, 4_000), config).run(test);
}

/// A number that the scheduler draws, so that it is the same when a schedule is run again.
fn below(bound: usize) -> usize {
    use shuttle::rand::Rng;
    shuttle::rand::thread_rng().gen_range(0..bound)
}
