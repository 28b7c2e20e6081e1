//! Times as S3 and the servers that resemble it write them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};

/// Forms with a date and a time of day, without weekday and zone: RFC 3339 and ISO 8601, RFC 1123 and 2822, RFC 850, asctime.
const FORMS: &[&str] = &[
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M",
    "%Y%m%dT%H%M%S%.f",
    // Two digits of a year first: `%Y` would take them for the first century. chrono reads them below 70 as of this one.
    "%d-%b-%y %H:%M:%S",
    "%d %b %y %H:%M:%S",
    "%d %b %Y %H:%M:%S%.f",
    "%d-%b-%Y %H:%M:%S",
    "%b %d %H:%M:%S %Y",
];

/// Reads a time in any of the forms that ISO 8601 and the RFCs of HTTP and mail have; without a zone it is UTC, as all of S3's
/// times are. Digits alone are seconds since 1970. `None` for what is no time.
pub(crate) fn parse_time(text: &str) -> Option<SystemTime> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return after_epoch(seconds);
    }
    let (text, offset_seconds) = split_zone(without_weekday(text))?;
    let local = FORMS
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        .or_else(|| Some(NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_time(NaiveTime::MIN)))?;
    let utc = local.and_utc();
    let seconds = utc.timestamp().checked_sub(offset_seconds)?;
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 { UNIX_EPOCH.checked_sub(whole)? } else { UNIX_EPOCH.checked_add(whole)? };
    time.checked_add(Duration::from_nanos(u64::from(utc.timestamp_subsec_nanos())))
}

/// Seconds since 1970. Fewer than nine digits are no time that S3 has seen, but a year or a day.
fn after_epoch(seconds: f64) -> Option<SystemTime> {
    const FIRST: f64 = 100_000_000.0;
    let since = Duration::try_from_secs_f64(seconds).ok().filter(|since| since.as_secs_f64() >= FIRST)?;
    UNIX_EPOCH.checked_add(since)
}

/// The day's name is redundant and sometimes wrong.
fn without_weekday(text: &str) -> &str {
    const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let end = text.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(0);
    let is_day = text.get(..3).is_some_and(|start| DAYS.iter().any(|day| day.eq_ignore_ascii_case(start)));
    if is_day { text[end..].trim_start_matches([',', ' ']) } else { text }
}

/// The text before the zone, and the zone's seconds east of Greenwich.
fn split_zone(text: &str) -> Option<(&str, i64)> {
    for name in ["Z", "GMT", "UTC", "UT"] {
        let start = text.len().saturating_sub(name.len());
        if let Some((before, end)) = text.split_at_checked(start)
            && end.eq_ignore_ascii_case(name)
        {
            // `GMT+00:00` has both.
            return Some((before.trim_end(), 0));
        }
    }
    // A sign behind the time of day; dates have theirs before it.
    let time = text.rfind(':').or_else(|| text.find('T')).unwrap_or(text.len());
    let from = text[..time].rfind(['T', ' ']).unwrap_or(time);
    let Some(sign) = text[from..].find(['+', '-']).map(|at| from + at) else { return Some((text, 0)) };
    let digits: String = text[sign + 1..].chars().filter(|letter| *letter != ':').collect();
    if !matches!(digits.len(), 2 | 4) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let hours: i64 = digits[..2].parse().ok()?;
    let minutes: i64 = digits.get(2..).filter(|rest| !rest.is_empty()).map_or(Some(0), |rest| rest.parse().ok())?;
    let seconds = (hours * 60 + minutes) * 60;
    let before = text[..sign].trim_end();
    let before = ["GMT", "UTC"].iter().find_map(|name| before.strip_suffix(name)).unwrap_or(before).trim_end();
    Some((before, if text[sign..].starts_with('-') { -seconds } else { seconds }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> Option<u64> {
        parse_time(text).map(|time| time.duration_since(UNIX_EPOCH).unwrap().as_secs())
    }

    #[test]
    fn one_moment_in_every_form() {
        let forms = [
            "Thu, 01 Jan 2026 10:20:30 GMT",
            "Thu, 1 Jan 2026 10:20:30 GMT",
            "thu, 01 jan 2026 10:20:30 gmt",
            "Mon, 01 Jan 2026 10:20:30 GMT",
            "Thursday, 01-Jan-26 10:20:30 GMT",
            "Thu, 01-Jan-2026 10:20:30 GMT",
            "Thu, 01 Jan 26 10:20:30 GMT",
            "Thu Jan  1 10:20:30 2026",
            "Thu, 01 Jan 2026 10:20:30 UTC",
            "Thu, 01 Jan 2026 10:20:30 +0000",
            "Thu, 01 Jan 2026 12:20:30 +0200",
            "Thu, 01 Jan 2026 10:20:30",
            "01 Jan 2026 10:20:30 GMT",
            "01 Jan 2026 10:20:30 GMT+00:00",
            "2026-01-01T10:20:30Z",
            "2026-01-01T10:20:30z",
            "2026-01-01T10:20:30.123456Z",
            "2026-01-01T10:20:30.000",
            "2026-01-01T10:20:30",
            "2026-01-01 10:20:30",
            "2026-01-01 10:20:30.5 UTC",
            "2026-01-01T10:20:30+00:00",
            "2026-01-01T05:20:30-05:00",
            "2026-01-01T05:20:30-0500",
            "2026-01-01T11:20:30+01",
            "20260101T102030Z",
            "  2026-01-01T10:20:30Z\n",
            "1767262830",
            "1767262830.0",
        ];
        for form in forms {
            assert_eq!(seconds(form), Some(1_767_262_830), "{form:?}");
        }
        assert_eq!(seconds("2026-01-01"), Some(1_767_225_600));
        assert_eq!(seconds("2026-01-01T10:20"), Some(1_767_262_800));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            " ",
            "never",
            "0",
            "-1",
            "2026",
            "NaN",
            "inf",
            "1e300",
            "Thu",
            "T",
            ":",
            "+",
            "T+",
            "2026-13-01T00:00:00Z",
            "ü",
            "é T-0",
        ] {
            assert_eq!(parse_time(text), None, "{text:?}");
        }
    }

    #[test]
    fn fractions_are_kept_and_times_before_1970_are_times() {
        let time = parse_time("2026-01-01T10:20:30.25Z").unwrap();
        assert_eq!(time.duration_since(UNIX_EPOCH).unwrap().subsec_millis(), 250);
        assert!(parse_time("1969-12-31T23:59:59Z").unwrap() < UNIX_EPOCH);
    }
}
