//! The fields of a manifest's text, before its version is known.

use std::borrow::Cow;

use super::json::{Kind, Number, Reader, SyntaxError};
use super::table::ManifestVersion;
use super::v2023::{PathsBuilder, list_of_names};
use crate::error::{Error, ManifestProblem, Result};
use crate::hash::HashAlgorithm;

/// A field of the document that is no list.
#[derive(Debug)]
pub(super) enum Scalar<'a> {
    Text(Cow<'a, [u8]>),
    Integer(i64),
    Huge,
    /// Anything else, as it stands in the text.
    Other(&'a [u8]),
}

impl<'a> Scalar<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, SyntaxError> {
        match reader.kind()? {
            Kind::String => Ok(Self::Text(reader.string()?)),
            Kind::Number => {
                let start = reader.offset();
                Ok(match reader.number()? {
                    Number::Integer(value) if !reader.since(start)[0].is_ascii_alphabetic() => Self::Integer(value),
                    Number::Integer(_) | Number::Float => Self::Other(reader.since(start)),
                    Number::Huge => Self::Huge,
                })
            }
            _ => {
                let start = reader.offset();
                reader.skip_value()?;
                Ok(Self::Other(reader.since(start)))
            }
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => std::str::from_utf8(text).ok(),
            _ => None,
        }
    }

    /// As Python prints the value: exact for strings, numbers, truth values and `null`.
    pub(super) fn display(&self) -> String {
        match self {
            Self::Text(text) => String::from_utf8_lossy(text).into_owned(),
            Self::Integer(value) => value.to_string(),
            Self::Huge => "an integer beyond 64 bits".to_owned(),
            Self::Other(b"null") => "None".to_owned(),
            Self::Other(b"true") => "True".to_owned(),
            Self::Other(b"false") => "False".to_owned(),
            Self::Other(raw) => String::from_utf8_lossy(raw).into_owned(),
        }
    }
}

/// The fields of a document, found in one pass. The entries of v2025 are only located: they are read once the version is
/// known.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    pub(super) version: Option<Scalar<'a>>,
    pub(super) hash_algorithm: Option<Scalar<'a>>,
    pub(super) total_size: Option<Scalar<'a>>,
    pub(super) paths: Option<PathsBuilder>,
    /// Where the value of `files` begins.
    pub(super) files: Option<Reader<'a>>,
    /// Where the value of `dirs` begins.
    pub(super) directories: Option<Reader<'a>>,
    pub(super) parent: Option<Scalar<'a>>,
    pub(super) is_object: bool,
}

impl<'a> Fields<'a> {
    /// Finds the fields of a text.
    pub(super) fn read(text: &'a [u8]) -> Result<Self, SyntaxError> {
        let mut document = Self::default();
        let mut reader = Reader::new(text);
        if text.starts_with("\u{feff}".as_bytes()) {
            return Err(SyntaxError { message: "Unexpected UTF-8 BOM (decode using utf-8-sig)", offset: 0 });
        }
        if reader.kind()? == Kind::Object {
            document.is_object = true;
            document.read_fields(&mut reader)?;
        } else {
            reader.skip_value()?;
        }
        reader.finish()?;
        Ok(document)
    }

    fn read_fields(&mut self, reader: &mut Reader<'a>) -> Result<(), SyntaxError> {
        reader.open_object()?;
        let mut first = true;
        while let Some(key) = reader.next_key(&mut first)? {
            match key.as_ref() {
                b"manifestVersion" => self.version = Some(Scalar::read(reader)?),
                b"hashAlg" => self.hash_algorithm = Some(Scalar::read(reader)?),
                b"totalSize" => self.total_size = Some(Scalar::read(reader)?),
                b"parentManifestHash" => self.parent = Some(Scalar::read(reader)?),
                b"paths" => {
                    self.paths = None; // the last of several counts; the others' room is given back first
                    self.paths = Some(PathsBuilder::read(reader)?);
                }
                b"files" => self.files = Some(skip_and_remember(reader)?),
                b"dirs" => self.directories = Some(skip_and_remember(reader)?),
                _ => reader.skip_value()?,
            }
        }
        Ok(())
    }

    /// Fails if one of `required` or `totalSize` is missing, naming all that are, in the reference's order.
    pub(super) fn check_required(&self, required: &[(&'static str, bool)]) -> Result<()> {
        let missing: Vec<_> = required
            .iter()
            .copied()
            .chain([("totalSize", self.total_size.is_some())])
            .filter_map(|(name, present)| (!present).then_some(name))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Error::manifest(
            ManifestProblem::Form,
            format!("manifest is missing required field(s) {}", list_of_names(&missing)),
        ))
    }

    pub(super) fn check_version(&self, wanted: ManifestVersion) -> Result<()> {
        let named = self.version.as_ref().and_then(Scalar::text);
        if named == Some(wanted.as_str()) {
            return Ok(());
        }
        Err(Error::manifest(ManifestProblem::Version, format!("manifestVersion must be \"{}\"", wanted.as_str())))
    }

    pub(super) fn checked_algorithm(&self) -> Result<HashAlgorithm> {
        let named = self.hash_algorithm.as_ref().and_then(Scalar::text);
        let known = HashAlgorithm::Xxh128;
        if named == Some(known.as_str()) { Ok(known) } else { Err(invalid("hashAlg must be one of {'xxh128'}")) }
    }

    pub(super) fn checked_total(&self) -> Result<i64> {
        match &self.total_size {
            Some(Scalar::Integer(total)) => Ok(*total),
            Some(Scalar::Other(b"true")) => Ok(1),
            Some(Scalar::Other(b"false")) => Ok(0),
            Some(Scalar::Huge) => Err(invalid("totalSize is beyond a signed 64-bit integer")),
            _ => Err(invalid("totalSize must be an integer")),
        }
    }
}

fn skip_and_remember<'a>(reader: &mut Reader<'a>) -> Result<Reader<'a>, SyntaxError> {
    reader.kind()?;
    let here = reader.clone();
    reader.skip_value()?;
    Ok(here)
}

pub(super) fn invalid(message: &str) -> Error {
    Error::manifest(ManifestProblem::Form, message)
}
