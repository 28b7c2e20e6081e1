//! Rows of both tables: which are believed.

use super::*;
use crate::hash::{ContentHash, hash_bytes};

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
