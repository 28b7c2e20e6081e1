//! Links below a root, where files are read and where they are written. `without_openat2` runs all of this once more on a kernel
//! that refuses `openat2`: nothing may differ.

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rusty_attachments::error::{Error, SourceProblem};
use rusty_attachments::fs::leases::GoesOn;
use rusty_attachments::fs::open::{LinkPolicy, SourceRoot};
use rusty_attachments::fs::target_root::{Existing, TargetRoot};
use rusty_attachments::fs::tree::{TreeReader, TreeRoot};
use rusty_attachments::path::ManifestPath;

/// A root with links that stay in it, links that lead out of it, and a place beside it.
struct Tree {
    _folder: tempfile::TempDir,
    root: PathBuf,
    outside: PathBuf,
}

const INSIDE: [(&str, &str); 9] = [
    ("latest", "v003"),
    ("slash", "v003/"),
    ("chain", "latest/deep"),
    ("v003/up", "../v003/deep"),
    ("v003/deep/far_up", "../../v003/f.exr"),
    ("f_link.exr", "v003/f.exr"),
    ("f_chain.exr", "f_link.exr"),
    ("dots", "v003/../v003/./deep/.."),
    ("self", "."),
];

impl Tree {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        let (root, outside) = (base.join("root"), base.join("outside"));
        fs::create_dir_all(root.join("v003/deep")).unwrap();
        fs::create_dir_all(&outside).unwrap();
        fs::write(root.join("v003/f.exr"), "inside").unwrap();
        fs::write(root.join("v003/deep/g.exr"), "deep").unwrap();
        fs::write(outside.join("f.exr"), "outside").unwrap();
        for (link, text) in INSIDE {
            symlink(text, root.join(link)).unwrap();
        }
        symlink(&outside, root.join("absolute")).unwrap();
        symlink("../outside", root.join("relative")).unwrap();
        symlink(root.join("v003"), root.join("absolute_inside")).unwrap();
        symlink("nothing", root.join("dangling")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        symlink("../outside/f.exr", root.join("out.exr")).unwrap();
        Self { _folder: folder, root, outside }
    }
}

/// Paths to files through links that stay in the root, and what is there.
const THROUGH_LINKS: [(&str, &str); 12] = [
    ("latest/f.exr", "inside"),
    ("slash/f.exr", "inside"),
    ("chain/g.exr", "deep"),
    ("latest/deep/g.exr", "deep"),
    ("v003/up/g.exr", "deep"),
    ("latest/up/g.exr", "deep"),
    ("v003/deep/far_up", "inside"),
    ("chain/far_up", "inside"),
    ("f_link.exr", "inside"),
    ("f_chain.exr", "inside"),
    ("dots/f.exr", "inside"),
    ("self/self/latest/up/far_up", "inside"),
];
const OUT_OF_THE_ROOT: [&str; 3] = ["absolute/f.exr", "relative/f.exr", "out.exr"];

fn path(text: &str) -> ManifestPath<'_> {
    ManifestPath::from_wtf8(text.as_bytes())
}

