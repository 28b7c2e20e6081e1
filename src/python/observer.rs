//! Showing progress to a tracker, ours or the reference's, from counters that workers only add to.

use std::sync::Arc;

use pyo3::intern;
use pyo3::prelude::*;

use super::calls::{self, call_method};
use crate::transfer::progress::{Progress, ProgressSnapshot};

/// Feeds a tracker with what the counters have gained since the last look.
pub(super) struct Observer {
    tracker: Option<Py<PyAny>>,
    progress: Arc<Progress>,
    shown: ProgressSnapshot,
    /// How many files the tracker reports at once.
    files_per_report: u64,
    goes_on: bool,
    /// When this began, by the clock that trackers go by.
    started: f64,
}

impl Observer {
    pub(super) fn new(py: Python<'_>, tracker: Option<Py<PyAny>>, progress: Arc<Progress>) -> PyResult<Self> {
        let files_per_report = match &tracker {
            Some(tracker) => match tracker.bind(py).getattr_opt(intern!(py, "reporting_files_per_chunk"))? {
                Some(number) => number.extract::<u64>()?.max(1),
                None => 1,
            },
            None => 1,
        };
        let started = clock(py)?;
        Ok(Self { tracker, progress, shown: ProgressSnapshot::default(), files_per_report, goes_on: true, started })
    }

    /// Shows what is new. Whether the work should go on.
    pub(super) fn show(&mut self, py: Python<'_>) -> PyResult<bool> {
        let Some(tracker) = &self.tracker else { return Ok(true) };
        let tracker = tracker.bind(py).clone();
        let now = self.progress.snapshot();
        let then = std::mem::replace(&mut self.shown, now);
        if now == then {
            return self.report_idle(&tracker);
        }
        let new_bytes = i128::from(now.processed_bytes) - i128::from(then.processed_bytes);
        let processed = now.processed_files.saturating_sub(then.processed_files);
        let skipped = now.skipped_files.saturating_sub(then.skipped_files);
        let skipped_bytes = now.skipped_bytes.saturating_sub(then.skipped_bytes);
        Self::feed_if_known(&tracker, "increase_checked", now.checked_bytes - then.checked_bytes)?;
        Self::feed_if_known(&tracker, "increase_beats", now.beats - then.beats)?;
        if processed == 0 || new_bytes < 0 {
            self.track_bytes(&tracker, new_bytes)?;
        }
        self.feed_processed(&tracker, processed, new_bytes.max(0))?;
        self.feed_skipped(&tracker, skipped, skipped_bytes)?;
        if new_bytes == 0 && processed == 0 && skipped == 0 {
            return self.report_idle(&tracker);
        }
        Ok(self.goes_on)
    }

    /// A stalled transfer still asks whether to go on, as often as the tracker reports by time. By number it would report at
    /// once at the start, and again and again at the end.
    fn report_idle(&mut self, tracker: &Bound<'_, PyAny>) -> PyResult<bool> {
        let py = tracker.py();
        if let Some(last) = tracker.getattr_opt(intern!(py, "last_report_time"))? {
            let last = last.extract::<Option<f64>>()?.unwrap_or(self.started);
            let interval = tracker.getattr_opt(intern!(py, "reporting_interval"))?;
            let interval = interval.map_or(Ok(1.0), |seconds| seconds.extract::<f64>())?;
            if clock(py)? - last < interval {
                return Ok(self.goes_on);
            }
        }
        self.report(tracker)
    }

    /// Counts that the reference's tracker has no place for.
    fn feed_if_known(tracker: &Bound<'_, PyAny>, method: &str, number: u64) -> PyResult<()> {
        if number > 0
            && let Some(increase) = tracker.getattr_opt(method)?
        {
            calls::call(&increase, (number,))?;
        }
        Ok(())
    }

    fn track_bytes(&mut self, tracker: &Bound<'_, PyAny>, bytes: i128) -> PyResult<()> {
        if bytes != 0 {
            let method = intern!(tracker.py(), "track_progress_callback");
            self.goes_on &= call_method(tracker, method, (bytes,))?.is_truthy()?;
        }
        Ok(())
    }

    /// Files with their bytes, in the portions that the tracker reports by: few files one by one, many in chunks.
    fn feed_processed(&mut self, tracker: &Bound<'_, PyAny>, files: u64, bytes: i128) -> PyResult<()> {
        let (mut left, mut bytes_left) = (files, bytes);
        while left > 0 {
            let portion = left.min(self.until_report(tracker)?);
            let share = if left == portion { bytes_left } else { bytes / i128::from(files) * i128::from(portion) };
            self.track_bytes(tracker, share)?;
            call_method(tracker, intern!(tracker.py(), "increase_processed"), (portion, 0))?;
            self.report(tracker)?;
            left -= portion;
            bytes_left -= share;
        }
        Ok(())
    }

    /// The same for files that needed nothing.
    fn feed_skipped(&mut self, tracker: &Bound<'_, PyAny>, files: u64, bytes: u64) -> PyResult<()> {
        let method = intern!(tracker.py(), "increase_skipped");
        let (mut left, mut bytes_left) = (files, bytes);
        while left > 0 {
            // Before its first report a tracker's clock does not run yet, and it reports at once.
            let is_first =
                tracker.getattr_opt(intern!(tracker.py(), "last_report_time"))?.is_some_and(|it| it.is_none());
            let portion = if is_first { 1 } else { left.min(self.until_report(tracker)?) };
            let share = if left == portion { bytes_left } else { bytes / files * portion };
            call_method(tracker, method, (portion, share))?;
            self.report(tracker)?;
            left -= portion;
            bytes_left -= share;
        }
        if files == 0 && bytes > 0 {
            call_method(tracker, method, (0, bytes))?;
        }
        Ok(())
    }

    /// How many files are missing until the tracker's next report, so that it reports as often as for files one by one.
    fn until_report(&self, tracker: &Bound<'_, PyAny>) -> PyResult<u64> {
        let counted = match tracker.getattr_opt(intern!(tracker.py(), "completed_files_in_chunk"))? {
            Some(number) => number.extract::<u64>()?,
            None => 0,
        };
        Ok(self.files_per_report.saturating_sub(counted).max(1))
    }

    fn report(&mut self, tracker: &Bound<'_, PyAny>) -> PyResult<bool> {
        self.goes_on &= call_method(tracker, intern!(tracker.py(), "report_progress"), ())?.is_truthy()?;
        Ok(self.goes_on)
    }

    /// The last look, after the work has ended.
    pub(super) fn show_last(&mut self, py: Python<'_>) -> PyResult<()> {
        if self.tracker.is_some() && self.progress.snapshot() != self.shown {
            self.show(py)?;
        }
        Ok(())
    }

    /// A cancelled call says how far it came.
    pub(super) fn add_statistics(&self, py: Python<'_>, error: PyErr) -> PyResult<PyErr> {
        let cancelled = py.import("rusty_attachments.exceptions")?.getattr("AssetSyncCancelledError")?;
        if let Some(tracker) = &self.tracker
            && error.value(py).is_exact_instance(&cancelled)
        {
            let statistics = call_method(tracker.bind(py), intern!(py, "get_summary_statistics"), ())?;
            error.value(py).setattr(intern!(py, "summary_statistics"), statistics)?;
        }
        Ok(error)
    }
}

fn clock(py: Python<'_>) -> PyResult<f64> {
    py.import(intern!(py, "time"))?.call_method0(intern!(py, "perf_counter"))?.extract()
}
