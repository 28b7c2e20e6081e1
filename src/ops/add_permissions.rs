//! Giving files below a root to a group and adding permission bits, for callers that wrote them by other means.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::download::Permissions;
use crate::error::{Error, Result};
use crate::fs::permissions;
use crate::fs::target_root::TargetRoot;
use crate::path::{ManifestPath, wtf8_from_os_str};
use crate::transfer::context::Context;

const CANCELLED: &str = "File download cancelled.";

/// Which files get which permissions.
#[derive(Clone, Copy)]
pub(crate) struct AddPermissionsRequest<'a> {
    /// The root.
    pub root: &'a Path,
    /// The files below it.
    pub files: &'a [PathBuf],
    /// What to add.
    pub permissions: Permissions,
}

/// Adds permissions to files, and to each directory from the root down to them, each once. Everything is opened below the root;
/// a link that leads out of it is refused.
///
/// # Errors
/// [`Error::PathOutside`] for a file that is not below the root; [`Error::Io`]; [`Error::Cancelled`].
pub(crate) fn add_permissions(request: &AddPermissionsRequest<'_>, context: &Context) -> Result<()> {
    let AddPermissionsRequest { root, files, permissions: wanted } = *request;
    let below = files.iter().map(|file| below(root, file)).collect::<Result<Vec<_>>>()?;
    let opened = TargetRoot::open(root)?;
    let mut folders = BTreeSet::new();
    for relative in &below {
        context.check_cancelled(CANCELLED)?;
        let found = opened.open_any(ManifestPath::from_wtf8(&wtf8_from_os_str(relative.as_os_str())))?;
        let bits = wanted.file_mode;
        permissions::add(found, wanted.group, bits).map_err(|error| fail(root, relative, error))?;
        folders.extend(relative.ancestors().skip(1).map(Path::to_path_buf));
    }
    for folder in folders {
        let directory = opened.directory(&folder)?;
        permissions::add(&*directory, wanted.group, wanted.directory_mode)
            .map_err(|error| fail(root, &folder, error))?;
    }
    Ok(())
}

fn below(root: &Path, file: &Path) -> Result<PathBuf> {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    // With `..` in it, a path that begins with the root may be elsewhere.
    let relative = file.strip_prefix(root).map(Path::to_path_buf).ok();
    let relative = relative.filter(|path| !path.components().any(|part| part == Component::ParentDir));
    let relative = relative.or_else(|| real(file).strip_prefix(real(root)).map(Path::to_path_buf).ok());
    relative.ok_or_else(|| Error::PathOutside { path: file.to_path_buf(), root: root.to_path_buf() })
}

fn fail(root: &Path, relative: &Path, error: rustix::io::Errno) -> Error {
    Error::io("set the permissions of", root.join(relative), error)
}
