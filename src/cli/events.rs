//! Events of the engine, such as retries, as lines: `-v`, `-vv`, and `RUSTY_ATTACHMENTS_LOG`.

use std::fmt;
use std::sync::{Arc, LazyLock};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{Interest, NoSubscriber};
use tracing::{Dispatch, Event, Level, Metadata, Subscriber, dispatcher};

use super::failure::Failure;
use super::output::Output;

/// What the targets of this crate's events begin with.
const TARGETS: &str = "rusty_attachments::";
/// Events of requests: retries, waits.
const REQUESTS: &str = "rusty_attachments::s3";
/// Names a level where `-v` does not.
const VARIABLE: &str = "RUSTY_ATTACHMENTS_LOG";

/// Which events are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Levels {
    all: LevelFilter,
    requests: LevelFilter,
}

impl Levels {
    /// Warnings; with `-v` also what happens to requests, and with `-vv` everything.
    ///
    /// # Errors
    /// For a variable whose value is no level.
    pub(super) fn new(verbose: u8) -> Result<Self, Failure> {
        let both = |level| Self { all: level, requests: level };
        match verbose {
            0 => {}
            1 => return Ok(Self { all: LevelFilter::INFO, requests: LevelFilter::DEBUG }),
            _ => return Ok(both(LevelFilter::DEBUG)),
        }
        let value = std::env::var_os(VARIABLE).unwrap_or_default();
        match value.to_str() {
            Some("" | "warn") => Ok(both(LevelFilter::WARN)),
            Some("off") => Ok(both(LevelFilter::OFF)),
            Some("info") => Ok(both(LevelFilter::INFO)),
            Some("debug") => Ok(both(LevelFilter::DEBUG)),
            _ => {
                let text = format!("{VARIABLE} must be off, warn, info or debug, not '{}'", value.display());
                Err(Failure::usage(text))
            }
        }
    }
}

/// Runs work whose events are shown.
pub(super) fn shown<T>(levels: Levels, output: &Arc<Output>, work: impl FnOnce() -> T) -> T {
    // With one subscriber in the process, `tracing` keeps the answer of the first thread that passes an event for all threads, and
    // that may be one without this subscriber. With two it asks each time.
    static OTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::new()));
    LazyLock::force(&OTHER);
    dispatcher::with_default(&Dispatch::new(Lines { levels, output: Arc::clone(output) }), work)
}

struct Lines {
    levels: Levels,
    output: Arc<Output>,
}

impl Subscriber for Lines {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let least = if metadata.target() == REQUESTS { self.levels.requests } else { self.levels.all };
        !metadata.is_span() && metadata.target().starts_with(TARGETS) && *metadata.level() <= least
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.levels.all.max(self.levels.requests))
    }

    fn event(&self, event: &Event<'_>) {
        let level = match *event.metadata().level() {
            Level::ERROR | Level::WARN => "warning",
            Level::INFO => "info",
            _ => "debug",
        };
        let mut text = Text(String::new());
        event.record(&mut text);
        self.output.log(level, &text.0);
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
