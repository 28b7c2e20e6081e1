//! RESUME and the hash cache.

use std::time::Duration;

use rusty_attachments::cache::{HashCache, Lookup};

use super::*;
use crate::tests_rs::hash_rows::{keep, known, state_of};

/// Writes a file that was last changed at this time, and lets it rest for a tick of its clock.
pub fn rested(path: &Path, contents: &[u8], mtime_micros: i64) {
    std::fs::write(path, contents).unwrap();
    let time = std::time::UNIX_EPOCH + Duration::from_micros(mtime_micros.unsigned_abs());
    std::fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    std::thread::sleep(Duration::from_millis(25));
}

async fn resume(
    store: &Arc<MemoryStore>,
    root: &Path,
    manifest: &Manifest,
    cache: &Arc<HashCache>,
) -> Result<ProgressSnapshot, Error> {
    let mut request = request(store, &[(root, manifest)], ConflictResolution::Resume);
    request.options.hash_cache = Some(Arc::clone(cache));
    let context = Context::new();
    download(request, &context).await?;
    Ok(context.progress.snapshot())
}

fn cache_in(folder: &Path) -> Arc<HashCache> {
    Arc::new(HashCache::open(Some(folder)))
}

#[tokio::test]
async fn right_contents_get_the_manifests_time_and_the_cache_knows_them_with_it() {
    let (root, caches) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::create_dir(root.path().join("real")).unwrap();
    std::os::unix::fs::symlink("real", root.path().join("linked")).unwrap();
    let large = bytes(RANGE + 3, 9);
    let files: [(&str, &[u8]); 4] =
        [("early", b"early"), ("late", b"late"), ("linked/below", b"below"), ("real/large", &large)];
    let paths = files.map(|(name, _)| root.path().join(name));
    for (number, ((_, contents), path)) in (0..).zip(files.iter().zip(&paths)) {
        rested(path, contents, 1_500_000_000_000_000 + number * 500_000_000_000_000);
    }
    // One is known to the cache already, and is not read.
    let cache = cache_in(caches.path());
    keep(&cache, &paths[0], &hash_bytes(b"early"));
    let store = Arc::new(MemoryStore::failing(|_| Fault::Refused(500)));
    let manifest = manifest(&files);
    let counts = resume(&store, root.path(), &manifest, &cache).await.unwrap();
    assert_eq!((store.calls(), counts.skipped_files), (0, 4));
    for (number, path) in (0..).zip(&paths) {
        assert_eq!(mtime_micros(path), FIRST_MTIME_MICROS + number, "{}", path.display());
    }
    for (path, (name, contents)) in paths.iter().zip(&files) {
        // Below a link the cache knows a file by the name that the manifest has for it, which nobody asks for elsewhere.
        if !name.starts_with("linked") {
            assert_eq!(known(&cache, path), Lookup::Hit(hash_bytes(contents)), "{name}");
        }
    }
}

#[tokio::test]
async fn a_time_that_is_right_is_left_alone() {
    let (root, caches) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = root.path().join("a");
    rested(&path, b"a", FIRST_MTIME_MICROS);
    let before = state_of(&path);
    let store = Arc::new(store_with(&[b"a"]));
    resume(&store, root.path(), &manifest(&[("a", b"a")]), &cache_in(caches.path())).await.unwrap();
    assert_eq!(state_of(&path), before, "its status has not changed either");
}

