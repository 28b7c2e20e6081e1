//! Hashes of local files, so that what has not changed is not read again.
//!
//! Two tables in one file:
//! - `rustyAttachmentsV1`, ours: keyed by the resolved path and byte range; a row counts only if size, modification time,
//!   status change time and inode are those of the file now, and if the row's seal shows that no bit of it has changed.
//! - `hashesV4`, the reference's: keyed by path and modification time as local text alone, which an edit that keeps the time,
//!   another time zone, or the hour that repeats in autumn mislead. It is read only for files of which our table knows
//!   nothing, and believed only for those that are as they were written ([`FileState::is_as_written`]). It is written along, so
//!   that the reference's tools stay warm.
//!
//! A file whose status changed within a tick of its clock before it was hashed must not be recorded: a later write in the
//! same tick would leave every number as it is. The callers see to that.

mod look_up;
mod records;
mod seal;
mod write;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use rusqlite::TransactionBehavior;

use self::look_up::look_up;
pub(crate) use self::records::{ByteRange, FileState, HashRecord, HashRequest, Lookup, StaleReason};
use self::write::RowWriter;
use super::tolerant::TolerantDatabase;

/// The file's name without `.db`.
pub(crate) const CACHE_NAME: &str = "hash_cache";

const CREATE_TABLES: &str = "
    CREATE TABLE IF NOT EXISTS hashesV4(file_path blob, hash_algorithm text, range_start integer, range_end integer,
        file_hash text, last_modified_time timestamp,
        PRIMARY KEY (file_path, hash_algorithm, range_start, range_end));
    CREATE TABLE IF NOT EXISTS rustyAttachmentsV1(file_path blob NOT NULL, range_start integer NOT NULL,
        range_end integer NOT NULL, hash blob NOT NULL, size_bytes integer NOT NULL, mtime_ns integer NOT NULL,
        ctime_ns integer NOT NULL, inode integer NOT NULL, seal integer NOT NULL,
        PRIMARY KEY (file_path, range_start, range_end)) WITHOUT ROWID;";

/// The cache of hashes. Shared by threads; it can't fail (see [`crate::cache`]).
#[derive(Debug)]
pub(crate) struct HashCache {
    database: TolerantDatabase,
}

impl HashCache {
    /// Opens the cache in `folder`, or in the default folder.
    #[must_use]
    pub(crate) fn open(folder: Option<&Path>) -> Self {
        let cache = Self { database: TolerantDatabase::open(folder, CACHE_NAME, CREATE_TABLES) };
        if let Some(folder) = cache.file().and_then(Path::parent) {
            note_opened(folder);
        }
        cache
    }

    /// A cache that finds nothing and keeps nothing, for callers who want none.
    #[must_use]
    pub(crate) fn none() -> Self {
        Self { database: TolerantDatabase::none(CREATE_TABLES) }
    }

    /// Opens the cache in `folder` if there is one.
    #[must_use]
    pub(crate) fn open_existing(folder: &Path) -> Option<Self> {
        folder.join(format!("{CACHE_NAME}.db")).is_file().then(|| Self::open(Some(folder)))
    }

    /// The folders of the caches that this process has opened, the last 64 of them: a hash at hand may have come from each.
    #[must_use]
    pub(crate) fn opened_folders() -> Vec<PathBuf> {
        OPENED.lock().iter().cloned().collect()
    }

    /// Whether lookups can find anything.
    #[must_use]
    pub(crate) fn is_usable(&self) -> bool {
        self.database.is_usable()
    }

    /// Looks up many files; the answers are in the order of `requests`. Fast where the requests are sorted by path.
    #[must_use]
    pub(crate) fn get_many(&self, requests: &[HashRequest<'_>]) -> Vec<Lookup> {
        if requests.is_empty() {
            return Vec::new();
        }
        let found = self.database.with(|connection| look_up(connection, requests));
        if found.len() == requests.len() { found } else { vec![Lookup::Absent; requests.len()] }
    }

    /// Keeps many hashes, in one transaction.
    pub(crate) fn put_many(&self, records: &[HashRecord<'_>]) {
        if records.is_empty() {
            return;
        }
        self.database.with(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut writer = RowWriter::new(&transaction)?;
            for record in records {
                writer.put(record)?;
            }
            drop(writer);
            transaction.commit()
        });
    }

    /// Forgets everything about the paths (WTF-8), in one transaction.
    pub(crate) fn remove<P: AsRef<[u8]>>(&self, paths: &[P]) {
        if paths.is_empty() {
            return;
        }
        self.database.with(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for path in paths {
                for sql in
                    ["DELETE FROM rustyAttachmentsV1 WHERE file_path=?1", "DELETE FROM hashesV4 WHERE file_path=?1"]
                {
                    transaction.prepare_cached(sql)?.execute([path.as_ref()])?;
                }
            }
            transaction.commit()
        });
    }

    /// What went wrong since the last call, for the log.
    #[must_use]
    pub(crate) fn take_warnings(&self) -> Vec<String> {
        self.database.take_warnings()
    }

    /// The database's file, where a folder for it was known.
    #[must_use]
    pub(crate) fn file(&self) -> Option<&Path> {
        self.database.file()
    }
}

/// Folders of caches that this process has opened, the last one last.
static OPENED: Mutex<VecDeque<PathBuf>> = Mutex::new(VecDeque::new());
const MOST_OPENED: usize = 64;

fn note_opened(folder: &Path) {
    let mut opened = OPENED.lock();
    if let Some(at) = opened.iter().position(|known| known == folder) {
        opened.remove(at);
    } else if opened.len() >= MOST_OPENED {
        opened.pop_front();
    }
    opened.push_back(folder.to_path_buf());
}

/// The folders of the hash caches that a manifest's hashes may have come from: those that this process has opened, and the
/// default one for manifests of other processes.
#[must_use]
pub(crate) fn hash_cache_folders() -> Vec<PathBuf> {
    let mut folders = HashCache::opened_folders();
    folders.extend(super::default_folder().filter(|folder| !folders.contains(folder)));
    folders
}

#[cfg(test)]
mod tests;
