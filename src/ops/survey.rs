//! Looking at all files of a list once: their sizes and times serve totals, diffs and the hash cache.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{Error, Result, SourceProblem};
use crate::fs::leases::GoesOn;
use crate::fs::open::LinkPolicy;
use crate::fs::path_list::PathList;
use crate::fs::tree::{SeenFile, TreeReader, TreeRoot};
use crate::ops::in_parallel;
use crate::transfer::context::{Context, LogLevel};

/// The reference's text for a cancelled hashing, of which a survey is the beginning.
pub(crate) const CANCELLED: &str = "File hashing cancelled.";

/// What to look at.
#[derive(Debug)]
pub(crate) struct SurveyRequest<'a> {
    /// The root.
    pub root: &'a Path,
    /// Files, relative to the root (WTF-8).
    pub files: &'a PathList,
    /// What to do about links.
    pub links: LinkPolicy,
    /// Whether a file that is not there is left out with a warning, and not an error.
    pub may_vanish: bool,
}

/// Files of a root that are there, as they were at one moment.
#[derive(Debug)]
pub(crate) struct Survey {
    /// The root, open.
    pub root: TreeRoot,
    /// The files, sorted, each once.
    pub files: PathList,
    /// What was seen of each.
    pub seen: Vec<SeenFile>,
    /// What the tree has beside files, where it was collected for a manifest that can hold that.
    pub tree: Option<TreeParts>,
}

/// What a tree has beside regular files; paths are relative to the root (WTF-8).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TreeParts {
    /// Its directories, sorted.
    pub directories: PathList,
    /// Its links, with their targets relative to the root.
    pub symlinks: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Survey {
    /// The size of all files in bytes.
    #[must_use]
    pub(crate) fn total_bytes(&self) -> u64 {
        self.seen.iter().map(|seen| seen.stamp.size_bytes).sum()
    }

    /// Some of the files, by their indices, in that order.
    ///
    /// # Errors
    /// [`Error::Io`] where the root can't be opened again.
    pub(crate) fn select(&self, indices: &[usize]) -> Result<Self> {
        Ok(Self {
            root: self.root.reopen()?,
            files: indices.iter().map(|index| self.files.get(*index)).collect(),
            seen: indices.iter().map(|index| self.seen[*index].clone()).collect(),
            tree: None,
        })
    }
}

/// Looks at the files.
///
/// # Errors
/// [`Error::SourceFile`] for the first that is no regular file, [`Error::Io`] for a root that can't be opened,
/// [`Error::Cancelled`].
pub(crate) fn survey_files(request: &SurveyRequest<'_>, context: &Context) -> Result<Survey> {
    let root = TreeRoot::open(request.root, request.links)?;
    let files = request.files.sorted_unique();
    let mut seen: Vec<Option<SeenFile>> = Vec::with_capacity(files.len());
    for batch in in_parallel::batches(files.len()) {
        let paths: Vec<&[u8]> = batch.map(|index| files.get(index)).collect();
        let look_at = |reader: &mut TreeReader<'_>, path: &&[u8]| look(reader, path, request.may_vanish, context);
        seen.append(&mut in_parallel::map(&paths, || TreeReader::new(&root, GoesOn::default()), look_at).all()?);
    }
    if seen.iter().all(Option::is_some) {
        return Ok(Survey { root, files, seen: seen.into_iter().flatten().collect(), tree: None });
    }
    let there = files.iter().zip(&seen).filter(|(_, seen)| seen.is_some()).map(|(path, _)| path).collect();
    Ok(Survey { root, files: there, seen: seen.into_iter().flatten().collect(), tree: None })
}

/// What is seen of a file, or nothing where it has vanished and may.
fn look(reader: &mut TreeReader<'_>, path: &[u8], may_vanish: bool, context: &Context) -> Result<Option<SeenFile>> {
    context.check_cancelled(CANCELLED)?;
    match reader.look(path) {
        Err(Error::SourceFile { path, problem: SourceProblem::Missing }) if may_vanish => {
            context.log(LogLevel::Warning, "upload", || {
                format!("Input path '{}' does not exist any more and is left out.", path.display())
            });
            Ok(None)
        }
        seen => seen.map(Some),
    }
}
