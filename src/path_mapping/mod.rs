//! Path mapping: where paths of the submitter's machine are on this one.
//!
//! Rules come from two storage profiles ([`generate_path_mapping_rules`]), from a session's directory
//! ([`generate_dynamic_path_mapping`]) or from an Open Job Description file ([`rules_from_json`]). The most specific rule
//! wins (<https://github.com/OpenJobDescription/openjd-specifications/wiki/How-Jobs-Are-Run#path-mapping>).
//!
//! All texts are WTF-8, see [`crate::path`].

mod dynamic;
mod openjd;
mod profiles;
mod pure;

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::hash::{ContentHash, hash_bytes};
use crate::path::PathFormat;

pub(crate) use dynamic::{convert_directory, generate_dynamic_path_mapping, local_destination, unique_directory_name};
pub(crate) use openjd::rules_from_json;
pub use profiles::StorageProfile;
pub(crate) use profiles::{FileSystemLocation, generate_path_mapping_rules};
pub(crate) use pure::{PureParts, WindowsPrefixes, join};

/// The name of a path format in documents.
#[must_use]
pub(crate) const fn format_name(format: PathFormat) -> &'static str {
    match format {
        PathFormat::Posix => "posix",
        PathFormat::Windows => "windows",
    }
}

/// The path format of a name, in any case: the API writes `posix`, Open Job Description `POSIX`.
///
/// # Errors
/// [`Error::InvalidArgument`] for any other text.
pub(crate) fn format_from_name(name: &str) -> Result<PathFormat> {
    [PathFormat::Posix, PathFormat::Windows]
        .into_iter()
        .find(|format| format_name(*format).eq_ignore_ascii_case(name))
        .ok_or_else(|| Error::InvalidArgument(format!("Unexpected source path format {name}")))
}

/// Paths at or below a source path are mapped to the destination path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PathMappingRule {
    /// How the source path is read.
    pub(crate) source_path_format: PathFormat,
    /// What is mapped.
    pub(crate) source_path: Vec<u8>,
    /// What it becomes, a path of this machine.
    pub(crate) destination_path: Vec<u8>,
}

impl PathMappingRule {
    /// The hash of the source path, which manifest files are named after.
    #[must_use]
    pub(crate) fn hashed_source_path(&self) -> ContentHash {
        hash_bytes(&self.source_path)
    }
}

/// Applies rules to paths: a trie of the source paths' parts.
#[derive(Debug)]
pub struct PathMappingRuleApplier {
    format: PathFormat,
    prefixes: WindowsPrefixes,
    host: PathFormat,
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    children: HashMap<Vec<u8>, Node>,
    /// The destination of the rule whose source path ends here.
    destination: Option<Vec<u8>>,
}

impl PathMappingRuleApplier {
    /// Takes in rules; of two with one source path the later counts.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] where the rules' formats differ.
    pub(crate) fn new(rules: &[PathMappingRule], host: PathFormat, prefixes: WindowsPrefixes) -> Result<Self> {
        let format = rules.first().map_or(host, |rule| rule.source_path_format);
        if rules.iter().any(|rule| rule.source_path_format != format) {
            return Err(Error::InvalidArgument(
                "The path mapping rules included multiple source path formats posix, windows, only one is permitted."
                    .to_owned(),
            ));
        }
        let mut applier = Self { format, prefixes, host, root: Node::default() };
        for rule in rules {
            applier.insert(rule);
        }
        Ok(applier)
    }

    fn insert(&mut self, rule: &PathMappingRule) {
        let source = PureParts::new(&rule.source_path, self.format, self.prefixes);
        let mut node = &mut self.root;
        for part in source.parts() {
            node = node.children.entry(fold(part, self.format)).or_default();
        }
        node.destination = Some(rule.destination_path.clone());
    }

    /// The path on this machine, or `None` where no rule applies. A rule without any part in its source path (`""`, `"."`)
    /// applies to nothing.
    #[must_use]
    pub(crate) fn transform(&self, path: &[u8]) -> Option<Vec<u8>> {
        let path = PureParts::new(path, self.format, self.prefixes);
        let parts: Vec<&[u8]> = path.parts().collect();
        let mut node = &self.root;
        let mut found = None;
        for (index, part) in parts.iter().enumerate() {
            let Some(next) = node.children.get(&fold(part, self.format)) else { break };
            node = next;
            if let Some(destination) = &node.destination {
                found = Some((destination, index + 1));
            }
        }
        let (destination, matched) = found?;
        let destination = PureParts::new(destination, self.host, self.prefixes);
        let names: Vec<&[u8]> = destination.names.iter().chain(&parts[matched..]).copied().collect();
        Some(join(&destination.anchor, &names, self.host))
    }
}

