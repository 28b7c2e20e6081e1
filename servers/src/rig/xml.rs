//! The little XML that S3 speaks: written by hand, and read by looking for tags.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

pub const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
pub const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| matches!(byte, b'&' | b'<' | b'>' | b'"' | ..b' ')) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            character if character < ' ' => {
                let _ = write!(escaped, "&#{};", u32::from(character));
            }
            character => escaped.push(character),
        }
    }
    Cow::Owned(escaped)
}

pub fn unescape(text: &str) -> String {
    text.replace("&quot;", "\"")
        .replace("&#34;", "\"")
        .replace("&apos;", "'")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

/// What stands between each pair of such tags. S3's requests nest no tag in one of its own name.
pub fn elements<'text>(text: &'text str, tag: &str) -> Vec<&'text str> {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(&open) {
        let inner = &rest[start + open.len()..];
        let Some(end) = inner.find(&close) else { break };
        found.push(&inner[..end]);
        rest = &inner[end + close.len()..];
    }
    found
}

/// Year, month, day, hour, minute, second, milliseconds and day of the week (0 is Thursday) of a time in UTC.
fn parts(time: SystemTime) -> (i64, [u32; 5], u32, usize) {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs();
    let days = i64::try_from(seconds / 86_400).unwrap_or(0);
    let of_day = u32::try_from(seconds % 86_400).unwrap_or(0);
    // Days to a date: Howard Hinnant's algorithm, for years from 0 on.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted - era * 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = u32::try_from(of_year - (153 * month_from_march + 2) / 5 + 1).unwrap_or(1);
    let month =
        u32::try_from(if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 }).unwrap_or(1);
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let clock = [month, day, of_day / 3_600, of_day / 60 % 60, of_day % 60];
    (year, clock, since.subsec_millis(), usize::try_from(days % 7).unwrap_or(0))
}

/// `2026-01-31T12:00:00.000Z`: how listings write times.
pub fn iso_time(time: SystemTime) -> String {
    let (year, [month, day, hour, minute, second], millis, _) = parts(time);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// `Thu, 01 Jan 1970 00:00:00 GMT`: how headers write times.
pub fn http_time(time: SystemTime) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (year, [month, day, hour, minute, second], _, weekday) = parts(time);
    let month = MONTHS[month as usize - 1];
    format!("{}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT", DAYS[weekday])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_written_as_s3_writes_them() {
        let time = UNIX_EPOCH + Duration::from_millis(1_709_210_096_007);
        assert_eq!(iso_time(time), "2024-02-29T12:34:56.007Z");
        assert_eq!(http_time(time), "Thu, 29 Feb 2024 12:34:56 GMT");
    }

    #[test]
    fn elements_are_found_in_order() {
        assert_eq!(elements("<a><b>1</b><b>2</b></a>", "b"), ["1", "2"]);
        assert!(elements("<b>1", "b").is_empty());
    }
}