/// Equal sizes are what makes a wrong pairing of files and results dangerous: a wrong hash then stays for good.
#[tokio::test(flavor = "multi_thread")]
async fn cancelled_while_it_reads_the_cache_has_each_files_own_hash() {
    const FRAMES: usize = 60;
    let root = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..FRAMES).map(|number| format!("frame.{number:04}")).collect();
    let right = bytes(2 * 1024 * 1024, 1);
    let mut wrong = right.clone();
    *wrong.last_mut().unwrap() ^= 1;
    for (number, name) in names.iter().enumerate() {
        let contents = if number % 3 == 1 { &wrong } else { &right };
        std::fs::write(root.path().join(name), contents).unwrap();
    }
    std::thread::sleep(Duration::from_millis(25));
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), right.as_slice())).collect();
    let manifest = manifest(&files);
    let mut cancelled = 0;
    for attempt in 0..8_u64 {
        let caches = tempfile::tempdir().unwrap();
        let cache = cache_in(caches.path());
        let store = Arc::new(MemoryStore::failing(|_| Fault::Refused(403)));
        let mut request = request(&store, &[(root.path(), &manifest)], ConflictResolution::Resume);
        request.options.hash_cache = Some(Arc::clone(&cache));
        let context = Context::new();
        let (watched, token) = (Arc::clone(&context.progress), context.cancel.clone());
        let helper = std::thread::spawn(move || {
            while watched.snapshot().checked_bytes <= attempt * 8 * 1024 * 1024 && !token.is_cancelled() {
                std::hint::spin_loop();
            }
            token.cancel();
        });
        let error = download(request, &context).await.unwrap_err();
        context.cancel.cancel();
        helper.join().unwrap();
        cancelled += usize::from(error.is_cancelled());
        for (number, name) in names.iter().enumerate() {
            let own = hash_bytes(if number % 3 == 1 { &wrong } else { &right });
            match known(&cache, &root.path().join(name)) {
                Lookup::Hit(hash) => assert_eq!(hash, own, "{name} after {cancelled} cancelled calls"),
                other => assert_ne!(other, Lookup::ReferenceHit(hash_bytes(&right)), "{name}"),
            }
        }
        // The time was set to the manifest's: give each file another one again.
        for (number, name) in names.iter().enumerate() {
            let contents = if number % 3 == 1 { &wrong } else { &right };
            std::fs::write(root.path().join(name), contents).unwrap();
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    assert!(cancelled > 0, "no call was cancelled");
}

#[tokio::test]
async fn what_the_caches_know_of_a_file_that_is_replaced_is_dropped() {
    let (root, caches) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = root.path().join("a");
    rested(&path, b"OLD", FIRST_MTIME_MICROS);
    let cache = cache_in(caches.path());
    keep(&cache, &path, &hash_bytes(b"OLD"));
    let store = Arc::new(store_with(&[b"new"]));
    resume(&store, root.path(), &manifest(&[("a", b"new")]), &cache).await.unwrap();
    assert_eq!(tree_of(root.path()), expected(&[("a", b"new")]));
    // The file has the time that the reference's row knows, and that row would be believed.
    assert_eq!(known(&cache, &path), Lookup::Absent);
}

#[tokio::test]
async fn times_far_from_now_are_kept_and_found_again() {
    // tmpfs and others hold any time; ext4 ends in the year 2446.
    let root = tempfile::tempdir().unwrap();
    let mut table = FileTable::with_capacity(3);
    let micros = [-9_500_000_000_000_000, 11_000_000_000_000_000, 13_000_000_000_000_001];
    for (number, micros) in micros.into_iter().enumerate() {
        let path = format!("f{number}");
        table.push(ManifestPath::from_wtf8(path.as_bytes()), Content::Hash(hash_bytes(b"x")), 1, micros);
    }
    let manifest = of_table(ManifestVersion::V2023_03_03, table);
    let store = Arc::new(store_with(&[b"x"]));
    fetch(&store, root.path(), &manifest, ConflictResolution::CreateCopy).await.unwrap();
    let caches = tempfile::tempdir().unwrap();
    let before: Vec<_> =
        (0..3).map(|number| std::fs::metadata(root.path().join(format!("f{number}"))).unwrap()).collect();
    std::thread::sleep(Duration::from_millis(25));
    let counts = resume(&store, root.path(), &manifest, &cache_in(caches.path())).await.unwrap();
    assert_eq!(counts.skipped_files, 3);
    for (number, (before, wanted)) in before.iter().zip(micros).enumerate() {
        let after = std::fs::metadata(root.path().join(format!("f{number}"))).unwrap();
        if before.mtime() == wanted.div_euclid(1_000_000) {
            assert_eq!((before.ctime(), before.ctime_nsec()), (after.ctime(), after.ctime_nsec()), "{wanted}");
        }
    }
}
