//! Reading version 2025-12-04-beta: directory references are expanded and every rule is checked.

use std::borrow::Cow;

use super::entry::{Entry, EntryContent, Problem, integer, text};
use super::{LARGEST_EXPANSION, LONGEST_PATH_BYTES, name_problem, show, split_reference, target_problem};
use crate::error::{Error, ManifestProblem, Result};

use crate::manifest::distinct::DistinctPaths;
use crate::manifest::fields::{Fields, Scalar, invalid};
use crate::manifest::json::{Kind, Reader};
use crate::manifest::table::{Content, Directory, FileTable, Manifest, ManifestVersion};
use crate::path::ManifestPath;

/// Makes a manifest of a document whose version is known.
pub(in crate::manifest) fn from_fields(fields: Fields<'_>, source: &[u8]) -> Result<Manifest> {
    fields.check_required(&[
        ("dirs", fields.directories.is_some()),
        ("files", fields.files.is_some()),
        ("hashAlg", fields.hash_algorithm.is_some()),
        ("manifestVersion", fields.version.is_some()),
    ])?;
    fields.check_version(ManifestVersion::V2025_12_04)?;
    let hash_algorithm = fields.checked_algorithm()?;
    let total_size_bytes = fields.checked_total()?;
    if total_size_bytes < 0 {
        return Err(invalid("totalSize is negative"));
    }
    let parent_manifest_hash = parent_of(fields.parent.as_ref())?;
    let mut names = Expander {
        is_diff: parent_manifest_hash.is_some(),
        directories: Vec::new(),
        room: source.len().saturating_mul(LARGEST_EXPANSION),
    };
    let (Some(mut directories), Some(mut files)) = (fields.directories, fields.files) else {
        return Err(invalid("dirs and files are missing"));
    };
    each_entry(&mut directories, source, "dirs", |entry| names.add_directory(entry))?;
    let mut table = FileTable::default();
    each_entry(&mut files, source, "files", |entry| names.add_file(&mut table, entry))?;
    check_distinct(&names.directories, &table)?;
    Ok(Manifest {
        version: ManifestVersion::V2025_12_04,
        hash_algorithm,
        files: table,
        directories: names.directories,
        total_size_bytes,
        parent_manifest_hash,
    })
}

fn parent_of(field: Option<&Scalar<'_>>) -> Result<Option<String>> {
    let Some(field) = field else { return Ok(None) };
    match field.text() {
        Some(hash) if !hash.is_empty() && hash.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            Ok(Some(hash.to_owned()))
        }
        _ => Err(invalid("parentManifestHash must be an alphanumeric string")),
    }
}

/// Gives each entry of a list to `take`, and says of which entry a problem is.
fn each_entry<'a>(
    reader: &mut Reader<'a>,
    source: &[u8],
    list: &str,
    mut take: impl FnMut(&Entry<'a>) -> Result<(), Problem>,
) -> Result<()> {
    let locate = |error: crate::manifest::json::SyntaxError| error.locate(source);
    if reader.kind().map_err(locate)? != Kind::Array {
        return Err(Error::manifest(ManifestProblem::Form, format!("{list} must be a list")));
    }
    reader.open_array().map_err(locate)?;
    let (mut first, mut index) = (true, 0_usize);
    while reader.next_element(&mut first).map_err(locate)? {
        let Some(entry) = Entry::read(reader).map_err(locate)? else {
            return Err(Error::manifest(ManifestProblem::Form, format!("{list}[{index}] must be an object")));
        };
        take(&entry).map_err(|problem| {
            let name = text("name", &entry.name).map_or_else(|_| String::new(), |name| format!(" ({:?})", show(name)));
            Error::manifest(ManifestProblem::Form, format!("{list}[{index}]{name}: {problem}"))
        })?;
        index += 1;
    }
    Ok(())
}

/// Expands names with the directories read so far.
struct Expander {
    is_diff: bool,
    directories: Vec<Directory>,
    /// How many more bytes references may unfold to.
    room: usize,
}

impl Expander {
    fn add_directory(&mut self, entry: &Entry<'_>) -> Result<(), Problem> {
        let deleted = self.checked_deletion(entry)?;
        entry.check_bare("a directory")?;
        let path = self.expand("name", text("name", &entry.name)?)?;
        if let Some(problem) = name_problem(&path) {
            return Err(format!("name {problem}"));
        }
        let path = path.into_owned().into_boxed_slice();
        self.directories.push(Directory { path, deleted });
        Ok(())
    }

