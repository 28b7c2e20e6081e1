//! Hashing files of a tree: right hashes, no work twice, and an error that names the file for whatever can't be hashed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rusty_attachments::cache::HashCache;
use rusty_attachments::error::{Error, SourceProblem};
use rusty_attachments::fs::open::LinkPolicy;
use rusty_attachments::fs::path_list::PathList;
use rusty_attachments::fs::tree::TreeRoot;
use rusty_attachments::hash::hash_bytes;
use rusty_attachments::ops::hash_files::{HashFilesRequest, HashReason, HashedFile, hash_files};
use rusty_attachments::ops::survey::{SurveyRequest, survey_files};
use rusty_attachments::transfer::context::Context;

struct Tree {
    folder: tempfile::TempDir,
}

impl Tree {
    fn new() -> Self {
        let tree = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(tree.root()).unwrap();
        tree
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn write(&self, name: &str, contents: &[u8]) -> PathBuf {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, contents).unwrap();
        path
    }

    fn cache(&self) -> HashCache {
        HashCache::open(Some(&self.folder.path().join("cache")))
    }

    fn hash_with(&self, names: &[&str], context: &Context, links: LinkPolicy) -> Result<Vec<HashedFile>, Error> {
        self.hash_list(&names.iter().collect(), context, links)
    }

    fn hash_list(&self, files: &PathList, context: &Context, links: LinkPolicy) -> Result<Vec<HashedFile>, Error> {
        let survey = survey_files(&SurveyRequest { root: &self.root(), files, links, may_vanish: false }, context)?;
        let request = HashFilesRequest {
            survey: &survey,
            cache: &self.cache(),
            update_cache: true,
            read_cache: true,
            chunk_bytes: None,
        };
        let hashed = hash_files(&request, context)?;
        // In the order of the caller's list, where that is not sorted.
        let place = |path: &[u8]| survey.files.iter().position(|other| other == path).unwrap();
        Ok(files.iter().map(|path| hashed[place(path)].clone()).collect())
    }

    fn hash(&self, names: &[&str]) -> Result<Vec<HashedFile>, Error> {
        self.hash_with(names, &Context::new(), LinkPolicy::Follow)
    }
}

