//! One entry of `files` or `dirs`: its fields as they are read, and the rules that hold between them.

use std::borrow::Cow;

use super::show;
use crate::hash::ContentHash;
use crate::manifest::chunks::{CHUNK_BYTES, chunk_count};
use crate::manifest::json::{Kind, Reader, SyntaxError};
use crate::manifest::v2023::{Field, integer_field, text_field};

/// The fields of an entry; those of `dirs` have few of them.
#[derive(Debug, Default)]
pub(super) struct Entry<'a> {
    pub(super) name: Field<Cow<'a, [u8]>>,
    pub(super) size: Field<i64>,
    pub(super) mtime: Field<i64>,
    hash: Field<Cow<'a, [u8]>>,
    chunks: Field<Vec<Cow<'a, [u8]>>>,
    symlink: Field<Cow<'a, [u8]>>,
    runnable: Field<bool>,
    delete: Field<bool>,
}

/// What an entry's contents are, names not yet expanded.
#[derive(Debug)]
pub(super) enum EntryContent {
    Hash(ContentHash),
    Chunks(Vec<ContentHash>),
    Symlink(Vec<u8>),
    Deleted,
}

/// A problem with a field; the caller says of which entry.
pub(super) type Problem = String;

impl<'a> Entry<'a> {
    /// Reads an object; `None` if it is something else.
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Option<Self>, SyntaxError> {
        if reader.kind()? != Kind::Object {
            reader.skip_value()?;
            return Ok(None);
        }
        let mut entry = Self::default();
        reader.open_object()?;
        let mut first = true;
        while let Some(key) = reader.next_key(&mut first)? {
            match key.as_ref() {
                b"name" => entry.name = text_field(reader)?,
                b"size" => entry.size = integer_field(reader)?,
                b"mtime" => entry.mtime = integer_field(reader)?,
                b"hash" => entry.hash = text_field(reader)?,
                b"chunkhashes" => entry.chunks = texts_field(reader)?,
                b"symlink" => entry.symlink = symlink_field(reader)?,
                b"runnable" => entry.runnable = truth_field(reader)?,
                b"delete" => entry.delete = truth_field(reader)?,
                _ => reader.skip_value()?,
            }
        }
        Ok(Some(entry))
    }

    /// Whether `"delete":true` stands in it.
    pub(super) fn is_deleted(&self) -> Result<bool, Problem> {
        truth("delete", &self.delete)
    }

    /// Whether `"runnable":true` stands in it.
    pub(super) fn is_runnable(&self) -> Result<bool, Problem> {
        truth("runnable", &self.runnable)
    }

    /// Fails if any of the fields is there that a directory or a deleted entry must not have.
    pub(super) fn check_bare(&self, what: &str) -> Result<(), Problem> {
        let present = [
            ("hash", !self.hash.is_missing()),
            ("chunkhashes", !self.chunks.is_missing()),
            ("symlink", !self.symlink.is_missing()),
            ("size", !self.size.is_missing()),
            ("mtime", !self.mtime.is_missing()),
            ("runnable", !self.runnable.is_missing()),
        ];
        match present.iter().find(|(_, present)| *present) {
            Some((field, _)) => Err(format!("{what} must not have {field}")),
            None => Ok(()),
        }
    }

    /// The contents, with everything checked that goes with them.
    pub(super) fn content(&self) -> Result<EntryContent, Problem> {
        if self.is_deleted()? {
            self.check_bare("a deleted file")?;
            return Ok(EntryContent::Deleted);
        }
        match (&self.hash, &self.chunks, &self.symlink) {
            (hash, Field::Missing, Field::Missing) if !hash.is_missing() => {
                self.check_size_and_time()?;
                content_hash("hash", text("hash", hash)?).map(EntryContent::Hash)
            }
            (Field::Missing, chunks, Field::Missing) if !chunks.is_missing() => {
                self.check_size_and_time()?;
                self.chunk_hashes(chunks).map(EntryContent::Chunks)
            }
            (Field::Missing, Field::Missing, Field::Value(target)) => {
                if !(self.size.is_missing() && self.mtime.is_missing() && self.runnable.is_missing()) {
                    return Err("a symlink must not have size, mtime or runnable".to_owned());
                }
                Ok(EntryContent::Symlink(target.to_vec()))
            }
            (Field::Missing, Field::Missing, Field::Missing) => {
                Err("must have one of hash, chunkhashes, symlink or delete".to_owned())
            }
            (Field::Missing, Field::Missing, _) => Err("symlink must be an object with a string name".to_owned()),
            _ => Err("must have only one of hash, chunkhashes and symlink".to_owned()),
        }
    }

