use crate::error::{Error, Result};
use crate::manifest::Manifest;
use crate::manifest::decode::Document;

pub(in crate::manifest) fn from_document(_document: Document<'_>, _text: &[u8]) -> Result<Manifest> {
    Err(Error::NotSupported("2025-12-04-beta".to_owned()))
}
