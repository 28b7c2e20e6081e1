//! Downloads from the store in memory: nothing wrong is ever at a final path, whatever is there and whatever fails.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rusty_attachments::Error;
use rusty_attachments::hash::{HashAlgorithm, hash_bytes};
use rusty_attachments::manifest::{Content, Directory, FileTable, Manifest, ManifestVersion};
use rusty_attachments::ops::download::{
    ConflictResolution, DownloadOptions, DownloadReport, DownloadRequest, Permissions, RootDownload, download,
};
use rusty_attachments::path::ManifestPath;
use rusty_attachments::store::memory::{Fault, MemoryStore, Operation};
use rusty_attachments::store::{ObjectKey, ObjectStore};
use rusty_attachments::transfer::PART_BYTES;
use rusty_attachments::transfer::context::Context;
use rusty_attachments::transfer::download::Verify;
use rusty_attachments::transfer::progress::ProgressSnapshot;

use crate::tests_rs::upload::{BUCKET, bytes, key_of};

mod absolute;
mod conflicts;
mod containment;
mod faults;
mod local_work;
mod resume;
mod roots;
mod together;
mod v2025;

/// A range of a large object, the engine's `PART_BYTES`.
const RANGE: usize = 8 * 1024 * 1024;
const _: () = assert!(RANGE as u64 == PART_BYTES);
/// The time of the first file of a manifest; each file's is a microsecond later than that of the one before.
const FIRST_MTIME_MICROS: i64 = 1_700_000_000_123_456;

/// A manifest of files with these contents.
fn manifest(files: &[(&str, &[u8])]) -> Manifest {
    let mut table = FileTable::with_capacity(files.len());
    for (mtime_micros, (name, contents)) in (FIRST_MTIME_MICROS..).zip(files) {
        let content = Content::Hash(hash_bytes(contents));
        table.push(ManifestPath::from_wtf8(name.as_bytes()), content, size(contents), mtime_micros);
    }
    of_table(ManifestVersion::V2023_03_03, table)
}

fn of_table(version: ManifestVersion, files: FileTable) -> Manifest {
    Manifest {
        version,
        hash_algorithm: HashAlgorithm::Xxh128,
        total_size_bytes: 0,
        files,
        directories: Vec::new(),
        parent_manifest_hash: None,
    }
}

fn size(contents: &[u8]) -> i64 {
    i64::try_from(contents.len()).unwrap()
}

/// A store with objects of these contents.
fn store_with(contents: &[&[u8]]) -> MemoryStore {
    filled(MemoryStore::new(), contents)
}

fn filled(store: MemoryStore, contents: &[&[u8]]) -> MemoryStore {
    for contents in contents {
        store.insert(key_of(contents), contents.to_vec());
    }
    store
}

fn request(store: &Arc<MemoryStore>, roots: &[(&Path, &Manifest)], conflicts: ConflictResolution) -> DownloadRequest {
    let root = |(path, manifest): &(&Path, &Manifest)| RootDownload {
        path: path.to_path_buf(),
        manifest: Arc::new((*manifest).clone()),
    };
    DownloadRequest {
        store: Arc::clone(store) as Arc<dyn ObjectStore>,
        bucket: BUCKET.to_owned(),
        cas_prefix: Some("root/Data".to_owned()),
        roots: roots.iter().map(root).collect(),
        options: DownloadOptions { conflicts, ..DownloadOptions::default() },
    }
}

/// Downloads one manifest below one root.
async fn fetch(
    store: &Arc<MemoryStore>,
    root: &Path,
    manifest: &Manifest,
    conflicts: ConflictResolution,
) -> Result<(DownloadReport, ProgressSnapshot), Error> {
    let context = Context::new();
    let report = download(request(store, &[(root, manifest)], conflicts), &context).await?;
    Ok((report, context.progress.snapshot()))
}

/// The paths that were written below a root, relative to it, sorted.
fn written(report: &DownloadReport, root: &Path) -> Vec<String> {
    let root = root.canonicalize().unwrap();
    let relative = |path: &[u8]| {
        let path = PathBuf::from(str::from_utf8(path).unwrap());
        path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned()
    };
    let mut paths: Vec<String> = report.written.iter().flat_map(|paths| paths.iter().map(relative)).collect();
    paths.sort();
    paths
}

