//! Manifests of version 2023-03-03: files only, each with one hash.

use std::borrow::Cow;

use super::canonical::{push_hash, push_integer, push_string};
use super::json::{Kind, Number, Reader, SyntaxError};
use super::table::{Content, FileTable, Manifest, ManifestVersion};
use crate::error::{Error, ManifestProblem, Result};
use crate::hash::ContentHash;
use crate::path::ManifestPath;

/// Appends what comes before the entries.
pub(super) fn write_head(out: &mut Vec<u8>, manifest: &Manifest) {
    out.extend(b"{\"hashAlg\":\"");
    out.extend(manifest.hash_algorithm.as_str().as_bytes());
    out.extend(b"\",\"manifestVersion\":\"");
    out.extend(ManifestVersion::V2023_03_03.as_str().as_bytes());
    out.extend(b"\",\"paths\":[");
}

/// Appends one entry.
///
/// `all_plain` says that no path needs escapes.
pub(super) fn write_entry(out: &mut Vec<u8>, files: &FileTable, row: usize, all_plain: bool) -> Result<()> {
    out.extend(b"{\"hash\":");
    if let Some(hash) = files.plain_hash(row) {
        out.push(b'"');
        push_hash(out, hash);
        out.push(b'"');
    } else if let Content::Hash(hash) = files.content(row) {
        push_string(out, hash.text().as_bytes());
    } else {
        return Err(Error::manifest(
            ManifestProblem::NotExpressible,
            format!("{} has no single hash, which manifest version 2023-03-03 requires", files.path(row).display()),
        ));
    }
    out.extend(b",\"mtime\":");
    push_integer(out, files.mtime_micros(row));
    if all_plain {
        out.extend(b",\"path\":\"");
        out.extend_from_slice(files.path(row).as_bytes());
        out.extend(b"\",\"size\":");
    } else {
        out.extend(b",\"path\":");
        push_string(out, files.path(row).as_bytes());
        out.extend(b",\"size\":");
    }
    push_integer(out, files.size_bytes(row));
    out.push(b'}');
    Ok(())
}

/// Appends what comes after the entries.
pub(super) fn write_tail(out: &mut Vec<u8>, manifest: &Manifest) {
    out.extend(b"],\"totalSize\":");
    push_integer(out, manifest.total_size_bytes);
    out.push(b'}');
}

/// A field of an entry, as far as it has been read.
#[derive(Debug, Clone, Default)]
pub(super) enum Field<T> {
    /// It is not there.
    #[default]
    Missing,
    /// It has another type.
    Wrong,
    /// It is an integer that 64 bits don't hold.
    Huge,
    /// Its value.
    Value(T),
}

impl<T> Field<T> {
    pub(super) const fn is_missing(&self) -> bool {
        matches!(self, Self::Missing)
    }
}

pub(super) fn text_field<'a>(reader: &mut Reader<'a>) -> Result<Field<Cow<'a, [u8]>>, SyntaxError> {
    if reader.kind()? == Kind::String {
        return Ok(Field::Value(reader.string()?));
    }
    reader.skip_value()?;
    Ok(Field::Wrong)
}

pub(super) fn integer_field(reader: &mut Reader<'_>) -> Result<Field<i64>, SyntaxError> {
    if reader.kind()? != Kind::Number {
        reader.skip_value()?;
        return Ok(Field::Wrong);
    }
    Ok(match reader.number()? {
        Number::Integer(value) => Field::Value(value),
        Number::Huge => Field::Huge,
        Number::Float => Field::Wrong,
    })
}

/// `['a', 'b']`, as Python prints the names of missing fields.
pub(super) fn list_of_names(missing: &[&str]) -> String {
    let quoted: Vec<_> = missing.iter().map(|name| format!("'{name}'")).collect();
    format!("[{}]", quoted.join(", "))
}

/// The value of `paths` on its way into columns. What is wrong with an entry is kept until the whole document is read:
/// errors of the document come first.
#[derive(Debug, Default)]
pub(super) struct PathsBuilder {
    pub(super) files: FileTable,
    /// Whether `paths` was a list.
    pub(super) is_list: bool,
    /// The first entry that is wrong.
    pub(super) entry_error: Option<String>,
    /// The first hash that is no hash.
    pub(super) hash_error: Option<String>,
    seen: usize,
}

