//! Modification times as the reference's hash cache holds them: `str(datetime.fromtimestamp(os.stat(…).st_mtime))`.

use std::fmt::Write;

use chrono::{DateTime, Datelike, Local, TimeZone, Timelike};

/// A file's modification time as local text, through a float, with Python's rounding.
///
/// `None` where Python's `datetime` has no such year.
#[must_use]
pub(crate) fn python_local_text(mtime_ns: i64) -> Option<String> {
    let local = local_time(mtime_ns)?;
    let mut text = format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
        local.year(),
        local.month(),
        local.day(),
        local.hour(),
        local.minute(),
        local.second()
    );
    let micros = local.nanosecond() / 1000;
    if micros != 0 {
        // Writing to a string can't fail.
        let _ = write!(text, ".{micros:06}");
    }
    Some(text)
}

/// Whether that text stands for two moments: local time repeats when daylight saving ends.
#[must_use]
pub(crate) fn is_ambiguous(mtime_ns: i64) -> bool {
    local_time(mtime_ns).is_none_or(|local| {
        !matches!(Local.from_local_datetime(&local.naive_local()), chrono::MappedLocalTime::Single(_))
    })
}

fn local_time(mtime_ns: i64) -> Option<DateTime<Local>> {
    let (seconds, micros) = float_seconds(mtime_ns);
    let local = Local.timestamp_opt(seconds, micros * 1000).single()?;
    (1..=9999).contains(&local.year()).then_some(local)
}

/// Seconds and microseconds after the way through `st_mtime`, a double, and `fromtimestamp`, which rounds half to even.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the loss is what is being reproduced; the results are in range"
)]
fn float_seconds(mtime_ns: i64) -> (i64, u32) {
    let st_mtime = mtime_ns.div_euclid(1_000_000_000) as f64 + 1e-9 * mtime_ns.rem_euclid(1_000_000_000) as f64;
    let mut whole = st_mtime.trunc();
    let mut micros = ((st_mtime - whole) * 1e6).round_ties_even();
    if micros >= 1e6 {
        micros -= 1e6;
        whole += 1.0;
    } else if micros < 0.0 {
        micros += 1e6;
        whole -= 1.0;
    }
    (whole as i64, micros as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_that_of_pythons_fromtimestamp() {
        // datetime.fromtimestamp(os.stat(f).st_mtime).microsecond, with CPython 3.11.
        assert_eq!(float_seconds(1_700_000_000_123_456_789), (1_700_000_000, 123_457));
        assert_eq!(float_seconds(1_700_000_000_999_999_900), (1_700_000_001, 0));
        assert_eq!(float_seconds(-500_000_000), (-1, 500_000));
        assert_eq!(float_seconds(0), (0, 0));
    }

    #[test]
    fn whole_seconds_have_no_fraction() {
        let text = python_local_text(1_700_000_000_000_000_000).unwrap();
        assert_eq!(text.len(), "2023-11-14 22:13:20".len(), "{text}");
        let text = python_local_text(1_700_000_000_000_500_000).unwrap();
        assert!(text.ends_with(".000500"), "{text}");
    }
}
