//! Surveying a tree with its directories, links and execute bits, for a v2025 manifest.

use std::path::Path;

use crate::error::Result;
use crate::fs::collect::{self, CollectRequest, SymlinkPolicy};
use crate::fs::open::LinkPolicy;
use crate::fs::path_list::PathList;
use crate::glob::Selection;
use crate::ops::survey::{CANCELLED, Survey, SurveyRequest, TreeParts, survey_files};
use crate::transfer::context::{Context, LogLevel};

/// What to survey.
pub(crate) struct CollectTreeRequest<'a> {
    /// The root, absolute and normalised.
    pub root: &'a Path,
    /// Which paths.
    pub selection: &'a Selection,
    /// What becomes of links.
    pub policy: SymlinkPolicy,
}

/// Which listed files to survey.
pub(crate) struct CollectListedRequest<'a> {
    /// The root, absolute and normalised.
    pub root: &'a Path,
    /// The files, relative to the root (WTF-8).
    pub files: &'a PathList,
    /// What becomes of links.
    pub policy: SymlinkPolicy,
}

/// Surveys a tree. Links that are left out against the caller's wish are logged as warnings.
///
/// # Errors
/// [`crate::Error::Io`] for a directory that can't be read, [`crate::Error::Cancelled`].
pub(crate) fn collect_tree(request: &CollectTreeRequest<'_>, context: &Context) -> Result<Survey> {
    let is_cancelled = || context.cancel.is_cancelled();
    let CollectTreeRequest { root, selection, policy } = *request;
    let collected = collect::collect(&CollectRequest { root, selection, policy, is_cancelled: &is_cancelled })?;
    context.check_cancelled(CANCELLED)?;
    for warning in collected.warnings {
        context.log(LogLevel::Warning, "upload", || warning);
    }
    // Links that stay links are no files here; those that are collapsed are followed.
    let request = SurveyRequest { root, files: &collected.files, links: LinkPolicy::Follow, may_vanish: true };
    let survey = survey_files(&request, context)?;
    let tree = TreeParts { directories: collected.directories, symlinks: collected.symlinks };
    Ok(Survey { tree: Some(tree), ..survey })
}

/// Surveys listed files below a root, relative to it, with the directories above them and the links among them.
///
/// # Errors
/// [`crate::Error::SourceFile`] for a file that is missing or none, [`crate::Error::Cancelled`].
pub(crate) fn collect_listed(request: &CollectListedRequest<'_>, context: &Context) -> Result<Survey> {
    let CollectListedRequest { root, files, policy } = *request;
    let collected = collect::collect_listed(root, files, policy);
    let request = SurveyRequest { root, files: &collected.files, links: LinkPolicy::Follow, may_vanish: false };
    let survey = survey_files(&request, context)?;
    let tree = TreeParts { directories: collected.directories, symlinks: collected.symlinks };
    Ok(Survey { tree: Some(tree), ..survey })
}
