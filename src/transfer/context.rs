//! What every long operation carries: progress, a way to stop it, and a way to say things.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub use tokio_util::sync::CancellationToken;

use super::progress::Progress;
use crate::error::{Error, Result};
use crate::fs::leases::GoesOn;

/// Levels of log records, with the numbers of Python's `logging`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LogLevel {
    /// Details for whoever looks for a fault.
    Debug = 10,
    /// Progress and results.
    Info = 20,
    /// Something went wrong and was dealt with.
    Warning = 30,
}

/// One log record on its way to the caller.
#[derive(Debug, Clone)]
pub(crate) struct LogRecord {
    /// How much it matters.
    pub level: LogLevel,
    /// The last part of the logger's name: `upload`, `download`, …
    pub logger: &'static str,
    /// The text.
    pub message: String,
}

/// Whether something was said already that is to be said once.
#[derive(Debug, Default)]
pub(crate) struct LogOnce(AtomicBool);

/// Where log records go. Workers call it from any thread; it must not block.
pub(crate) type LogSink = Arc<dyn Fn(LogRecord) + Send + Sync>;

/// Shared by all workers of one operation. Clones are cheap and share everything.
#[derive(Clone)]
pub(crate) struct Context {
    /// The operation's counters.
    pub progress: Arc<Progress>,
    /// Set when the operation should stop.
    pub cancel: CancellationToken,
    log: Option<(LogLevel, LogSink)>,
}

impl Default for Context {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("progress", &self.progress)
            .field("cancel", &self.cancel)
            .finish_non_exhaustive()
    }
}

impl Context {
    /// A context that nobody listens to.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self { progress: Arc::default(), cancel: CancellationToken::new(), log: None }
    }

    /// The same context with log records of at least `level` going to `sink`.
    #[must_use]
    pub(crate) fn with_log(mut self, level: LogLevel, sink: LogSink) -> Self {
        self.log = Some((level, sink));
        self
    }

    /// Says something. The text is made only if somebody listens at that level.
    pub(crate) fn log(&self, level: LogLevel, logger: &'static str, message: impl FnOnce() -> String) {
        if let Some((threshold, sink)) = &self.log
            && level >= *threshold
        {
            sink(LogRecord { level, logger, message: message() });
        }
    }

    /// Warns of something the first time that it happens.
    pub(crate) fn warn_once(&self, once: &LogOnce, logger: &'static str, message: impl FnOnce() -> String) {
        if !once.0.swap(true, Ordering::Relaxed) {
            self.log(LogLevel::Warning, logger, message);
        }
    }

    /// Fails with `text` once the operation should stop.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub(crate) fn check_cancelled(&self, text: &str) -> Result<()> {
        if self.cancel.is_cancelled() { Err(Error::Cancelled(text.to_owned())) } else { Ok(()) }
    }

    /// What waits for a file ask: they end with `text` once the operation should stop.
    #[must_use]
    pub(crate) fn goes_on(&self, text: &'static str) -> GoesOn {
        let context = self.clone();
        GoesOn::unless(move || context.check_cancelled(text))
    }
}
