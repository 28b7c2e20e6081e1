//! Sorting the paths of a submission under asset roots.
//!
//! Paths below a SHARED file system location are left out; those below a LOCAL one form a group of its own; all others form
//! one group. A group's root is the deepest folder that its paths have in common.
//!
//! Which location a path is below is asked of what its links lead to, as the reference does; a root is made of paths as they
//! are written. A link from elsewhere into a location can therefore give a group with the location's name a root that is not
//! in the location, where no worker's storage profile maps it. Such paths go to the group of all others instead. And a root
//! has one group: two would be two manifests for one folder.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::fs::inputs::{InputPath, look_at_input};
use crate::fs::path_list::PathList;
use crate::fs::resolve::Resolver;
use crate::grouping::{self, FileSystemLocation};
use crate::ops::in_parallel;
use crate::ops::survey::CANCELLED;
use crate::path::{os_string_from_wtf8, wtf8_from_os_str};
use crate::transfer::context::Context;

/// A submission's paths as the caller has them.
#[derive(Debug, Default)]
pub(crate) struct PrepareInputsRequest {
    /// Files to upload.
    pub inputs: PathList,
    /// Directories that will hold outputs.
    pub outputs: PathList,
    /// Paths that only have to be below some root.
    pub references: PathList,
    /// Locations whose files are uploaded under a root of their own.
    pub local_locations: Vec<FileSystemLocation>,
    /// Locations whose files workers reach without help.
    pub shared_locations: Vec<FileSystemLocation>,
    /// Whether a missing input is an error; else it becomes a reference.
    pub require_paths_exist: bool,
    /// What relative paths are relative to (WTF-8).
    pub current_directory: Vec<u8>,
}

/// The groups of a submission.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    /// The groups, ordered by root and name of location.
    pub groups: Vec<AssetGroup>,
    /// Inputs in all groups.
    pub total_files: u64,
    /// Their size.
    pub total_bytes: u64,
    /// What the caller should be told.
    pub warnings: Vec<String>,
}

/// Paths under one root; absolute, sorted, each once (WTF-8).
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct AssetGroup {
    /// The LOCAL location that made the group.
    pub location_name: Option<String>,
    /// The root.
    pub root: Vec<u8>,
    /// Files to upload.
    pub inputs: PathList,
    /// Directories of outputs.
    pub outputs: PathList,
    /// Other paths.
    pub references: PathList,
}

impl PrepareInputsRequest {
    /// Whether any path needs the current directory.
    #[must_use]
    pub(crate) fn has_relative_paths(&self) -> bool {
        let is_relative = |path: &[u8]| path.first() != Some(&b'/');
        [&self.inputs, &self.outputs, &self.references].into_iter().any(|paths| paths.iter().any(is_relative))
            || self.local_locations.iter().chain(&self.shared_locations).any(|location| is_relative(&location.path))
    }
}

/// Groups the paths.
///
/// # Errors
/// [`Error::MisconfiguredInputs`] for directories among the inputs, and for missing ones where they are required;
/// [`Error::SourceFile`] where an input can't be looked at; [`Error::Cancelled`].
pub(crate) fn prepare_inputs(request: &PrepareInputsRequest, context: &Context) -> Result<Prepared> {
    let mut grouper = Grouper::new(request);
    let mut prepared = Prepared::default();
    let absolute = |path: &[u8]| grouping::absolute(path, &request.current_directory);
    let mut references: Vec<Vec<u8>> = request.references.iter().map(absolute).collect();
    let (mut missing, mut directories) = (Vec::new(), Vec::new());
    for batch in in_parallel::batches(request.inputs.len()) {
        context.check_cancelled(CANCELLED)?;
        let paths: Vec<Vec<u8>> = batch.clone().map(|index| absolute(request.inputs.get(index))).collect();
        for (index, (path, look)) in batch.zip(paths.iter().zip(look_at(&paths)?)) {
            match look {
                InputPath::Missing if request.require_paths_exist => missing.push(path.clone()),
                InputPath::Missing => {
                    prepared.warnings.push(format!(
                        "Input path '{}' resolving to '{}' does not exist. Adding to referenced paths.",
                        String::from_utf8_lossy(request.inputs.get(index)),
                        String::from_utf8_lossy(path)
                    ));
                    references.push(path.clone());
                }
                InputPath::Directory => directories.push(path.clone()),
                InputPath::File { size_bytes } => {
                    if let Some(group) = grouper.group_of(path) {
                        group.inputs.push(path);
                        group.input_bytes.push(size_bytes);
                    }
                }
            }
        }
    }
    if !missing.is_empty() || !directories.is_empty() {
        let (missing, directories) = (sorted(missing), sorted(directories));
        let text = grouping::misconfigured_text(&texts(&missing), &texts(&directories));
        return Err(Error::MisconfiguredInputs {
            missing: to_paths(&missing),
            directories: to_paths(&directories),
            text,
        });
    }
    for path in request.outputs.iter().map(absolute) {
        if let Some(group) = grouper.group_of(&path) {
            group.outputs.push(&path);
        }
    }
    for path in references {
        if let Some(group) = grouper.group_of(&path) {
            group.references.push(&path);
        }
    }
    for group in grouper.settled(&mut prepared.warnings) {
        let (group, files, bytes) = group.finish();
        prepared.groups.push(group);
        prepared.total_files += files;
        prepared.total_bytes += bytes;
    }
    prepared.groups.sort_by(|left, right| (&left.root, &left.location_name).cmp(&(&right.root, &right.location_name)));
    Ok(prepared)
}

