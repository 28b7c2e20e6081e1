//! Small files that are written at once, under the same rules as downloads.

use std::path::Path;

use rustix::io::Errno;

use super::permissions::set_mode;
use super::target_root::TargetRoot;
use crate::error::{Error, Result};
use crate::path::ManifestPath;

/// Writes a file over what is there: wholly, or not at all. Its directory has to be there. Its owner alone may read one that
/// is `private`, where the file system knows owners.
///
/// # Errors
/// [`Error::Io`] naming the file or its directory; [`Error::PathOutsideRoot`] for a name that no file can have.
pub(crate) fn write_file(path: &Path, contents: &[u8], private: bool) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let Some(name) = path.file_name() else { return Err(Error::io("write", path, Errno::ISDIR)) };
    let name = crate::path::wtf8_from_os_str(name);
    let root = TargetRoot::open(folder)?;
    root.sweep(Path::new(""));
    let mut staged = root.target(ManifestPath::from_wtf8(&name))?.stage()?;
    if private {
        let _ = set_mode(staged.file(), 0o600).map_err(|error| Error::io("set the permissions of", path, error))?;
    }
    staged.write_at(contents, 0)?;
    staged.commit_over()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::calls::refusals;

    #[test]
    fn a_small_file_is_written_wholly_or_not_at_all() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let names = || std::fs::read_dir(folder.path()).unwrap().count();
        let path = folder.path().join("state");
        write_file(&path, b"first", true).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for error in [Errno::DQUOT, Errno::NOSPC, Errno::IO] {
            refusals::set(&[("close", error)]);
            assert!(write_file(&path, b"second", false).unwrap_err().to_string().contains("state"));
        }
        refusals::set(&[]);
        assert_eq!((std::fs::read(&path).unwrap().as_slice(), names()), (&b"first"[..], 1));
        write_file(&path, b"third", false).unwrap();
        assert_eq!((std::fs::read(&path).unwrap().as_slice(), names()), (&b"third"[..], 1));
        write_file(&folder.path().join("missing/state"), b"", false).unwrap_err();
        write_file(Path::new("/"), b"", false).unwrap_err();
    }
}
