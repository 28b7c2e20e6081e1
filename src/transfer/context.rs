//! What every long operation carries: progress, a way to stop it, and a way to say things.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub use tokio_util::sync::CancellationToken;
use tracing::instrument::{Instrument, WithSubscriber};
use tracing::subscriber::NoSubscriber;
use tracing::{Dispatch, Span, dispatcher};

use super::progress::Progress;
use super::records::Records;
pub(crate) use super::records::{LogLevel, LogRecord, LogSink};
use super::tasks::Heard;
use crate::error::{Error, Result};
use crate::fs::leases::GoesOn;

/// Whether something was said already that is to be said once.
#[derive(Debug, Default)]
pub(crate) struct LogOnce(AtomicBool);

/// Shared by all workers of one operation. Clones are cheap and share everything.
#[derive(Clone)]
pub(crate) struct Context {
    /// The operation's counters.
    pub progress: Arc<Progress>,
    /// Set when the operation should stop.
    pub cancel: CancellationToken,
    /// Where events go: the caller's subscriber and its span. Blocking threads know neither by themselves.
    subscriber: Dispatch,
    span: Span,
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
    /// A context whose events go to the subscriber of the thread that makes it.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self {
            progress: Arc::default(),
            cancel: CancellationToken::new(),
            subscriber: dispatcher::get_default(Dispatch::clone),
            span: Span::current(),
        }
    }

    /// The same context with events of at least `level` going to `sink`, as texts.
    #[must_use]
    pub(crate) fn with_log(mut self, level: LogLevel, sink: LogSink) -> Self {
        self.subscriber = Records::dispatch(level, sink);
        self.span = Span::none();
        self
    }

    /// Work whose events go where this context's go, also those of code that has no context.
    pub(crate) fn listen<W>(&self, work: W) -> Heard<W> {
        work.instrument(self.span.clone()).with_subscriber(self.subscriber.clone())
    }

    /// Emits an event. The text is made only if somebody listens at that level.
    pub(crate) fn log(&self, level: LogLevel, logger: &'static str, message: impl FnOnce() -> String) {
        let emit = || self.span.in_scope(|| emit(level, logger, message));
        // A program may set its subscriber after it has made the context.
        if self.subscriber.is::<NoSubscriber>() { emit() } else { dispatcher::with_default(&self.subscriber, emit) }
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

/// Each target and level is a place of its own in the code, so that a subscriber is asked about it once, not for each event.
fn emit(level: LogLevel, logger: &'static str, message: impl FnOnce() -> String) {
    macro_rules! at {
        ($target:literal) => {
            match level {
                LogLevel::Debug => tracing::debug!(target: $target, "{}", message()),
                LogLevel::Info => tracing::info!(target: $target, "{}", message()),
                LogLevel::Warning => tracing::warn!(target: $target, "{}", message()),
            }
        };
    }
    match logger {
        "download" => at!("rusty_attachments::download"),
        "caches" => at!("rusty_attachments::caches"),
        _ => at!("rusty_attachments::upload"),
    }
}