fn problem_of(result: Result<Vec<HashedFile>, Error>, file: &Path) -> SourceProblem {
    match result {
        Err(Error::SourceFile { path, problem }) => {
            assert_eq!(path, file);
            problem
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn hashes_are_those_of_the_contents_whatever_the_size() {
    let tree = Tree::new();
    let sizes = [0, 1, 4096, 256 * 1024 - 1, 256 * 1024, 256 * 1024 + 1, 3 * 1024 * 1024 + 17];
    let contents: Vec<Vec<u8>> =
        sizes.iter().map(|size| (0..*size).map(|at| u8::try_from(at * 31 % 251).unwrap()).collect()).collect();
    let names: Vec<String> = sizes.iter().map(|size| format!("d{}/{size}", size % 3)).collect();
    for (name, contents) in names.iter().zip(&contents) {
        tree.write(name, contents);
    }
    let context = Context::new();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let hashed = tree.hash_with(&names, &context, LinkPolicy::Follow).unwrap();
    for (file, contents) in hashed.iter().zip(&contents) {
        assert_eq!(file.hashes, [hash_bytes(contents)]);
        assert_eq!(file.stamp.size_bytes, contents.len() as u64);
    }
    let progress = context.progress.snapshot();
    assert_eq!(progress.processed_files, 7);
    assert_eq!(progress.processed_bytes, sizes.iter().sum::<usize>() as u64);
}

#[test]
fn the_second_run_reads_nothing_and_an_edit_is_named() {
    let tree = Tree::new();
    let names = ["a", "b/c", "b/d"];
    for name in names {
        tree.write(name, name.as_bytes());
    }
    let first = tree.hash(&names).unwrap();
    assert!(first.iter().all(|file| file.reason == Some(HashReason::New)));
    let context = Context::new();
    let second = tree.hash_with(&names, &context, LinkPolicy::Follow).unwrap();
    assert!(second.iter().all(|file| file.reason.is_none()));
    assert_eq!(context.progress.snapshot().skipped_files, 3);
    assert_eq!(context.progress.snapshot().processed_bytes, 0);

    let edited = tree.write("b/c", b"longer than before");
    let kept = tree.root().join("b/d");
    let modified = fs::metadata(&kept).unwrap().modified().unwrap();
    fs::write(&kept, b"B/D").unwrap();
    fs::File::options().write(true).open(&kept).unwrap().set_modified(modified).unwrap();
    let third = tree.hash(&names).unwrap();
    assert_eq!(third[0].reason, None);
    assert_eq!(third[1].reason, Some(HashReason::Size), "{edited:?}");
    assert_eq!(third[2].reason, Some(HashReason::StatusChange), "an edit that keeps size and time");
    assert_eq!(third[2].hashes[0], hash_bytes(b"B/D"));
}

/// Rows of the reference alone, as a first run after the switch finds them.
fn with_the_references_rows_alone(tree: &Tree, names: &[&str]) -> rusqlite::Connection {
    tree.hash(names).unwrap();
    let file = rusqlite::Connection::open(tree.folder.path().join("cache/hash_cache.db")).unwrap();
    assert_eq!(file.execute("DELETE FROM rustyAttachmentsV1", []).unwrap(), names.len());
    file
}

#[test]
fn the_references_rows_serve_for_files_that_are_as_they_were_written() {
    let tree = Tree::new();
    let names = ["a", "b/c"];
    for name in names {
        tree.write(name, name.as_bytes());
    }
    let file = with_the_references_rows_alone(&tree, &names);
    let hashed = tree.hash(&names).unwrap();
    assert!(hashed.iter().all(|file| file.reason.is_none()), "nothing was read");
    assert_eq!(hashed[1].hashes, [hash_bytes(b"b/c")]);
    // What was not read is not made ours: a later run may still find out that it is wrong.
    let own: i64 = file.query_row("SELECT count(*) FROM rustyAttachmentsV1", [], |row| row.get(0)).unwrap();
    assert_eq!(own, 0);
}

#[test]
fn a_file_that_was_put_in_anothers_place_with_its_time_is_read() {
    let tree = Tree::new();
    let names = ["edited", "moved", "same", "unpacked"];
    for name in names {
        tree.write(name, b"old contents");
    }
    let file = with_the_references_rows_alone(&tree, &names);
    let time_of = |name: &str| fs::metadata(tree.root().join(name)).unwrap().modified().unwrap();
    let set_time = |name: &str, time| {
        fs::File::options().write(true).open(tree.root().join(name)).unwrap().set_modified(time).unwrap();
    };
    let (moved, unpacked) = (time_of("moved"), time_of("unpacked"));
    tree.write("new", b"new contents");
    set_time("new", moved);
    fs::rename(tree.root().join("new"), tree.root().join("moved")).unwrap();
    fs::remove_file(tree.root().join("unpacked")).unwrap();
    tree.write("unpacked", b"new contents");
    set_time("unpacked", unpacked);
    let edited = time_of("edited");
    tree.write("edited", b"new contents");
    set_time("edited", edited);
    let hashed = tree.hash(&names).unwrap();
    for (name, file) in names.iter().zip(&hashed) {
        let (contents, reason) =
            if *name == "same" { ("old contents", None) } else { ("new contents", Some(HashReason::StatusChange)) };
        assert_eq!((&file.hashes[..], file.reason), (&[hash_bytes(contents.as_bytes())][..], reason), "{name}");
    }
    let own: i64 = file.query_row("SELECT count(*) FROM rustyAttachmentsV1", [], |row| row.get(0)).unwrap();
    assert_eq!(own, 3, "what was read is ours now");
}

/// More files than are hashed at a time: the order holds, and what was done before a failure stays done.
#[test]
fn a_failure_among_many_files_leaves_the_hashes_of_those_before_it() {
    const COUNT: usize = 8192 + 8;
    let tree = Tree::new();
    let names: PathList = (0..COUNT).map(|number| format!("d{:02}/f{number:05}", number / 100).into_bytes()).collect();
    for name in names.iter() {
        tree.write(std::str::from_utf8(name).unwrap(), name);
    }
    let context = Context::new();
    let root = tree.root();
    let request = SurveyRequest { root: &root, files: &names, links: LinkPolicy::Follow, may_vanish: false };
    let survey = survey_files(&request, &context).unwrap();
    let vanishing = tree.root().join(std::str::from_utf8(names.get(COUNT - 1)).unwrap());
    fs::remove_file(&vanishing).unwrap();
    let cache = tree.cache();
    let request =
        HashFilesRequest { survey: &survey, cache: &cache, update_cache: true, read_cache: true, chunk_bytes: None };
    assert_eq!(problem_of(hash_files(&request, &context), &vanishing), SourceProblem::Missing);

    fs::write(&vanishing, names.get(COUNT - 1)).unwrap();
    let hashed = tree.hash_list(&names, &Context::new(), LinkPolicy::Follow).unwrap();
    assert!(hashed.iter().zip(names.iter()).all(|(file, name)| file.hashes == [hash_bytes(name)]));
    assert!(hashed[..8192].iter().all(|file| file.reason.is_none()), "they were hashed before the failure");
    assert_eq!(hashed[COUNT - 1].reason, Some(HashReason::New));
}

#[test]
fn a_link_gives_the_contents_of_its_target_wherever_that_is() {
    let tree = Tree::new();
    fs::write(tree.folder.path().join("outside"), b"outside").unwrap();
    fs::create_dir(tree.folder.path().join("folder")).unwrap();
    fs::write(tree.folder.path().join("folder/file"), b"in a folder").unwrap();
    symlink("../outside", tree.root().join("link")).unwrap();
    symlink("../folder", tree.root().join("linked")).unwrap();
    let hashed = tree.hash(&["link", "linked/file"]).unwrap();
    assert_eq!(hashed[0].hashes[0], hash_bytes(b"outside"));
    assert_eq!(hashed[1].hashes[0], hash_bytes(b"in a folder"));
    let confined = tree.hash_with(&["link"], &Context::new(), LinkPolicy::Confine);
    assert!(matches!(problem_of(confined, &tree.root().join("link")), SourceProblem::LinkEscapes(_)));
}

#[test]
fn what_is_no_regular_file_is_refused_by_name_and_never_waited_for() {
    let tree = Tree::new();
    tree.write("ok", b"ok");
    fs::create_dir(tree.root().join("directory")).unwrap();
    let mode = rustix::fs::Mode::RWXU;
    rustix::fs::mknodat(rustix::fs::CWD, tree.root().join("fifo"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(tree.root().join("socket")).unwrap();
    symlink("/dev/null", tree.root().join("device")).unwrap();
    symlink("loop-b", tree.root().join("loop-a")).unwrap();
    symlink("loop-a", tree.root().join("loop-b")).unwrap();
    symlink("nowhere", tree.root().join("dangling")).unwrap();
    let cases = [
        ("directory", SourceProblem::IsDirectory),
        ("fifo", SourceProblem::NotRegular),
        ("socket", SourceProblem::NotRegular),
        ("device", SourceProblem::NotRegular),
        ("loop-a", SourceProblem::LinkLoop),
        ("loop-a/below", SourceProblem::LinkLoop),
        ("dangling", SourceProblem::Missing),
        ("missing", SourceProblem::Missing),
        ("missing/below", SourceProblem::Missing),
        // Not "missing": only what the system says is not there has vanished.
        ("ok/below", SourceProblem::Unreadable { number: Some(20), text: "Not a directory (os error 20)".to_owned() }),
    ];
    for (name, expected) in cases {
        assert_eq!(problem_of(tree.hash(&["ok", name]), &tree.root().join(name)), expected, "{name}");
    }
    for hostile in ["../outside", "/etc/passwd", "a/../../b"] {
        assert!(matches!(tree.hash(&[hostile]), Err(Error::PathOutsideRoot { .. })), "{hostile}");
    }
}

#[test]
fn names_that_are_no_utf8_and_paths_as_long_as_can_be() {
    use std::os::unix::ffi::OsStrExt;
    let tree = Tree::new();
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9.exr");
    fs::write(tree.root().join(name), b"latin").unwrap();
    let wtf8 = rusty_attachments::path::wtf8_from_os_str(name);
    let files: PathList = [&wtf8].into_iter().collect();
    let hashed = tree.hash_list(&files, &Context::new(), LinkPolicy::Follow).unwrap();
    assert_eq!(hashed[0].hashes[0], hash_bytes(b"latin"));

    // A relative path of 4,090 bytes below a root: longer than the kernel takes in one piece with the root before it.
    let part = "x".repeat(200);
    let mut relative = vec![part; 20].join("/");
    let mut at = rustix::fs::open(tree.root(), rustix::fs::OFlags::PATH, rustix::fs::Mode::empty()).unwrap();
    for part in relative.split('/') {
        rustix::fs::mkdirat(&at, part, rustix::fs::Mode::RWXU).unwrap();
        at = rustix::fs::openat(&at, part, rustix::fs::OFlags::PATH, rustix::fs::Mode::empty()).unwrap();
    }
    let name = "y".repeat(4090 - relative.len() - 1);
    let flags = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY;
    let file = rustix::fs::openat(&at, name.as_str(), flags, rustix::fs::Mode::RWXU).unwrap();
    rustix::io::write(&file, b"deep").unwrap();
    relative.push('/');
    relative.push_str(&name);
    assert_eq!(tree.hash(&[&relative]).unwrap()[0].hashes[0], hash_bytes(b"deep"));
}

#[test]
fn a_file_that_keeps_changing_is_reported_and_never_recorded() {
    let tree = Tree::new();
    let path = tree.write("busy", &vec![0; 8 * 1024 * 1024]);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let file = fs::File::options().write(true).open(&path).unwrap();
            for byte in (0..=u8::MAX).cycle() {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                std::os::unix::fs::FileExt::write_all_at(&file, &[byte; 64], u64::from(byte) * 64).unwrap();
            }
        });
        // Where processors are busy, the writer may sleep through many runs.
        let met = (0..500).map(|_| tree.hash(&["busy"])).find(Result::is_err);
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap();
        assert_eq!(problem_of(met.expect("no run met a write"), &path), SourceProblem::Unstable);
    });
    // Whatever was or was not recorded meanwhile: the hash at rest is that of the contents at rest.
    assert_eq!(tree.hash(&["busy"]).unwrap()[0].hashes[0], hash_bytes(&fs::read(&path).unwrap()));
    assert_eq!(tree.hash(&["busy"]).unwrap()[0].reason, None);
}

#[test]
fn cancelling_stops_with_the_references_text_and_keeps_what_was_hashed() {
    let tree = Tree::new();
    let names: Vec<String> = (0..200).map(|number| format!("{number:03}")).collect();
    for name in &names {
        tree.write(name, name.as_bytes());
    }
    let context = Context::new();
    let cancel = context.cancel.clone();
    let seen = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = seen.clone();
    let context = context.with_log(
        rusty_attachments::transfer::context::LogLevel::Debug,
        std::sync::Arc::new(move |_| {
            if count.fetch_add(1, Ordering::Relaxed) == 100 {
                cancel.cancel();
            }
        }),
    );
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let error = tree.hash_with(&names, &context, LinkPolicy::Follow).unwrap_err();
    assert!(error.is_cancelled());
    assert_eq!(error.to_string(), "File hashing cancelled.");
    let known = tree.hash(&names).unwrap().iter().filter(|file| file.reason.is_none()).count();
    assert!((50..200).contains(&known), "{known} were kept");
}

#[test]
fn a_missing_root_and_a_root_that_is_a_file_are_errors_that_name_it() {
    let tree = Tree::new();
    for path in [tree.write("file", b"x"), tree.root().join("missing")] {
        let error = TreeRoot::open(&path, LinkPolicy::Follow).unwrap_err();
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}
