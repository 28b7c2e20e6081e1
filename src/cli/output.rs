//! What a command says: results, errors, JSON.

use std::io::{self, IsTerminal, Write};

use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use super::bar::Bar;
use super::failure::Failure;
use super::options::CommonOptions;
use super::status::{FAILURE, INTERRUPTED, USAGE};
use crate::ProgressReport;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProgressStyle {
    /// Not at all.
    None,
    /// A bar on the terminal.
    Bar,
    /// A line a second.
    Lines,
    /// A JSON object a second.
    Json,
}

/// Where a command writes, and how.
#[derive(Debug)]
pub(super) struct Output {
    command: &'static str,
    is_json: bool,
    is_quiet: bool,
    pub(super) style: ProgressStyle,
    bar: Mutex<Option<Bar>>,
    /// What was done of the work that is under way, for the text after Ctrl-C.
    under_way: Mutex<Option<(&'static str, ProgressReport)>>,
}

impl Output {
    pub(super) fn new(command: &'static str, options: CommonOptions) -> Self {
        let style = match (options.json, options.quiet) {
            (true, _) => ProgressStyle::Json,
            (false, true) => ProgressStyle::None,
            (false, false) if io::stderr().is_terminal() => ProgressStyle::Bar,
            (false, false) => ProgressStyle::Lines,
        };
        Self {
            command,
            is_json: options.json,
            is_quiet: options.quiet,
            style,
            bar: Mutex::default(),
            under_way: Mutex::default(),
        }
    }

    pub(super) const fn is_json(&self) -> bool {
        self.is_json
    }

    /// A line of the result. `--quiet` does not take it away: it is what was asked for.
    pub(super) fn line(&self, text: &str) -> Result<(), Failure> {
        if !self.is_json {
            writeln!(io::stdout().lock(), "{text}")?;
        }
        Ok(())
    }

    /// A line that says how it went. Not with `--quiet`.
    pub(super) fn remark(&self, text: &str) -> Result<(), Failure> {
        if self.is_quiet { Ok(()) } else { self.line(text) }
    }

    /// A JSON object, with `--json`.
    pub(super) fn event(&self, event: &str, fields: Value) -> Result<(), Failure> {
        if !self.is_json {
            return Ok(());
        }
        let mut object = Map::new();
        object.insert("event".to_owned(), event.into());
        object.insert("command".to_owned(), self.command.into());
        if let Value::Object(fields) = fields {
            object.extend(fields);
        }
        writeln!(io::stdout().lock(), "{}", Value::Object(object))?;
        Ok(())
    }

    /// The last JSON object of a command that went well.
    pub(super) fn summary(&self, fields: Value) -> Result<(), Failure> {
        self.event("summary", fields)
    }

    pub(super) fn note_progress(&self, stage: &'static str, report: Option<ProgressReport>) {
        let mut under_way = self.under_way.lock();
        *under_way = report.map(|report| (stage, report));
    }

    /// The bar that is on the terminal now, which lines must not run into.
    pub(super) fn note_bar(&self, bar: Option<Bar>) {
        *self.bar.lock() = bar;
    }

    /// An event of the engine.
    pub(super) fn log(&self, level: &str, text: &str) {
        if self.is_json {
            let _ = self.event("log", json!({ "level": level, "message": text }));
        } else if !self.is_quiet {
            let write = || {
                let _ = writeln!(io::stderr().lock(), "{level}: {text}");
            };
            let bar = self.bar.lock().clone();
            match bar {
                Some(bar) => bar.suspend(write),
                None => write(),
            }
        }
    }

    /// Says what went wrong, if anything did, and gives the exit status.
    pub(super) fn end(&self, outcome: Result<u8, Failure>) -> u8 {
        let (text, status) = match outcome {
            Ok(status) => return status,
            Err(Failure::BrokenPipe) => return FAILURE,
            Err(Failure::Error(error)) if error.is_cancelled() => (self.stopped(), INTERRUPTED),
            Err(Failure::Error(error)) => (super::text::error(&error), FAILURE),
            Err(Failure::Text(text)) => (text, FAILURE),
            Err(Failure::Usage(text)) => (format!("{text}. See rusty-attachments {} --help", self.command), USAGE),
        };
        // What can't be written can't be reported either.
        let _ = self.event("error", json!({ "message": text, "exit_status": status }));
        let _ = writeln!(io::stderr().lock(), "rusty-attachments: {text}");
        status
    }

    /// What was done when Ctrl-C came.
    fn stopped(&self) -> String {
        let under_way = self.under_way.lock();
        let Some((stage, report)) = under_way.as_ref() else { return "stopped".to_owned() };
        let files = report.processed_files + report.skipped_files;
        let total = report.total_files.map_or_else(String::new, |total| format!(" of {}", super::text::grouped(total)));
        let bytes = super::text::bytes(report.processed_bytes);
        format!(
            "stopped while {}: {}{total} files are done, {bytes} were moved; the same command goes on from there",
            stage.to_lowercase(),
            super::text::grouped(files),
        )
    }
}
