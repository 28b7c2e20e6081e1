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

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::{CachedStatement, Connection, Transaction, TransactionBehavior, params};

use super::local_time;
use super::tolerant::TolerantDatabase;
use crate::error::Result;
use crate::hash::{ContentHash, HashAlgorithm, parse_hex};

/// The file's name without `.db`.
pub(crate) const CACHE_NAME: &str = "hash_cache";
/// The reference's table.
pub(crate) const TABLE_NAME: &str = "hashesV4";

const CREATE_TABLES: &str = "
    CREATE TABLE IF NOT EXISTS hashesV4(file_path blob, hash_algorithm text, range_start integer, range_end integer,
        file_hash text, last_modified_time timestamp,
        PRIMARY KEY (file_path, hash_algorithm, range_start, range_end));
    CREATE TABLE IF NOT EXISTS rustyAttachmentsV1(file_path blob NOT NULL, range_start integer NOT NULL,
        range_end integer NOT NULL, hash blob NOT NULL, size_bytes integer NOT NULL, mtime_ns integer NOT NULL,
        ctime_ns integer NOT NULL, inode integer NOT NULL, seal integer NOT NULL,
        PRIMARY KEY (file_path, range_start, range_end)) WITHOUT ROWID;";

const SELECT_OWN: &str = "SELECT hash, size_bytes, mtime_ns, ctime_ns, inode, seal, range_start, range_end, file_path \
    FROM rustyAttachmentsV1";
const SELECT_REFERENCE: &str = "SELECT file_hash, last_modified_time FROM hashesV4 \
    WHERE file_path=?1 AND hash_algorithm=?2 AND range_start=?3 AND range_end=?4";

/// A part of a file: bytes from `start` up to, not including, `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ByteRange {
    /// The first byte.
    pub start: i64,
    /// The byte after the last, or -1 for the whole file.
    pub end: i64,
}

impl ByteRange {
    /// A whole file, however long.
    pub(crate) const WHOLE_FILE: Self = Self { start: 0, end: -1 };
}

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FileState {
    /// Size in bytes.
    pub size_bytes: u64,
    /// Modification time in nanoseconds since the epoch.
    pub mtime_ns: i64,
    /// Status change time in nanoseconds since the epoch.
    pub ctime_ns: i64,
    /// Inode number.
    pub inode: u64,
}

impl FileState {
    /// Whether nothing was done to the file since its last write: it was not put in another's place, renamed, or given a time.
    /// All of these change the time of the last status change and leave the modification time, or set it to another moment.
    #[must_use]
    pub(crate) const fn is_as_written(&self) -> bool {
        self.mtime_ns == self.ctime_ns
    }
}

/// A question to the cache.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HashRequest<'a> {
    /// The resolved absolute path, WTF-8.
    pub path: &'a [u8],
    /// Which part of the file.
    pub range: ByteRange,
    /// The file as it is now.
    pub state: FileState,
}

/// A hash to keep.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HashRecord<'a> {
    /// The resolved absolute path, WTF-8.
    pub path: &'a [u8],
    /// Which part of the file.
    pub range: ByteRange,
    /// The file before and after it was hashed: the same, and such that any later write changes it.
    pub state: FileState,
    /// The hash.
    pub hash: &'a ContentHash,
}

/// The cache's answer about one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// The file is as it was when it was hashed.
    Hit(ContentHash),
    /// The reference's table has a hash for this path and time, and the file is as it was written at that time. It is worth
    /// using only for a file that has rested, and must not be recorded before the contents were read: nothing shows that the row
    /// was right.
    ReferenceHit(ContentHash),
    /// The file is known and has changed.
    Stale(StaleReason),
    /// The file is not known.
    Absent,
}

/// What shows that a file has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum StaleReason {
    /// Its size.
    Size,
    /// Its modification time.
    ModificationTime,
    /// Its status change time, or its inode: it was edited and its time set back, or replaced.
    StatusChange,
    /// Nothing: the cache's row is damaged.
    DamagedRow,
}

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
        OPENED.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Opens the cache and fails where it can't be used.
    ///
    /// # Errors
    /// [`crate::Error::Cache`].
    pub(crate) fn open_strict(folder: Option<&Path>) -> Result<Self> {
        Ok(Self { database: TolerantDatabase::open_strict(folder, CACHE_NAME, CREATE_TABLES)? })
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
            let mut writer = Writer::new(&transaction)?;
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
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(at) = opened.iter().position(|known| known == folder) {
        opened.remove(at);
    } else if opened.len() >= MOST_OPENED {
        opened.pop_front();
    }
    opened.push_back(folder.to_path_buf());
}

