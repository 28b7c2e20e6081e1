//! Choosing files of a manifest by patterns.

use super::table::FileTable;
use crate::glob::FnmatchPattern;

/// Include patterns as the reference's `filter_manifests` takes them: a file is in if any of them matches its full path.
///
/// A pattern that begins with neither `/` nor `*` nor a drive matches anywhere (`*/` goes before it); one that ends in `/`
/// takes all below.
#[derive(Debug, Clone)]
pub(crate) struct PathFilter(Vec<FnmatchPattern>);

impl PathFilter {
    /// Makes the patterns ready, which are generalised UTF-8.
    #[must_use]
    pub(crate) fn new<'a>(patterns: impl IntoIterator<Item = &'a [u8]>) -> Self {
        Self(patterns.into_iter().map(|pattern| FnmatchPattern::new(&complete(pattern))).collect())
    }

    /// Whether a full path (root and path, `/` between components) is in.
    #[must_use]
    pub(crate) fn takes(&self, full_path: &[u8]) -> bool {
        self.0.iter().any(|pattern| pattern.matches(full_path))
    }

    /// The rows whose full paths are in, ascending. Duplicates are each in or out alike.
    #[must_use]
    pub(crate) fn rows(&self, root: &[u8], files: &FileTable) -> Vec<u32> {
        let root: Vec<u8> = root.iter().map(|byte| if *byte == b'\\' { b'/' } else { *byte }).collect();
        let mut full = Vec::new();
        (0..files.len())
            .filter(|row| {
                join(&mut full, &root, files.path(*row).as_bytes());
                self.takes(&full)
            })
            .filter_map(|row| u32::try_from(row).ok())
            .collect()
    }
}

fn complete(pattern: &[u8]) -> Vec<u8> {
    // The second *character* may be the colon of a drive.
    let second = crate::path::code_points(pattern).nth(1);
    let is_absolute = matches!(pattern.first(), Some(b'/' | b'*')) || second == Some(u32::from(b':'));
    let mut complete = if is_absolute { Vec::new() } else { b"*/".to_vec() };
    complete.extend_from_slice(pattern);
    if pattern.last() == Some(&b'/') {
        complete.push(b'*');
    }
    complete
}

/// `posixpath.join` of two.
fn join(out: &mut Vec<u8>, root: &[u8], relative: &[u8]) {
    out.clear();
    if relative.first() != Some(&b'/') {
        out.extend_from_slice(root);
        if !root.is_empty() && root.last() != Some(&b'/') {
            out.push(b'/');
        }
    }
    out.extend_from_slice(relative);
}
