//! Work that lasts: it reports progress, and can be stopped.

use std::future::{Future, IntoFuture};
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use crate::error::{Error, Result};
use crate::transfer::context::{CancellationToken, Context};
use crate::transfer::progress::{Progress, ProgressSnapshot};
use crate::worker::LowTransferRateDetector;

/// The worker agent counts one report a second.
const DETECTOR_INTERVAL: Duration = Duration::from_secs(1);

/// Time between two reports.
const INTERVAL: Duration = Duration::from_millis(200);

type Work<T> = Box<dyn FnOnce(Context, Arc<Totals>) -> Pin<Box<dyn Future<Output = Result<T>> + Send>> + Send>;

/// Work that begins when it is awaited.
///
/// Dropping the future stops the work: unfinished uploads are aborted, temporary files are removed.
///
/// Needs a Tokio runtime with time enabled.
#[must_use = "an operation does nothing until it is awaited"]
pub struct Operation<T> {
    work: Work<T>,
    observer: Option<Box<dyn ProgressObserver>>,
    cancel: CancellationToken,
}

/// Watches an operation. A closure of a [`ProgressReport`] is one, and so is
/// [`LowTransferRateDetector`](crate::LowTransferRateDetector).
pub trait ProgressObserver: Send {
    /// Takes a report: one when the work begins, one every 200 milliseconds, and one when it has ended.
    ///
    /// [`ControlFlow::Break`] with a reason stops the work, which then fails with [`Error::Cancelled`] and that reason. The
    /// answer to the last report has no effect.
    fn report(&mut self, report: &ProgressReport) -> ControlFlow<String>;
}

impl<F: FnMut(&ProgressReport) -> ControlFlow<String> + Send> ProgressObserver for F {
    fn report(&mut self, report: &ProgressReport) -> ControlFlow<String> {
        self(report)
    }
}

/// How far an operation is.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct ProgressReport {
    /// Files that were hashed, sent or received.
    pub processed_files: u64,
    /// Bytes that were hashed, sent or received; grows while a file is on its way.
    pub processed_bytes: u64,
    /// Files that needed no work: their hash was known, the object is there, the file is right.
    pub skipped_files: u64,
    /// Bytes of those files.
    pub skipped_bytes: u64,
    /// All files of the operation, once that is known.
    pub total_files: Option<u64>,
    /// All bytes of the operation, once that is known.
    pub total_bytes: Option<u64>,
    /// Time since the beginning.
    pub elapsed: Duration,
    /// Processed bytes a second since the report before.
    pub bytes_per_second: f64,
    /// Whether this is the last report.
    pub is_last: bool,
    /// Bytes and signs of life; grows whenever anything moves.
    pub(crate) activity: u64,
}

impl ProgressReport {
    /// The part that is done, from 0 to 1, by bytes; `None` while the total is not known.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a share for people")]
    pub fn fraction(&self) -> Option<f64> {
        let done = self.processed_bytes + self.skipped_bytes;
        self.total_bytes.map(|total| if total == 0 { 1.0 } else { (done as f64 / total as f64).min(1.0) })
    }
}

/// Stops a transfer after a minute of low transfer rates, as the worker agent does, with its text as the reason. It takes in
/// one report a second; anything that moves begins a new minute.
impl ProgressObserver for LowTransferRateDetector {
    fn report(&mut self, report: &ProgressReport) -> ControlFlow<String> {
        if !self.is_due(report.elapsed, DETECTOR_INTERVAL) {
            return ControlFlow::Continue(());
        }
        let files = report.processed_files + report.skipped_files;
        if self.observe(report.bytes_per_second, files, Some(report.activity)) {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(self.failure_message())
        }
    }
}

/// The size of an operation; `u64::MAX` while it is not known.
pub(super) struct Totals {
    files: AtomicU64,
    bytes: AtomicU64,
}

impl Totals {
    fn unknown() -> Self {
        Self { files: AtomicU64::new(u64::MAX), bytes: AtomicU64::new(u64::MAX) }
    }

