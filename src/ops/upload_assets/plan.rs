//! What of a manifest has to be in the store: each content once.

use std::collections::HashMap;

use crate::error::{Error, ManifestProblem, Result};
use crate::hash::ContentHash;
use crate::manifest::chunks::{chunk_length, chunk_offset};
use crate::manifest::{Content, Manifest};

/// One content, and the files that have it.
#[derive(Debug, Clone)]
pub(in crate::ops) struct Planned {
    pub(in crate::ops) hash: ContentHash,
    /// An entry of the manifest that has it, and where in that file it begins.
    pub(in crate::ops) index: usize,
    pub(in crate::ops) offset_bytes: u64,
    pub(in crate::ops) size_bytes: u64,
    /// Further files with the same content.
    pub(in crate::ops) duplicates: Vec<usize>,
    /// Whether this content completes a file: false for all but the last chunk of a chunked one.
    pub(in crate::ops) completes_file: bool,
}

/// The distinct contents of a manifest, in the order of their first files.
pub(in crate::ops) fn plan(manifest: &Manifest) -> Result<Vec<Planned>> {
    let files = &manifest.files;
    let mut order: HashMap<ContentHash, usize> = HashMap::with_capacity(files.len());
    let mut planned: Vec<Planned> = Vec::with_capacity(files.len());
    for index in 0..files.len() {
        let size_bytes = u64::try_from(files.size_bytes(index)).map_err(|_| {
            Error::manifest(ManifestProblem::Entry, format!("{:?} has a negative size", files.path(index)))
        })?;
        match files.content(index) {
            Content::Hash(hash) => {
                if let Some(first) = order.get(&hash) {
                    planned[*first].duplicates.push(index);
                    continue;
                }
                order.insert(hash.clone(), planned.len());
                planned.push(Planned {
                    hash,
                    index,
                    offset_bytes: 0,
                    size_bytes,
                    duplicates: Vec::new(),
                    completes_file: true,
                });
            }
            Content::Chunks(chunks) => {
                for (number, hash) in (0_u64..).zip(chunks) {
                    planned.push(Planned {
                        hash: hash.clone(),
                        index,
                        offset_bytes: chunk_offset(number),
                        size_bytes: chunk_length(size_bytes, number),
                        duplicates: Vec::new(),
                        completes_file: number + 1 == chunks.len() as u64,
                    });
                }
            }
            Content::Symlink(_) | Content::Deleted => {}
        }
    }
    Ok(planned)
}
