//! Path mapping with the types of Rust programs: the rules themselves work on WTF-8.

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::hash::ContentHash;
use crate::path::{PathFormat, path_from_wtf8, wtf8_from_os_str};
use crate::path_mapping::{
    self, FileSystemLocation, PathMappingRule, PathMappingRuleApplier, StorageProfile, WindowsPrefixes,
    generate_dynamic_path_mapping,
};
use crate::worker::ManifestProperties;

impl PathMappingRule {
    /// Paths at or below `source`, a path of another machine, are below `destination` on this one.
    #[must_use]
    pub fn new(format: PathFormat, source: &str, destination: impl AsRef<Path>) -> Self {
        Self {
            source_path_format: format,
            source_path: source.as_bytes().to_vec(),
            destination_path: wtf8_from_os_str(destination.as_ref().as_os_str()),
        }
    }

    /// How the source path is read.
    #[must_use]
    pub fn format(&self) -> PathFormat {
        self.source_path_format
    }

    /// The path of the other machine.
    #[must_use]
    pub fn source(&self) -> PathBuf {
        path_from_wtf8(&self.source_path)
    }

    /// The path of this machine.
    #[must_use]
    pub fn destination(&self) -> PathBuf {
        path_from_wtf8(&self.destination_path)
    }

    /// The hash of the source path, which manifest files are named after.
    #[must_use]
    pub fn source_hash(&self) -> ContentHash {
        self.hashed_source_path()
    }

    /// Reads the rules of an Open Job Description file (`pathmapping-1.0`).
    ///
    /// # Errors
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) and [`Error::Json`](crate::Error::Json) for other text.
    pub fn from_json(text: &str) -> Result<Vec<Self>> {
        path_mapping::rules_from_json(text)
    }
}

impl PathMappingRuleApplier {
    /// Takes in rules; of two with one source path the later counts.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) where the rules' formats differ.
    pub fn for_host(rules: &[PathMappingRule]) -> Result<Self> {
        Self::new(rules, PathFormat::host(), WindowsPrefixes::Current)
    }

    /// The path on this machine by the most specific rule, or `None` where no rule applies.
    #[must_use]
    pub fn map(&self, path: &str) -> Option<PathBuf> {
        self.transform(path.as_bytes()).map(|mapped| path_from_wtf8(&mapped))
    }
}

impl StorageProfile {
    /// A profile with an id and named locations.
    #[must_use]
    pub fn new<'a>(id: &str, format: PathFormat, locations: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let location = |(name, path): (&str, &str)| FileSystemLocation { name: name.into(), path: path.into() };
        Self { id: id.into(), path_format: format, locations: locations.into_iter().map(location).collect() }
    }

    /// Rules that map paths of this profile to paths of another: one for each location that both have.
    #[must_use]
    pub fn rules_to(&self, destination: &Self) -> Vec<PathMappingRule> {
        path_mapping::generate_path_mapping_rules(self, destination)
    }
}

/// Rules for the roots of a job that have no file system location: each gets a directory of its own below the session's.
#[must_use]
pub fn session_path_mapping<'a>(
    session_directory: impl AsRef<Path>,
    roots: impl IntoIterator<Item = &'a ManifestProperties>,
) -> Vec<PathMappingRule> {
    let session = wtf8_from_os_str(session_directory.as_ref().as_os_str());
    let root = |properties: &'a ManifestProperties| {
        let location = properties.file_system_location_name.as_deref();
        (properties.root_path.as_slice(), properties.root_path_format, location)
    };
    generate_dynamic_path_mapping(&session, roots.into_iter().map(root), PathFormat::host())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_cross_as_paths() {
        let rule = PathMappingRule::new(PathFormat::Windows, r"C:\shots", "/mnt/shots");
        assert_eq!((rule.format(), rule.destination()), (PathFormat::Windows, PathBuf::from("/mnt/shots")));
        let applier = PathMappingRuleApplier::for_host(&[rule]).unwrap();
        assert_eq!(applier.map(r"c:\Shots\a.exr").unwrap(), Path::new("/mnt/shots/a.exr"));
        assert_eq!(applier.map(r"D:\a.exr"), None);
        let studio = StorageProfile::new("a", PathFormat::Windows, [("shows", r"S:\")]);
        let farm = StorageProfile::new("b", PathFormat::Posix, [("shows", "/shows"), ("tools", "/tools")]);
        let rules = studio.rules_to(&farm);
        assert_eq!((rules.len(), rules[0].destination()), (1, PathBuf::from("/shows")));
    }
}