/// Writes rows to both tables.
struct Writer<'a> {
    own: CachedStatement<'a>,
    reference: CachedStatement<'a>,
}

impl<'a> Writer<'a> {
    fn new(transaction: &'a Transaction<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            own: transaction
                .prepare_cached("INSERT OR REPLACE INTO rustyAttachmentsV1 VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9)")?,
            reference: transaction.prepare_cached("INSERT OR REPLACE INTO hashesV4 VALUES(?1,?2,?3,?4,?5,?6)")?,
        })
    }

    fn put(&mut self, record: &HashRecord<'_>) -> rusqlite::Result<()> {
        let ContentHash::Xxh128(hash) = record.hash else { return Ok(()) };
        let HashRecord { path, range, state, .. } = record;
        self.own.execute(params![
            path,
            range.start,
            range.end,
            &hash[..],
            state.size_bytes.cast_signed(),
            state.mtime_ns,
            state.ctime_ns,
            state.inode.cast_signed(),
            seal(path, *range, state, hash),
        ])?;
        if let Some(time) = local_time::python_local_text(state.mtime_ns) {
            let algorithm = HashAlgorithm::Xxh128.as_str();
            let hash = crate::hash::hex(*hash);
            self.reference.execute(params![path, algorithm, range.start, range.end, hash, time])?;
        }
        Ok(())
    }
}

/// Ties a row's values together, so that damage to the file that `SQLite` doesn't notice (it has no checksums) can't turn into
/// a wrong hash.
fn seal(path: &[u8], range: ByteRange, state: &FileState, hash: &[u8]) -> i64 {
    let mut bytes = Vec::with_capacity(path.len() + 64);
    for number in [range.start, range.end, state.mtime_ns, state.ctime_ns] {
        bytes.extend(number.to_le_bytes());
    }
    for number in [state.size_bytes, state.inode] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(hash);
    bytes.extend(path);
    match crate::hash::hash_bytes(&bytes) {
        ContentHash::Xxh128(hash) => hash.first_chunk().map_or(0, |half| i64::from_le_bytes(*half)),
        ContentHash::Text(_) => 0,
    }
}

/// A batch this large is read as one run of the table between its first and last path.
const SCAN_FROM: usize = 64;
/// How many rows a run may have for each that is asked for before rows are asked for one by one.
const SCAN_RATIO: usize = 8;

fn look_up(connection: &Connection, requests: &[HashRequest<'_>]) -> rusqlite::Result<Vec<Lookup>> {
    let transaction = connection.unchecked_transaction()?;
    let mut found = vec![Lookup::Absent; requests.len()];
    let mut order: Vec<usize> = (0..requests.len()).collect();
    order.sort_by(|left, right| sort_key(&requests[*left]).cmp(&sort_key(&requests[*right])));
    let done = if requests.len() >= SCAN_FROM { scan_own(&transaction, requests, &order, &mut found)? } else { 0 };
    look_up_own(&transaction, requests, &order[done..], &mut found)?;
    look_up_reference(&transaction, requests, &mut found)?;
    transaction.commit()?;
    Ok(found)
}

fn sort_key<'a>(request: &HashRequest<'a>) -> (&'a [u8], ByteRange) {
    (request.path, request.range)
}

