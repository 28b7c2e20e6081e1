//! Numbers, sizes and times for people.

use std::path::Path;
use std::time::Duration;

use crate::{Error, ManifestPath};

const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];

/// `999 B`, `1.5 kB`, `120 MB`: powers of 1000, three digits.
#[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(super) fn bytes(count: u64) -> String {
    let mut value = count as f64;
    if count < 1000 {
        return format!("{count} B");
    }
    let mut unit = 0;
    value /= 1000.0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = usize::from(value < 9.95);
    format!("{value:.digits$} {}", UNITS[unit])
}

/// `1 file`, `12,345 files`.
pub(super) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(count), if count == 1 { one } else { many })
}

/// `3 files`.
pub(super) fn files(count: u64) -> String {
    counted(count, "file", "files")
}

/// `12,345`.
pub(super) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `0:07`, `12:30`, `3:05:00`.
pub(super) fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// `2026-01-31 12:00:00`, in UTC.
pub(super) fn time(micros: i64) -> String {
    chrono::DateTime::from_timestamp_micros(micros)
        .map_or_else(|| "?".to_owned(), |time| time.format("%Y-%m-%d %H:%M:%S").to_string())
}

/// A path on one line: control characters are escaped, and what is no UTF-8 shows as U+FFFD.
pub(super) fn path(path: &Path) -> String {
    one_line(&path.display().to_string())
}

/// A manifest's path on one line.
pub(super) fn manifest_path(path: ManifestPath<'_>) -> String {
    one_line(&path.display())
}

fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

/// An error on one line.
pub(super) fn error(error: &Error) -> String {
    let text = error.to_string();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" ")
}

/// Reads `20MB`, `1.5 GiB`, `500000`: bytes, in powers of 1000 or, with an `i`, of 1024.
pub(super) fn parse_bytes(text: &str) -> Result<u64, String> {
    let trimmed = text.trim();
    let end = trimmed.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(end);
    let unit = unit.trim().to_ascii_lowercase();
    let unit = unit.strip_suffix("/s").unwrap_or(&unit);
    let (letters, base) = match unit.strip_suffix("ib") {
        Some(letters) => (letters, 1024.0_f64),
        None => (unit.strip_suffix('b').unwrap_or(unit), 1000.0),
    };
    let power = ["", "k", "m", "g", "t"].iter().position(|prefix| *prefix == letters);
    let value = number.parse::<f64>().ok().zip(power).map(|(number, power)| {
        let power = i32::try_from(power).unwrap_or_default();
        number * base.powi(power)
    });
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
    match value {
        Some(value) if (1.0..9e18).contains(&value) => Ok(value as u64),
        _ => Err("write a size such as 500MB, 2GiB or 1000000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_for_people() {
        let shown = [0, 999, 1000, 1500, 9_960, 123_456, 999_600, 1_000_000_000].map(bytes);
        assert_eq!(shown, ["0 B", "999 B", "1.0 kB", "1.5 kB", "10 kB", "123 kB", "1.0 MB", "1.0 GB"]);
        assert_eq!([1, 12, 1234, 1_234_567].map(files), ["1 file", "12 files", "1,234 files", "1,234,567 files"]);
        assert_eq!([7, 750, 11_100].map(|s| clock(Duration::from_secs(s))), ["0:07", "12:30", "3:05:00"]);
        assert_eq!(time(0), "1970-01-01 00:00:00");
        assert_eq!(one_line("a\nb\u{1b}[0m"), "a\\nb\\u{1b}[0m");
    }

    #[test]
    fn sizes_are_read() {
        let read = ["20MB", "20MB/s", "1.5 GiB", "4k", "512"].map(|text| parse_bytes(text).unwrap());
        assert_eq!(read, [20_000_000, 20_000_000, 1_610_612_736, 4000, 512]);
        for wrong in ["", "MB", "0", "-1", "5 apples", "1e9"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
        }
    }
}
