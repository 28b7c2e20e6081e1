//! Copying the files of a manifest into a directory that is laid out like a root prefix in S3.
//!
//! A copy shares its blocks with the file where the file system can. What counts is what was copied: the copy is hashed, and
//! gets its name only if it is what the manifest says.

use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::hash_files::{changed_files, forget};
use super::in_parallel;
use super::upload_assets::{ManifestSource, Planned, one_error, open_root, plan};
use crate::error::{Error, Result, SourceProblem};
use crate::fs::blocks::read_blocks;
use crate::fs::open::{LinkPolicy, OpenedFile};
use crate::fs::permissions::{self, Applied};
use crate::fs::stage::StagedFile;
use crate::fs::target_root::TargetRoot;
use crate::hash::Hasher;
use crate::manifest::Manifest;
use crate::path::ManifestPath;
use crate::settings::join_key;
use crate::transfer::context::{Context, LogOnce};
use crate::transfer::upload::OpenSource;
use parking_lot::Mutex;

const CANCELLED: &str = "File snapshot cancelled.";
const READ_BYTES: usize = 1024 * 1024;
/// Where contents go below the snapshot's directory, as below a root prefix in S3.
const DATA: &str = "Data";

/// What to copy, and where to.
#[derive(Debug, Clone)]
pub(crate) struct SnapshotRequest {
    /// The files.
    pub manifest: std::sync::Arc<Manifest>,
    /// The directory that they are below.
    pub root: PathBuf,
    /// The snapshot's directory; made if it is not there.
    pub folder: PathBuf,
    /// The manifest: its path below the snapshot's directory, and its text. It is written last.
    pub document: (String, Vec<u8>),
    /// What to do with links among the files.
    pub links: LinkPolicy,
    /// Folders of the hash caches that the manifest's hashes may have come from: they forget a file that is not what its hash
    /// says, so that hashing it again reads it.
    pub hash_caches: Vec<PathBuf>,
}

/// Copies the contents that a manifest names, each once, and then writes the manifest.
///
/// Progress counts bytes only, those of all files: the reference counts no files in a snapshot.
///
/// # Errors
/// [`Error::SourceFile`] for a file that is missing, unreadable or not what its hash says, after the others are done;
/// [`Error::PathOutsideRoot`] for a hostile path; [`Error::Io`] where the snapshot can't be written; [`Error::Cancelled`].
pub(crate) fn snapshot_assets(request: &SnapshotRequest, context: &Context) -> Result<()> {
    let target = TargetRoot::create(&request.folder)?;
    // An empty snapshot has the folder, too.
    target.make_directory(ManifestPath::from_wtf8(DATA.as_bytes()))?;
    let planned = plan(&request.manifest)?;
    let root = open_root(&request.root, request.links, context.goes_on(CANCELLED))?;
    let job = SnapshotJob {
        source: ManifestSource::new(root, &request.manifest),
        algorithm: request.manifest.hash_algorithm.to_string(),
        target,
        context,
        times_refused: LogOnce::default(),
        uncopied: Mutex::default(),
    };
    let copied = in_parallel::map(&planned, Vec::new, |buffer, planned| job.one(planned, buffer)).all();
    let uncopied = job.uncopied.into_inner();
    forget(&request.hash_caches, &changed_files(&uncopied), context);
    copied?;
    if let Some(error) = one_error(uncopied, "copied") {
        return Err(error);
    }
    context.check_cancelled(CANCELLED)?;
    let (path, text) = &request.document;
    let mut staged = job.target.target(ManifestPath::from_wtf8(path.as_bytes()))?.stage()?;
    staged.write_at(text, 0)?;
    staged.commit_over()
}

struct SnapshotJob<'a> {
    source: ManifestSource,
    algorithm: String,
    target: TargetRoot,
    context: &'a Context,
    times_refused: LogOnce,
    /// Files that could not be copied.
    uncopied: Mutex<Vec<Error>>,
}

