//! The walk by components against the kernel's own: the same file or the same error, whatever links there are.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use rustix::fs::{Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::{Links, components, openat2};

/// What an open came to: the path of what was opened, or the error.
type Outcome = Result<PathBuf, Errno>;

fn outcome(opened: rustix::io::Result<OwnedFd>) -> Outcome {
    opened.map(|found| std::fs::read_link(format!("/proc/self/fd/{}", found.as_raw_fd())).unwrap())
}

fn mode_for(flags: OFlags) -> Mode {
    if flags.contains(OFlags::CREATE) { Mode::from_raw_mode(0o600) } else { Mode::empty() }
}

fn by_components(root: BorrowedFd<'_>, path: &Path, flags: OFlags, links: Links) -> Outcome {
    outcome(components::open(root, path, flags, mode_for(flags), links))
}

fn by_the_kernel(root: BorrowedFd<'_>, path: &Path, flags: OFlags, links: Links) -> Outcome {
    loop {
        // It says "try again" for a path with `..` whenever something, anywhere, is renamed meanwhile.
        match rustix::fs::openat2(root, path, flags, mode_for(flags), openat2::resolve(links)) {
            Err(Errno::AGAIN) => {}
            answer => return outcome(answer),
        }
    }
}

fn open_root(path: &Path) -> OwnedFd {
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap()
}

/// Whether there is a kernel to compare with: these tests also run where it refuses the call.
fn kernel_can(root: BorrowedFd<'_>) -> bool {
    let answer = rustix::fs::openat2(root, ".", OFlags::PATH, Mode::empty(), openat2::resolve(Links::Beneath));
    assert!(answer.is_ok() || may_lack_openat2(), "openat2 is refused here: set TESTS_REFUSE_OPENAT2 if it should be");
    answer.is_ok()
}

/// Whether this is a kernel from before the call, or a sandbox that is known to refuse it.
pub(super) fn may_lack_openat2() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let is_older = (numbers.next(), numbers.next()) < (Some(5), Some(6));
    is_older || std::env::var_os("TESTS_REFUSE_OPENAT2").is_some()
}

/// All ways in which the crate opens, and those in which files are made.
fn all_flags() -> Vec<OFlags> {
    let path = OFlags::PATH | OFlags::CLOEXEC;
    let read = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let make = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::CREATE | OFlags::NONBLOCK;
    let mut all = Vec::new();
    for base in [path, read] {
        for more in [OFlags::empty(), OFlags::NOFOLLOW, OFlags::DIRECTORY, OFlags::NOFOLLOW | OFlags::DIRECTORY] {
            all.push(base | more);
        }
    }
    all.extend([make, make | OFlags::NOFOLLOW, make | OFlags::EXCL, OFlags::RDWR | OFlags::CLOEXEC]);
    all
}

/// What is at a name of a tree.
#[derive(Debug, Clone)]
enum Entry {
    File,
    Directory,
    Fifo,
    Link(String),
}

/// Whether the folder of a path is in this one, links resolved.
fn is_made_within(folder: &Path, path: &Path) -> bool {
    let above = path.ancestors().skip(1).find_map(|above| above.canonicalize().ok());
    above.is_some_and(|above| above.starts_with(folder))
}

/// Makes what can be made: a name below a file, a second time, or behind a link that leads out of `folder`, is left out.
fn make_tree(folder: &Path, root: &Path, entries: &[(String, Entry)]) -> BTreeSet<PathBuf> {
    for (name, entry) in entries {
        let path = root.join(name);
        if !is_made_within(folder, &path) {
            continue;
        }
        let _ = match entry {
            Entry::File => File::create_new(&path).map(drop),
            Entry::Directory => std::fs::create_dir_all(&path),
            Entry::Fifo => {
                rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, Mode::from_raw_mode(0o600), 0)
                    .map_err(Into::into)
            }
            Entry::Link(text) => symlink(text.replace("ROOT", root.to_str().unwrap()), &path),
        };
    }
    paths_below(root)
}

fn paths_below(root: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        // What is below a locked directory is not looked for.
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        for entry in entries.map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
            found.insert(entry.path());
        }
    }
    found
}

fn paths() -> impl Strategy<Value = String> {
    let part =
        prop_oneof![6 => "[abcd]", 2 => Just("..".to_owned()), 1 => Just(".".to_owned()), 1 => Just(String::new())];
    let start = prop_oneof![12 => Just(""), 1 => Just("/"), 1 => Just("ROOT/")];
    let end = prop_oneof![5 => Just(""), 1 => Just("/"), 1 => Just("//")];
    (start, prop::collection::vec(part, 1..5), end).prop_map(|(start, parts, end)| {
        let text = format!("{start}{}{end}", parts.join("/"));
        if text.is_empty() { ".".to_owned() } else { text }
    })
}

