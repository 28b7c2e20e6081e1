//! Staging on file systems that refuse calls and answer late.

use super::*;
use crate::fs::calls::refusals;
use crate::fs::target_root::TargetRoot;
use crate::path::ManifestPath;

const LATE: [Errno; 3] = [Errno::DQUOT, Errno::NOSPC, Errno::IO];

struct Folder {
    path: tempfile::TempDir,
    root: TargetRoot,
}

impl Folder {
    fn new(kind: FileSystemKind) -> Self {
        Self::at(&std::env::temp_dir(), Some(kind))
    }

    fn at(place: &Path, kind: Option<FileSystemKind>) -> Self {
        let path = tempfile::tempdir_in(place).unwrap();
        let root = TargetRoot::open(path.path()).unwrap();
        if let Some(kind) = kind {
            root.target(ManifestPath::from_wtf8(b"x")).unwrap().directory.pretend(kind);
        }
        refusals::set(&[]);
        Self { path, root }
    }

    fn target(&self, name: &str) -> Target {
        self.root.target(ManifestPath::from_wtf8(name.as_bytes())).unwrap()
    }

    fn staged(&self, name: &str) -> StagedFile {
        let staged = self.target(name).stage().unwrap();
        staged.write_at(b"contents", 0).unwrap();
        staged
    }

