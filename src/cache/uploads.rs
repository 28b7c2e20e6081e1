//! Which large uploads this machine has begun, so that a call can go on with one that an earlier call left.
//!
//! S3 lists uploads of anyone, and does not say who is still sending. Only an upload that has a record here is one of ours, and
//! only while the record's lock can be taken is its owner gone: the lock is the kernel's, and ends with the process. A record
//! counts only under the kernel that wrote it (its boot id): folders of caches may be shared by hosts whose locks do not see
//! each other.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::hash::hash_bytes;

/// The folder of records, beside the caches.
const FOLDER: &str = "uploads";
const SUFFIX: &str = ".upload";
/// No record is longer: a key has 1,024 bytes at most.
const MAX_RECORD_BYTES: u64 = 64 * 1024;
/// Records that nobody came back for are removed after this time.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(30 * 24);
/// How often a record is opened that its owner removes at the same moment.
const MOST_TRIES: u32 = 10;

/// The folder of records. It comes into being with the first.
#[derive(Debug, Clone)]
pub(crate) struct UploadRecords {
    folder: PathBuf,
    /// What tells this kernel, since it was started, from all others.
    boot: String,
}

/// The record of one object's upload, locked for as long as this value lives. What is in it stays when the value goes.
#[derive(Debug)]
pub(crate) struct UploadRecord {
    file: File,
    path: PathBuf,
    left: Option<LeftUpload>,
}

/// An upload that its owner has left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeftUpload {
    /// S3's id of it.
    pub id: String,
    /// How long ago it was begun.
    pub age: Duration,
}

/// The object that is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UploadPlace<'a> {
    /// What tells the store from others.
    pub store: &'a str,
    /// The bucket.
    pub bucket: &'a str,
    /// The key.
    pub key: &'a str,
}

impl UploadRecords {
    /// Records in a folder of caches, or in the default one. `None` where no kernel can vouch for them.
    #[must_use]
    pub(crate) fn beside(caches: Option<&Path>) -> Option<Self> {
        let caches = caches.map(Path::to_path_buf).or_else(super::default_folder)?;
        Some(Self::under(&caches, boot_id()?))
    }

    fn under(caches: &Path, boot: String) -> Self {
        Self { folder: caches.join(FOLDER), boot }
    }

    /// Takes the record of an object's upload. `None` where someone else has it: they are sending the object right now. Also
    /// where there can be none: an upload needs no record.
    #[must_use]
    pub(crate) fn take(&self, place: UploadPlace<'_>) -> Option<UploadRecord> {
        let name = [&self.boot, place.store, place.bucket, place.key].join("\n");
        let path = self.folder.join(format!("{}{SUFFIX}", hash_bytes(name.as_bytes()).text()));
        if std::fs::create_dir_all(&self.folder).is_err() {
            return None;
        }
        let mut file = lock_file(&path)?;
        let left = read_record(&mut file, &path);
        Some(UploadRecord { file, path, left })
    }

    /// Removes records that nobody came back for.
    pub(crate) fn remove_forgotten(&self) {
        self.remove_older_than(FORGOTTEN_AFTER);
    }

    fn remove_older_than(&self, age: Duration) {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            let path = entry.path();
            let is_record = path.extension().is_some_and(|extension| *extension == *SUFFIX.trim_start_matches('.'));
            let is_old = |path: &Path| file_age(path).is_some_and(|found| found > age);
            // Once it is locked, it is asked again: its owner may have written it meanwhile.
            if is_record && is_old(&path) && lock_file(&path).is_some_and(|_file| is_old(&path)) {
                let _ = std::fs::remove_file(&path);
            }
        }
    }
}

impl UploadRecord {
    /// The upload that an earlier owner left.
    #[must_use]
    pub(crate) const fn left(&self) -> Option<&LeftUpload> {
        self.left.as_ref()
    }

    /// Writes down which upload it is, before the first part is sent. A record that is cut off counts as none: it carries its
    /// own checksum.
    ///
    /// # Errors
    /// The file's.
    pub(crate) fn write(&mut self, id: &str) -> std::io::Result<()> {
        self.left = None;
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        let text = format!("{}\n{id}\n", hash_bytes(id.as_bytes()).text());
        self.file.write_all(text.as_bytes())
    }

    /// The upload is over: completed, or dropped.
    pub(crate) fn remove(self) {
        // The lock goes after the name, so that nobody finds a record without an owner.
        let _ = std::fs::remove_file(&self.path);
        drop(self.file);
    }
}

