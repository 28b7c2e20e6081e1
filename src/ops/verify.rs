//! Comparing files, or objects in S3, with a manifest.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::in_parallel;
use super::lanes::{Queue, Workers};
use crate::error::{Error, Result, S3Action, SourceProblem};
use crate::fs::open::LinkPolicy;
use crate::fs::resolve::link_target;
use crate::fs::tree::{Part, TreeReader, TreeRoot};
use crate::hash::{ContentHash, Hasher};
use crate::manifest::chunks::CHUNK_BYTES;
use crate::manifest::{Content, Manifest};
use crate::path::{ManifestPath, path_from_wtf8};
use crate::store::backoff::Backoff;
use crate::store::{ObjectKey, ObjectStore};
use crate::transfer::context::Context;
use crate::transfer::limits::{DEFAULT_BUFFER_BYTES, Limits};

const CANCELLED: &str = "Verification cancelled.";
/// How often an object's body is asked for again where it breaks off.
const BODY_ATTEMPTS: u32 = 5;

/// How a file or an object differs from what a manifest says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Mismatch {
    /// Nothing is there.
    #[error("is missing")]
    Missing,
    /// It has another size.
    #[error("has {found} bytes instead of {expected}")]
    Size {
        /// The manifest's size in bytes.
        expected: u64,
        /// Its size in bytes.
        found: u64,
    },
    /// It has the size, and other contents.
    #[error("has other contents: hash {found} instead of {expected}")]
    Contents {
        /// The manifest's hash.
        expected: String,
        /// The hash of what is there.
        found: String,
    },
    /// A link is missing or leads elsewhere.
    #[error("is not a link to {expected}")]
    Link {
        /// Where the link should lead.
        expected: String,
    },
    /// It can't be read, or is no regular file.
    #[error("{0}")]
    Unusable(SourceProblem),
}

/// What a comparison found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Verified {
    /// Rows of the manifest that differ, ascending.
    pub problems: Vec<(usize, Mismatch)>,
    /// Different objects that are missing.
    pub missing_objects: u64,
    /// Their bytes.
    pub missing_bytes: u64,
}

/// Compares the files below a root with a manifest: sizes, and contents where `contents` is set.
///
/// # Errors
/// [`Error::Io`] for a root that can't be opened, [`Error::PathOutsideRoot`] for a hostile path, [`Error::Cancelled`].
pub(crate) fn verify_files(manifest: &Manifest, root: &Path, contents: bool, context: &Context) -> Result<Verified> {
    let tree = TreeRoot::open(root, LinkPolicy::Follow)?;
    let check = FileCheck { manifest, root, contents, context };
    let mut problems = Vec::new();
    for rows in in_parallel::batches(manifest.files.len()) {
        let rows: Vec<usize> = rows.collect();
        let new_reader = || TreeReader::new(&tree, context.goes_on(CANCELLED));
        let found = in_parallel::map(&rows, new_reader, |reader, row| check.check(reader, *row)).all()?;
        problems.extend(rows.into_iter().zip(found).filter_map(|(row, problem)| Some((row, problem?))));
    }
    Ok(Verified { problems, ..Verified::default() })
}

struct FileCheck<'a> {
    manifest: &'a Manifest,
    root: &'a Path,
    contents: bool,
    context: &'a Context,
}

impl FileCheck<'_> {
    fn check(&self, reader: &mut TreeReader<'_>, row: usize) -> Result<Option<Mismatch>> {
        self.context.check_cancelled(CANCELLED)?;
        let files = &self.manifest.files;
        let size = files.size_bytes(row).unsigned_abs();
        let problem = match files.content(row) {
            Content::Deleted => None,
            Content::Symlink(target) => self.link(files.path(row), target)?,
            Content::Hash(hash) => self.contents(reader, row, size, &[hash])?,
            Content::Chunks(hashes) => self.contents(reader, row, size, hashes)?,
        };
        self.context.progress.finish_file();
        Ok(problem)
    }

    fn link(&self, path: ManifestPath<'_>, target: ManifestPath<'_>) -> Result<Option<Mismatch>> {
        path.check(crate::path::PathFormat::host())?;
        let wrong = || Some(Mismatch::Link { expected: target.display() });
        let relative = PathBuf::from(path.to_os_string()?);
        let Some(found) = link_target(&self.root.join(&relative)) else { return Ok(wrong()) };
        let folder = relative.parent().unwrap_or(Path::new(""));
        let expected = lexically_joined(Path::new(""), &PathBuf::from(target.to_os_string()?));
        let is_right = expected.is_some() && lexically_joined(folder, &found) == expected;
        Ok(if is_right { None } else { wrong() })
    }

    fn contents(
        &self,
        reader: &mut TreeReader<'_>,
        row: usize,
        expected: u64,
        hashes: &[ContentHash],
    ) -> Result<Option<Mismatch>> {
        let path = self.manifest.files.path(row).as_bytes();
        let seen = match reader.look(path) {
            Ok(seen) => seen,
            Err(error) => return unusable(error),
        };
        let found = seen.stamp.size_bytes;
        if found != expected {
            return Ok(Some(Mismatch::Size { expected, found }));
        }
        if !self.contents {
            return Ok(None);
        }
        let parts = hashes.iter().zip((0..).map(|number| number * CHUNK_BYTES));
        for (expected, start) in parts {
            let part = if hashes.len() == 1 { Part::WHOLE } else { Part { start, length: CHUNK_BYTES } };
            let mut on_piece = |bytes: i64| {
                match u64::try_from(bytes) {
                    Ok(bytes) => self.context.progress.add_bytes(bytes),
                    Err(_) => self.context.progress.take_back_bytes(bytes.unsigned_abs()),
                }
                self.context.check_cancelled(CANCELLED)
            };
            let hash = match reader.hash(path, &seen, part, &mut on_piece) {
                Ok(read) => read.hash,
                Err(error) => return unusable(error),
            };
            if hash != *expected {
                return Ok(Some(other_contents(expected, &hash)));
            }
        }
        Ok(None)
    }
}