    fn check_size_and_time(&self) -> Result<(), Problem> {
        if integer("size", &self.size)? < 0 {
            return Err("size is negative".to_owned());
        }
        integer("mtime", &self.mtime).map(drop)
    }

    fn chunk_hashes(&self, chunks: &Field<Vec<Cow<'_, [u8]>>>) -> Result<Vec<ContentHash>, Problem> {
        let Field::Value(chunks) = chunks else { return Err("chunkhashes must be a list of strings".to_owned()) };
        let size = integer("size", &self.size)?;
        if let Some(problem) = chunk_problem(size, chunks.len()) {
            return Err(problem);
        }
        chunks.iter().map(|chunk| content_hash("chunkhashes", chunk)).collect()
    }
}

/// Why a file of so many bytes can't have `count` chunks, if it can't.
pub(super) fn chunk_problem(shown: i64, count: usize) -> Option<Problem> {
    let size = u64::try_from(shown).unwrap_or(0);
    if size <= CHUNK_BYTES {
        return Some(format!("chunkhashes are for files of more than {CHUNK_BYTES} bytes, size is {shown}"));
    }
    let wanted = chunk_count(size);
    (count as u64 != wanted).then(|| format!("chunkhashes must have {wanted} items for size {size}, not {count}"))
}

fn content_hash(field: &str, hash: &[u8]) -> Result<ContentHash, Problem> {
    let is_hash = !hash.is_empty() && hash.iter().all(u8::is_ascii_alphanumeric);
    match std::str::from_utf8(hash) {
        Ok(text) if is_hash => Ok(ContentHash::from_text(text)),
        _ => Err(format!("{field} {:?} is not alphanumeric", show(hash))),
    }
}

/// The text of a field that must be there.
pub(super) fn text<'e>(field: &str, value: &'e Field<Cow<'_, [u8]>>) -> Result<&'e [u8], Problem> {
    match value {
        Field::Value(text) => Ok(text),
        Field::Missing => Err(format!("{field} is missing")),
        _ => Err(format!("{field} must be a string")),
    }
}

/// The integer of a field that must be there.
pub(super) fn integer(field: &str, value: &Field<i64>) -> Result<i64, Problem> {
    match value {
        Field::Value(value) => Ok(*value),
        Field::Missing => Err(format!("{field} is missing")),
        Field::Huge => Err(format!("{field} is beyond a signed 64-bit integer")),
        Field::Wrong => Err(format!("{field} must be an integer")),
    }
}

fn truth(field: &str, value: &Field<bool>) -> Result<bool, Problem> {
    match value {
        Field::Value(value) => Ok(*value),
        Field::Missing => Ok(false),
        _ => Err(format!("{field} must be true or false")),
    }
}

fn truth_field(reader: &mut Reader<'_>) -> Result<Field<bool>, SyntaxError> {
    reader.kind()?;
    let start = reader.offset();
    reader.skip_value()?;
    Ok(match reader.since(start) {
        b"true" => Field::Value(true),
        b"false" => Field::Value(false),
        _ => Field::Wrong,
    })
}

fn texts_field<'a>(reader: &mut Reader<'a>) -> Result<Field<Vec<Cow<'a, [u8]>>>, SyntaxError> {
    if reader.kind()? != Kind::Array {
        reader.skip_value()?;
        return Ok(Field::Wrong);
    }
    let mut texts = Some(Vec::new());
    reader.open_array()?;
    let mut first = true;
    while reader.next_element(&mut first)? {
        match (text_field(reader)?, &mut texts) {
            (Field::Value(text), Some(texts)) => texts.push(text),
            _ => texts = None,
        }
    }
    Ok(texts.map_or(Field::Wrong, Field::Value))
}

/// `{"name": target}`.
fn symlink_field<'a>(reader: &mut Reader<'a>) -> Result<Field<Cow<'a, [u8]>>, SyntaxError> {
    if reader.kind()? != Kind::Object {
        reader.skip_value()?;
        return Ok(Field::Wrong);
    }
    let mut name = Field::Wrong;
    reader.open_object()?;
    let mut first = true;
    while let Some(key) = reader.next_key(&mut first)? {
        if key.as_ref() == b"name" {
            name = text_field(reader)?;
        } else {
            reader.skip_value()?;
        }
    }
    Ok(name)
}
