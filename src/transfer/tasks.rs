//! Tasks of the runtime: work that blocks, and what becomes of a task. A panic in one is its waiter's panic.

use tokio::task::JoinError;
use tracing::instrument::{Instrument, Instrumented, WithDispatch, WithSubscriber};

/// Work that takes a subscriber of events and a span along.
pub(crate) type Heard<W> = WithDispatch<Instrumented<W>>;

/// A task's work, whose events go where those of the task that spawns it go. `tracing` keeps both by thread, and a task has none
/// of its own. This costs some thread-local writes each time that the task is polled, and nothing for each event or object.
pub(crate) fn heard<W>(work: W) -> Heard<W> {
    work.in_current_span().with_current_subscriber()
}

/// Runs work that blocks on a thread that may block. A panic in it is a panic here.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        // Blocking work is never aborted, so this is its panic.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// What a task gave, or `None` where it was aborted. A panic in it is a panic here.
pub(crate) fn finished<T>(outcome: Result<T, JoinError>) -> Option<T> {
    match outcome {
        Ok(value) => Some(value),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn blocking_work_gives_its_value() {
        assert_eq!(blocking(|| 7).await, 7);
    }

    #[tokio::test]
    #[should_panic(expected = "the disk went away")]
    async fn a_panic_in_blocking_work_goes_on() {
        blocking(|| panic!("the disk went away")).await;
    }

    #[tokio::test]
    #[should_panic(expected = "the part went away")]
    async fn a_panic_in_a_task_goes_on() {
        finished(tokio::spawn(async { panic!("the part went away") }).await);
    }

    #[tokio::test]
    async fn an_aborted_task_gives_nothing() {
        let task = tokio::spawn(std::future::pending::<()>());
        task.abort();
        assert_eq!(finished(task.await), None);
    }
}