/// What is below a root: files with their contents, links and directories with a word about them.
fn tree_of(root: &Path) -> BTreeMap<String, Vec<u8>> {
    fn visit(root: &Path, folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            let kind = std::fs::symlink_metadata(&path).unwrap().file_type();
            if kind.is_symlink() {
                found.insert(name, format!("link to {}", std::fs::read_link(&path).unwrap().display()).into_bytes());
            } else if kind.is_dir() {
                found.insert(name, b"directory".to_vec());
                visit(root, &path, found);
            } else {
                found.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    visit(root, root, &mut found);
    found
}

/// The tree as [`tree_of`] gives it.
fn expected(entries: &[(&str, &[u8])]) -> BTreeMap<String, Vec<u8>> {
    entries.iter().map(|(name, contents)| ((*name).to_owned(), contents.to_vec())).collect()
}

fn mtime_micros(path: &Path) -> i64 {
    let metadata = std::fs::symlink_metadata(path).unwrap();
    metadata.mtime() * 1_000_000 + metadata.mtime_nsec() / 1000
}

/// A store that tells of each GET, before it answers: for what happens meanwhile.
fn store_that_tells(tell: impl Fn(&str) + Send + Sync + 'static) -> MemoryStore {
    MemoryStore::failing(move |call| {
        if call.operation == Operation::Get {
            tell(call.key);
        }
        Fault::None
    })
}

#[tokio::test]
async fn files_get_their_contents_times_and_directories() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("new/root");
    let large = bytes(2 * RANGE + 9, 7);
    let files: [(&str, &[u8]); 4] = [("a", b"1"), ("b/c/d.exr", b"2"), ("empty", b""), ("b/large", &large)];
    let store = Arc::new(store_with(&files.map(|(_, contents)| contents)));
    let manifest = manifest(&files);
    let (report, counts) = fetch(&store, &root, &manifest, ConflictResolution::CreateCopy).await.unwrap();
    let directories: [(&str, &[u8]); 2] = [("b", b"directory"), ("b/c", b"directory")];
    assert!(tree_of(&root) == expected(&[&files[..], &directories[..]].concat()));
    for (number, (name, _)) in (0..).zip(&files) {
        assert_eq!(mtime_micros(&root.join(name)), FIRST_MTIME_MICROS + number, "{name}");
    }
    assert_eq!(written(&report, &root), ["a", "b/c/d.exr", "b/large", "empty"]);
    assert_eq!((counts.processed_files, counts.processed_bytes), (4, 2 + large.len() as u64));
    assert_eq!((counts.skipped_files, counts.skipped_bytes), (0, 0));
}

#[tokio::test]
async fn each_content_is_fetched_once() {
    let folder = tempfile::tempdir().unwrap();
    let large = bytes(RANGE + 1, 3);
    let files: [(&str, &[u8]); 6] =
        [("a", b"same"), ("b", b"same"), ("c/d", b"same"), ("l", &large), ("m", &large), ("o", b"other")];
    let store = Arc::new(store_with(&[b"same", b"other", &large]));
    let manifest = manifest(&files);
    let (_, counts) = fetch(&store, folder.path(), &manifest, ConflictResolution::CreateCopy).await.unwrap();
    assert_eq!(store.calls(), 4, "two small objects and two ranges");
    let directory: (&str, &[u8]) = ("c", b"directory");
    assert!(tree_of(folder.path()) == expected(&[&files[..], &[directory]].concat()));
    assert_eq!((counts.processed_files, counts.processed_bytes), (6, 17 + 2 * large.len() as u64));
    // Copies, not hard links: jobs edit their inputs.
    let links = |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().nlink();
    assert!(files.iter().all(|(name, _)| links(name) == 1));
}

#[tokio::test]
async fn a_key_without_its_suffix_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let large = bytes(RANGE + 1, 3);
    let store = Arc::new(MemoryStore::new());
    for contents in [&b"old"[..], &large] {
        let key = format!("root/Data/{}", hash_bytes(contents).text());
        store.insert(ObjectKey::new(BUCKET, key), contents.to_vec());
    }
    let files: [(&str, &[u8]); 2] = [("a", b"old"), ("l", &large)];
    fetch(&store, folder.path(), &manifest(&files), ConflictResolution::CreateCopy).await.unwrap();
    assert!(tree_of(folder.path()) == expected(&files));
}