fn look_at(paths: &[Vec<u8>]) -> Result<Vec<InputPath>> {
    in_parallel::map(paths, || (), |(), path| look_at_input(path)).all()
}

fn sorted(mut paths: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    paths.sort();
    paths.dedup();
    paths
}

fn texts(paths: &[Vec<u8>]) -> Vec<String> {
    paths.iter().map(|path| String::from_utf8_lossy(path).into_owned()).collect()
}

/// Paths for messages: one that this system can't have is there as text.
fn to_paths(paths: &[Vec<u8>]) -> Vec<PathBuf> {
    let as_text = |path: &[u8]| String::from_utf8_lossy(path).into_owned().into();
    paths.iter().map(|path| os_string_from_wtf8(path).unwrap_or_else(|| as_text(path)).into()).collect()
}

/// A group as it grows.
#[derive(Debug, Default)]
struct Growing {
    /// Which of the LOCAL locations makes the group; `None` for the group of all other paths.
    location: Option<usize>,
    location_name: Option<String>,
    inputs: PathList,
    input_bytes: Vec<u64>,
    outputs: PathList,
    references: PathList,
}

impl Growing {
    fn of(location: Option<usize>, locations: &[FileSystemLocation]) -> Self {
        let location_name = location.map(|index| locations[index].name.clone());
        Self { location, location_name, ..Self::default() }
    }

    fn paths(&self) -> impl Iterator<Item = &[u8]> {
        self.inputs.iter().chain(self.outputs.iter()).chain(self.references.iter())
    }

    fn is_empty(&self) -> bool {
        self.paths().next().is_none()
    }

    /// The deepest folder that all paths have in common.
    fn root(&self) -> Vec<u8> {
        let mut root = grouping::common_path(self.paths()).unwrap_or_default();
        if os_string_from_wtf8(&root).is_some_and(|root| Path::new(&root).is_file()) {
            let end = root.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
            root.truncate(end.max(1));
        }
        root
    }

    /// Moves the paths that are not wanted here to another group.
    fn move_unless(&mut self, is_wanted: impl Fn(&[u8]) -> bool, other: &mut Self) {
        let mut kept = Self { location: self.location, location_name: self.location_name.take(), ..Self::default() };
        for (path, size_bytes) in self.inputs.iter().zip(&self.input_bytes) {
            let group = if is_wanted(path) { &mut kept } else { &mut *other };
            group.inputs.push(path);
            group.input_bytes.push(*size_bytes);
        }
        for path in self.outputs.iter() {
            if is_wanted(path) { &mut kept } else { &mut *other }.outputs.push(path);
        }
        for path in self.references.iter() {
            if is_wanted(path) { &mut kept } else { &mut *other }.references.push(path);
        }
        *self = kept;
    }

    /// The group, its number of inputs and their bytes.
    fn finish(self) -> (AssetGroup, u64, u64) {
        let root = self.root();
        let order = self.inputs.sorted_indices();
        let (mut files, mut bytes) = (0, 0);
        for (place, index) in order.iter().enumerate() {
            if place == 0 || self.inputs.get(order[place - 1]) != self.inputs.get(*index) {
                files += 1;
                bytes += self.input_bytes[*index];
            }
        }
        let group = AssetGroup {
            location_name: self.location_name,
            root,
            inputs: self.inputs.sorted_unique(),
            outputs: self.outputs.sorted_unique(),
            references: self.references.sorted_unique(),
        };
        (group, files, bytes)
    }
}