fn entries() -> impl Strategy<Value = Vec<(String, Entry)>> {
    let name = prop::collection::vec("[abcd]", 1..4).prop_map(|parts| parts.join("/"));
    let entry = prop_oneof![
        3 => Just(Entry::Directory),
        2 => Just(Entry::File),
        1 => Just(Entry::Fifo),
        6 => paths().prop_map(Entry::Link),
    ];
    prop::collection::vec((name, entry), 4..20)
}

fn same_as_the_kernel(root: &Path, paths: &[String]) {
    let directory = open_root(root);
    if !kernel_can(directory.as_fd()) {
        return;
    }
    let before = paths_below(root);
    for path in paths {
        let path = path.replace("ROOT", root.to_str().unwrap());
        for flags in all_flags() {
            for links in [Links::Beneath, Links::Refuse] {
                let restore = |outcome: &Outcome| {
                    if let Ok(made) = outcome
                        && !before.contains(made)
                        && made != root
                    {
                        std::fs::remove_file(made).unwrap();
                    }
                };
                let expected = by_the_kernel(directory.as_fd(), Path::new(&path), flags, links);
                restore(&expected);
                let found = by_components(directory.as_fd(), Path::new(&path), flags, links);
                restore(&found);
                assert_eq!(found, expected, "{path:?} {flags:?} {links:?}");
                assert!(found.is_err() || found.unwrap().starts_with(root));
            }
        }
    }
    assert_eq!(paths_below(root), before);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_trees_of_links_are_the_same_as_for_the_kernel(
        entries in entries(),
        paths in prop::collection::vec(paths(), 6),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let root = folder.join("root");
        std::fs::create_dir(&root).unwrap();
        // The same names beside the root: what leads out would find something.
        make_tree(&folder, &folder, &entries);
        make_tree(&folder, &root, &entries);
        same_as_the_kernel(&root, &paths);
    }
}

#[test]
fn written_paths_are_the_same_as_for_the_kernel() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    std::fs::create_dir_all(root.join("1/2/3/4")).unwrap();
    File::create(root.join("1/file")).unwrap();
    for (link, text) in [
        ("1/2/3/4/back", "../../../file"),
        ("1/2/3/4/all_the_way", "../../../../1/file"),
        ("1/2/3/4/out", "../../../../../1/file"),
        ("1/2/3/4/and_again", "back/../file"),
        ("1/deep", "2/3/4/"),
        ("slashes", "1/2//3///"),
        ("to_file_with_slash", "1/file/"),
        ("dot", "."),
        ("dots", "1/.."),
        ("dots_out", "1/../.."),
        ("absolute", "/"),
        ("dangling", "1/nothing"),
        ("dangling_slash", "1/nothing/"),
        ("loop", "loop"),
        ("ping", "pong"),
        ("pong", "ping"),
    ] {
        symlink(text, root.join(link)).unwrap();
    }
    // Who may not search a directory gets no further through it, back neither; root may.
    std::fs::create_dir_all(root.join("locked/inner")).unwrap();
    symlink("locked/../1/file", root.join("past_the_locked")).unwrap();
    std::fs::set_permissions(root.join("locked"), std::fs::Permissions::from_mode(0o600)).unwrap();
    // The kernel follows 40 links and no more.
    symlink("1/file", root.join("chain1")).unwrap();
    for number in 2..=42 {
        symlink(format!("chain{}", number - 1), root.join(format!("chain{number}"))).unwrap();
    }
    let mut paths: Vec<String> =
        ["", "/", "//", ".", "./", "..", "../", "1/..", "1/../", "1/../..", "1/file/..", "1/file/."]
            .map(str::to_owned)
            .to_vec();
    let links: Vec<String> =
        paths_below(&root).iter().map(|path| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned()).collect();
    for link in links {
        paths.extend(["", "/", "/.", "/..", "/nothing", "/1", "/file"].map(|end| format!("{link}{end}")));
    }
    paths.push("1/".repeat(2000) + "1");
    for length in [4094, 4095, 4096, 4097] {
        paths.push("./".repeat(length / 2 - 1) + if length % 2 == 0 { "11" } else { "1/1" });
    }
    paths.extend(["x".repeat(255), "x".repeat(256), format!("1/{}", "y".repeat(256)), "1/a\0b".to_owned()]);
    same_as_the_kernel(&root, &paths);
    std::fs::set_permissions(root.join("locked"), std::fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn links_of_proc_that_are_more_than_text_are_not_followed() {
    let pipe = std::io::pipe().unwrap();
    let memory = rustix::fs::memfd_create("nameless", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    let file = File::open("/proc/self/exe").unwrap();
    let root = open_root(Path::new("/proc"));
    if !kernel_can(root.as_fd()) {
        return;
    }
    let open = [pipe.0.as_raw_fd(), memory.as_raw_fd(), file.as_raw_fd()];
    let magic = ["exe", "cwd", "root", "cwd/etc", "ns/mnt", "root/"].map(|name| format!("self/{name}")).into_iter();
    for path in magic.chain(open.map(|number| format!("self/fd/{number}"))) {
        for flags in [OFlags::PATH, OFlags::RDONLY, OFlags::PATH | OFlags::NOFOLLOW] {
            let expected = by_the_kernel(root.as_fd(), Path::new(&path), flags, Links::Beneath);
            let found = by_components(root.as_fd(), Path::new(&path), flags, Links::Beneath);
            if flags.contains(OFlags::NOFOLLOW) && !path.contains("cwd/") && !path.ends_with('/') {
                assert!(found.is_ok(), "{path}: {found:?}");
            } else {
                assert_eq!((&found, &expected), (&Err(Errno::LOOP), &Err(Errno::LOOP)), "{path}");
            }
        }
    }
    // `self` and `mounts` are plain links.
    for path in ["self/status", "mounts"] {
        by_components(root.as_fd(), Path::new(path), OFlags::RDONLY, Links::Beneath).unwrap();
    }
}

/// Runs `swap` again and again in a thread while `look` is called so many times.
fn meanwhile(swap: impl Fn() + Sync, times: usize, mut look: impl FnMut()) {
    let (stop, has_begun) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                swap();
                has_begun.store(true, Ordering::Relaxed);
            }
        });
        while !has_begun.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (0..times).for_each(|_| look())));
        stop.store(true, Ordering::Relaxed);
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