impl SnapshotJob<'_> {
    fn one(&self, planned: &Planned, buffer: &mut Vec<u8>) -> Result<()> {
        self.context.check_cancelled(CANCELLED)?;
        match self.copy(planned, buffer) {
            Ok(()) => {
                let files = 1 + planned.duplicates.len() as u64;
                self.context.progress.add_bytes(planned.size_bytes * files);
                Ok(())
            }
            Err(error @ (Error::SourceFile { .. } | Error::PathOutsideRoot { .. })) => {
                self.uncopied.lock().push(error);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn copy(&self, planned: &Planned, buffer: &mut Vec<u8>) -> Result<()> {
        let opened = self.source.open(planned.index)?;
        let path = self.source.shown(planned.index);
        let name = join_key(&[DATA, &format!("{}.{}", planned.hash, self.algorithm)]);
        let mut staged = self.target.target(ManifestPath::from_wtf8(name.as_bytes()))?.stage()?;
        let changed = |expected: String, found: String| Error::SourceFile {
            path: path.clone(),
            problem: SourceProblem::Changed { expected, found },
        };
        let end = planned.offset_bytes + planned.size_bytes;
        let is_whole = planned.completes_file && planned.offset_bytes == 0;
        if opened.stamp.size_bytes < end || is_whole && opened.stamp.size_bytes != end {
            return Err(changed(format!("{end} bytes"), format!("{} bytes", opened.stamp.size_bytes)));
        }
        if is_whole {
            staged.clone_from(&opened.file, planned.size_bytes, |_| self.next_step())?;
        } else {
            self.copy_range(&opened, &staged, planned, buffer)?;
        }
        // What the file system lost is its fault, and not a change of the source.
        staged.settle()?;
        let found = self.hash(&staged, buffer)?;
        if found != planned.hash {
            return Err(changed(planned.hash.text().into_owned(), found.text().into_owned()));
        }
        let mode = permissions::set_mode(staged.file(), opened.stamp.mode & 0o777)
            .map_err(|error| Error::io("set the permissions of", staged.target().path(), error))?;
        if staged.set_mtime_micros(opened.stamp.mtime_micros())? == Applied::Refused || mode == Applied::Refused {
            self.context.warn_once(&self.times_refused, "upload", || {
                let folder = self.target.path().display();
                format!("Not all files of the snapshot '{folder}' have the times and permissions of their sources.")
            });
        }
        staged.commit_over()
    }

    /// Tells of a step, and ends the work if it should end.
    fn next_step(&self) -> Result<()> {
        self.context.progress.beat();
        self.context.check_cancelled(CANCELLED)
    }

    /// Copies a chunk of a file.
    fn copy_range(
        &self,
        opened: &OpenedFile,
        staged: &StagedFile,
        planned: &Planned,
        buffer: &mut Vec<u8>,
    ) -> Result<()> {
        buffer.resize(READ_BYTES, 0);
        let shown = |error: &std::io::Error| Error::source_file(self.source.shown(planned.index), error);
        let read = |bytes: &mut [u8], at| opened.file.read_at(bytes, planned.offset_bytes + at);
        let mut offset = 0;
        let came = read_blocks(buffer, planned.size_bytes, read, |block| {
            self.next_step()?;
            staged.write_at(block, offset)?;
            offset += block.len() as u64;
            Ok::<_, Error>(())
        })?
        .map_err(|error| shown(&error))?;
        if came < planned.size_bytes {
            return Err(shown(&std::io::Error::new(ErrorKind::UnexpectedEof, "failed to fill whole buffer")));
        }
        Ok(())
    }

    /// The hash of all of a copy: a file that grew while it was cloned shows.
    fn hash(&self, staged: &StagedFile, buffer: &mut Vec<u8>) -> Result<crate::hash::ContentHash> {
        let mut hasher = Hasher::new();
        buffer.resize(READ_BYTES, 0);
        self.next_step()?;
        let read = |bytes: &mut [u8], at| staged.file().read_at(bytes, at);
        read_blocks(buffer, u64::MAX, read, |block| {
            hasher.update(block);
            self.next_step()
        })?
        .map_err(|error| Error::io("read", staged.target().path(), error))?;
        Ok(hasher.finish())
    }
}