/// Opens a record and locks it; `None` where another has it or there are no locks.
fn lock_file(path: &Path) -> Option<File> {
    for _ in 0..MOST_TRIES {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).ok()?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => return None,
        }
        // Its last owner may have removed it between opening and locking: then it is a file without a name.
        if is_at(&file, path) {
            return Some(file);
        }
    }
    None
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    let (open, named) = (file.metadata().map(identity), std::fs::symlink_metadata(path).map(identity));
    matches!((open, named), (Ok(open), Ok(named)) if open == named)
}

/// A file that is open keeps its name there.
#[cfg(not(unix))]
fn is_at(_file: &File, path: &Path) -> bool {
    path.exists()
}

fn read_record(file: &mut File, path: &Path) -> Option<LeftUpload> {
    let mut text = String::new();
    file.take(MAX_RECORD_BYTES).read_to_string(&mut text).ok()?;
    let mut lines = text.lines();
    let (checksum, id) = (lines.next()?, lines.next()?);
    let is_whole = text.ends_with('\n') && hash_bytes(id.as_bytes()).text() == checksum;
    (is_whole && !id.is_empty()).then_some(())?;
    Some(LeftUpload { id: id.to_owned(), age: file_age(path)? })
}

fn file_age(path: &Path) -> Option<Duration> {
    let modified = std::fs::symlink_metadata(path).ok()?.modified().ok()?;
    // A clock that was set back makes a record young.
    Some(SystemTime::now().duration_since(modified).unwrap_or_default())
}

/// The kernel's name for the time since it was started: one for all containers on it, another for every other host.
fn boot_id() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned()).filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(folder: &Path) -> UploadRecords {
        UploadRecords::under(folder, "boot".to_owned())
    }

    fn place(key: &str) -> UploadPlace<'_> {
        UploadPlace { store: "store", bucket: "bucket", key }
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        std::fs::read_dir(folder.join(FOLDER)).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn a_record_is_its_owners_alone_and_outlives_it() {
        let folder = tempfile::tempdir().unwrap();
        let records = records(folder.path());
        let mut record = records.take(place("key")).unwrap();
        assert_eq!(record.left(), None);
        record.write("upload 1").unwrap();
        assert!(records.take(place("key")).is_none(), "its owner lives");
        assert!(records.take(place("other")).is_some());
        drop(record);
        let record = records.take(place("key")).unwrap();
        assert_eq!(record.left().unwrap().id, "upload 1");
        record.remove();
        assert_eq!(records.take(place("key")).unwrap().left(), None);
    }

    #[test]
    fn another_kernels_record_is_not_ours() {
        let folder = tempfile::tempdir().unwrap();
        records(folder.path()).take(place("key")).unwrap().write("upload").unwrap();
        let elsewhere = UploadRecords::under(folder.path(), "another boot".to_owned());
        assert_eq!(elsewhere.take(place("key")).unwrap().left(), None);
        for other in [UploadPlace { store: "x", ..place("key") }, UploadPlace { bucket: "x", ..place("key") }] {
            assert_eq!(records(folder.path()).take(other).unwrap().left(), None);
        }
    }

    #[test]
    fn a_record_that_is_cut_off_or_garbage_counts_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let records = records(folder.path());
        let mut record = records.take(place("key")).unwrap();
        record.write("a long name of an upload").unwrap();
        record.write("upload").unwrap();
        drop(record);
        let path = files(folder.path()).remove(0);
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(records.take(place("key")).unwrap().left(), None, "{length}");
        }
        std::fs::write(&path, b"\xff\n\n").unwrap();
        assert_eq!(records.take(place("key")).unwrap().left(), None);
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(records.take(place("key")).unwrap().left().unwrap().id, "upload");
    }

    #[test]
    fn records_that_nobody_came_back_for_are_removed_unless_they_are_held() {
        let folder = tempfile::tempdir().unwrap();
        let records = records(folder.path());
        records.take(place("left")).unwrap().write("1").unwrap();
        let mut held = records.take(place("held")).unwrap();
        held.write("2").unwrap();
        records.remove_forgotten();
        assert_eq!(files(folder.path()).len(), 2, "they are young");
        for path in files(folder.path()) {
            let file = File::options().write(true).open(path).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_hours(24 * 365)).unwrap();
        }
        std::fs::write(folder.path().join(FOLDER).join("others"), b"").unwrap();
        records.remove_forgotten();
        assert_eq!(files(folder.path()).len(), 2, "the one that is held, and what is no record");
        held.remove();
    }

    #[test]
    fn without_a_folder_there_are_no_records() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FOLDER), b"a file").unwrap();
        assert!(records(folder.path()).take(place("key")).is_none());
        records(folder.path()).remove_forgotten();
    }
}