fn read(mut file: impl Read) -> String {
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn files_below_links_are_looked_at_and_hashed() {
    let tree = Tree::new();
    for links in [LinkPolicy::Follow, LinkPolicy::Confine] {
        let root = TreeRoot::open(&tree.root, links).unwrap();
        let mut reader = TreeReader::new(&root, GoesOn::default());
        for (name, contents) in THROUGH_LINKS {
            let seen = reader.look(name.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(seen.stamp.size_bytes, contents.len() as u64, "{name}");
            assert_eq!(seen.resolved, Some(tree.root.join(name).canonicalize().unwrap()), "{name}");
            let hashed =
                reader.hash(name.as_bytes(), &seen, rusty_attachments::fs::tree::Part::WHOLE, &mut |_| Ok(())).unwrap();
            assert_eq!(hashed.hash, rusty_attachments::hash::hash_bytes(contents.as_bytes()), "{name}");
        }
        let seen = reader.look(b"v003/f.exr").unwrap();
        assert_eq!(seen.resolved, None, "no link is on its way");
        for name in OUT_OF_THE_ROOT {
            match (links, reader.look(name.as_bytes())) {
                (LinkPolicy::Follow, Ok(seen)) => assert_eq!(seen.stamp.size_bytes, 7),
                (LinkPolicy::Confine, Err(Error::SourceFile { problem: SourceProblem::LinkEscapes(_), .. })) => {}
                (_, other) => panic!("{links:?} {name}: {other:?}"),
            }
        }
    }
}

#[test]
fn files_below_links_are_opened_for_an_upload() {
    let tree = Tree::new();
    for links in [LinkPolicy::Follow, LinkPolicy::Confine] {
        let root = SourceRoot::open(&tree.root, links, GoesOn::default()).unwrap();
        for (name, contents) in THROUGH_LINKS {
            assert_eq!(read(root.open_file(path(name)).unwrap().file), contents, "{links:?} {name}");
        }
        for name in OUT_OF_THE_ROOT {
            match (links, root.open_file(path(name))) {
                (LinkPolicy::Follow, Ok(opened)) => assert_eq!(read(opened.file), "outside"),
                (LinkPolicy::Confine, Err(Error::SourceFile { problem: SourceProblem::LinkEscapes(_), .. })) => {}
                (_, other) => panic!("{links:?} {name}: {other:?}"),
            }
        }
    }
}

#[test]
fn only_what_is_not_there_counts_as_vanished() {
    let tree = Tree::new();
    fs::write(tree.root.join("file"), "").unwrap();
    symlink("../file", tree.root.join("v003/to_file")).unwrap();
    let long = "x".repeat(256);
    // As the system says it.
    let not_a_directory = |problem: &SourceProblem| problem.os_error() == Some(20);
    let root = TreeRoot::open(&tree.root, LinkPolicy::Follow).unwrap();
    let source = SourceRoot::open(&tree.root, LinkPolicy::Follow, GoesOn::default()).unwrap();
    for name in [
        "nothing",
        "nothing/f",
        "v003/nothing",
        "dangling",
        "dangling/f",
        "latest/nothing",
        "file/f",
        "file/f/g",
        "v003/to_file/f",
        "loop",
        "loop/f",
        &long,
    ] {
        for problem in [
            TreeReader::new(&root, GoesOn::default()).look(name.as_bytes()).map(drop).unwrap_err(),
            source.open_file(path(name)).map(drop).unwrap_err(),
        ] {
            let Error::SourceFile { problem, .. } = problem else { panic!("{name}: {problem}") };
            match &problem {
                SourceProblem::Missing => assert!(name.contains("nothing") || name.contains("dangling"), "{name}"),
                SourceProblem::LinkLoop => assert!(name.contains("loop"), "{name}"),
                SourceProblem::Unreadable { .. } if name == long => {}
                _ => assert!(not_a_directory(&problem) && name.contains("file"), "{name}: {problem:?}"),
            }
        }
    }
}

#[test]
fn files_are_written_below_links_that_stay_in_the_root() {
    let tree = Tree::new();
    let root = TargetRoot::open(&tree.root).unwrap();
    let folders = [
        ("latest", "v003"),
        ("slash", "v003"),
        ("chain", "v003/deep"),
        ("v003/up", "v003/deep"),
        ("latest/up", "v003/deep"),
        ("dots", "v003"),
        ("self/self", ""),
        ("latest/new/newer", "v003/new/newer"),
    ];
    for (number, (folder, real)) in folders.into_iter().enumerate() {
        let name = format!("{folder}/new{number}.exr");
        assert_eq!(root.look(path(&name)).unwrap(), Existing::Nothing);
        let mut staged = root.target(path(&name)).unwrap_or_else(|error| panic!("{name}: {error}")).stage().unwrap();
        staged.write_at(b"new", 0).unwrap();
        staged.commit_over().unwrap();
        assert_eq!(fs::read(tree.root.join(real).join(format!("new{number}.exr"))).unwrap(), b"new");
        assert_eq!(root.look(path(&name)).unwrap(), Existing::File { size_bytes: 3 });
        assert_eq!(read(root.open_file(path(&name)).unwrap().0), "new");
        assert!(root.open_any(path(&name)).is_ok());
        root.make_directory(path(&format!("{folder}/made{number}"))).unwrap();
        assert!(tree.root.join(real).join(format!("made{number}")).is_dir());
    }
}

#[test]
fn what_is_at_a_path_is_told_through_links() {
    let tree = Tree::new();
    let root = TargetRoot::open(&tree.root).unwrap();
    for (name, followed, itself) in [
        ("latest", Existing::Directory, Existing::Other),
        ("f_chain.exr", Existing::File { size_bytes: 6 }, Existing::Other),
        ("latest/f.exr", Existing::File { size_bytes: 6 }, Existing::File { size_bytes: 6 }),
        ("dangling", Existing::DanglingLink, Existing::Other),
        ("loop", Existing::Other, Existing::Other),
        ("loop/f", Existing::Other, Existing::Other),
        ("out.exr", Existing::Outside, Existing::Other),
        ("relative/f.exr", Existing::Outside, Existing::Outside),
        ("absolute/f.exr", Existing::Outside, Existing::Outside),
        // An absolute link is taken for one that leads out, wherever it leads.
        ("absolute_inside/f.exr", Existing::Outside, Existing::Outside),
        ("v003/f.exr/below", Existing::Nothing, Existing::Nothing),
        ("v003/nothing", Existing::Nothing, Existing::Nothing),
    ] {
        assert_eq!(root.look(path(name)).unwrap(), followed, "{name}");
        assert_eq!(root.look_at_link(path(name)).unwrap(), itself, "{name}");
    }
}

#[test]
fn nothing_is_written_through_links_that_lead_out() {
    let tree = Tree::new();
    let root = TargetRoot::open(&tree.root).unwrap();
    for folder in
        ["absolute", "relative", "absolute/new", "relative/new", "absolute_inside", "latest/../../outside", "loop"]
    {
        for error in [
            root.target(path(&format!("{folder}/x"))).map(drop).unwrap_err(),
            root.make_directory(path(&format!("{folder}/x"))).unwrap_err(),
        ] {
            assert!(matches!(error, Error::PathOutsideRoot { .. }), "{folder}: {error}");
        }
        root.sweep(Path::new(folder));
    }
    assert_eq!(fs::read_dir(&tree.outside).unwrap().count(), 1);
    assert!(root.target_without_links(path("latest/x")).is_err(), "a link is in the way of a link");
    assert!(root.target_without_links(path("v003/x")).is_ok());
}
