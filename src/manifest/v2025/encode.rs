//! Writing version 2025-12-04-beta.

use std::collections::{BTreeMap, HashMap};

use super::entry::chunk_problem;
use super::{name_problem, show, split_parent, split_reference, target_problem};
use crate::error::{Error, ManifestProblem, Result};
use crate::hash::ContentHash;
use crate::manifest::canonical::{canonical_order, push_escaped, push_hash, push_integer, push_string, row_numbers};
use crate::manifest::table::{Content, Directory, Manifest, ManifestVersion};

/// A manifest with its directories in order and numbered.
#[derive(Debug)]
pub(crate) struct Names<'a> {
    manifest: &'a Manifest,
    /// Sorted by code points, each once, with whether it is deleted.
    directories: Vec<(&'a [u8], bool)>,
    numbers: HashMap<&'a [u8], usize>,
}

impl<'a> Names<'a> {
    /// Numbers the directories: the listed ones, and those of names that could be mistaken for references.
    ///
    /// # Errors
    /// [`Error::ManifestInvalid`] for names and targets that the format refuses: what would not be read again is not written.
    pub(crate) fn new(manifest: &'a Manifest) -> Result<Self> {
        let mut directories: BTreeMap<&[u8], bool> = BTreeMap::new();
        let is_diff = manifest.parent_manifest_hash.is_some();
        for Directory { path, deleted } in &manifest.directories {
            let deletion = (*deleted && !is_diff).then_some("is deleted, but the manifest is no diff");
            check(path, name_problem(path).or(deletion), "directory")?;
            directories.entry(path).or_insert(*deleted);
        }
        for Directory { path, .. } in &manifest.directories {
            list_ambiguous(&mut directories, path);
        }
        let files = &manifest.files;
        for row in 0..files.len() {
            let path = files.path(row).as_bytes();
            check(path, name_problem(path), "file")?;
            list_ambiguous(&mut directories, path);
            if let Content::Symlink(target) = files.content(row) {
                let target = target.as_bytes();
                check(target, target_problem(target), "symlink target")?;
                list_ambiguous(&mut directories, target);
            }
        }
        let directories: Vec<_> = directories.into_iter().collect();
        let numbers = directories.iter().enumerate().map(|(number, (path, _))| (*path, number)).collect();
        let names = Self { manifest, directories, numbers };
        (0..files.len()).try_for_each(|row| names.check_entry(row))?;
        Ok(names)
    }

    /// Refuses what a decoder would refuse.
    fn check_entry(&self, row: usize) -> Result<()> {
        let files = &self.manifest.files;
        let (path, size) = (files.path(row).as_bytes(), files.size_bytes(row));
        let content = files.content(row);
        let is_diff = self.manifest.parent_manifest_hash.is_some();
        let problem = match &content {
            Content::Deleted if !is_diff => Some("is deleted, but the manifest is no diff".to_owned()),
            Content::Deleted => return Ok(()),
            Content::Chunks(chunks) => chunk_problem(size, chunks.len()),
            Content::Hash(_) if size < 0 => Some("has a negative size".to_owned()),
            _ => None,
        };
        let is_directory = || self.numbers.get(path).is_some_and(|number| !self.directories[*number].1);
        let problem = problem.or_else(|| is_directory().then(|| "is also a directory".to_owned()));
        problem.map_or(Ok(()), |problem| {
            Err(Error::manifest(ManifestProblem::Entry, format!("file {:?}: {problem}", show(path))))
        })
    }

    /// The rows in the order in which they are written, without later duplicates; `None` if that is the table's.
    pub(crate) fn file_order(&self) -> Option<Vec<u32>> {
        let files = &self.manifest.files;
        let order = canonical_order(files);
        let sorted = order.is_none();
        let mut rows = order.unwrap_or_else(|| row_numbers(files));
        rows.dedup_by_key(|row| files.path(*row as usize));
        (!sorted || rows.len() != files.len()).then_some(rows)
    }

