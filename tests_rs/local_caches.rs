//! Caches that are damaged, locked, in the way or shared: a job never notices more than a warning (F15, F16).

use std::fs;
use std::path::Path;
use std::process::Command;

use rusty_attachments::cache::{ByteRange, FileState, HashCache, HashRecord, HashRequest, Lookup, S3CheckCache};
use rusty_attachments::hash::{ContentHash, hash_bytes};

const OLD: FileState =
    FileState { size_bytes: 5, mtime_ns: 1_600_000_000_123_456_789, ctime_ns: 1_600_000_000_123_456_789, inode: 7 };

fn hash_of(number: usize) -> ContentHash {
    hash_bytes(&number.to_le_bytes())
}

fn path_of(number: usize) -> Vec<u8> {
    format!("/some/root/folder/file-{number:05}.exr").into_bytes()
}

fn fill(cache: &HashCache, numbers: std::ops::Range<usize>) {
    let rows: Vec<(Vec<u8>, ContentHash)> = numbers.map(|number| (path_of(number), hash_of(number))).collect();
    let records: Vec<HashRecord<'_>> =
        rows.iter().map(|(path, hash)| HashRecord { path, range: ByteRange::WHOLE_FILE, state: OLD, hash }).collect();
    cache.put_many(&records);
}

/// How many of the files are known; each that is must have the right hash.
fn count_sound(cache: &HashCache, numbers: std::ops::Range<usize>) -> usize {
    let paths: Vec<Vec<u8>> = numbers.clone().map(path_of).collect();
    let requests: Vec<HashRequest<'_>> =
        paths.iter().map(|path| HashRequest { path, range: ByteRange::WHOLE_FILE, state: OLD }).collect();
    let found = cache.get_many(&requests);
    assert_eq!(found.len(), requests.len());
    numbers
        .zip(found)
        .filter(|(number, lookup)| match lookup {
            Lookup::Hit(hash) => {
                assert_eq!(*hash, hash_of(*number));
                true
            }
            _ => false,
        })
        .count()
}

fn database(folder: &Path) -> std::path::PathBuf {
    folder.join("hash_cache.db")
}

#[test]
fn a_file_that_is_no_database_is_put_aside_once_and_replaced() {
    for garbage in [
        &b"this is no database, and longer than a header of a hundred bytes would be, which SQLite reads first ...."[..],
        &[0xFF; 8192],
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(database(folder.path()), garbage).unwrap();
        let cache = HashCache::open(Some(folder.path()));
        fill(&cache, 0..10);
        assert_eq!(count_sound(&cache, 0..10), 10);
        let warnings = cache.take_warnings();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("put aside"), "{warnings:?}");
        assert_eq!(fs::read(folder.path().join("hash_cache.db.corrupt")).unwrap(), garbage);
        let again = HashCache::open(Some(folder.path()));
        assert_eq!(count_sound(&again, 0..10), 10);
        assert_eq!(again.take_warnings(), Vec::<String>::new());
    }
}

#[test]
fn damage_anywhere_in_the_file_never_gives_a_wrong_hash() {
    let folder = tempfile::tempdir().unwrap();
    let good = {
        let cache = HashCache::open(Some(folder.path()));
        fill(&cache, 0..300);
        drop(cache);
        fs::read(database(folder.path())).unwrap()
    };
    let (mut survived, mut kept, mut cases) = (0, 0, 0);
    // A stride that is prime meets headers, cells, keys and values of all pages.
    for at in (0..good.len()).step_by(509) {
        let folder = tempfile::tempdir().unwrap();
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        fs::write(database(folder.path()), &bad).unwrap();
        let cache = HashCache::open(Some(folder.path()));
        survived += count_sound(&cache, 0..300);
        fill(&cache, 300..310);
        // A key that is out of order can hide a row from a search; it is hashed again then.
        kept += count_sound(&cache, 300..310);
        cases += 1;
    }
    assert!(survived > 0, "nothing was ever found");
    assert!(kept > cases * 9, "{kept} of {} new rows were found", cases * 10);
    for length in (0..good.len()).step_by(1511) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(database(folder.path()), &good[..length]).unwrap();
        let cache = HashCache::open(Some(folder.path()));
        count_sound(&cache, 0..300);
        fill(&cache, 300..310);
        assert_eq!(count_sound(&cache, 300..310), 10, "cut at {length}: {:?}", cache.take_warnings());
    }
}