fn unusable(error: Error) -> Result<Option<Mismatch>> {
    match error {
        Error::SourceFile { problem: SourceProblem::Missing, .. } => Ok(Some(Mismatch::Missing)),
        Error::SourceFile { problem, .. } => Ok(Some(Mismatch::Unusable(problem))),
        other => Err(other),
    }
}

fn other_contents(expected: &ContentHash, found: &ContentHash) -> Mismatch {
    Mismatch::Contents { expected: expected.text().into_owned(), found: found.text().into_owned() }
}

/// A relative path seen from a folder, without `.` and `..`; `None` where it is absolute or leads above the root.
fn lexically_joined(folder: &Path, path: &Path) -> Option<PathBuf> {
    use std::path::Component;
    let mut joined = PathBuf::new();
    for component in folder.components().chain(path.components()) {
        match component {
            Component::Normal(name) => joined.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if !joined.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(joined)
}

/// What to compare in S3.
#[derive(Clone)]
pub(crate) struct VerifyObjectsRequest {
    /// Where the objects are.
    pub store: Arc<dyn ObjectStore>,
    /// The bucket.
    pub bucket: String,
    /// `<rootPrefix>/Data`.
    pub cas_prefix: String,
    /// The manifest.
    pub manifest: Arc<Manifest>,
    /// Whether to fetch the objects and hash them.
    pub deep: bool,
}

/// Contents that a manifest names, and the rows that have them.
struct Wanted {
    hash: ContentHash,
    /// Its size in bytes, as the manifest has it.
    size_bytes: u64,
    rows: Vec<usize>,
}

struct ObjectsJob {
    request: VerifyObjectsRequest,
    wanted: Vec<Wanted>,
    limits: Limits,
    context: Context,
    found: Mutex<Vec<(usize, Mismatch)>>,
}

/// Compares the objects of a manifest with S3: whether they are there, their size, their checksum where S3 keeps one, and with
/// `deep` their contents. Each object is asked for once.
///
/// # Errors
/// The store's; [`Error::Cancelled`].
pub(crate) async fn verify_objects(request: VerifyObjectsRequest, context: &Context) -> Result<Verified> {
    let limits = Limits::new(request.store.max_connections(), DEFAULT_BUFFER_BYTES);
    let wanted = wanted(&request.manifest);
    let queue = Queue::new((0..wanted.len()).collect::<Vec<_>>());
    let workers = limits.most_requests();
    let context = context.clone();
    let job = Arc::new(ObjectsJob { request, wanted, limits, context, found: Mutex::default() });
    let mut set = Workers::new(&job);
    set.spawn(&queue, workers, |job, index| async move {
        tokio::select! {
            biased;
            () = job.context.cancel.cancelled() => Err(Error::Cancelled(CANCELLED.to_owned())),
            outcome = job.check(index) => outcome,
        }
    });
    set.finish().await?;
    let found = std::mem::take(&mut *job.found.lock());
    Ok(job.verified(found))
}

/// The different contents of a manifest.
fn wanted(manifest: &Manifest) -> Vec<Wanted> {
    let mut numbers: HashMap<ContentHash, usize> = HashMap::new();
    let mut all: Vec<Wanted> = Vec::new();
    let mut add = |hash: ContentHash, size_bytes: u64, row: usize| {
        let number = *numbers.entry(hash.clone()).or_insert_with(|| {
            all.push(Wanted { hash, size_bytes, rows: Vec::new() });
            all.len() - 1
        });
        if all[number].rows.last() != Some(&row) {
            all[number].rows.push(row);
        }
    };
    for row in 0..manifest.files.len() {
        let size = manifest.files.size_bytes(row).unsigned_abs();
        match manifest.files.content(row) {
            Content::Hash(hash) => add(hash, size, row),
            Content::Chunks(hashes) => {
                let mut rest = size;
                for hash in hashes {
                    let chunk = rest.min(CHUNK_BYTES);
                    rest -= chunk;
                    add(hash.clone(), chunk, row);
                }
            }
            Content::Symlink(_) | Content::Deleted => {}
        }
    }
    all
}

impl ObjectsJob {
    async fn check(&self, index: usize) -> Result<()> {
        let wanted = &self.wanted[index];
        let problem = self.compare(wanted).await?;
        if !self.request.deep {
            self.context.progress.add_bytes(wanted.size_bytes);
        }
        self.context.progress.finish_file();
        if let Some(problem) = problem {
            self.found.lock().push((index, problem));
        }
        Ok(())
    }

    async fn compare(&self, wanted: &Wanted) -> Result<Option<Mismatch>> {
        let _permit = self.limits.request().await;
        let name = format!("{}.{}", wanted.hash, self.request.manifest.hash_algorithm.as_str());
        let mut object = self.object(&name);
        object.check(S3Action::CheckingIfObjectExists)?;
        let mut there = self.request.store.inspect(&object).await?;
        if there.is_none() {
            // Old farms wrote keys without a suffix.
            object = self.object(&wanted.hash.text());
            there = self.request.store.inspect(&object).await?;
        }
        let Some((info, checksum)) = there else { return Ok(Some(Mismatch::Missing)) };
        if let Some(found) = info.size_bytes.filter(|found| *found != wanted.size_bytes) {
            return Ok(Some(Mismatch::Size { expected: wanted.size_bytes, found }));
        }
        let stored = checksum.map(ContentHash::Xxh128);
        if let Some(found) = stored.filter(|found| *found != wanted.hash) {
            return Ok(Some(other_contents(&wanted.hash, &found)));
        }
        if !self.request.deep {
            return Ok(None);
        }
        let found = self.hash(&object).await?;
        Ok((found != wanted.hash).then(|| other_contents(&wanted.hash, &found)))
    }

    fn object(&self, name: &str) -> ObjectKey {
        ObjectKey::new(self.request.bucket.clone(), format!("{}/{name}", self.request.cas_prefix))
    }

    async fn hash(&self, object: &ObjectKey) -> Result<ContentHash> {
        let mut attempt = 0;
        loop {
            match self.hash_once(object).await {
                Err(error @ Error::S3Client(_)) if attempt + 1 < BODY_ATTEMPTS => {
                    drop(error);
                    attempt += 1;
                    tokio::time::sleep(Backoff::OF_BODIES.wait(attempt)).await;
                }
                outcome => return outcome,
            }
        }
    }

    async fn hash_once(&self, object: &ObjectKey) -> Result<ContentHash> {
        let mut body = self.request.store.get(object, None, S3Action::DownloadingFile).await?;
        let mut hasher = Hasher::new();
        let mut counted = 0;
        loop {
            match body.chunks.next_chunk().await {
                Ok(Some(piece)) => {
                    hasher.update(&piece);
                    counted += piece.len() as u64;
                    self.context.progress.add_bytes(piece.len() as u64);
                }
                Ok(None) => return Ok(hasher.finish()),
                Err(error) => {
                    self.context.progress.take_back_bytes(counted);
                    return Err(error);
                }
            }
        }
    }

    fn verified(&self, found: Vec<(usize, Mismatch)>) -> Verified {
        let mut verified = Verified::default();
        for (index, problem) in found {
            let wanted = &self.wanted[index];
            if problem == Mismatch::Missing {
                verified.missing_objects += 1;
                verified.missing_bytes += wanted.size_bytes;
            }
            verified.problems.extend(wanted.rows.iter().map(|row| (*row, problem.clone())));
        }
        verified.problems.sort_by_key(|(row, _)| *row);
        verified
    }
}

/// How much there is to verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Amount {
    /// Files, or different objects.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The files of a manifest.
pub(crate) fn files_of(manifest: &Manifest) -> Amount {
    let files = &manifest.files;
    Amount { count: files.len() as u64, bytes: u64::try_from(files.sum_of_sizes()).unwrap_or(0) }
}

/// The different objects of a manifest.
pub(crate) fn objects_of(manifest: &Manifest) -> Amount {
    let wanted = wanted(manifest);
    Amount { count: wanted.len() as u64, bytes: wanted.iter().map(|wanted| wanted.size_bytes).sum() }
}

/// The path of a row, for reports.
pub(crate) fn path_of_row(manifest: &Manifest, row: usize) -> PathBuf {
    path_from_wtf8(manifest.files.path(row).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_compared_as_seen_from_the_root() {
        let joined = |folder: &str, path: &str| lexically_joined(Path::new(folder), Path::new(path));
        assert_eq!(joined("a/b", "../c/./d"), Some(PathBuf::from("a/c/d")));
        assert_eq!(joined("a", "../../c"), None);
        assert_eq!(joined("a", "/c"), None);
    }
}