    /// Appends what comes before the files.
    pub(crate) fn write_head(&self, out: &mut Vec<u8>) {
        out.extend(b"{\"dirs\":[");
        for (number, (path, deleted)) in self.directories.iter().enumerate() {
            if number > 0 {
                out.push(b',');
            }
            out.push(b'{');
            if *deleted {
                out.extend(b"\"delete\":true,");
            }
            self.write_name(out, path);
            out.push(b'}');
        }
        out.extend(b"],\"files\":[");
    }

    /// Appends one file.
    pub(crate) fn write_entry(&self, out: &mut Vec<u8>, row: usize) {
        let files = &self.manifest.files;
        let content = files.content(row);
        let start = out.len();
        match &content {
            Content::Hash(hash) => {
                out.extend(b"{\"hash\":");
                write_hash(out, hash);
            }
            Content::Chunks(chunks) => {
                out.extend(b"{\"chunkhashes\":[");
                for (number, chunk) in chunks.iter().enumerate() {
                    if number > 0 {
                        out.push(b',');
                    }
                    write_hash(out, chunk);
                }
                out.push(b']');
            }
            Content::Deleted => out.extend(b"{\"delete\":true"),
            Content::Symlink(_) => out.push(b'{'),
        }
        let has_bytes = matches!(content, Content::Hash(_) | Content::Chunks(_));
        if has_bytes {
            out.extend(b",\"mtime\":");
            push_integer(out, files.mtime_micros(row));
        }
        if out.len() > start + 1 {
            out.push(b',');
        }
        self.write_name(out, files.path(row).as_bytes());
        if has_bytes && files.is_runnable(row) {
            out.extend(b",\"runnable\":true");
        }
        if has_bytes {
            out.extend(b",\"size\":");
            push_integer(out, files.size_bytes(row));
        }
        if let Content::Symlink(target) = content {
            out.extend(b",\"symlink\":{");
            self.write_name(out, target.as_bytes());
            out.push(b'}');
        }
        out.push(b'}');
    }

    /// Appends what comes after the files.
    pub(crate) fn write_tail(&self, out: &mut Vec<u8>) {
        out.extend(b"],\"hashAlg\":\"");
        out.extend(self.manifest.hash_algorithm.as_str().as_bytes());
        out.extend(b"\",\"manifestVersion\":\"");
        out.extend(ManifestVersion::V2025_12_04.as_str().as_bytes());
        out.push(b'"');
        if let Some(parent) = &self.manifest.parent_manifest_hash {
            out.extend(b",\"parentManifestHash\":");
            push_string(out, parent.as_bytes());
        }
        out.extend(b",\"totalSize\":");
        push_integer(out, self.manifest.total_size_bytes);
        out.push(b'}');
    }

    /// Appends `"name":"…"`, shortened where the directory is listed.
    fn write_name(&self, out: &mut Vec<u8>, path: &[u8]) {
        out.extend(b"\"name\":\"");
        let listed = split_parent(path).and_then(|(parent, rest)| Some((self.numbers.get(parent)?, rest)));
        if let Some((number, rest)) = listed {
            out.push(b'$');
            out.extend(number.to_string().as_bytes());
            out.push(b'/');
            push_escaped(out, rest);
        } else {
            push_escaped(out, path);
        }
        out.push(b'"');
    }
}

fn write_hash(out: &mut Vec<u8>, hash: &ContentHash) {
    match hash {
        ContentHash::Xxh128(bytes) => {
            out.push(b'"');
            push_hash(out, *bytes);
            out.push(b'"');
        }
        ContentHash::Text(text) => push_string(out, text.as_bytes()),
    }
}

fn check(path: &[u8], problem: Option<&'static str>, what: &str) -> Result<()> {
    problem.map_or(Ok(()), |problem| {
        Err(Error::manifest(ManifestProblem::Entry, format!("{what} {:?} {problem}", show(path))))
    })
}

/// Lists all directories of a name that begins like a reference to one.
fn list_ambiguous<'a>(directories: &mut BTreeMap<&'a [u8], bool>, path: &'a [u8]) {
    if split_reference(path).is_none() {
        return;
    }
    let mut rest = path;
    while let Some((parent, _)) = split_parent(rest) {
        directories.entry(parent).or_insert(false);
        rest = parent;
    }
}