#[test]
fn tables_of_other_versions_stay_and_a_table_of_another_shape_is_put_aside() {
    let folder = tempfile::tempdir().unwrap();
    let file = rusqlite::Connection::open(database(folder.path())).unwrap();
    file.execute_batch("CREATE TABLE hashesV3(file_path text primary key); INSERT INTO hashesV3 VALUES('old')")
        .unwrap();
    drop(file);
    let cache = HashCache::open(Some(folder.path()));
    fill(&cache, 0..5);
    assert_eq!(count_sound(&cache, 0..5), 5);
    assert_eq!(cache.take_warnings(), Vec::<String>::new());
    let file = rusqlite::Connection::open(database(folder.path())).unwrap();
    assert_eq!(file.query_row("SELECT file_path FROM hashesV3", [], |row| row.get::<_, String>(0)).unwrap(), "old");

    let folder = tempfile::tempdir().unwrap();
    let file = rusqlite::Connection::open(database(folder.path())).unwrap();
    file.execute_batch("CREATE TABLE rustyAttachmentsV1(something text); CREATE TABLE hashesV4(else_ text)").unwrap();
    drop(file);
    let cache = HashCache::open(Some(folder.path()));
    fill(&cache, 0..5);
    assert_eq!(count_sound(&cache, 0..5), 5);
    assert_eq!(cache.take_warnings().len(), 1);
}

#[test]
fn a_file_that_others_hold_is_done_without() {
    let folder = tempfile::tempdir().unwrap();
    fill(&HashCache::open(Some(folder.path())), 0..5);
    let holder = rusqlite::Connection::open(database(folder.path())).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let cache = HashCache::open(Some(folder.path()));
    assert_eq!(count_sound(&cache, 0..5), 5, "readers don't wait for writers");
    fill(&cache, 5..10);
    assert_eq!(cache.take_warnings().len(), 1);
    fill(&cache, 5..10);
    assert_eq!(count_sound(&cache, 0..10), 0);
    assert_eq!(cache.take_warnings(), Vec::<String>::new(), "said once");
    holder.execute_batch("ROLLBACK").unwrap();
    assert_eq!(count_sound(&HashCache::open(Some(folder.path())), 0..10), 5);
}

#[test]
fn a_file_that_goes_away_meanwhile_and_a_stale_journal() {
    let folder = tempfile::tempdir().unwrap();
    let cache = HashCache::open(Some(folder.path()));
    fill(&cache, 0..10);
    let journal = fs::read(folder.path().join("hash_cache.db-wal")).unwrap();
    assert!(!journal.is_empty());
    for name in fs::read_dir(folder.path()).unwrap() {
        fs::remove_file(name.unwrap().path()).unwrap();
    }
    fill(&cache, 10..20);
    count_sound(&cache, 0..20);
    drop(cache);
    // A journal of a database that is gone must not be played into a new one.
    fs::write(folder.path().join("hash_cache.db-wal"), journal).unwrap();
    let cache = HashCache::open(Some(folder.path()));
    count_sound(&cache, 0..20);
    fill(&cache, 20..30);
    assert_eq!(count_sound(&cache, 20..30), 10);
}

#[test]
fn a_folder_that_cannot_be_made_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, b"").unwrap();
    let inside = file.join("cache");
    let cache = HashCache::open(Some(&inside));
    fill(&cache, 0..5);
    assert_eq!(count_sound(&cache, 0..5), 0);
    assert_eq!(cache.take_warnings().len(), 1);
    let checks = S3CheckCache::open(Some(&inside));
    checks.record(&["b/k"]);
    assert_eq!(checks.seen(&["b/k".to_owned()]), [false]);
    assert_eq!(checks.take_warnings().len(), 1);
    // A directory where the file should be.
    fs::create_dir(database(folder.path())).unwrap();
    let cache = HashCache::open(Some(folder.path()));
    assert_eq!(count_sound(&cache, 0..5), 0);
    assert_eq!(cache.take_warnings().len(), 1);
    assert!(database(folder.path()).is_dir(), "what is no file is left alone");
}

/// F15: the test binary runs itself as several processes on one cache, and kills one of them.
#[test]
fn many_processes_share_the_caches_and_one_is_killed() {
    const FOLDER: &str = "RUSTY_ATTACHMENTS_TEST_CACHE";
    if let Some(folder) = std::env::var_os(FOLDER) {
        let cache = HashCache::open(Some(Path::new(&folder)));
        let checks = S3CheckCache::open(Some(Path::new(&folder)));
        for round in 0..40 {
            fill(&cache, round * 50..round * 50 + 50);
            count_sound(&cache, 0..2000);
            let keys: Vec<String> = (0..50).map(|key| format!("bucket/{round}/{key}")).collect();
            checks.record(&keys);
            assert_eq!(checks.seen(&keys), vec![true; 50]);
        }
        assert_eq!(count_sound(&cache, 0..2000), 2000);
        assert_eq!(cache.take_warnings(), Vec::<String>::new());
        assert_eq!(checks.take_warnings(), Vec::<String>::new());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tests_rs::local_caches::many_processes_share_the_caches_and_one_is_killed"])
            .env(FOLDER, folder.path())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    };
    let mut victim = start();
    let others: Vec<_> = (0..4).map(|_| start()).collect();
    std::thread::sleep(std::time::Duration::from_millis(50));
    victim.kill().unwrap();
    victim.wait().unwrap();
    for other in others {
        let output = other.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    let cache = HashCache::open(Some(folder.path()));
    assert_eq!(count_sound(&cache, 0..2000), 2000);
    assert_eq!(cache.take_warnings(), Vec::<String>::new());
}