impl PathsBuilder {
    /// Reads the value of `paths`.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, SyntaxError> {
        let mut builder = Self::default();
        if reader.kind()? != Kind::Array {
            reader.skip_value()?;
            return Ok(builder);
        }
        builder.is_list = true;
        reader.open_array()?;
        let mut first = true;
        while reader.next_element(&mut first)? {
            builder.seen += 1;
            builder.read_entry(reader)?;
        }
        Ok(builder)
    }

    /// Whether the list had no entries.
    pub(super) const fn is_empty(&self) -> bool {
        self.seen == 0
    }

    fn read_entry(&mut self, reader: &mut Reader<'_>) -> Result<(), SyntaxError> {
        let kind = reader.kind()?;
        if let Some(entry) = reader.canonical_entry() {
            if self.entry_error.is_none() {
                let hash = Content::Hash(ContentHash::Xxh128(entry.hash));
                self.files.push(ManifestPath::from_wtf8(entry.path), hash, entry.size, entry.mtime);
            }
            return Ok(());
        }
        if kind != Kind::Object {
            reader.skip_value()?;
            self.entry_error.get_or_insert_with(|| missing_fields(&["path", "hash", "size", "mtime"]));
            return Ok(());
        }
        let mut entry = Entry::default();
        reader.open_object()?;
        let mut first = true;
        while let Some(key) = reader.next_key(&mut first)? {
            match key.as_ref() {
                b"path" => entry.path = text_field(reader)?,
                b"hash" => entry.hash = text_field(reader)?,
                b"size" => entry.size = integer_field(reader)?,
                b"mtime" => entry.mtime = integer_field(reader)?,
                _ => reader.skip_value()?,
            }
        }
        if self.entry_error.is_none()
            && let Err(message) = self.push(&entry)
        {
            self.entry_error = Some(message);
            self.files.clear();
        }
        Ok(())
    }

    fn push(&mut self, entry: &Entry<'_>) -> Result<(), String> {
        let (Field::Value(path), Field::Value(hash), Field::Value(size), Field::Value(mtime)) =
            (&entry.path, &entry.hash, &entry.size, &entry.mtime)
        else {
            return Err(entry.problem());
        };
        let path = ManifestPath::from_wtf8(path);
        let is_hash = !hash.is_empty() && hash.iter().all(u8::is_ascii_alphanumeric);
        let Some(text) = std::str::from_utf8(hash).ok().filter(|_| is_hash) else {
            let hash = String::from_utf8_lossy(hash);
            self.hash_error
                .get_or_insert_with(|| format!("The hash {hash} for path {} is not alphanumeric", path.display()));
            return Ok(());
        };
        self.files.push(path, Content::Hash(ContentHash::from_text(text)), *size, *mtime);
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Entry<'a> {
    path: Field<Cow<'a, [u8]>>,
    hash: Field<Cow<'a, [u8]>>,
    size: Field<i64>,
    mtime: Field<i64>,
}

impl Entry<'_> {
    /// What the reference says about the first thing wrong.
    fn problem(&self) -> String {
        let missing: Vec<_> = [
            ("path", self.path.is_missing()),
            ("hash", self.hash.is_missing()),
            ("size", self.size.is_missing()),
            ("mtime", self.mtime.is_missing()),
        ]
        .into_iter()
        .filter_map(|(name, missing)| missing.then_some(name))
        .collect();
        if !missing.is_empty() {
            return missing_fields(&missing);
        }
        match (&self.path, &self.hash, &self.size, &self.mtime) {
            (Field::Wrong, ..) => "path must be a string".to_owned(),
            (_, Field::Wrong, ..) => "hash must be a string".to_owned(),
            (_, _, Field::Wrong, _) => "size must be an integer".to_owned(),
            (_, _, Field::Huge, _) => self.beyond("size"),
            (_, _, _, Field::Huge) => self.beyond("mtime"),
            _ => "mtime must be an integer".to_owned(),
        }
    }

    fn beyond(&self, field: &str) -> String {
        let path =
            if let Field::Value(path) = &self.path { ManifestPath::from_wtf8(path).display() } else { String::new() };
        format!("{field} of path {path} is beyond a signed 64-bit integer")
    }
}

fn missing_fields(missing: &[&str]) -> String {
    format!("path is missing required field(s) {}", list_of_names(missing))
}
