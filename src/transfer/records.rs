//! Events of this crate as texts, for callers that have a log of their own, such as Python's.

use std::fmt;
use std::sync::{Arc, LazyLock};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{Interest, NoSubscriber};
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

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

/// Where log records go, for callers that want texts alone. Workers call it from any thread; it must not block.
pub(crate) type LogSink = Arc<dyn Fn(LogRecord) + Send + Sync>;

/// What the targets of this crate's events begin with.
const TARGETS: &str = "rusty_attachments::";

/// A subscriber that hands the texts of this crate's events to a function. It has no interest in those of other crates, which
/// therefore cost what they cost without a subscriber.
pub(crate) struct Records {
    /// The level up to which events of a logger, the last part of the target, are wanted.
    wanted: Box<dyn Fn(&str) -> LevelFilter + Send + Sync>,
    /// The highest of those.
    most: LevelFilter,
    sink: LogSink,
}

impl Records {
    /// Records of all loggers, from one level on.
    pub(super) fn dispatch(least: LogLevel, sink: LogSink) -> Dispatch {
        let most = match least {
            LogLevel::Debug => LevelFilter::DEBUG,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Warning => LevelFilter::WARN,
        };
        Self::dispatch_by(move |_| most, most, sink)
    }

    /// Records from a level on that depends on the logger; `most` is the most verbose of the levels.
    pub(crate) fn dispatch_by(
        wanted: impl Fn(&str) -> LevelFilter + Send + Sync + 'static,
        most: LevelFilter,
        sink: LogSink,
    ) -> Dispatch {
        // While a process has one subscriber, `tracing` asks that of the thread that comes by a place in the code first, which may
        // be none, and keeps the answer for all threads. Where there are two it asks both.
        static OTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::new()));
        LazyLock::force(&OTHER);
        Dispatch::new(Self { wanted: Box::new(wanted), most, sink })
    }
}

impl Subscriber for Records {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Besides spans and events there are questions whether an event would be heard.
        let logger = metadata.target().strip_prefix(TARGETS);
        !metadata.is_span() && logger.is_some_and(|logger| *metadata.level() <= (self.wanted)(logger))
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.most)
    }

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let Some(logger) = metadata.target().strip_prefix(TARGETS) else { return };
        let mut text = Text(String::new());
        event.record(&mut text);
        (self.sink)(LogRecord { level: level(*metadata.level()), logger, message: text.0 });
    }

    // No span is enabled.
    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

/// The text of an event; its other fields are parts of the text already.
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

fn level(level: Level) -> LogLevel {
    match level {
        Level::ERROR | Level::WARN => LogLevel::Warning,
        Level::INFO => LogLevel::Info,
        _ => LogLevel::Debug,
    }
}
