//! Rows of a hash cache: how tests put them there, and look at them.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rusty_attachments::cache::{ByteRange, FileState, HashCache, HashRecord, HashRequest, Lookup};
use rusty_attachments::hash::ContentHash;

/// The state of a file as it is now.
pub fn state_of(path: &Path) -> FileState {
    let stat = std::fs::metadata(path).unwrap();
    FileState {
        size_bytes: stat.len(),
        mtime_ns: stat.mtime() * 1_000_000_000 + stat.mtime_nsec(),
        ctime_ns: stat.ctime() * 1_000_000_000 + stat.ctime_nsec(),
        inode: stat.ino(),
    }
}

/// What the cache says about a file as it is now.
pub fn known(cache: &HashCache, path: &Path) -> Lookup {
    let path = path.canonicalize().unwrap();
    let (path, state) = (path.as_os_str().as_bytes(), state_of(&path));
    cache.get_many(&[HashRequest { path, range: ByteRange::WHOLE_FILE, state }]).remove(0)
}

/// Records a hash for a file as it is now.
pub fn keep(cache: &HashCache, path: &Path, hash: &ContentHash) {
    let path = path.canonicalize().unwrap();
    let (path, state) = (path.as_os_str().as_bytes(), state_of(&path));
    cache.put_many(&[HashRecord { path, range: ByteRange::WHOLE_FILE, state, hash }]);
}
