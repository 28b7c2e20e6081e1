//! The progress bar of a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::text;
use crate::{ProgressReport, RetryCause, Retrying};

/// From this width on, the bar has bytes beside it.
const WIDE_COLUMNS: u16 = 70;
/// Shorter failures are not worth a word.
const SHOWN_AFTER: Duration = Duration::from_secs(2);

/// A bar that is drawn where the terminal's cursor is, and taken away at the end.
#[derive(Debug, Clone)]
pub(super) struct Bar {
    bar: ProgressBar,
    is_wide: bool,
}

impl Bar {
    pub(super) fn new(stage: &'static str) -> Self {
        let columns = console::Term::stderr().size_checked().map_or(80, |(_rows, columns)| columns);
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
        bar.set_style(spinner());
        bar.set_prefix(stage);
        Self { bar, is_wide: columns >= WIDE_COLUMNS }
    }

    pub(super) fn show(&self, report: &ProgressReport, rate: f64, retrying: Option<Retrying>) {
        let done = report.processed_bytes + report.skipped_bytes;
        if let Some(total) = report.total_bytes
            && self.bar.length().is_none()
        {
            self.bar.set_style(with_bar());
            self.bar.set_length(total);
        }
        self.bar.set_message(match retrying_text(retrying) {
            Some(text) => text,
            None => status(report, rate, self.is_wide),
        });
        self.bar.set_position(done);
    }

    /// Writes something else while the bar is away.
    pub(super) fn suspend(&self, write: impl FnOnce()) {
        self.bar.suspend(write);
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

fn spinner() -> ProgressStyle {
    ProgressStyle::with_template("{prefix} {spinner} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn with_bar() -> ProgressStyle {
    let style = ProgressStyle::with_template("{prefix} [{wide_bar}] {msg}");
    style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

/// `45% 120 MB/s 0:12 left`, and the bytes before it where there is room.
pub(super) fn status(report: &ProgressReport, rate: f64, is_wide: bool) -> String {
    let done = report.processed_bytes + report.skipped_bytes;
    let Some(total) = report.total_bytes else { return text::files(report.processed_files) };
    let percent = percent(report);
    let mut status = format!("{percent}% {}", rate_text(rate));
    if let Some(left) = time_left(report, rate) {
        let word = if is_wide { " left" } else { "" };
        status = format!("{status} {}{word}", text::clock(left));
    }
    if is_wide { format!("{} of {}, {status}", text::bytes(done), text::bytes(total)) } else { status }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 100")]
pub(super) fn percent(report: &ProgressReport) -> u8 {
    report.fraction().map_or(0, |fraction| (fraction * 100.0) as u8)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is no negative number")]
pub(super) fn rate_text(bytes_per_second: f64) -> String {
    format!("{}/s", text::bytes(bytes_per_second as u64))
}

/// How long the rest takes at this rate.
#[allow(clippy::cast_precision_loss, reason = "for people")]
pub(super) fn time_left(report: &ProgressReport, rate: f64) -> Option<Duration> {
    let rest = report.total_bytes?.saturating_sub(report.processed_bytes + report.skipped_bytes);
    if rate < 1.0 { None } else { Duration::try_from_secs_f64(rest as f64 / rate).ok() }
}

/// `S3 refused, retrying for 7 s`.
pub(super) fn retrying_text(retrying: Option<Retrying>) -> Option<String> {
    let retrying = retrying.filter(|retrying| retrying.lasting >= SHOWN_AFTER)?;
    let seconds = retrying.lasting.as_secs();
    Some(match retrying.cause {
        RetryCause::Unreachable => format!("no connection, retrying for {seconds} s"),
        RetryCause::Silence => format!("no answer, retrying for {seconds} s"),
        _ => format!("S3 refused, retrying for {seconds} s"),
    })
}
