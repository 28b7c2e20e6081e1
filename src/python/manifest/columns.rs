//! A manifest's files as Arrow columns.

use std::ffi::CStr;
use std::ops::Range;

use crate::manifest::{Content, FileTable, Manifest, ManifestVersion};
use crate::path::{code_points, push_code_point};

/// Buffers of one column of one batch, in the order of Arrow's layout for its type; the first is the validity bitmap.
pub(super) struct Column {
    pub(super) buffers: Vec<Option<Vec<u8>>>,
    pub(super) nulls: usize,
}

type Field = (&'static CStr, &'static CStr, bool);

/// Name, format and whether it may be null, of each column.
pub(crate) fn column_names(version: ManifestVersion) -> &'static [Field] {
    const FIELDS: &[Field] = &[
        (c"path", c"U", false),
        (c"hash", c"U", true),
        (c"size", c"l", false),
        (c"mtime", c"tsu:UTC", false),
        (c"runnable", c"b", false),
        (c"symlink_target", c"U", true),
        (c"deleted", c"b", false),
        (c"chunks", c"l", true),
    ];
    if has_later_columns(version) { FIELDS } else { &FIELDS[..4] }
}

/// Whether a manifest of this version has the columns of the later one too.
fn has_later_columns(version: ManifestVersion) -> bool {
    version == ManifestVersion::V2025_12_04
}

/// The columns of a range of rows.
pub(crate) fn columns(manifest: &Manifest, rows: Range<usize>) -> Vec<Column> {
    let files = &manifest.files;
    let mut columns = vec![
        texts(rows.clone().map(|row| Some(text(files.path(row).as_bytes())))),
        texts(rows.clone().map(|row| hash(files, row))),
        integers(rows.clone().map(|row| Some(files.size_bytes(row)))),
        integers(rows.clone().map(|row| Some(files.mtime_micros(row)))),
    ];
    if has_later_columns(manifest.version) {
        columns.push(truths(rows.clone().map(|row| files.is_runnable(row))));
        columns.push(texts(rows.clone().map(|row| match files.content(row) {
            Content::Symlink(target) => Some(text(target.as_bytes())),
            _ => None,
        })));
        columns.push(truths(rows.clone().map(|row| files.content(row) == Content::Deleted)));
        columns.push(integers(rows.map(|row| match files.content(row) {
            Content::Chunks(chunks) => i64::try_from(chunks.len()).ok(),
            _ => None,
        })));
    }
    columns
}

fn hash(files: &FileTable, row: usize) -> Option<Vec<u8>> {
    match files.content(row) {
        Content::Hash(hash) => Some(hash.text().as_bytes().to_vec()),
        _ => None,
    }
}

/// UTF-8, which Arrow demands: a lone surrogate shows as `\udcXX`.
fn text(wtf8: &[u8]) -> Vec<u8> {
    if std::str::from_utf8(wtf8).is_ok() {
        return wtf8.to_vec();
    }
    let mut out = Vec::with_capacity(wtf8.len() + 8);
    for point in code_points(wtf8) {
        match point {
            0xD800..=0xDFFF => out.extend(format!("\\u{point:04x}").as_bytes()),
            _ => push_code_point(&mut out, point),
        }
    }
    out
}

fn texts(values: impl Iterator<Item = Option<Vec<u8>>>) -> Column {
    let (mut bytes, mut offsets, mut validity) = (room(), room(), Validity::default());
    offsets.extend(0_i64.to_ne_bytes());
    for value in values {
        validity.push(value.is_some());
        bytes.extend_from_slice(&value.unwrap_or_default());
        offsets.extend(i64::try_from(bytes.len()).unwrap_or(i64::MAX).to_ne_bytes());
    }
    validity.column(vec![Some(offsets), Some(bytes)])
}

fn integers(values: impl Iterator<Item = Option<i64>>) -> Column {
    let (mut numbers, mut validity) = (room(), Validity::default());
    for value in values {
        validity.push(value.is_some());
        numbers.extend(value.unwrap_or_default().to_ne_bytes());
    }
    validity.column(vec![Some(numbers)])
}

fn truths(values: impl Iterator<Item = bool>) -> Column {
    let mut bits = Validity::default();
    values.for_each(|value| bits.push(value));
    Column { buffers: vec![None, Some(bits.bytes)], nulls: 0 }
}

/// An empty buffer with room: an allocation, which is aligned for all types and not the dangling pointer of an empty `Vec`.
fn room() -> Vec<u8> {
    Vec::with_capacity(64)
}

/// A bitmap, least significant bit first.
struct Validity {
    bytes: Vec<u8>,
    length: usize,
    unset: usize,
}

impl Default for Validity {
    fn default() -> Self {
        Self { bytes: room(), length: 0, unset: 0 }
    }
}

impl Validity {
    fn push(&mut self, set: bool) {
        let bit = self.length % 8;
        if bit == 0 {
            self.bytes.push(0);
        }
        if let Some(last) = self.bytes.last_mut() {
            *last |= u8::from(set) << bit;
        }
        self.length += 1;
        self.unset += usize::from(!set);
    }

    /// A column with these values; without a bitmap if none is null.
    fn column(self, values: Vec<Option<Vec<u8>>>) -> Column {
        let bitmap = (self.unset > 0).then_some(self.bytes);
        Column { buffers: std::iter::once(bitmap).chain(values).collect(), nulls: self.unset }
    }
}