/// Walks the table and the sorted requests side by side. Returns how many requests were answered: fewer than all where the
/// table has many more rows in that run than are asked for.
fn scan_own(
    connection: &Connection,
    requests: &[HashRequest<'_>],
    order: &[usize],
    found: &mut [Lookup],
) -> rusqlite::Result<usize> {
    let (Some(first), Some(last)) = (order.first(), order.last()) else { return Ok(0) };
    let sql = format!("{SELECT_OWN} WHERE file_path BETWEEN ?1 AND ?2 ORDER BY file_path, range_start, range_end");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([requests[*first].path, requests[*last].path])?;
    let mut budget = requests.len() * SCAN_RATIO;
    let mut next = 0;
    while next < order.len() {
        let Some(row) = rows.next()? else { return Ok(order.len()) };
        let (path, range) = (row.get_ref(8)?.as_blob()?, ByteRange { start: row.get(6)?, end: row.get(7)? });
        while next < order.len() && sort_key(&requests[order[next]]) < (path, range) {
            next += 1;
        }
        while next < order.len() && sort_key(&requests[order[next]]) == (path, range) {
            found[order[next]] = judge(&requests[order[next]], row)?;
            next += 1;
        }
        budget -= 1;
        if budget == 0 {
            return Ok(next);
        }
    }
    Ok(order.len())
}

fn look_up_own(
    connection: &Connection,
    requests: &[HashRequest<'_>],
    order: &[usize],
    found: &mut [Lookup],
) -> rusqlite::Result<()> {
    let sql = format!("{SELECT_OWN} WHERE file_path=?1 AND range_start=?2 AND range_end=?3");
    let mut statement = connection.prepare_cached(&sql)?;
    for index in order {
        let request = &requests[*index];
        let mut rows = statement.query(params![request.path, request.range.start, request.range.end])?;
        if let Some(row) = rows.next()? {
            found[*index] = judge(request, row)?;
        }
    }
    Ok(())
}

/// Compares a row of our table with the file as it is.
fn judge(request: &HashRequest<'_>, row: &rusqlite::Row<'_>) -> rusqlite::Result<Lookup> {
    let hash = row.get_ref(0)?.as_blob()?;
    let known = FileState {
        size_bytes: row.get::<_, i64>(1)?.cast_unsigned(),
        mtime_ns: row.get(2)?,
        ctime_ns: row.get(3)?,
        inode: row.get::<_, i64>(4)?.cast_unsigned(),
    };
    let now = &request.state;
    Ok(if seal(request.path, request.range, &known, hash) != row.get::<_, i64>(5)? {
        Lookup::Stale(StaleReason::DamagedRow)
    } else if known.size_bytes != now.size_bytes {
        Lookup::Stale(StaleReason::Size)
    } else if known.mtime_ns != now.mtime_ns {
        Lookup::Stale(StaleReason::ModificationTime)
    } else if known != *now {
        Lookup::Stale(StaleReason::StatusChange)
    } else {
        <[u8; 16]>::try_from(hash)
            .map_or(Lookup::Stale(StaleReason::DamagedRow), |hash| Lookup::Hit(ContentHash::Xxh128(hash)))
    })
}

/// Asks the reference's table about the files that ours doesn't know.
fn look_up_reference(
    connection: &Connection,
    requests: &[HashRequest<'_>],
    found: &mut [Lookup],
) -> rusqlite::Result<()> {
    let is_empty: bool =
        connection.prepare_cached("SELECT NOT EXISTS(SELECT 1 FROM hashesV4)")?.query_one([], |row| row.get(0))?;
    if is_empty {
        return Ok(());
    }
    let mut statement = connection.prepare_cached(SELECT_REFERENCE)?;
    for (request, found) in requests.iter().zip(found) {
        if *found != Lookup::Absent {
            continue;
        }
        let HashRequest { path, range, state } = request;
        let mut rows = statement.query(params![path, HashAlgorithm::Xxh128.as_str(), range.start, range.end])?;
        let Some(row) = rows.next()? else { continue };
        let time = local_time::python_local_text(state.mtime_ns);
        let same_time = time.is_some_and(|time| row.get_ref(1).is_ok_and(|known| known.as_str() == Ok(&time)));
        let hash = row.get_ref(0)?.as_str().ok().and_then(parse_hex);
        *found = match hash {
            // What the row can't tell apart is hashed again.
            Some(hash) if same_time && state.is_as_written() && !local_time::is_ambiguous(state.mtime_ns) => {
                Lookup::ReferenceHit(ContentHash::Xxh128(hash))
            }
            Some(_) if same_time => Lookup::Stale(StaleReason::StatusChange),
            Some(_) => Lookup::Stale(StaleReason::ModificationTime),
            None => Lookup::Stale(StaleReason::DamagedRow),
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::hash_bytes;

    const OLD: FileState =
        FileState { size_bytes: 5, mtime_ns: 1_600_000_000_123_456_789, ctime_ns: 1_600_000_000_123_456_789, inode: 7 };

    fn request(path: &[u8], state: FileState) -> HashRequest<'_> {
        HashRequest { path, range: ByteRange::WHOLE_FILE, state }
    }

    fn put(cache: &HashCache, path: &[u8], hash: &ContentHash) {
        let range = ByteRange::WHOLE_FILE;
        cache.put_many(&[HashRecord { path, range, state: OLD, hash }]);
    }

    #[test]
    fn each_change_of_a_file_is_seen_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let cache = HashCache::open(Some(folder.path()));
        let hash = hash_bytes(b"hello");
        assert_eq!(cache.get_many(&[request(b"/a", OLD)]), [Lookup::Absent]);
        put(&cache, b"/a", &hash);
        let cases = [
            (OLD, Lookup::Hit(hash)),
            (FileState { size_bytes: 6, ..OLD }, Lookup::Stale(StaleReason::Size)),
            (FileState { mtime_ns: OLD.mtime_ns + 1, ..OLD }, Lookup::Stale(StaleReason::ModificationTime)),
            (FileState { ctime_ns: OLD.ctime_ns + 1, ..OLD }, Lookup::Stale(StaleReason::StatusChange)),
            (FileState { inode: 8, ..OLD }, Lookup::Stale(StaleReason::StatusChange)),
        ];
        for (state, expected) in cases {
            assert_eq!(cache.get_many(&[request(b"/a", state)]), [expected], "{state:?}");
        }
        cache.remove(&[b"/a"]);
        assert_eq!(cache.get_many(&[request(b"/a", OLD)]), [Lookup::Absent]);
    }

    #[test]
    fn a_large_batch_gives_what_single_questions_give() {
        let folder = tempfile::tempdir().unwrap();
        let cache = HashCache::open(Some(folder.path()));
        let paths: Vec<Vec<u8>> = (0..2000).map(|number| format!("/root/{number:05}").into_bytes()).collect();
        for (index, path) in paths.iter().enumerate().filter(|(index, _)| index % 3 == 0) {
            put(&cache, path, &hash_bytes(&index.to_le_bytes()));
        }
        // Every 20th path: the run between first and last has more rows than the scan takes.
        for step in [1, 20] {
            let mut requests: Vec<_> = paths.iter().step_by(step).map(|path| request(path, OLD)).collect();
            requests.reverse();
            let many = cache.get_many(&requests);
            let single: Vec<_> = requests.iter().flat_map(|request| cache.get_many(&[*request])).collect();
            assert_eq!(many, single);
            assert!(many.iter().any(|lookup| matches!(lookup, Lookup::Hit(_))));
        }
    }

    #[test]
    fn the_references_rows_serve_until_ours_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let cache = HashCache::open(Some(folder.path()));
        let (old_hash, new_hash) = (hash_bytes(b"old"), hash_bytes(b"new"));
        put(&cache, b"/a", &old_hash);
        let file = rusqlite::Connection::open(folder.path().join("hash_cache.db")).unwrap();
        file.execute("DELETE FROM rustyAttachmentsV1", []).unwrap();
        assert_eq!(cache.get_many(&[request(b"/a", OLD)]), [Lookup::ReferenceHit(old_hash)]);
        let later = FileState { mtime_ns: OLD.mtime_ns + 1_000_000, ..OLD };
        assert_eq!(cache.get_many(&[request(b"/a", later)]), [Lookup::Stale(StaleReason::ModificationTime)]);
        // Put there with its time kept, or edited and its time set back: the row can't tell.
        for ctime_ns in [OLD.ctime_ns + 1, OLD.ctime_ns + 10_000_000_000, OLD.ctime_ns - 1] {
            let replaced = FileState { ctime_ns, ..OLD };
            assert_eq!(cache.get_many(&[request(b"/a", replaced)]), [Lookup::Stale(StaleReason::StatusChange)]);
        }
        put(&cache, b"/a", &new_hash);
        file.execute("UPDATE hashesV4 SET file_hash='0123456789abcdef0123456789abcdef'", []).unwrap();
        assert_eq!(cache.get_many(&[request(b"/a", OLD)]), [Lookup::Hit(new_hash)]);
    }

    #[test]
    fn a_damaged_row_is_no_hash() {
        let folder = tempfile::tempdir().unwrap();
        let cache = HashCache::open(Some(folder.path()));
        put(&cache, b"/a", &hash_bytes(b"x"));
        let file = rusqlite::Connection::open(folder.path().join("hash_cache.db")).unwrap();
        file.execute("UPDATE rustyAttachmentsV1 SET hash=zeroblob(16)", []).unwrap();
        assert_eq!(cache.get_many(&[request(b"/a", OLD)]), [Lookup::Stale(StaleReason::DamagedRow)]);
    }
}
