//! Where a file goes: a name in a directory that is held open.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::directory::Directory;
use crate::error::{Error, Result};

/// Where a file goes: a directory, held open, and a name in it.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(super) directory: Arc<Directory>,
    /// The directory's path, for messages and results.
    pub(super) directory_path: PathBuf,
    /// The last component.
    pub name: OsString,
}

impl Target {
    /// The whole path, for messages and results.
    #[must_use]
    pub(crate) fn path(&self) -> PathBuf {
        self.directory_path.join(&self.name)
    }

    /// The same directory with another name.
    #[must_use]
    pub(crate) fn with_name(&self, name: OsString) -> Self {
        Self { name, ..self.clone() }
    }

    /// Whether the name is free.
    ///
    /// # Errors
    /// [`Error::Io`] where the system won't say.
    pub(crate) fn is_free(&self) -> Result<bool> {
        match rustix::fs::statat(&self.directory, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(false),
            Err(Errno::NOENT) => Ok(true),
            Err(error) => Err(Error::io("look at", self.path(), error)),
        }
    }

    /// Where the symbolic link at the target leads, if there is one.
    #[must_use]
    pub(crate) fn read_link(&self) -> Option<PathBuf> {
        let text = rustix::fs::readlinkat(&self.directory, &self.name, Vec::new()).ok()?;
        Some(PathBuf::from(OsString::from_vec(text.into_bytes())))
    }

    /// The name of the `number`th copy: `stem (n).suffix`, split at the last suffix as `pathlib` does. Where that is longer
    /// than a name can be, the stem is shortened.
    #[must_use]
    pub(crate) fn copy_name(&self, number: u64) -> Self {
        let name = self.name.as_bytes();
        let mark = format!(" ({number})").into_bytes();
        let (mut stem, mut suffix) = name.split_at(suffix_start(name));
        let limit = self.longest_name(name.len() + mark.len());
        let room = limit.saturating_sub(mark.len());
        if suffix.len() >= room {
            // What is after the last dot leaves no room for a stem, so that it is no suffix.
            (stem, suffix) = (name, b"");
        }
        let copy = [cut(stem, room - suffix.len()), &mark, suffix].concat();
        self.with_name(OsString::from_vec(copy))
    }

    /// How many bytes a name may have here. Only asked for names that may be too long.
    fn longest_name(&self, wanted: usize) -> usize {
        if wanted <= ALWAYS_SHORT_ENOUGH_BYTES {
            return wanted;
        }
        let stat = rustix::fs::fstatvfs(&self.directory).ok();
        // 0 where the file system does not say. FAT says six bytes for each of its 255 units, whatever they hold.
        let told = stat.and_then(|stat| usize::try_from(stat.f_namemax).ok()).filter(|told| *told > 0);
        told.unwrap_or(LONGEST_NAME_BYTES).min(LONGEST_NAME_BYTES)
    }
}

/// As many bytes as a name may have (`NAME_MAX`), if the file system says nothing less.
const LONGEST_NAME_BYTES: usize = 255;
/// No file system that holds a longer name than this has a lower limit: encrypting ones take 143 bytes.
const ALWAYS_SHORT_ENOUGH_BYTES: usize = 128;

/// Where the last suffix of a name begins. A leading dot begins none, and neither does a dot at the end (pathlib's rules).
fn suffix_start(name: &[u8]) -> usize {
    let dot = name.iter().rposition(|byte| *byte == b'.').filter(|at| *at > 0 && at + 1 < name.len());
    dot.filter(|at| name[..*at].iter().any(|byte| *byte != b'.')).unwrap_or(name.len())
}

/// The beginning of a name, of at most so many bytes, that ends between characters where the name is UTF-8.
fn cut(name: &[u8], longest: usize) -> &[u8] {
    if name.len() <= longest {
        return name;
    }
    let is_within = |at: usize| at > 0 && name[at] & 0b1100_0000 == 0b1000_0000;
    // No character has more than four bytes; what has more of these is no UTF-8.
    let end = (longest.saturating_sub(3)..=longest).rev().find(|at| !is_within(*at)).unwrap_or(longest);
    &name[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::target_root::TargetRoot;
    use crate::path::ManifestPath;

    fn copy(root: &TargetRoot, name: &[u8]) -> Vec<u8> {
        let target = root.target(ManifestPath::from_wtf8(&crate::path::escape_bytes(name))).unwrap();
        target.copy_name(12).name.into_vec()
    }

    #[test]
    fn a_copy_of_a_long_name_fits_and_keeps_its_suffix() {
        let folder = tempfile::tempdir().unwrap();
        let root = TargetRoot::open(folder.path()).unwrap();
        for (name, expected) in [
            ("n".repeat(246) + ".exr", "n".repeat(246) + " (12).exr"),
            ("n".repeat(247) + ".exr", "n".repeat(246) + " (12).exr"),
            ("n".repeat(251) + ".exr", "n".repeat(246) + " (12).exr"),
            ("n".repeat(255), "n".repeat(250) + " (12)"),
            // Two, three and four bytes a character.
            ("ü".repeat(125) + ".exr", "ü".repeat(123) + " (12).exr"),
            ("雪".repeat(83) + ".exr", "雪".repeat(82) + " (12).exr"),
            ("🎬".repeat(62) + ".exr", "🎬".repeat(61) + " (12).exr"),
            // A suffix that leaves no room for anything before it.
            ("a.".to_owned() + &"x".repeat(253), "a.".to_owned() + &"x".repeat(248) + " (12)"),
            ("a.tar.gz".to_owned(), "a.tar (12).gz".to_owned()),
            (".hidden".to_owned(), ".hidden (12)".to_owned()),
        ] {
            let made = copy(&root, name.as_bytes());
            assert_eq!(String::from_utf8(made.clone()).unwrap(), expected);
            let target = root.target(ManifestPath::from_wtf8(expected.as_bytes())).unwrap();
            assert!(target.is_free().unwrap(), "{expected} can be a name here");
        }
    }

    #[test]
    fn a_copy_of_a_name_that_is_no_utf8_fits() {
        let folder = tempfile::tempdir().unwrap();
        let root = TargetRoot::open(folder.path()).unwrap();
        let made = copy(&root, &[0x80; 255]);
        assert_eq!(made, [&[0x80; 250][..], b" (12)"].concat());
    }
}
