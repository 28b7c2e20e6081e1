use crate::error::{Error, Result};
use crate::manifest::Manifest;

#[derive(Debug)]
pub struct Names<'a> {
    manifest: &'a Manifest,
}

impl<'a> Names<'a> {
    pub fn new(manifest: &'a Manifest) -> Result<Self> {
        let _ = Self { manifest };
        Err(Error::NotSupported("2025-12-04-beta".to_owned()))
    }
    pub fn file_order(&self) -> Option<Vec<u32>> {
        None
    }
    pub fn write_head(&self, _out: &mut Vec<u8>) {}
    pub fn write_entry(&self, _out: &mut Vec<u8>, _row: usize) {}
    pub fn write_tail(&self, _out: &mut Vec<u8>) {}
}