    fn add_file(&mut self, files: &mut FileTable, entry: &Entry<'_>) -> Result<(), Problem> {
        self.checked_deletion(entry)?;
        let path = self.expand("name", text("name", &entry.name)?)?;
        if let Some(problem) = name_problem(&path) {
            return Err(format!("name {problem}"));
        }
        let path = ManifestPath::from_wtf8(&path);
        match entry.content()? {
            EntryContent::Deleted => files.push(path, Content::Deleted, 0, 0),
            EntryContent::Symlink(target) => {
                let target = self.expand("symlink", &target)?;
                if let Some(problem) = target_problem(&target) {
                    return Err(format!("symlink {:?} {problem}", show(&target)));
                }
                files.push(path, Content::Symlink(ManifestPath::from_wtf8(&target)), 0, 0);
            }
            EntryContent::Hash(hash) => {
                files.push(path, Content::Hash(hash), integer("size", &entry.size)?, integer("mtime", &entry.mtime)?);
            }
            EntryContent::Chunks(chunks) => {
                let (size, mtime) = (integer("size", &entry.size)?, integer("mtime", &entry.mtime)?);
                files.push(path, Content::Chunks(&chunks), size, mtime);
            }
        }
        if entry.is_runnable()? {
            files.mark_last_runnable();
        }
        Ok(())
    }

    fn checked_deletion(&self, entry: &Entry<'_>) -> Result<bool, Problem> {
        let deleted = entry.is_deleted()?;
        if deleted && !self.is_diff {
            return Err("delete is for diff manifests, which have a parentManifestHash".to_owned());
        }
        Ok(deleted)
    }

    /// The full path of a name. A reference must be to a directory that comes before.
    fn expand<'n>(&mut self, field: &str, name: &'n [u8]) -> Result<Cow<'n, [u8]>, Problem> {
        let Some((digits, rest)) = split_reference(name) else { return Ok(Cow::Borrowed(name)) };
        let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<usize>().ok());
        let Some(directory) = number.and_then(|number| self.directories.get(number)) else {
            let known = self.directories.len();
            return Err(format!("{field} {:?} refers to no directory among the {known} before it", show(name)));
        };
        let length = directory.path.len() + 1 + rest.len();
        if length > LONGEST_PATH_BYTES {
            return Err(format!("{field} is longer than {LONGEST_PATH_BYTES} bytes"));
        }
        let Some(room) = self.room.checked_sub(length) else {
            return Err(format!("{field}: the names unfold to more than {LARGEST_EXPANSION} times the document"));
        };
        self.room = room;
        let mut path = Vec::with_capacity(length);
        path.extend_from_slice(&directory.path);
        path.push(b'/');
        path.extend_from_slice(rest);
        Ok(Cow::Owned(path))
    }
}

/// Refuses duplicates, and paths that are a file and a directory at once: unless one of them is deleted, as a diff does when
/// a directory becomes a file.
fn check_distinct(directories: &[Directory], files: &FileTable) -> Result<()> {
    let distinct = DistinctPaths::of(&[files]);
    if distinct.places().len() < files.len() {
        let mut seen = std::collections::HashSet::new();
        let twice = (0..files.len()).map(|row| files.path(row)).find(|path| !seen.insert(*path));
        let name = twice.map(ManifestPath::display).unwrap_or_default();
        return Err(Error::manifest(ManifestProblem::Entry, format!("files has {name:?} more than once")));
    }
    let mut seen = std::collections::HashSet::with_capacity(directories.len());
    for directory in directories {
        let path = directory.path.as_ref();
        if !seen.insert(path) {
            return Err(Error::manifest(ManifestProblem::Entry, format!("dirs has {:?} more than once", show(path))));
        }
        if let Some(place) = distinct.find(ManifestPath::from_wtf8(path))
            && !directory.deleted
            && files.content(place.row as usize) != Content::Deleted
        {
            return Err(Error::manifest(ManifestProblem::Entry, format!("{:?} is in files and in dirs", show(path))));
        }
    }
    Ok(())
}
