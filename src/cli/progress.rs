//! Progress of one stage of a command, in the style that its output has.

use std::io::Write;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::bar::{self, Bar};
use super::failure::Failure;
use super::interrupts::Interrupts;
use super::output::{Output, ProgressStyle};
use super::text;
use crate::{Client, Operation, ProgressObserver, ProgressReport, RetryCause};

/// Time between two lines.
const LINE_INTERVAL: Duration = Duration::from_secs(1);
/// How much of the rate's average the newest reading is.
const NEWEST: f64 = 0.2;

/// What a stage runs under.
#[derive(Clone, Copy)]
pub(super) struct Runner<'a> {
    pub(super) output: &'a Arc<Output>,
    pub(super) interrupts: &'a Interrupts,
}

impl Runner<'_> {
    /// Runs an operation with progress. Ctrl-C stops it.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        stage: &'static str,
        client: Option<&Client>,
        operation: Operation<T>,
    ) -> Result<T, Failure> {
        let meter = Meter::new(stage, client.cloned(), Arc::clone(self.output));
        let outcome = operation.cancel_with(self.interrupts.token()).progress(meter).await?;
        self.output.note_progress(stage, None);
        Ok(outcome)
    }

    /// Runs an operation that ends soon.
    pub(super) async fn run_silently<T: Send + 'static>(&self, operation: Operation<T>) -> Result<T, Failure> {
        Ok(operation.cancel_with(self.interrupts.token()).await?)
    }
}

struct Meter {
    stage: &'static str,
    client: Option<Client>,
    output: Arc<Output>,
    bar: Option<Bar>,
    last: Duration,
    rate: Option<f64>,
}

impl Meter {
    fn new(stage: &'static str, client: Option<Client>, output: Arc<Output>) -> Self {
        let bar = (output.style == ProgressStyle::Bar).then(|| Bar::new(stage));
        output.note_bar(bar.clone());
        Self { stage, client, output, bar, last: Duration::ZERO, rate: None }
    }

    fn line(&self, report: &ProgressReport, rate: f64) {
        let retrying = self.client.as_ref().and_then(Client::retrying);
        let state = bar::retrying_text(retrying).unwrap_or_else(|| bar::status(report, rate, true));
        let files = report.processed_files + report.skipped_files;
        let _ = writeln!(std::io::stderr().lock(), "{}: {}, {state}", self.stage, text::files(files));
    }

    fn json(&self, report: &ProgressReport, rate: f64) {
        let retrying = self.client.as_ref().and_then(Client::retrying).map(|retrying| {
            let cause = match retrying.cause {
                RetryCause::Refused => "refused",
                RetryCause::Unreachable => "unreachable",
                RetryCause::Silence => "silence",
            };
            json!({ "cause": cause, "seconds": retrying.lasting.as_secs_f64() })
        });
        let fields = json!({
            "stage": self.stage.to_lowercase(),
            "processed_files": report.processed_files,
            "processed_bytes": report.processed_bytes,
            "skipped_files": report.skipped_files,
            "skipped_bytes": report.skipped_bytes,
            "total_files": report.total_files,
            "total_bytes": report.total_bytes,
            "bytes_per_second": rate.round(),
            "elapsed_seconds": report.elapsed.as_secs_f64(),
            "retrying": retrying,
        });
        let _ = self.output.event("progress", fields);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.output.note_bar(None);
        if let Some(bar) = &self.bar {
            bar.end();
        }
    }
}

impl ProgressObserver for Meter {
    fn report(&mut self, report: &ProgressReport) -> ControlFlow<String> {
        self.output.note_progress(self.stage, Some(*report));
        let rate = match self.rate {
            Some(average) => average + NEWEST * (report.bytes_per_second - average),
            None => report.bytes_per_second,
        };
        if !report.elapsed.is_zero() && report.bytes_per_second > 0.0 || self.rate.is_some() {
            self.rate = Some(rate);
        }
        let is_due = report.elapsed >= self.last + LINE_INTERVAL;
        match (&self.bar, self.output.style) {
            (Some(bar), _) if report.is_last => bar.end(),
            (Some(bar), _) => bar.show(report, rate, self.client.as_ref().and_then(Client::retrying)),
            (None, ProgressStyle::Lines) if is_due => self.line(report, rate),
            (None, ProgressStyle::Json) if is_due || report.is_last => self.json(report, rate),
            _ => return ControlFlow::Continue(()),
        }
        if is_due {
            self.last = report.elapsed;
        }
        ControlFlow::Continue(())
    }
}
