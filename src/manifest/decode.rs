//! Reading a manifest of any version: one pass over the text, straight into columns.
//!
//! Errors come in the reference's order and words: the JSON's syntax, the version, missing fields, each field's type, the
//! entries, and last the hashes.

use super::fields::{Fields, invalid};
use super::table::{Manifest, ManifestVersion};
use super::v2025;
use crate::error::{Error, ManifestProblem, Result};

/// Reads a manifest of version 2023-03-03 or 2025-12-04-beta from UTF-8, in which surrogates may be encoded like other
/// characters (Python's `surrogatepass`).
///
/// Accepted, as the reference accepts them: unknown fields, keys given twice (the last counts), totals that are wrong,
/// negative sizes, duplicate and hostile paths, `true` for 1. [`super::check_strictly`] refuses these.
///
/// # Errors
/// [`Error::Json`] where the text is no JSON, else [`Error::ManifestInvalid`] in the reference's words.
pub(crate) fn decode(text: &[u8]) -> Result<Manifest> {
    check_encoding(text)?;
    let fields = Fields::read(text).map_err(|error| error.locate(text))?;
    into_manifest(fields, text)
}

/// Checks a document against the rules of a version, named as in `manifestVersion`; hashes may have any form.
///
/// # Errors
/// As [`decode`].
pub(crate) fn validate(text: &[u8], version: &str) -> Result<()> {
    check_encoding(text)?;
    let mut fields = Fields::read(text).map_err(|error| error.locate(text))?;
    if let Some(paths) = &mut fields.paths {
        paths.hash_error = None;
    }
    match version {
        "2023-03-03" => into_v2023(fields).map(drop),
        "2025-12-04-beta" => v2025::decode::from_fields(fields, text).map(drop),
        _ => Err(Error::manifest(ManifestProblem::Version, format!("Version {version} is not supported"))),
    }
}

/// UTF-8, with surrogates allowed.
fn check_encoding(text: &[u8]) -> Result<()> {
    let mut rest = text;
    loop {
        let Err(error) = std::str::from_utf8(rest) else { return Ok(()) };
        match &rest[error.valid_up_to()..] {
            [0xED, 0xA0..=0xBF, 0x80..=0xBF, after @ ..] => rest = after,
            bad => {
                let offset = text.len() - bad.len();
                return Err(Error::manifest(
                    ManifestProblem::Form,
                    format!("manifest is not valid UTF-8 at byte {offset}"),
                ));
            }
        }
    }
}

fn into_manifest(fields: Fields<'_>, text: &[u8]) -> Result<Manifest> {
    if !fields.is_object {
        return Err(invalid("manifest must be a JSON object"));
    }
    let Some(version) = &fields.version else {
        return Err(invalid("Manifest is missing the required \"manifestVersion\" field"));
    };
    match version.text() {
        Some("2023-03-03") => into_v2023(fields),
        Some("2025-12-04-beta") => v2025::decode::from_fields(fields, text),
        Some("UNDEFINED") => Err(invalid("Version ManifestVersion.UNDEFINED is not supported")),
        _ => Err(Error::manifest(
            ManifestProblem::Version,
            format!(
                "Unknown manifest version: {} (Currently supported Manifest versions: {}, {})",
                version.display(),
                ManifestVersion::V2023_03_03.as_str(),
                ManifestVersion::V2025_12_04.as_str(),
            ),
        )),
    }
}

fn into_v2023(fields: Fields<'_>) -> Result<Manifest> {
    fields.check_required(&[
        ("hashAlg", fields.hash_algorithm.is_some()),
        ("paths", fields.paths.is_some()),
        ("manifestVersion", fields.version.is_some()),
    ])?;
    fields.check_version(ManifestVersion::V2023_03_03)?;
    let hash_algorithm = fields.checked_algorithm()?;
    let total_size_bytes = fields.checked_total()?;
    let paths = fields.paths.unwrap_or_default();
    if !paths.is_list {
        return Err(invalid("paths must be a list"));
    }
    if paths.is_empty() {
        return Err(invalid("paths must have a least one item"));
    }
    if let Some(message) = paths.entry_error.or(paths.hash_error) {
        return Err(Error::manifest(ManifestProblem::Form, message));
    }
    Ok(Manifest {
        version: ManifestVersion::V2023_03_03,
        hash_algorithm,
        files: paths.files,
        directories: Vec::new(),
        total_size_bytes,
        parent_manifest_hash: None,
    })
}