    pub(super) fn set(&self, files: u64, bytes: u64) {
        self.files.store(files, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    fn known(total: &AtomicU64) -> Option<u64> {
        Some(total.load(Ordering::Relaxed)).filter(|total| *total != u64::MAX)
    }
}

impl<T: Send + 'static> Operation<T> {
    pub(super) fn new<F, W>(work: F) -> Self
    where
        F: FnOnce(Context, Arc<Totals>) -> W + Send + 'static,
        W: Future<Output = Result<T>> + Send + 'static,
    {
        let work: Work<T> = Box::new(move |context, totals| Box::pin(work(context, totals)));
        Self { work, observer: None, cancel: CancellationToken::new() }
    }

    /// Reports progress to an observer.
    pub fn progress(mut self, observer: impl ProgressObserver + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Stops the work once the token is cancelled; it then fails with [`Error::Cancelled`].
    pub fn cancel_with(mut self, token: &CancellationToken) -> Self {
        self.cancel = token.child_token();
        self
    }

    async fn run(self) -> Result<T> {
        let Self { work, observer, cancel } = self;
        let mut context = Context::new();
        context.cancel = cancel;
        // Tasks of the work stop, too, where this future is dropped.
        let _stop = context.cancel.clone().drop_guard();
        let totals = Arc::new(Totals::unknown());
        let work = work(context.clone(), Arc::clone(&totals));
        match observer {
            None => work.await,
            Some(observer) => Watch::new(observer, &context, totals).over(work).await,
        }
    }
}

impl<T: Send + 'static> IntoFuture for Operation<T> {
    type Output = Result<T>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// An observer at work.
struct Watch {
    observer: Box<dyn ProgressObserver>,
    progress: Arc<Progress>,
    cancel: CancellationToken,
    totals: Arc<Totals>,
    began: Instant,
    /// When the last report was made, and how many bytes had been processed.
    last: (Duration, u64),
}

impl Watch {
    fn new(observer: Box<dyn ProgressObserver>, context: &Context, totals: Arc<Totals>) -> Self {
        let (progress, cancel) = (Arc::clone(&context.progress), context.cancel.clone());
        Self { observer, progress, cancel, totals, began: Instant::now(), last: (Duration::ZERO, 0) }
    }

    async fn over<T>(mut self, mut work: Pin<Box<dyn Future<Output = Result<T>> + Send>>) -> Result<T> {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                outcome = &mut work => {
                    let _ = self.show(true);
                    return outcome;
                }
                _ = ticks.tick() => if let ControlFlow::Break(reason) = self.show(false) {
                    self.cancel.cancel();
                    let outcome = work.await;
                    let _ = self.show(true);
                    return match outcome {
                        Err(error) if !error.is_cancelled() => Err(error),
                        _ => Err(Error::Cancelled(reason)),
                    };
                },
            }
        }
    }

    fn show(&mut self, is_last: bool) -> ControlFlow<String> {
        let report = self.report(self.progress.snapshot(), is_last);
        self.observer.report(&report)
    }

    #[allow(clippy::cast_precision_loss, reason = "a rate for people")]
    fn report(&mut self, now: ProgressSnapshot, is_last: bool) -> ProgressReport {
        let elapsed = self.began.elapsed();
        let (last_elapsed, last_bytes) = std::mem::replace(&mut self.last, (elapsed, now.processed_bytes));
        let seconds = elapsed.saturating_sub(last_elapsed).as_secs_f64();
        let bytes = now.processed_bytes.saturating_sub(last_bytes) as f64;
        ProgressReport {
            processed_files: now.processed_files,
            processed_bytes: now.processed_bytes,
            skipped_files: now.skipped_files,
            skipped_bytes: now.skipped_bytes,
            total_files: Totals::known(&self.totals.files),
            total_bytes: Totals::known(&self.totals.bytes),
            elapsed,
            bytes_per_second: if seconds > 0.0 { bytes / seconds } else { 0.0 },
            is_last,
            activity: now.processed_bytes + now.checked_bytes + now.beats,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Work that ends once it was reported three times, or was cancelled.
    fn three_reports(reports: &Arc<AtomicU64>) -> Operation<u64> {
        let reports = Arc::clone(reports);
        Operation::new(async move |context: Context, totals: Arc<Totals>| {
            totals.set(2, 10);
            context.progress.add_bytes(5);
            while reports.load(Ordering::Relaxed) < 3 {
                context.check_cancelled("stopped")?;
                tokio::time::sleep(INTERVAL / 4).await;
            }
            Ok(7)
        })
    }

    #[tokio::test]
    async fn an_observer_sees_the_beginning_the_middle_and_the_end() {
        let count = Arc::new(AtomicU64::new(0));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (counting, reports) = (Arc::clone(&count), Arc::clone(&seen));
        let observer = move |report: &ProgressReport| {
            counting.fetch_add(1, Ordering::Relaxed);
            reports.lock().unwrap().push(*report);
            ControlFlow::Continue(())
        };
        assert_eq!(three_reports(&count).progress(observer).await.unwrap(), 7);
        let seen = seen.lock().unwrap();
        assert_eq!(seen.iter().filter(|report| report.is_last).count(), 1);
        let last = seen.last().unwrap();
        assert!(last.is_last && last.fraction() == Some(0.5), "{last:?}");
        assert_eq!((last.total_files, last.processed_bytes), (Some(2), 5));
    }

    #[tokio::test]
    async fn an_observer_stops_the_work_with_its_reason() {
        let never = Arc::new(AtomicU64::new(0));
        let stop = |_: &ProgressReport| ControlFlow::Break("the disk is full".to_owned());
        let error = three_reports(&never).progress(stop).await.unwrap_err();
        assert!(error.is_cancelled() && error.to_string() == "the disk is full", "{error}");
    }

    #[tokio::test]
    async fn a_token_stops_the_work() {
        let token = CancellationToken::new();
        let work = three_reports(&Arc::default()).cancel_with(&token);
        token.cancel();
        assert_eq!(work.await.unwrap_err().to_string(), "stopped");
    }

    #[tokio::test]
    async fn a_dropped_operation_cancels_its_tasks() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let work = Operation::<()>::new(async move |context: Context, _| {
            let _ = sender.send(context.cancel.clone());
            std::future::pending().await
        });
        let task = tokio::spawn(work.into_future());
        let cancel = receiver.await.unwrap();
        task.abort();
        cancel.cancelled().await;
    }
}