/// A part as it is compared: Windows ignores case, by Unicode's full lower-case mapping, as Python's `str.lower`.
fn fold(part: &[u8], format: PathFormat) -> Vec<u8> {
    if format == PathFormat::Posix {
        return part.to_vec();
    }
    let mut folded = Vec::with_capacity(part.len());
    for chunk in part.utf8_chunks() {
        folded.extend_from_slice(chunk.valid().to_lowercase().as_bytes());
        // A lone surrogate has no case.
        folded.extend_from_slice(chunk.invalid());
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(source_path_format: PathFormat, source: &str, destination: &str) -> PathMappingRule {
        PathMappingRule { source_path_format, source_path: source.into(), destination_path: destination.into() }
    }

    fn applier(rules: &[PathMappingRule]) -> PathMappingRuleApplier {
        PathMappingRuleApplier::new(rules, PathFormat::Posix, WindowsPrefixes::Current).unwrap()
    }

    fn transform(applier: &PathMappingRuleApplier, path: &str) -> Option<String> {
        applier.transform(path.as_bytes()).map(|path| String::from_utf8(path).unwrap())
    }

    #[test]
    fn the_most_specific_rule_wins() {
        let rules =
            [rule(PathFormat::Posix, "/mnt/projects", "/a"), rule(PathFormat::Posix, "/mnt/projects/special", "/b/")];
        let applier = applier(&rules);
        assert_eq!(transform(&applier, "/mnt/projects/special/x.exr").unwrap(), "/b/x.exr");
        assert_eq!(transform(&applier, "/mnt/projects//./specials/../x").unwrap(), "/a/specials/../x");
        assert_eq!(transform(&applier, "/mnt/projects").unwrap(), "/a");
        assert_eq!(transform(&applier, "/mnt/Projects"), None);
        assert_eq!(transform(&applier, "/mnt"), None);
    }

    #[test]
    fn windows_sources_ignore_case_and_kind_of_slash() {
        let rules = [
            rule(PathFormat::Windows, r"C:\Projects", "/projects"),
            rule(PathFormat::Windows, r"\\Server\Share", "/share"),
        ];
        let applier = applier(&rules);
        assert_eq!(transform(&applier, r"c:/PROJECTS\Shot 1\a.exr").unwrap(), "/projects/Shot 1/a.exr");
        assert_eq!(transform(&applier, r"\\SERVER\share\É.exr").unwrap(), "/share/É.exr");
        assert_eq!(transform(&applier, r"c:projects\a"), None, "relative to the drive's current directory");
        assert_eq!(transform(&applier, r"d:\projects\a"), None);
    }

    #[test]
    fn formats_do_not_mix() {
        let rules = [rule(PathFormat::Windows, "a", "b"), rule(PathFormat::Posix, "a", "b")];
        let error = PathMappingRuleApplier::new(&rules, PathFormat::Posix, WindowsPrefixes::Current).unwrap_err();
        assert_eq!(
            error.to_string(),
            "The path mapping rules included multiple source path formats posix, windows, only one is permitted."
        );
    }

    #[test]
    fn windows_anchors_by_both_readings() {
        let anchor = |path: &'static str, prefixes| {
            let parts = PureParts::new(path.as_bytes(), PathFormat::Windows, prefixes);
            String::from_utf8(parts.anchor).unwrap()
        };
        for (path, current, classic) in [
            (r"C:\a", r"C:\", r"C:\"),
            ("C:a", "C:", "C:"),
            ("1:a", "1:", ""),
            (r"\a", r"\", r"\"),
            ("//server/share/a", r"\\server\share\", r"\\server\share\"),
            (r"\\server\share", r"\\server\share\", r"\\server\share\"),
            (r"\\server", r"\\server", r"\"),
            (r"\\?\C:\a", r"\\?\C:\", r"\\?\C:\"),
            (r"\\?\UNC\server\share\a", r"\\?\UNC\server\share\", r"\\?\UNC\server\share\"),
            (r"\\.\device", r"\\.\device", r"\\.\device\"),
        ] {
            assert_eq!(anchor(path, WindowsPrefixes::Current), current, "{path}");
            assert_eq!(anchor(path, WindowsPrefixes::Classic), classic, "{path}");
        }
    }
}
