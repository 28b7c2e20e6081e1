//! Canonical JSON: sorted keys, no blanks, ASCII escapes as Python's `json.dumps` makes them, entries by UTF-16 code units.

use std::cmp::Ordering;

use super::table::FileTable;
use crate::path::{code_points, compare_utf16, split_units};

/// The rows of `files` in canonical order, or `None` where they stand in it already. Equal paths keep their order.
///
/// The order is that of the UTF-16 big-endian bytes of the paths (the reference's `canonical_path_comparator`).
#[must_use]
pub(crate) fn canonical_order(files: &FileTable) -> Option<Vec<u32>> {
    // Below 0xED, byte order is code unit order.
    let bytes_suffice = all_bytes(files.all_path_bytes(), |byte| byte < 0xED);
    let compare = |left: u32, right: u32| {
        let (left, right) = (files.path(left as usize).as_bytes(), files.path(right as usize).as_bytes());
        if bytes_suffice { left.cmp(right) } else { compare_utf16(left, right) }
    };
    if is_sorted(files, bytes_suffice) {
        return None;
    }
    let rows = row_numbers(files);
    if !bytes_suffice {
        let mut rows = rows;
        rows.sort_by(|left, right| compare(*left, *right));
        return Some(rows);
    }
    let skip = common_prefix(files);
    let mut keyed: Vec<(u64, u32)> =
        rows.iter().map(|row| (leading_bytes(&files.path(*row as usize).as_bytes()[skip..]), *row)).collect();
    drop(rows);
    keyed.sort_unstable_by(|left, right| {
        left.0.cmp(&right.0).then_with(|| compare(left.1, right.1)).then_with(|| left.1.cmp(&right.1))
    });
    Some(keyed.into_iter().map(|(_, row)| row).collect())
}

/// Whether the rows stand in canonical order: one walk over the paths, which lie one after another.
fn is_sorted(files: &FileTable, bytes_suffice: bool) -> bool {
    let mut paths = (0..files.len()).map(|row| files.path(row).as_bytes());
    let Some(mut before) = paths.next() else { return true };
    paths.all(|path| {
        let in_order = if bytes_suffice { before <= path } else { compare_utf16(before, path) != Ordering::Greater };
        before = path;
        in_order
    })
}

/// All rows in the order of the table. A table has fewer than 2^32 rows: its columns alone would take 150 GB by then.
#[must_use]
pub(crate) fn row_numbers(files: &FileTable) -> Vec<u32> {
    (0..u32::try_from(files.len()).unwrap_or(u32::MAX)).collect()
}

/// How many bytes all paths begin with alike.
fn common_prefix(files: &FileTable) -> usize {
    let first = files.path(0).as_bytes();
    (1..files.len()).fold(first.len(), |length, row| {
        let path = files.path(row).as_bytes();
        first[..length].iter().zip(path).take_while(|(left, right)| left == right).count()
    })
}

/// The first eight bytes as a number that sorts as they do.
fn leading_bytes(bytes: &[u8]) -> u64 {
    let mut first = [0; 8];
    let length = bytes.len().min(8);
    first[..length].copy_from_slice(&bytes[..length]);
    u64::from_be_bytes(first)
}

/// Appends a JSON string of ASCII characters: everything else is `\uXXXX`, a lone surrogate too.
pub(crate) fn push_string(out: &mut Vec<u8>, wtf8: &[u8]) {
    out.push(b'"');
    push_escaped(out, wtf8);
    out.push(b'"');
}

/// Appends the inside of a JSON string.
pub(crate) fn push_escaped(out: &mut Vec<u8>, wtf8: &[u8]) {
    let plain = wtf8.iter().position(|byte| !is_plain(*byte)).unwrap_or(wtf8.len());
    out.extend_from_slice(&wtf8[..plain]);
    // A byte that is not plain begins a character: continuation bytes are not plain, and come after their lead.
    for point in code_points(&wtf8[plain..]) {
        match u8::try_from(point) {
            Ok(byte) if is_plain(byte) => out.push(byte),
            Ok(b'"') => out.extend(b"\\\""),
            Ok(b'\\') => out.extend(b"\\\\"),
            Ok(b'\n') => out.extend(b"\\n"),
            Ok(b'\r') => out.extend(b"\\r"),
            Ok(b'\t') => out.extend(b"\\t"),
            Ok(8) => out.extend(b"\\b"),
            Ok(12) => out.extend(b"\\f"),
            _ => {
                let (first, second) = split_units(point);
                std::iter::once(first).chain(second).for_each(|unit| push_unit(out, unit));
            }
        }
    }
}

/// Whether no byte needs an escape.
#[must_use]
pub(crate) fn all_plain(bytes: &[u8]) -> bool {
    all_bytes(bytes, is_plain)
}

/// Whether something holds for all bytes. Without an early exit inside a block, a block is looked at many bytes at a time.
fn all_bytes(bytes: &[u8], holds: impl Fn(u8) -> bool) -> bool {
    bytes.chunks(4096).all(|block| block.iter().fold(true, |all, byte| all & holds(*byte)))
}

const fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

fn push_unit(out: &mut Vec<u8>, unit: u16) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend(b"\\u");
    out.extend([12, 8, 4, 0].map(|shift| DIGITS[usize::from(unit >> shift & 15)]));
}

/// Appends an integer in decimal.
pub(crate) fn push_integer(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends 32 hex digits.
pub(crate) fn push_hash(out: &mut Vec<u8>, bytes: [u8; 16]) {
    let mut digits = [0; 32];
    // Twice as many digits as bytes: it can't fail.
    let _ = hex::encode_to_slice(bytes, &mut digits);
    out.extend_from_slice(&digits);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::hash_bytes;
    use crate::manifest::Content;
    use crate::path::ManifestPath;

    fn string(wtf8: &[u8]) -> String {
        let mut out = Vec::new();
        push_string(&mut out, wtf8);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn strings_are_escaped_as_json_dumps_does() {
        assert_eq!(string(b"a/b c.exr"), "\"a/b c.exr\"");
        assert_eq!(string("\u{7f}\"\\\n\r\t\u{8}\u{c}\u{1}".as_bytes()), r#""\u007f\"\\\n\r\t\b\f\u0001""#);
        assert_eq!(string("é\u{1F600}".as_bytes()), r#""\u00e9\ud83d\ude00""#);
        assert_eq!(string(b"x\xed\xb3\xbfy"), r#""x\udcffy""#);
    }

    #[test]
    fn integers_have_their_digits() {
        for value in [0, 7, -1, 10, 99, 100, 101, 1009, -12345, i64::MAX, i64::MIN, 1_700_000_000_000_000] {
            let mut out = Vec::new();
            push_integer(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }
    }

    #[test]
    fn order_is_stable_and_by_code_units() {
        let table = |paths: &[&str]| {
            let mut files = FileTable::default();
            for path in paths {
                files.push(ManifestPath::from_wtf8(path.as_bytes()), Content::Hash(hash_bytes(b"")), 0, 0);
            }
            files
        };
        assert_eq!(canonical_order(&table(&[])), None);
        assert_eq!(canonical_order(&table(&["a", "a", "b"])), None);
        assert_eq!(canonical_order(&table(&["p/b", "p/a", "p/b", "p/"])), Some(vec![3, 1, 0, 2]));
        assert_eq!(
            canonical_order(&table(&["p/longer than eight b", "p/longer than eight a", "p"])),
            Some(vec![2, 1, 0])
        );
        assert_eq!(canonical_order(&table(&["\u{FB33}", "\u{1F600}"])), Some(vec![1, 0]));
    }
}
