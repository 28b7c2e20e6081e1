//! Grouping the paths of a submission under roots: the rules, without looking at the disk.
//!
//! Paths here are absolute and normalised, in WTF-8, in the POSIX format.

/// A file system location of a storage profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileSystemLocation {
    /// Its path as the profile gives it (WTF-8).
    pub path: Vec<u8>,
    /// Its name.
    pub name: String,
}

/// `os.path.normpath(Path(path).absolute())`: absolute, without empty components, `.` and `..`, by text alone.
#[must_use]
pub(crate) fn absolute(path: &[u8], current_directory: &[u8]) -> Vec<u8> {
    let mut out: Vec<&[u8]> = Vec::new();
    let start = if path.first() == Some(&b'/') { &b""[..] } else { current_directory };
    for part in start.split(|byte| *byte == b'/').chain(path.split(|byte| *byte == b'/')) {
        match part {
            b"" | b"." => {}
            b".." => {
                out.pop();
            }
            part => out.push(part),
        }
    }
    let mut joined = vec![b'/'];
    joined.extend(out.join(&b'/'));
    joined
}

/// Whether `path` is `folder` or below it; both absolute and normalised.
#[must_use]
pub(crate) fn is_below(path: &[u8], folder: &[u8]) -> bool {
    below(path, folder).is_some()
}

/// `path` relative to `folder`, or `None` where it is not below it. The folder itself gives an empty path.
#[must_use]
pub(crate) fn below<'a>(path: &'a [u8], folder: &[u8]) -> Option<&'a [u8]> {
    let folder = folder.strip_suffix(b"/").unwrap_or(folder);
    match path.strip_prefix(folder)? {
        [] => Some(&[]),
        [b'/', rest @ ..] => Some(rest),
        _ => None,
    }
}

/// The deepest folder that all paths have in common; one path alone gives itself. `None` without paths.
#[must_use]
pub(crate) fn common_path<'a>(paths: impl IntoIterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let mut paths = paths.into_iter();
    let mut common = paths.next()?;
    for path in paths {
        while !is_below(path, common) {
            let end = common.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
            common = &common[..end];
        }
    }
    Some(if common.is_empty() { b"/".to_vec() } else { common.to_vec() })
}

/// Which of the locations a path belongs to: of those above it (`is_above`), the one with the longest path; of equals the
/// first.
#[must_use]
pub(crate) fn most_specific(
    locations: &[FileSystemLocation],
    is_above: impl Fn(&FileSystemLocation) -> bool,
) -> Option<&FileSystemLocation> {
    let mut best: Option<&FileSystemLocation> = None;
    for location in locations.iter().filter(|location| is_above(location)) {
        if best.is_none_or(|best| location.path.len() > best.path.len()) {
            best = Some(location);
        }
    }
    best
}

/// The reference's message about inputs that can't be submitted; both lists sorted.
#[must_use]
pub(crate) fn misconfigured_text(missing: &[String], directories: &[String]) -> String {
    let mut text =
        "Job submission contains missing input files or directories specified as files. All inputs must exist \
        and be classified properly."
            .to_owned();
    for (title, paths) in [("Missing input files:", missing), ("Directories classified as files:", directories)] {
        if !paths.is_empty() {
            text.push('\n');
            text.push_str(title);
            for path in paths {
                text.push_str("\n\t");
                text.push_str(path);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_made_absolute_by_text_alone() {
        for (path, expected) in [
            ("a", "/work/a"),
            ("/a//b/./c/", "/a/b/c"),
            ("../a", "/a"),
            ("/../..", "/"),
            ("a/../b", "/work/b"),
            ("", "/work"),
        ] {
            assert_eq!(absolute(path.as_bytes(), b"/work"), expected.as_bytes(), "{path}");
        }
    }

    #[test]
    fn the_common_path_ends_between_components() {
        let common = |paths: &[&str]| common_path(paths.iter().map(|path| path.as_bytes())).unwrap();
        assert_eq!(common(&["/a/b/c", "/a/b/d"]), b"/a/b");
        assert_eq!(common(&["/a/bc", "/a/bd"]), b"/a");
        assert_eq!(common(&["/a/b", "/a/b/c"]), b"/a/b");
        assert_eq!(common(&["/a", "/b"]), b"/");
        assert_eq!(common(&["/", "/b"]), b"/");
        assert_eq!(common(&["/a/b"]), b"/a/b");
        assert_eq!(common_path([]), None);
    }

    #[test]
    fn the_longest_location_wins() {
        let location = |path: &str| FileSystemLocation { path: path.as_bytes().to_vec(), name: path.to_owned() };
        let locations = [location("/a"), location("/a/b"), location("/c")];
        let name = |path: &[u8]| most_specific(&locations, |it| is_below(path, &it.path)).map(|it| it.name.clone());
        assert_eq!(name(b"/a/b/file").as_deref(), Some("/a/b"));
        assert_eq!(name(b"/a/bc").as_deref(), Some("/a"));
        assert_eq!(name(b"/d"), None);
    }
}
