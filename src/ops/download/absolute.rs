//! Absolute paths in manifests, which become paths below the root before anything else looks at them.
//!
//! Manifests in S3 have relative paths. Programs that map paths to those of this machine put absolute ones in their place:
//! `deadline job download-output` asks for `""`, the empty root, with the paths that the user's storage profiles give. So
//!
//! - below a root that has a name, an absolute path must lead below that root, links resolved; from then on it is a relative
//!   path like any other, opened below the root;
//! - with the empty root, relative paths go below the working directory, and absolute ones are taken as they are. Links on
//!   the way to them are resolved here, once, and no link is followed afterwards.
//!
//! A `..` is refused in both, whatever it leads to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::request::RootDownload;
use crate::error::{Error, PathProblem, Result};
use crate::fs::resolve::Resolver;
use crate::fs::target_root::TargetRoot;
use crate::manifest::{Content, Directory, FileTable, Manifest};
use crate::path::{ManifestPath, PathFormat, wtf8_from_os_str};

/// Where the files of a manifest go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Below the directory that was named.
    Root,
    /// To the absolute paths that the manifest has; its paths are now below the top of the file system.
    Anywhere,
}

impl Scope {
    /// Makes a manifest's absolute paths relative to the directory that is to be opened for them.
    ///
    /// # Errors
    /// [`Error::PathOutsideRoot`]; [`Error::Io`] where relative paths have no working directory to begin at.
    pub(super) fn settle(root: &mut RootDownload) -> Result<Self> {
        let is_unnamed = root.path.as_os_str().is_empty();
        let is_anywhere = is_unnamed && has_absolute(&root.manifest);
        if is_unnamed {
            root.path = PathBuf::from(".");
        }
        if has_absolute(&root.manifest) {
            let mut rebase = Rebase::new(&root.path, is_anywhere)?;
            root.manifest = Arc::new(rebase.manifest(&root.manifest)?);
        }
        if !is_anywhere {
            return Ok(Self::Root);
        }
        root.path = PathBuf::from("/");
        Ok(Self::Anywhere)
    }

    /// Opens, or makes, the directory that the paths are now relative to.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn open(self, root: &RootDownload) -> Result<TargetRoot> {
        match self {
            Self::Root => TargetRoot::create(&root.path),
            Self::Anywhere => TargetRoot::top(),
        }
    }
}

fn has_absolute(manifest: &Manifest) -> bool {
    let files = &manifest.files;
    let is_absolute = |index: usize| {
        files.path(index).is_absolute()
            || matches!(files.content(index), Content::Symlink(target) if target.is_absolute())
    };
    (0..files.len()).any(is_absolute)
        || manifest.directories.iter().any(|directory| ManifestPath::from_wtf8(&directory.path).is_absolute())
}

struct Rebase {
    /// The root, where relative paths begin, with its links resolved.
    root: PathBuf,
    is_anywhere: bool,
    resolver: Resolver,
    /// The last parent directory and what it resolves to: files of one directory come together.
    last: Option<(PathBuf, PathBuf)>,
}

impl Rebase {
    fn new(root: &Path, is_anywhere: bool) -> Result<Self> {
        let mut resolver = Resolver::default();
        let root = resolver.real(root).map_err(|error| Error::io("resolve", root, error))?;
        Ok(Self { root, is_anywhere, resolver, last: None })
    }

    fn manifest(&mut self, manifest: &Manifest) -> Result<Manifest> {
        let source = &manifest.files;
        let mut files = FileTable::with_capacity(source.len());
        for index in 0..source.len() {
            let path = self.below(source.path(index))?;
            let target = match source.content(index) {
                Content::Symlink(target) => Some(self.below(target)?),
                _ => None,
            };
            let content = match &target {
                Some(target) => Content::Symlink(ManifestPath::from_wtf8(target)),
                None => source.content(index),
            };
            let (size_bytes, mtime_micros) = (source.size_bytes(index), source.mtime_micros(index));
            files.push(ManifestPath::from_wtf8(&path), content, size_bytes, mtime_micros);
            if source.is_runnable(index) {
                files.mark_last_runnable();
            }
        }
        let mut rebased = manifest.with_files(files);
        for Directory { path, .. } in &mut rebased.directories {
            *path = self.below(ManifestPath::from_wtf8(path))?.into();
        }
        Ok(rebased)
    }

    /// The path below the directory that will be opened.
    fn below(&mut self, path: ManifestPath<'_>) -> Result<Vec<u8>> {
        let refused = |problem| Error::PathOutsideRoot { path: path.display(), problem };
        if !path.is_absolute() && !self.is_anywhere {
            // Checked and opened like all relative paths.
            return Ok(path.as_bytes().to_vec());
        }
        let bytes = path.as_bytes();
        let slashes = bytes.iter().take_while(|byte| **byte == b'/').count();
        let below_top = ManifestPath::from_wtf8(&bytes[slashes..]);
        if let Some(problem) = below_top.problem(PathFormat::host()) {
            return Err(refused(problem));
        }
        let real = self.resolve(path)?;
        let is_free = path.is_absolute() && self.is_anywhere;
        let allowed: &Path = if is_free { Path::new("/") } else { &self.root };
        if real == allowed || !real.starts_with(allowed) {
            let problem = if path.is_absolute() { PathProblem::Elsewhere } else { PathProblem::LinkEscapes };
            return Err(refused(problem));
        }
        let opened: &Path = if self.is_anywhere { Path::new("/") } else { &self.root };
        let below = real.strip_prefix(opened).unwrap_or(&real);
        Ok(wtf8_from_os_str(below.as_os_str()))
    }

    /// The path with the links on the way resolved. A link in the last place is in the file's way, and is not followed.
    fn resolve(&mut self, path: ManifestPath<'_>) -> Result<PathBuf> {
        // Components leave out `.` and needless slashes.
        let full: PathBuf = self.root.join(path.to_os_string()?).components().collect();
        let (Some(parent), Some(name)) = (full.parent(), full.file_name()) else { return Ok(full) };
        if let Some((known, real)) = &self.last
            && known == parent
        {
            return Ok(real.join(name));
        }
        let real = self.resolver.real(parent).map_err(|error| Error::io("resolve", parent, error))?;
        let resolved = real.join(name);
        self.last = Some((parent.to_path_buf(), real));
        Ok(resolved)
    }
}
