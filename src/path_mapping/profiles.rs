//! Rules from two storage profiles.

use super::PathMappingRule;
use crate::path::PathFormat;

/// Where the named locations of a farm are on one kind of machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageProfile {
    /// The profile's id.
    pub(crate) id: Vec<u8>,
    /// Whose rules its paths follow.
    pub(crate) path_format: PathFormat,
    /// Its locations.
    pub(crate) locations: Vec<FileSystemLocation>,
}

/// A named place in a storage profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileSystemLocation {
    /// The name, which other profiles have too.
    pub name: Vec<u8>,
    /// Where it is.
    pub path: Vec<u8>,
}

/// Rules that map paths of one profile to paths of the other: one for each name that both have, shared or local, in the
/// order of the source's. Profiles with one id need none. Of two locations with one name the later counts.
#[must_use]
pub(crate) fn generate_path_mapping_rules(
    source: &StorageProfile,
    destination: &StorageProfile,
) -> Vec<PathMappingRule> {
    if source.id == destination.id {
        return Vec::new();
    }
    let last = |profile: &StorageProfile, name: &[u8]| {
        let found = profile.locations.iter().rev().find(|location| location.name == name);
        found.map(|location| location.path.clone())
    };
    let mut rules: Vec<PathMappingRule> = Vec::new();
    let mut seen: Vec<&[u8]> = Vec::new();
    for location in &source.locations {
        if seen.contains(&location.name.as_slice()) {
            continue;
        }
        seen.push(&location.name);
        if let (Some(source_path), Some(destination_path)) =
            (last(source, &location.name), last(destination, &location.name))
        {
            rules.push(PathMappingRule { source_path_format: source.path_format, source_path, destination_path });
        }
    }
    rules
}
