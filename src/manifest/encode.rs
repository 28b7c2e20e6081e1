//! Writing a manifest as canonical JSON, piece by piece, straight from the columns.

use super::canonical::{all_plain, canonical_order};
use super::table::{Manifest, ManifestVersion};
use super::{v2023, v2025};
use crate::error::Result;

/// Canonical JSON of a manifest, its entries in canonical order whatever their order in the table.
///
/// # Errors
/// [`crate::Error::ManifestInvalid`] where the manifest holds what its version can't express.
pub(crate) fn encode(manifest: &Manifest) -> Result<String> {
    let mut encoder = Encoder::canonical(manifest)?;
    let mut out = Vec::with_capacity(encoder.size_hint());
    while encoder.fill(&mut out, usize::MAX)? {}
    // Everything written is ASCII.
    Ok(String::from_utf8(out).unwrap_or_default())
}

/// Writes a manifest in pieces, so that whoever takes them away needs no second copy of the whole.
#[derive(Debug)]
pub(crate) struct Encoder<'a> {
    manifest: &'a Manifest,
    order: Option<Vec<u32>>,
    names: Option<v2025::encode::Names<'a>>,
    /// Whether no path needs escapes.
    all_plain: bool,
    next: usize,
    entries: usize,
}

impl<'a> Encoder<'a> {
    /// Writes the entries in canonical order.
    ///
    /// # Errors
    /// As [`encode`].
    pub(crate) fn canonical(manifest: &'a Manifest) -> Result<Self> {
        match manifest.version {
            ManifestVersion::V2023_03_03 => Ok(Self::new(manifest, canonical_order(&manifest.files), None)),
            ManifestVersion::V2025_12_04 => {
                let names = v2025::encode::Names::new(manifest)?;
                let order = names.file_order();
                Ok(Self::new(manifest, order, Some(names)))
            }
        }
    }

    /// Writes the entries of a v2023 manifest in the order of the table.
    #[must_use]
    pub(crate) fn in_table_order(manifest: &'a Manifest) -> Self {
        Self::new(manifest, None, None)
    }

    fn new(manifest: &'a Manifest, order: Option<Vec<u32>>, names: Option<v2025::encode::Names<'a>>) -> Self {
        let entries = order.as_ref().map_or(manifest.files.len(), Vec::len);
        let all_plain = all_plain(manifest.files.all_path_bytes());
        Self { manifest, order, names, all_plain, next: 0, entries }
    }

    /// About how long the text will be: exact for v2023 with plain names and hashes and 16-digit times.
    #[must_use]
    pub(crate) fn size_hint(&self) -> usize {
        let files = &self.manifest.files;
        100 + files.all_path_bytes().len() + files.len() * 100
    }

    /// Appends to `out` until it holds about `limit` bytes. Gives false once everything has been written.
    ///
    /// # Errors
    /// As [`encode`].
    pub(crate) fn fill(&mut self, out: &mut Vec<u8>, limit: usize) -> Result<bool> {
        if self.next > self.entries {
            return Ok(false);
        }
        if self.next == 0 {
            self.write_head(out);
        }
        while self.next < self.entries {
            if self.next > 0 {
                if out.len() >= limit {
                    return Ok(true);
                }
                out.push(b',');
            }
            let row = self.order.as_ref().map_or(self.next, |order| order[self.next] as usize);
            match &self.names {
                None => v2023::write_entry(out, &self.manifest.files, row, self.all_plain)?,
                Some(names) => names.write_entry(out, row),
            }
            self.next += 1;
        }
        match &self.names {
            None => v2023::write_tail(out, self.manifest),
            Some(names) => names.write_tail(out),
        }
        self.next = self.entries + 1;
        Ok(false)
    }

    fn write_head(&self, out: &mut Vec<u8>) {
        match &self.names {
            None => v2023::write_head(out, self.manifest),
            Some(names) => names.write_head(out),
        }
    }
}
