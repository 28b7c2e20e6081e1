//! When a download has become so slow that it had better fail.

use std::time::Duration;

/// Watches the reports of a download for a series of low transfer rates, as the worker agent does.
///
/// A report is low where its rate is below the threshold. A file that was finished since the report before begins a new
/// series, since small files are slow by their number and not by their bytes; so does any byte, where the caller counts
/// them: what ends a download is then a series of reports between which nothing came. (A body that trickles is asked for
/// again by the engine itself, as the stall limit of the client says.) A caller that gives no bytes, as the agent's reports
/// don't, has the agent's rule.
///
/// It is a [`ProgressObserver`](crate::ProgressObserver): `client.download(request).progress(LowTransferRateDetector::default())`.
#[derive(Debug, Clone, PartialEq)]
pub struct LowTransferRateDetector {
    threshold_bytes_per_second: f64,
    maximum_reports: u32,
    low_reports: u32,
    finished_files: u64,
    counted_bytes: u64,
    /// When the last report of an observer was taken in.
    last: Option<Duration>,
}

impl Default for LowTransferRateDetector {
    fn default() -> Self {
        Self::new(Self::THRESHOLD_BYTES_PER_SECOND, Self::MAXIMUM_REPORTS)
    }
}

impl LowTransferRateDetector {
    /// The agent's threshold: 10 KB/s.
    pub const THRESHOLD_BYTES_PER_SECOND: f64 = 10_000.0;
    /// The agent's limit. A report comes at least once a second, so this is a minute.
    pub const MAXIMUM_REPORTS: u32 = 60;

    /// A detector that has seen no report.
    #[must_use]
    pub const fn new(threshold_bytes_per_second: f64, maximum_reports: u32) -> Self {
        Self {
            threshold_bytes_per_second,
            maximum_reports,
            low_reports: 0,
            finished_files: 0,
            counted_bytes: 0,
            last: None,
        }
    }

    /// Takes in a report: its rate in bytes a second, and how many files, and bytes if they are known, were finished since
    /// the start, whether they moved or were there already. Returns whether the download should go on.
    pub fn observe(&mut self, transfer_rate: f64, finished_files: u64, bytes: Option<u64>) -> bool {
        let bytes = bytes.unwrap_or(self.counted_bytes);
        if finished_files > self.finished_files || bytes > self.counted_bytes {
            self.low_reports = 0;
        }
        self.finished_files = finished_files;
        self.counted_bytes = bytes;
        if transfer_rate < self.threshold_bytes_per_second {
            self.low_reports += 1;
        } else {
            self.low_reports = 0;
        }
        self.low_reports < self.maximum_reports
    }

    /// Whether a report is to be taken in: after an interval since the last one that was.
    pub(crate) fn is_due(&mut self, now: Duration, interval: Duration) -> bool {
        let is_due = self.last.is_none_or(|last| now >= last + interval);
        if is_due {
            self.last = Some(now);
        }
        is_due
    }

    /// Low reports in the series so far.
    #[must_use]
    pub const fn low_reports(&self) -> u32 {
        self.low_reports
    }

    /// Why the download was given up, in the agent's words.
    #[must_use]
    pub fn failure_message(&self) -> String {
        // `{:?}` shows a whole number with `.0`, as Python does.
        format!(
            "Input syncing failed due to successive low transfer rates (< {:?} KB/s). \
             The transfer rate was below the threshold for the last {}.",
            self.threshold_bytes_per_second / 1000.0,
            duration(self.maximum_reports)
        )
    }
}

/// Seconds in words: `1 minute 30 seconds`.
fn duration(seconds: u32) -> String {
    let plural = |count: u32, unit: &str| format!("{count} {unit}{}", if count == 1 { "" } else { "s" });
    match (seconds / 60, seconds % 60) {
        (0, seconds) => plural(seconds, "second"),
        (minutes, 0) => plural(minutes, "minute"),
        (minutes, seconds) => format!("{} {}", plural(minutes, "minute"), plural(seconds, "second")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_of_low_rates_is_too_long() {
        let mut detector = LowTransferRateDetector::default();
        for _ in 0..59 {
            assert!(detector.observe(9_999.0, 0, None));
        }
        assert!(!detector.observe(9_999.0, 0, None));
        assert_eq!(
            detector.failure_message(),
            "Input syncing failed due to successive low transfer rates (< 10.0 KB/s). \
             The transfer rate was below the threshold for the last 1 minute."
        );
    }

    #[test]
    fn files_rates_and_counted_bytes_begin_a_new_series() {
        let mut detector = LowTransferRateDetector::new(10.0, 3);
        assert!(detector.observe(0.0, 0, None) && detector.observe(0.0, 0, None));
        assert!(detector.observe(10.0, 0, None), "at the threshold is fast enough");
        assert!(detector.observe(0.0, 0, None) && detector.observe(0.0, 0, None));
        assert!(detector.observe(0.0, 1, None), "a finished file");
        assert!(detector.observe(0.0, 1, None));
        assert!(detector.observe(0.0, 1, Some(1)), "a byte");
        assert!(detector.observe(0.0, 1, Some(1)));
        assert!(!detector.observe(0.0, 1, Some(1)), "nothing came");
    }

    #[test]
    fn small_files_are_no_stall() {
        let mut detector = LowTransferRateDetector::default();
        assert!((1..=10_000).all(|files| detector.observe(1.0, files, None)));
    }

    #[test]
    fn durations_read_well() {
        let texts: Vec<String> = [0, 1, 59, 60, 61, 120, 150].into_iter().map(duration).collect();
        let expected = [
            "0 seconds",
            "1 second",
            "59 seconds",
            "1 minute",
            "1 minute 1 second",
            "2 minutes",
            "2 minutes 30 seconds",
        ];
        assert_eq!(texts, expected);
    }
}
