//! Resolving links as far as a path exists.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// As many links as Linux follows in one path.
const MOST_LINKS: u32 = 40;

/// What a link says; `None` for what is no link.
#[must_use]
pub(crate) fn link_target(path: &Path) -> Option<PathBuf> {
    std::fs::read_link(path).ok()
}

/// Resolves paths like Python's `Path.resolve()`: links are followed, and what does not exist is kept as it is. Remembers
/// folders, since paths come in thousands from few of them.
#[derive(Debug, Default)]
pub(crate) struct Resolver {
    folders: HashMap<PathBuf, PathBuf>,
}

impl Resolver {
    /// The resolved path of any path. Where all of it exists, the kernel resolves it.
    ///
    /// # Errors
    /// The system's error where a relative path has no working directory to begin at.
    pub(crate) fn real(&mut self, path: &Path) -> std::io::Result<PathBuf> {
        match path.canonicalize() {
            Ok(real) => Ok(real),
            Err(_) => Ok(self.resolve(&super::glob::normalised(&std::path::absolute(path)?))),
        }
    }

    /// The resolved path of an absolute, normalised path.
    pub(crate) fn resolve(&mut self, path: &Path) -> PathBuf {
        self.resolve_at_most(path, MOST_LINKS)
    }

    fn resolve_at_most(&mut self, path: &Path, links: u32) -> PathBuf {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return path.to_path_buf() };
        let folder = if let Some(known) = self.folders.get(parent) {
            known.clone()
        } else {
            let resolved = self.resolve_at_most(parent, links);
            self.folders.insert(parent.to_path_buf(), resolved.clone());
            resolved
        };
        let here = folder.join(name);
        match std::fs::read_link(&here) {
            Ok(target) if links > 0 => self.resolve_at_most(&super::glob::normalised(&folder.join(target)), links - 1),
            _ => here,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_followed_and_what_is_not_there_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("real")).unwrap();
        symlink("real", root.join("link")).unwrap();
        symlink("link/missing", root.join("dangling")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let mut resolver = Resolver::default();
        assert_eq!(resolver.resolve(&root.join("link/a/b")), root.join("real/a/b"));
        assert_eq!(resolver.resolve(&root.join("dangling")), root.join("real/missing"));
        assert_eq!(resolver.resolve(&root.join("loop")), root.join("loop"));
        assert_eq!(resolver.resolve(Path::new("/")), Path::new("/"));
        assert_eq!(resolver.real(&root.join("link/./a//b")).unwrap(), root.join("real/a/b"));
        // The kernel's way: `..` is the parent of where the link leads.
        std::fs::create_dir_all(root.join("deep/er")).unwrap();
        symlink("deep/er", root.join("down")).unwrap();
        assert_eq!(resolver.real(&root.join("down/..")).unwrap(), root.join("deep"));
    }
}