#[tokio::test]
async fn what_is_not_to_be_verified_is_not() {
    let large = bytes(RANGE + 9, 7);
    for contents in [&b"contents"[..], &large] {
        let size = contents.len();
        for (verify, fault, problem) in [
            (Verify::Hash, Fault::WrongByte, Some("expected ".to_owned() + &hash_bytes(contents).text())),
            (Verify::Hash, Fault::ObjectShort, Some(format!("expected {size} bytes, found {} bytes", size - 1))),
            (Verify::Size, Fault::ObjectShort, Some(format!("expected {size} bytes, found {} bytes", size - 1))),
            (Verify::Size, Fault::WrongByte, None),
            (Verify::Off, Fault::WrongByte, None),
        ] {
            let root = tempfile::tempdir().unwrap();
            let store = Arc::new(filled(MemoryStore::failing(move |_| fault), &[contents]));
            let manifest = manifest(&[("file", contents)]);
            let mut asked = request(&store, &[(root.path(), &manifest)], ConflictResolution::CreateCopy);
            asked.options.verify = verify;
            let outcome = download(asked, &Context::new()).await;
            let label = format!("{verify:?} of {size} bytes under {fault:?}: {outcome:?}");
            match problem {
                None => {
                    outcome.unwrap();
                    let found = std::fs::read(root.path().join("file")).unwrap();
                    assert!(found.len() == size && found != contents, "{label}");
                }
                Some(problem) => {
                    let error = outcome.unwrap_err().to_string();
                    assert!(error.contains(&problem) && error.contains(&key_of(contents).url()), "{label}");
                    assert_eq!(tree_of(root.path()), BTreeMap::new(), "{label}");
                }
            }
        }
    }
}

/// Whole bodies are no matter of verification: a body that ends early is asked for again all the same.
#[tokio::test]
async fn a_body_that_ends_early_is_never_taken() {
    let large = bytes(RANGE + 9, 7);
    for contents in [&b"contents"[..], &large] {
        for fault in [Fault::BodyShort, Fault::BodyLost] {
            let root = tempfile::tempdir().unwrap();
            let store = MemoryStore::failing(move |call| if call.number == 1 { fault } else { Fault::None });
            let store = Arc::new(filled(store, &[contents]));
            let manifest = manifest(&[("file", contents)]);
            let mut asked = request(&store, &[(root.path(), &manifest)], ConflictResolution::CreateCopy);
            asked.options.verify = Verify::Off;
            download(asked, &Context::new()).await.unwrap();
            assert!(tree_of(root.path()) == expected(&[("file", contents)]), "{fault:?}");
        }
    }
}

#[tokio::test]
async fn a_rest_that_breaks_off_is_told_as_a_part_of_the_whole() {
    const MIB: usize = 1024 * 1024;
    let (root, contents) = (tempfile::tempdir().unwrap(), bytes(4 * MIB, 3));
    let store = MemoryStore::failing(|call| if call.number <= 2 { Fault::BodyShort } else { Fault::None });
    let store = Arc::new(filled(store, &[&contents]));
    let manifest = manifest(&[("file", &contents)]);
    let (context, log) = crate::tests_rs::upload::logging();
    download(request(&store, &[(root.path(), &manifest)], ConflictResolution::CreateCopy), &context).await.unwrap();
    assert!(tree_of(root.path()) == expected(&[("file", &contents)]));
    let log = log.lock().unwrap().join("\n");
    for came in [2 * MIB, 3 * MIB] {
        assert!(log.contains(&format!("the body ended after {came} of {} bytes", 4 * MIB)), "{log}");
    }
}