/// Puts each in the other's place and back.
fn exchange(root: &OwnedFd, one: &str, other: &str) {
    for _ in 0..2 {
        rustix::fs::renameat_with(root, one, root, other, RenameFlags::EXCHANGE).unwrap();
    }
}

#[test]
fn a_directory_that_is_exchanged_for_a_link_is_one_or_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap().join("root");
    std::fs::create_dir_all(root.join("place")).unwrap();
    std::fs::create_dir_all(root.join("elsewhere")).unwrap();
    std::fs::create_dir_all(root.join("../outside")).unwrap();
    for file in ["place/f", "elsewhere/f", "../outside/f"] {
        File::create(root.join(file)).unwrap();
    }
    symlink("elsewhere", root.join("inside_link")).unwrap();
    symlink("../outside", root.join("outside_link")).unwrap();
    let directory = open_root(&root);
    for flags in [OFlags::RDONLY, OFlags::PATH, OFlags::PATH | OFlags::NOFOLLOW] {
        let look = || by_components(directory.as_fd(), Path::new("place/f"), flags, Links::Beneath);
        let folder =
            || by_components(directory.as_fd(), Path::new("place"), OFlags::PATH | OFlags::DIRECTORY, Links::Beneath);
        // A path is never missing while a directory and a link change places.
        meanwhile(
            || exchange(&directory, "place", "inside_link"),
            4000,
            || {
                assert!(look().unwrap().starts_with(&root));
                assert!(folder().unwrap().starts_with(&root));
            },
        );
        meanwhile(
            || exchange(&directory, "place", "outside_link"),
            4000,
            || {
                for found in [look(), folder()] {
                    assert!(
                        matches!(&found, Err(Errno::XDEV)) || found.as_ref().unwrap().starts_with(&root),
                        "{found:?}"
                    );
                }
            },
        );
    }
}

#[test]
fn dots_lead_back_the_way_that_the_walk_came_from() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().canonicalize().unwrap();
    let (root, outside) = (base.join("root"), base.join("outside"));
    std::fs::create_dir_all(root.join("a/b")).unwrap();
    std::fs::create_dir_all(&outside).unwrap();
    symlink("a/b/../../f", root.join("link")).unwrap();
    symlink("a/b/../f", root.join("link_to_a")).unwrap();
    for file in [root.join("f"), root.join("a/f"), outside.join("f"), base.join("f")] {
        File::create(file).unwrap();
    }
    let directory = open_root(&root);
    // The parent of `a/b` is `outside` half of the time, and its parent in turn is the folder of all.
    let swap = || {
        std::fs::rename(root.join("a/b"), outside.join("b")).unwrap();
        std::fs::rename(outside.join("b"), root.join("a/b")).unwrap();
    };
    let mut right = 0;
    meanwhile(swap, 20_000, || {
        for (link, expected) in [("link", root.join("f")), ("link_to_a", root.join("a/f"))] {
            match by_components(directory.as_fd(), Path::new(link), OFlags::RDONLY, Links::Beneath) {
                Ok(found) => {
                    assert_eq!(found, expected);
                    right += 1;
                }
                Err(error) => assert_eq!(error, Errno::NOENT),
            }
        }
    });
    assert!(right > 0);
}

#[test]
fn a_link_in_a_deep_directory_leads_back_to_the_one_above() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    let deep = "d/".repeat(100);
    std::fs::create_dir_all(root.join(&deep)).unwrap();
    File::create(root.join(format!("{deep}file"))).unwrap();
    symlink("../d/file", root.join(format!("{deep}up"))).unwrap();
    let directory = open_root(&root);
    let found = by_components(directory.as_fd(), Path::new(&format!("{deep}up")), OFlags::RDONLY, Links::Beneath);
    assert_eq!(found, Ok(root.join(format!("{deep}file"))));
}
