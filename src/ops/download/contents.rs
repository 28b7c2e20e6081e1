//! Which files want which contents.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use super::request::{DownloadRequest, FileId};
use super::settled::Settled;
use crate::manifest::{Content, Manifest};

/// Files in groups of the same contents, in two flat lists: a million files with a content each cost little.
pub(super) struct Contents {
    files: Arc<[FileId]>,
    groups: Vec<Range<u32>>,
}

/// One content and the files that want it.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    all: Arc<[FileId]>,
    range: Range<u32>,
}

impl Wanted {
    /// The files, at least one, in the order of the request.
    pub(super) fn files(&self) -> &[FileId] {
        &self.all[self.range.start as usize..self.range.end as usize]
    }
}

impl Contents {
    /// Groups what is to be fetched. Contents come in the order of the first file that wants each.
    ///
    /// A size is part of what a content is: of two files that have one hash and two sizes, one is wrong.
    pub(super) fn of(request: &DownloadRequest, settled: &Settled) -> Self {
        let mut files = Vec::new();
        for (root, download) in (0_u32..).zip(&request.roots) {
            for entry in (0_u32..).take(download.manifest.files.len()) {
                let id = FileId { root, entry };
                let is_link = matches!(download.manifest.files.content(id.index()), Content::Symlink(_));
                if !is_link && !settled.is_skipped(id) {
                    files.push(id);
                }
            }
        }
        let manifest = |id: &FileId| &*request.roots[id.root as usize].manifest;
        files.sort_unstable_by(|a, b| compare(manifest(a), *a, manifest(b), *b).then(a.cmp(b)));
        let mut groups: Vec<Range<u32>> = Vec::new();
        for (place, id) in (0_u32..).zip(&files) {
            match groups.last_mut() {
                Some(group) if is_same(manifest, files[group.start as usize], *id) => group.end = place + 1,
                _ => groups.push(place..place + 1),
            }
        }
        groups.sort_unstable_by_key(|group| files[group.start as usize]);
        Self { files: files.into(), groups }
    }

    /// The contents, in two lists by whether the first file of each is of one kind.
    pub(super) fn partition(self, is_first_kind: impl Fn(FileId) -> bool) -> (Vec<Wanted>, Vec<Wanted>) {
        let Self { files, groups } = self;
        let wanted = groups.into_iter().map(|range| Wanted { all: Arc::clone(&files), range });
        wanted.partition(|wanted| is_first_kind(wanted.files()[0]))
    }
}

fn is_same<'a>(manifest: impl Fn(&FileId) -> &'a Manifest, a: FileId, b: FileId) -> bool {
    // Chunked files are large and seldom twice: each is fetched by itself.
    let is_chunked = matches!(manifest(&a).files.content(a.index()), Content::Chunks(_));
    !is_chunked && compare(manifest(&a), a, manifest(&b), b) == Ordering::Equal
}

fn compare(left: &Manifest, a: FileId, right: &Manifest, b: FileId) -> Ordering {
    let (a, b) = (a.index(), b.index());
    let by_hash = match (left.files.plain_hash(a), right.files.plain_hash(b)) {
        (Some(one), Some(other)) => one.cmp(&other),
        (None, None) => irregular_hash(left, a).cmp(&irregular_hash(right, b)),
        (one, other) => one.is_some().cmp(&other.is_some()),
    };
    by_hash.then_with(|| left.files.size_bytes(a).cmp(&right.files.size_bytes(b)))
}

/// A hash that has another form than those that this crate makes.
fn irregular_hash(manifest: &Manifest, index: usize) -> Option<String> {
    match manifest.files.content(index) {
        Content::Hash(hash) => Some(hash.text().into_owned()),
        _ => None,
    }
}
