//! Events of the engine, such as retries, as lines: `-v`, `-vv`, and `RUSTY_ATTACHMENTS_LOG`.

use std::sync::Arc;

use tracing::dispatcher;
use tracing::level_filters::LevelFilter;

use super::failure::Failure;
use super::output::Output;
use crate::transfer::records::{LogLevel, LogRecord, Records};

/// The logger of requests: retries, waits.
const REQUESTS: &str = "s3";
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
    let Levels { all, requests } = levels;
    let output = Arc::clone(output);
    let show = move |record: LogRecord| {
        let level = match record.level {
            LogLevel::Warning => "warning",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
        };
        output.log(level, &record.message);
    };
    let wanted = move |logger: &str| if logger == REQUESTS { requests } else { all };
    dispatcher::with_default(&Records::dispatch_by(wanted, all.max(requests), Arc::new(show)), work)
}
