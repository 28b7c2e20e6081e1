//! The manifest of files that were surveyed and hashed.

use std::collections::BTreeMap;

use crate::cache::HashCache;
use crate::error::Result;
use crate::fs::open::FileStamp;
use crate::hash::HashAlgorithm;
use crate::manifest::chunks::CHUNK_BYTES;
use crate::manifest::{Content, Directory, FileTable, Manifest, ManifestVersion};
use crate::ops::diff_tree;
use crate::ops::hash_files::{HashFilesRequest, HashReason, HashedFile, hash_files};
use crate::ops::survey::Survey;
use crate::path::ManifestPath;
use crate::transfer::context::{Context, LogLevel};

/// `S_IXUSR`: what a manifest calls runnable.
const OWNER_MAY_EXECUTE: u32 = 0o100;

/// A manifest, and how much work it was.
#[derive(Debug)]
pub(crate) struct BuildReport {
    /// The manifest. Its files are in descending order of their paths, as the reference leaves them in memory.
    pub manifest: Manifest,
    /// How many files were read, by why.
    pub hashed: BTreeMap<HashReason, u64>,
    /// Why each file was read, in the manifest's order; `None` where the cache knew its hash. Links come after the files.
    pub reasons: Vec<Option<HashReason>>,
}

/// What a manifest is made of.
pub(crate) struct BuildManifestRequest<'a> {
    /// The files.
    pub survey: &'a Survey,
    /// An earlier manifest of the same root. Files of the size and time that it names are not read: they have that manifest's
    /// contents and time.
    pub earlier: Option<&'a Manifest>,
    /// What knows hashes of files.
    pub cache: &'a HashCache,
    /// Whether new hashes are kept there.
    pub update_cache: bool,
}

/// Hashes the files of a survey and lists them in a manifest: of v2025, in chunks where they are large, if the survey has what
/// only that can hold, else of v2023.
///
/// # Errors
/// As [`hash_files`], and [`crate::Error::Io`] where the root can't be opened again.
pub(crate) fn build_manifest(request: &BuildManifestRequest<'_>, context: &Context) -> Result<BuildReport> {
    let survey = request.survey;
    let Some(earlier) = request.earlier else {
        let files = hash(request, survey, context)?;
        return Ok(report(survey, &files, context));
    };
    let rows = diff_tree::unchanged_rows(survey, earlier);
    let changed: Vec<usize> = (0..rows.len()).filter(|index| rows[*index].is_none()).collect();
    for (seen, _) in survey.seen.iter().zip(&rows).filter(|(_, row)| row.is_some()) {
        context.progress.skip_file(seen.stamp.size_bytes);
    }
    let mut read = hash(request, &survey.select(&changed)?, context)?.into_iter();
    let files: Vec<HashedFile> = rows
        .into_iter()
        .zip(&survey.seen)
        .filter_map(|(row, seen)| row.map_or_else(|| read.next(), |row| Some(as_before(earlier, row, seen.stamp))))
        .collect();
    Ok(report(survey, &files, context))
}

/// A file that has not changed since the manifest was made.
fn as_before(earlier: &Manifest, row: usize, stamp: FileStamp) -> HashedFile {
    let hashes = match earlier.files.content(row) {
        Content::Hash(hash) => vec![hash],
        Content::Chunks(chunks) => chunks.to_vec(),
        Content::Symlink(_) | Content::Deleted => Vec::new(),
    };
    let mtime_ns = i128::from(earlier.files.mtime_micros(row)) * 1000;
    HashedFile { hashes, stamp: FileStamp { mtime_ns, ..stamp }, reason: None }
}

/// Hashes some of the files of the request's survey, or all.
fn hash(request: &BuildManifestRequest<'_>, files: &Survey, context: &Context) -> Result<Vec<HashedFile>> {
    let BuildManifestRequest { survey, cache, update_cache, .. } = *request;
    let chunk_bytes = survey.tree.is_some().then_some(CHUNK_BYTES);
    let request = HashFilesRequest { survey: files, cache, update_cache, read_cache: true, chunk_bytes };
    hash_files(&request, context)
}

fn report(survey: &Survey, files: &[HashedFile], context: &Context) -> BuildReport {
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
    let reasons = files.iter().rev().map(|file| file.reason).collect();
    BuildReport { manifest: manifest_of(survey, files), hashed, reasons }
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