struct Grouper<'a> {
    request: &'a PrepareInputsRequest,
    /// The resolved paths of the locations.
    local: Vec<Vec<u8>>,
    shared: Vec<Vec<u8>>,
    resolver: Resolver,
    groups: Vec<Growing>,
}

impl<'a> Grouper<'a> {
    fn new(request: &'a PrepareInputsRequest) -> Self {
        let mut resolver = Resolver::default();
        let mut resolve = |locations: &[FileSystemLocation]| {
            let absolute = |it: &FileSystemLocation| grouping::absolute(&it.path, &request.current_directory);
            locations.iter().map(|location| resolved(&mut resolver, &absolute(location))).collect()
        };
        let (local, shared) = (resolve(&request.local_locations), resolve(&request.shared_locations));
        Self { request, local, shared, resolver, groups: Vec::new() }
    }

    /// The group that a path goes into, or `None` for a path of a SHARED location.
    fn group_of(&mut self, path: &[u8]) -> Option<&mut Growing> {
        let mut location = None;
        if !self.local.is_empty() || !self.shared.is_empty() {
            let path = resolved(&mut self.resolver, path);
            if self.shared.iter().any(|shared| grouping::is_below(&path, shared)) {
                return None;
            }
            location = self.location_of(&path);
        }
        Some(self.group_for(location))
    }

    /// The most specific of the LOCAL locations above a resolved path.
    fn location_of(&self, path: &[u8]) -> Option<usize> {
        let locations = &self.request.local_locations;
        let index_of = |location: &FileSystemLocation| locations.iter().position(|other| std::ptr::eq(other, location));
        let is_above = |location: &FileSystemLocation| {
            index_of(location).is_some_and(|index| grouping::is_below(path, &self.local[index]))
        };
        grouping::most_specific(locations, is_above).and_then(index_of)
    }

    fn group_for(&mut self, location: Option<usize>) -> &mut Growing {
        let at = self.groups.iter().position(|group| group.location == location).unwrap_or_else(|| {
            self.groups.push(Growing::of(location, &self.request.local_locations));
            self.groups.len() - 1
        });
        &mut self.groups[at]
    }

    /// The groups, each with a root of its own, and those of a location with a root in it.
    fn settled(mut self, warnings: &mut Vec<String>) -> Vec<Growing> {
        for index in 0..self.local.len() {
            if let Some(at) = self.groups.iter().position(|group| group.location == Some(index)) {
                let group = self.groups.remove(at);
                let kept = self.keep_below(index, group, warnings);
                self.groups.push(kept);
            }
        }
        let mut settled: Vec<(Vec<u8>, Growing)> = Vec::new();
        for mut group in std::mem::take(&mut self.groups) {
            if group.is_empty() {
                continue;
            }
            let root = group.root();
            if let Some((_, other)) = settled.iter_mut().find(|(other, _)| *other == root) {
                let root = resolved(&mut self.resolver, &root);
                let location = self.location_of(&root);
                let mut joined = Growing::of(location, &self.request.local_locations);
                group.move_unless(|_| false, &mut joined);
                other.move_unless(|_| false, &mut joined);
                *other = joined;
            } else {
                settled.push((root, group));
            }
        }
        settled.into_iter().map(|(_, group)| group).collect()
    }

    /// Where a location's group has a root outside of it, moves the paths that are only led into the location by a link.
    fn keep_below(&mut self, index: usize, mut group: Growing, warnings: &mut Vec<String>) -> Growing {
        if grouping::is_below(&resolved(&mut self.resolver, &group.root()), &self.local[index]) {
            return group;
        }
        let location = &self.request.local_locations[index];
        let written = grouping::absolute(&location.path, &self.request.current_directory);
        // Storage profiles know the location by the path that it was given, which can be a link itself.
        let is_known = group.paths().any(|path| grouping::is_below(path, &written));
        let folder = if is_known { written } else { self.local[index].clone() };
        let mut led = Growing::default();
        group.move_unless(|path| grouping::is_below(path, &folder), &mut led);
        if !led.is_empty() {
            warnings.push(format!(
                "Symbolic links lead into the file system location '{}' from outside of it, below '{}'. What they lead to is \
                 submitted under the links' own paths, which are not in that location.",
                location.name,
                String::from_utf8_lossy(&led.root())
            ));
        }
        led.move_unless(|_| false, self.group_for(None));
        group
    }
}

fn resolved(resolver: &mut Resolver, path: &[u8]) -> Vec<u8> {
    let Some(path) = os_string_from_wtf8(path) else { return path.to_vec() };
    wtf8_from_os_str(resolver.resolve(Path::new(&path)).as_os_str())
}
