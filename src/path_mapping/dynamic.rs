//! Roots without a file system location: each gets a directory of its own in the session's.

use std::fmt::Write as _;

use sha3::Shake256;
use sha3::digest::{ExtendableOutput, Update, XofReader};

use super::pure::{PureParts, WindowsPrefixes, join};
use super::{PathMappingRule, format_name};
use crate::error::{Error, Result};
use crate::path::PathFormat;

/// Bytes of the hash in a directory's name: enough to keep the roots of a job apart, and short, for paths are limited.
const NAME_HASH_BYTES: usize = 10;

/// The directory of a session that stands for a root of the submitter's machine: `assetroot-` and 20 hexadecimal digits of
/// SHAKE-256.
#[must_use]
pub(crate) fn unique_directory_name(root_path: &[u8]) -> String {
    let mut hasher = Shake256::default();
    hasher.update(root_path);
    let mut digest = [0; NAME_HASH_BYTES];
    hasher.finalize_xof().read(&mut digest);
    let mut name = "assetroot-".to_owned();
    for byte in digest {
        // Writing to a string can't fail.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// An asset root: its path, whose rules that follows, and its file system location's name.
pub(crate) type Root<'a> = (&'a [u8], PathFormat, Option<&'a [u8]>);

/// Rules for the roots that have no file system location, to directories of the session's. Of equal roots the later counts.
#[must_use]
pub(crate) fn generate_dynamic_path_mapping<'a>(
    session_directory: &[u8],
    roots: impl IntoIterator<Item = Root<'a>>,
    host: PathFormat,
) -> Vec<PathMappingRule> {
    let mut rules: Vec<PathMappingRule> = Vec::new();
    let session = PureParts::new(session_directory, host, WindowsPrefixes::Current);
    for (root_path, source_path_format, location) in roots {
        if location.is_some_and(|name| !name.is_empty()) {
            continue;
        }
        let directory = unique_directory_name(root_path);
        let mut names = session.names.clone();
        names.push(directory.as_bytes());
        let destination_path = join(&session.anchor, &names, host);
        let rule = PathMappingRule { source_path_format, source_path: root_path.to_vec(), destination_path };
        match rules.iter_mut().find(|known| known.source_path == root_path) {
            Some(known) => *known = rule,
            None => rules.push(rule),
        }
    }
    rules
}

/// Where a root is on this machine.
///
/// A root in a file system location is where `by_profile` (source and destination paths) maps it to; any other is where a
/// dynamic rule does. The path must be the root's exactly.
///
/// # Errors
/// [`Error::Sync`] where there is no such rule.
pub(crate) fn local_destination(
    root_path: &[u8],
    has_location: bool,
    dynamic: &[PathMappingRule],
    by_profile: &[(Vec<u8>, Vec<u8>)],
) -> Result<Vec<u8>> {
    let found = if has_location {
        by_profile.iter().rev().find(|(source, _)| source == root_path).map(|(_, destination)| destination)
    } else {
        dynamic.iter().rev().find(|rule| rule.source_path == root_path).map(|rule| &rule.destination_path)
    };
    found.filter(|destination| !destination.is_empty()).cloned().ok_or_else(|| {
        Error::Sync(format!(
            "Error occurred while attempting to sync input files: No path mapping rule found for the source path {}",
            String::from_utf8_lossy(root_path)
        ))
    })
}

/// A directory relative to a root, in another system's format; in its own format it stays as it is.
///
/// # Errors
/// [`Error::InvalidArgument`] where the directory has a drive or a root: nothing of another system corresponds to it.
pub(crate) fn convert_directory(directory: &[u8], from: PathFormat, to: PathFormat) -> Result<Vec<u8>> {
    if from == to {
        return Ok(directory.to_vec());
    }
    let parts = PureParts::new(directory, from, WindowsPrefixes::Current);
    if !parts.anchor.is_empty() {
        return Err(Error::InvalidArgument(format!(
            "The output directory {} is not relative to its root, as a {} path",
            String::from_utf8_lossy(directory),
            format_name(from)
        )));
    }
    Ok(join(b"", &parts.names, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_hashlib() {
        // hashlib.shake_256(b"/tmp").hexdigest(10), and of b"".
        assert_eq!(unique_directory_name(b""), "assetroot-46b9dd2b0ba88d13233b");
        assert_eq!(unique_directory_name(b"/tmp").len(), "assetroot-".len() + 20);
    }

    #[test]
    fn roots_with_a_location_get_no_directory() {
        let roots: [Root<'_>; 3] = [
            (b"/a", PathFormat::Posix, None),
            (b"C:\\a", PathFormat::Windows, Some(b"shows")),
            (b"C:\\b", PathFormat::Windows, Some(b"")),
        ];
        let rules = generate_dynamic_path_mapping(b"/sessions/1/", roots, PathFormat::Posix);
        let sources: Vec<&[u8]> = rules.iter().map(|rule| rule.source_path.as_slice()).collect();
        assert_eq!(sources, [b"/a".as_slice(), b"C:\\b"]);
        assert!(rules[0].destination_path.starts_with(b"/sessions/1/assetroot-"));

        let by_profile = [(b"C:\\a".to_vec(), b"/shows/a".to_vec())];
        assert_eq!(local_destination(b"/a", false, &rules, &by_profile).unwrap(), rules[0].destination_path);
        assert_eq!(local_destination(b"C:\\a", true, &rules, &by_profile).unwrap(), b"/shows/a");
        let error = local_destination(b"C:\\a", false, &rules, &by_profile).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Error occurred while attempting to sync input files: No path mapping rule found for the source path C:\\a"
        );
    }

    #[test]
    fn directories_change_their_slashes() {
        use PathFormat::{Posix, Windows};
        let convert = |directory: &str, from, to| convert_directory(directory.as_bytes(), from, to);
        assert_eq!(convert(r"renders\.\final/x", Windows, Posix).unwrap(), b"renders/final/x");
        assert_eq!(convert("renders/final", Posix, Windows).unwrap(), br"renders\final");
        assert_eq!(convert("a//b\\c", Posix, Posix).unwrap(), b"a//b\\c");
        assert_eq!(convert(".", Windows, Posix).unwrap(), b".");
        assert!(convert(r"C:\renders", Windows, Posix).is_err());
    }
}
