//! The manifest of files that were surveyed and hashed.

use std::collections::BTreeMap;

use crate::cache::HashCache;
use crate::error::Result;
use crate::hash::HashAlgorithm;
use crate::manifest::{CHUNK_SIZE_BYTES, Content, Directory, FileTable, Manifest, ManifestVersion};
use crate::ops::hash_files::{self, HashFilesRequest, HashReason, HashedFile};
use crate::ops::survey::Survey;
use crate::path::ManifestPath;
use crate::transfer::context::{Context, LogLevel};

/// `S_IXUSR`: what a manifest calls runnable.
const OWNER_MAY_EXECUTE: u32 = 0o100;

/// A manifest, and how much work it was.
#[derive(Debug)]
pub struct BuildReport {
    /// The manifest. Its files are in descending order of their paths, as the reference leaves them in memory.
    pub manifest: Manifest,
    /// How many files were read, by why.
    pub hashed: BTreeMap<HashReason, u64>,
}

/// Hashes the files of a survey and lists them in a manifest: of v2025, in chunks where they are large, if the survey has what
/// only that can hold, else of v2023. `update_cache` says whether new hashes are kept.
///
/// # Errors
/// As [`hash_files::run`].
pub fn run(survey: &Survey, cache: &HashCache, update_cache: bool, context: &Context) -> Result<BuildReport> {
    let chunk_bytes = survey.tree.as_ref().map(|_| CHUNK_SIZE_BYTES.unsigned_abs());
    let request = HashFilesRequest { survey, cache, update_cache, read_cache: true, chunk_bytes };
    let files = hash_files::run(&request, context)?;
    let mut hashed = BTreeMap::new();
    for reason in files.iter().filter_map(|file| file.reason) {
        *hashed.entry(reason).or_insert(0) += 1;
    }
    context.log(LogLevel::Debug, "upload", || {
        let counts: Vec<String> = hashed.iter().map(|(reason, count)| format!("{count} because {reason}")).collect();
        let known = files.iter().filter(|file| file.reason.is_none()).count();
        format!(
            "Hashed files: {}; {known} were known",
            if counts.is_empty() { "none".to_owned() } else { counts.join(", ") }
        )
    });
    Ok(BuildReport { manifest: manifest_of(survey, &files), hashed })
}

fn manifest_of(survey: &Survey, files: &[HashedFile]) -> Manifest {
    let mut table = FileTable::with_capacity(files.len());
    let mut total_size_bytes: i64 = 0;
    for (index, file) in files.iter().enumerate().rev() {
        let size = file.stamp.size_bytes.cast_signed();
        total_size_bytes = total_size_bytes.saturating_add(size);
        table.push(survey.files.path(index), content_of(file), size, file.stamp.mtime_micros());
        if survey.tree.is_some() && file.stamp.mode & OWNER_MAY_EXECUTE != 0 {
            table.mark_last_runnable();
        }
    }
    for (link, target) in survey.tree.iter().flat_map(|tree| &tree.symlinks) {
        table.push(ManifestPath::from_wtf8(link), Content::Symlink(ManifestPath::from_wtf8(target)), 0, 0);
    }
    let directories = survey.tree.iter().flat_map(|tree| tree.directories.iter());
    Manifest {
        version: if survey.tree.is_some() { ManifestVersion::V2025_12_04 } else { ManifestVersion::V2023_03_03 },
        hash_algorithm: HashAlgorithm::Xxh128,
        files: table,
        directories: directories.map(|path| Directory { path: path.into(), deleted: false }).collect(),
        total_size_bytes,
        parent_manifest_hash: None,
    }
}

fn content_of(file: &HashedFile) -> Content<'_> {
    match file.hashes.as_slice() {
        [hash] => Content::Hash(hash.clone()),
        chunks => Content::Chunks(chunks),
    }
}
