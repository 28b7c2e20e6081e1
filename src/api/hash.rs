//! Hashing local files.

use std::path::{Path, PathBuf};

use super::CacheFolder;
use super::operation::Operation;
use crate::cache::HashCache;
use crate::fs::open::LinkPolicy;
use crate::fs::path_list::PathList;
use crate::hash::ContentHash;
use crate::ops::hash_files::{self, HashReason};
use crate::ops::survey::{SurveyRequest, survey_files};
use crate::path::path_from_wtf8;
use crate::transfer::tasks::blocking;

/// Which files to hash.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HashFilesRequest {
    /// The directory that the files are below.
    pub root: PathBuf,
    /// The files, relative to it.
    pub files: Vec<PathBuf>,
    /// Where the hash cache is: a file that has not changed since it was hashed is not read.
    pub cache: CacheFolder,
}

/// A file and its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HashedFile {
    /// Its path relative to the root.
    pub path: PathBuf,
    /// The hash of its contents.
    pub hash: ContentHash,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Why it was read; `None` where the cache knew its hash.
    pub reason: Option<HashReason>,
}

impl HashFilesRequest {
    /// Files below a root, given relative to it.
    #[must_use]
    pub fn new<P: AsRef<Path>>(root: impl Into<PathBuf>, files: impl IntoIterator<Item = P>) -> Self {
        let files = files.into_iter().map(|path| path.as_ref().to_owned()).collect();
        Self { root: root.into(), files, cache: CacheFolder::Default }
    }

    /// Where the hash cache is.
    #[must_use]
    pub fn cache(mut self, cache: CacheFolder) -> Self {
        self.cache = cache;
        self
    }
}

/// Hashes files on all processors. The result is sorted by path, and has each path once.
///
/// # Errors
/// [`Error::SourceFile`](crate::Error::SourceFile) for a file that is missing, unreadable or written meanwhile;
/// [`Error::Io`](crate::Error::Io) for a root that can't be opened; [`Error::Cancelled`](crate::Error::Cancelled).
pub fn hash_files(request: HashFilesRequest) -> Operation<Vec<HashedFile>> {
    Operation::new(async move |context, totals| {
        let work = move || {
            let mut files = PathList::new();
            request.files.iter().for_each(|path| files.push_os(path.as_os_str()));
            let survey =
                SurveyRequest { root: &request.root, files: &files, links: LinkPolicy::Follow, may_vanish: false };
            let survey = survey_files(&survey, &context)?;
            totals.set(survey.files.len() as u64, survey.total_bytes());
            let cache = open_cache(&request.cache);
            let request = hash_files::HashFilesRequest {
                survey: &survey,
                cache: &cache,
                update_cache: true,
                read_cache: true,
                chunk_bytes: None,
            };
            let hashed = hash_files::hash_files(&request, &context)?;
            let with_path = survey.files.iter().map(path_from_wtf8).zip(hashed);
            let one = |(path, file): (PathBuf, hash_files::HashedFile)| {
                let hash = file.hashes.into_iter().next()?;
                Some(HashedFile { path, hash, size_bytes: file.stamp.size_bytes, reason: file.reason })
            };
            Ok(with_path.filter_map(one).collect())
        };
        blocking(work).await
    })
}

/// The hash cache of a folder; one that knows nothing where there is none.
pub(super) fn open_cache(folder: &CacheFolder) -> HashCache {
    folder.path().map_or_else(HashCache::none, |folder| HashCache::open(Some(&folder)))
}
