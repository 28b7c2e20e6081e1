//! Making a manifest of a directory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::CacheFolder;
use super::hash::open_cache;
use super::operation::{Operation, Totals};
use crate::cache::HashCache;
use crate::error::{Error, Result};
use crate::fs::collect::SymlinkPolicy;
use crate::fs::glob::{GlobRequest, glob, normalised};
use crate::fs::open::LinkPolicy;
use crate::glob::Selection;
use crate::manifest::Manifest;
use crate::ops::build_manifest::{BuildManifestRequest, build_manifest};
use crate::ops::collect_tree::{CollectTreeRequest, collect_tree};
use crate::ops::diff_tree::{DiffTreeRequest, diff_tree};
use crate::ops::hash_files::HashReason;
use crate::ops::survey::{CANCELLED, Survey, SurveyRequest, survey_files};
use crate::transfer::context::Context;
use crate::transfer::tasks::blocking;

/// Which files to list in a manifest.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SnapshotRequest {
    /// The directory.
    pub root: PathBuf,
    /// Patterns of files to list, as Python's `glob.glob(…, recursive=True)` takes them; `**` and hidden files: none, unless a
    /// pattern names them.
    pub include: Vec<String>,
    /// Patterns of files to leave out.
    pub exclude: Vec<String>,
    /// `None` for a manifest of version 2023-03-03, which lists what links lead to. Else one of version 2025-12-04-beta, which
    /// lists directories, links and execute bits as well.
    pub symlinks: Option<SymlinkPolicy>,
    /// An earlier manifest of the same root: only files with another size or time are listed.
    pub changed_since: Option<Arc<Manifest>>,
    /// Where the hash cache is: a file that has not changed since it was hashed is not read.
    pub cache: CacheFolder,
}

/// A manifest, and how much work it was.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SnapshotReport {
    /// The manifest.
    pub manifest: Arc<Manifest>,
    /// How many files were read, by reason. The cache knew the others.
    pub hashed: BTreeMap<HashReason, u64>,
}

impl SnapshotRequest {
    /// All files below a directory but hidden ones.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            include: vec!["**/*".to_owned()],
            exclude: Vec::new(),
            symlinks: None,
            changed_since: None,
            cache: CacheFolder::Default,
        }
    }

    /// Lists the files that match one of these patterns.
    #[must_use]
    pub fn include<S: Into<String>>(mut self, patterns: impl IntoIterator<Item = S>) -> Self {
        self.include = patterns.into_iter().map(Into::into).collect();
        self
    }

    /// Leaves out the files that match one of these patterns.
    #[must_use]
    pub fn exclude<S: Into<String>>(mut self, patterns: impl IntoIterator<Item = S>) -> Self {
        self.exclude = patterns.into_iter().map(Into::into).collect();
        self
    }

    /// Makes a manifest of version 2025-12-04-beta, with this policy for links.
    #[must_use]
    pub fn symlinks(mut self, policy: SymlinkPolicy) -> Self {
        self.symlinks = Some(policy);
        self
    }

    /// Lists only the files whose size or time is not that of an earlier manifest: what a task has written.
    #[must_use]
    pub fn changed_since(mut self, earlier: impl Into<Arc<Manifest>>) -> Self {
        self.changed_since = Some(earlier.into());
        self
    }

    /// Where the hash cache is.
    #[must_use]
    pub fn cache(mut self, cache: CacheFolder) -> Self {
        self.cache = cache;
        self
    }
}

/// Makes a manifest of a directory: finds its files and hashes them on all processors.
///
/// # Errors
/// [`Error::Io`] for a directory that can't be read, [`Error::SourceFile`] for a file that can't be read or is written
/// meanwhile, [`Error::InvalidArgument`] for a pattern that leads out of the root, [`Error::Cancelled`].
pub fn snapshot(request: SnapshotRequest) -> Operation<SnapshotReport> {
    Operation::new(async move |context, totals| {
        blocking(move || {
            let cache = open_cache(&request.cache);
            run(&request, &cache, &totals, &context)
        })
        .await
    })
}

fn run(request: &SnapshotRequest, cache: &HashCache, totals: &Totals, context: &Context) -> Result<SnapshotReport> {
    let root = std::path::absolute(&request.root).map_err(|error| Error::io("find directory", &request.root, error))?;
    let mut survey = look(&normalised(&root), request, context)?;
    if let Some(earlier) = &request.changed_since {
        let diff = diff_tree(&DiffTreeRequest { survey: &survey, manifest: earlier }, context)?;
        let changed: Vec<usize> = diff.changed.iter().map(|(index, _)| *index).collect();
        survey = survey.select(&changed)?;
    }
    totals.set(survey.files.len() as u64, survey.total_bytes());
    let request = BuildManifestRequest { survey: &survey, earlier: None, cache, update_cache: true };
    let built = build_manifest(&request, context)?;
    Ok(SnapshotReport { manifest: Arc::new(built.manifest), hashed: built.hashed })
}

fn look(root: &Path, request: &SnapshotRequest, context: &Context) -> Result<Survey> {
    let [include, exclude] = [&request.include, &request.exclude]
        .map(|patterns| patterns.iter().map(|pattern| pattern.clone().into_bytes()).collect::<Vec<_>>());
    if let Some(policy) = request.symlinks {
        let selection = Selection::new(&include, &exclude)?;
        return collect_tree(&CollectTreeRequest { root, selection: &selection, policy }, context);
    }
    let is_cancelled = || context.cancel.is_cancelled();
    let request = GlobRequest { root, include: &include, exclude: &exclude, is_cancelled: &is_cancelled };
    let found = glob(&request)?;
    context.check_cancelled(CANCELLED)?;
    if let Some(outside) = found.outside.iter().next() {
        let (outside, root) = (String::from_utf8_lossy(outside), root.display());
        return Err(Error::InvalidArgument(format!("A pattern leads out of the root {root}: to {outside}")));
    }
    let request = SurveyRequest { root, files: &found.files, links: LinkPolicy::Follow, may_vanish: true };
    survey_files(&request, context)
}