    fn names(&self) -> Vec<OsString> {
        std::fs::read_dir(self.path.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    }
}

#[test]
fn a_file_whose_closing_fails_gets_no_name() {
    for kind in [FileSystemKind::Local, FileSystemKind::Memory, FileSystemKind::Shared] {
        for error in LATE {
            let folder = Folder::new(kind);
            let (mut over, mut new) = (folder.staged("over"), folder.staged("new"));
            refusals::set(&[("close", error)]);
            let target = new.target().clone();
            for failed in [over.commit_over().err(), new.commit_new(&target).err(), new.set_mtime_micros(0).err()] {
                let failed = failed.unwrap().to_string();
                assert!(failed.contains(folder.path.path().to_str().unwrap()), "{failed}");
                assert!(failed.contains(&std::io::Error::from(error).to_string()), "{failed}");
            }
            drop((over, new));
            assert_eq!(folder.names(), [""; 0], "{kind:?} {error}");
        }
    }
}

#[test]
fn a_shared_file_system_is_asked_by_fsync_too() {
    for error in LATE {
        let folder = Folder::new(FileSystemKind::Shared);
        let mut staged = folder.staged("file");
        refusals::set(&[("fsync", error)]);
        assert!(staged.commit_over().unwrap_err().to_string().contains("file"));
        drop(staged);
        assert_eq!(folder.names(), [""; 0], "{error}");
    }
    for error in [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP] {
        let folder = Folder::new(FileSystemKind::Shared);
        let mut staged = folder.staged("file");
        refusals::set(&[("fsync", error)]);
        staged.commit_over().unwrap();
        assert_eq!(folder.names(), ["file"], "{error}");
    }
}

#[test]
fn what_was_written_is_answered_for_once() {
    for (kind, syncs) in [(FileSystemKind::Local, 0), (FileSystemKind::Memory, 0), (FileSystemKind::Shared, 1)] {
        let folder = Folder::new(kind);
        let mut staged = folder.staged("file");
        assert_eq!(staged.set_mtime_micros(7).unwrap(), Applied::Yes);
        staged.settle().unwrap();
        staged.commit_over().unwrap();
        assert_eq!((refusals::count("dup"), refusals::count("fsync")), (1, syncs), "{kind:?}");
        // Nothing that is written later is forgotten.
        let mut staged = folder.staged("again");
        staged.settle().unwrap();
        staged.write_at(b"more", 8).unwrap();
        refusals::set(&[("close", Errno::DQUOT)]);
        staged.commit_over().unwrap_err();
        let source = folder.staged("source");
        refusals::set(&[]);
        staged.settle().unwrap();
        staged.clone_from(source.file(), 8, |_| Ok(())).unwrap();
        refusals::set(&[("close", Errno::DQUOT)]);
        staged.commit_over().unwrap_err();
    }
}

#[test]
fn without_a_descriptor_for_a_duplicate_the_file_is_synced() {
    for dup in [Errno::MFILE, Errno::NFILE] {
        let folder = Folder::new(FileSystemKind::Local);
        refusals::set(&[("dup", dup)]);
        folder.staged("file").commit_over().unwrap();
        assert_eq!(refusals::count("fsync"), 1);
        refusals::set(&[("dup", dup), ("fsync", Errno::DQUOT)]);
        folder.staged("other").commit_over().unwrap_err();
        assert_eq!(folder.names(), ["file"]);
    }
}

#[test]
fn a_lock_is_taken_where_it_means_something() {
    for (kind, locks) in [(FileSystemKind::Local, 1), (FileSystemKind::Shared, 0)] {
        let folder = Folder::new(kind);
        refusals::set(&[("flock", Errno::NOLCK)]);
        folder.staged("file").commit_over().unwrap();
        assert_eq!(refusals::count("flock"), locks);
    }
}

#[test]
fn times_are_done_without_where_they_can_not_be_set() {
    let folder = Folder::new(FileSystemKind::Local);
    for error in [Errno::PERM, Errno::OPNOTSUPP, Errno::NOSYS, Errno::INVAL, Errno::ACCESS] {
        refusals::set(&[("futimens", error)]);
        assert_eq!(folder.staged("file").set_mtime_micros(7).unwrap(), Applied::Refused, "{error}");
    }
    refusals::set(&[("futimens", Errno::IO)]);
    assert!(folder.staged("file").set_mtime_micros(7).unwrap_err().to_string().contains("set the time of"));
}

#[test]
fn room_is_set_aside_where_that_can_be_done() {
    let folder = Folder::new(FileSystemKind::Local);
    let staged = folder.staged("file");
    for error in [Errno::OPNOTSUPP, Errno::INVAL, Errno::NOSYS, Errno::PERM, Errno::NODEV, Errno::INTR] {
        refusals::set(&[("fallocate", error)]);
        staged.reserve(1024).unwrap();
    }
    for error in LATE {
        refusals::set(&[("fallocate", error)]);
        assert!(staged.reserve(1024).unwrap_err().to_string().contains("make room for"), "{error}");
    }
}

#[test]
fn a_file_that_no_disk_holds_is_refused_at_once() {
    // tmpfs is asked another way than disks are.
    for place in [std::env::temp_dir(), "/dev/shm".into()].iter().filter(|place| place.is_dir()) {
        let folder = Folder::at(place, None);
        let staged = folder.staged("big");
        staged.reserve(1024 * 1024).unwrap();
        let error = staged.reserve(1 << 60).unwrap_err().to_string();
        assert!(error.contains("make room for") && error.contains("big"), "{error}");
    }
}

#[test]
fn the_names_of_a_directory_are_synced_where_that_can_be_done() {
    let folder = Folder::new(FileSystemKind::Local);
    for error in [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP, Errno::BADF] {
        refusals::set(&[("fsync", error)]);
        folder.root.sync(Path::new("")).unwrap();
    }
    for error in LATE {
        refusals::set(&[("fsync", error)]);
        assert!(folder.root.sync(Path::new("")).unwrap_err().to_string().contains("write"), "{error}");
    }
}

#[test]
fn a_copy_ends_where_its_caller_says_so() {
    let folder = Folder::new(FileSystemKind::Local);
    let (source, target) = (folder.staged("source"), folder.staged("target"));
    let mut steps = 0;
    let ended = target.clone_from(source.file(), 8, |_| {
        steps += 1;
        Err(Error::Cancelled("enough".to_owned()))
    });
    assert_eq!((steps, ended.unwrap_err().to_string()), (1, "enough".to_owned()));
}

#[test]
fn a_link_replaces_where_nothing_can_be_renamed_over() {
    let folder = Folder::new(FileSystemKind::Local);
    std::fs::write(folder.path.path().join("link"), "theirs").unwrap();
    let target = folder.target("link");
    assert_eq!(target.link_to(Path::new("ours"), false).unwrap(), Committed::NameTaken);
    refusals::set(&[("replace", Errno::EXIST)]);
    assert_eq!(target.link_to(Path::new("ours"), true).unwrap(), Committed::Yes);
    assert_eq!((target.read_link().unwrap().as_path(), folder.names().len()), (Path::new("ours"), 1));
}
