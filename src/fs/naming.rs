//! From a temporary name to the final one, on file systems that can rename exclusively, that can only link, and that can
//! do neither.

use std::ffi::OsStr;

use rustix::fs::{AtFlags, FileType};
use rustix::io::{Errno, Result};

use super::calls::{self, DirectoryEntry, means_cannot};
use super::directory::{Directory, Naming};
use super::leftovers::temporary_name;

/// How often a reserved name that somebody removed is reserved again.
const RESERVATIONS: u32 = 8;

/// What a commit did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Committed {
    /// The file is at its name.
    Yes,
    /// Something else is there, and replacing was not asked for. The staged file can be committed elsewhere.
    NameTaken,
}

/// Gives a file another name of its directory, if that name is free.
pub(super) fn take_free_name(directory: &Directory, name: &OsStr, wanted: &OsStr) -> Result<Committed> {
    let mut naming = directory.naming();
    loop {
        let (outcome, next) = match naming {
            Naming::ExclusiveRename => (
                calls::rename_new(DirectoryEntry::new(directory, name), DirectoryEntry::new(directory, wanted)),
                Some(Naming::HardLink),
            ),
            // NFS, many FUSE file systems.
            Naming::HardLink => (link(directory, name, wanted), Some(Naming::Reservation)),
            // Object stores behind FUSE, shared folders of virtual machines.
            Naming::Reservation => match reserve(directory, name, wanted) {
                Ok(committed) => return Ok(committed),
                Err(error) => (Err(error), None),
            },
        };
        let committed = match (outcome, next) {
            (Ok(()), _) => Committed::Yes,
            (Err(Errno::EXIST), next) => match (found(directory, name, wanted), next) {
                (Found::This, _) => {
                    let _ = calls::unlink(directory, name);
                    Committed::Yes
                }
                // Whatever it means by that, it does not do it.
                (Found::Nothing, Some(next)) => {
                    naming = next;
                    continue;
                }
                _ => Committed::NameTaken,
            },
            (Err(error), Some(next)) if means_cannot(error) => {
                naming = next;
                continue;
            }
            (Err(error), _) => return Err(error),
        };
        directory.remember(naming);
        return Ok(committed);
    }
}

/// What is at a name that is said to be taken.
enum Found {
    Nothing,
    /// The file itself: the reply to a link was lost on the way from a file server, and the link was made again.
    This,
    Another,
}

fn found(directory: &Directory, name: &OsStr, wanted: &OsStr) -> Found {
    let look = |name: &OsStr| rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW);
    match (look(name), look(wanted)) {
        (_, Err(Errno::NOENT)) => Found::Nothing,
        (Ok(own), Ok(there)) if own.st_nlink > 1 && (own.st_dev, own.st_ino) == (there.st_dev, there.st_ino) => {
            Found::This
        }
        _ => Found::Another,
    }
}

fn link(directory: &Directory, name: &OsStr, wanted: &OsStr) -> Result<()> {
    calls::link(DirectoryEntry::new(directory, name), DirectoryEntry::new(directory, wanted))?;
    // A name that stays is a leftover, and the next run's to remove.
    let _ = calls::unlink(directory, name);
    Ok(())
}

/// Creates an empty file under the name, which nobody else can do any more, and renames over it.
fn reserve(directory: &Directory, name: &OsStr, wanted: &OsStr) -> Result<Committed> {
    for _ in 0..RESERVATIONS {
        match calls::create_new(directory, wanted, 0o600) {
            // It is closed at once: some file systems rename over no open file.
            Ok(reservation) => drop(reservation),
            Err(Errno::EXIST) => return Ok(Committed::NameTaken),
            Err(error) => return Err(error),
        }
        directory.remember(Naming::Reservation);
        match reserved(directory, wanted) {
            Reserved::Ours => {}
            Reserved::Gone => continue,
            Reserved::Theirs => return Ok(Committed::NameTaken),
        }
        let renamed = match calls::rename(DirectoryEntry::new(directory, name), DirectoryEntry::new(directory, wanted))
        {
            // Where nothing can be renamed over, a rename onto a free name is exclusive by itself.
            Err(error) if refuses_to_replace(error) => {
                give_up_reservation(directory, wanted);
                calls::rename(DirectoryEntry::new(directory, name), DirectoryEntry::new(directory, wanted))
            }
            other => other,
        };
        return match renamed {
            Ok(()) => Ok(Committed::Yes),
            Err(Errno::EXIST) => Ok(Committed::NameTaken),
            Err(error) => {
                give_up_reservation(directory, wanted);
                Err(error)
            }
        };
    }
    Err(Errno::NOENT)
}

/// What became of a name that was reserved.
enum Reserved {
    /// It is the empty file still, as far as can be told.
    Ours,
    /// It was removed.
    Gone,
    /// Somebody has written to it, or put something else there.
    Theirs,
}

fn reserved(directory: &Directory, wanted: &OsStr) -> Reserved {
    // Not by inode: file systems in question make numbers up, and may make up another one each time.
    match rustix::fs::statat(directory, wanted, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode).is_file() && stat.st_size == 0 => Reserved::Ours,
        Err(Errno::NOENT) => Reserved::Gone,
        _ => Reserved::Theirs,
    }
}

fn give_up_reservation(directory: &Directory, wanted: &OsStr) {
    if matches!(reserved(directory, wanted), Reserved::Ours) {
        // What can't be removed is an empty file; the error of what was to take its place is the one that counts.
        let _ = calls::unlink(directory, wanted);
    }
}

/// Gives a file another name of its directory, over what is there.
pub(super) fn replace(directory: &Directory, name: &OsStr, wanted: &OsStr) -> Result<()> {
    match calls::rename(DirectoryEntry::new(directory, name), DirectoryEntry::new(directory, wanted)) {
        Err(error) if refuses_to_replace(error) => replace_in_steps(directory, name, wanted).ok_or(error)?,
        other => other,
    }
}

/// Whether the error of a rename may mean that the file system renames over nothing.
fn refuses_to_replace(error: Errno) -> bool {
    matches!(error, Errno::EXIST | Errno::BUSY | Errno::TXTBSY) || means_cannot(error)
}

/// Puts aside what is at a name, renames, and removes what was put aside; `None` where nothing can be put aside. What is
/// there comes back if the file can't have its name.
fn replace_in_steps(directory: &Directory, name: &OsStr, wanted: &OsStr) -> Option<Result<()>> {
    let stat = rustix::fs::statat(directory, wanted, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    if FileType::from_raw_mode(stat.st_mode).is_dir() {
        return None;
    }
    let aside = temporary_name();
    calls::rename(DirectoryEntry::new(directory, wanted), DirectoryEntry::new(directory, &aside)).ok()?;
    let renamed = calls::rename(DirectoryEntry::new(directory, name), DirectoryEntry::new(directory, wanted));
    let _ = match renamed {
        Ok(()) => calls::unlink(directory, &aside),
        Err(_) => calls::rename(DirectoryEntry::new(directory, &aside), DirectoryEntry::new(directory, wanted)),
    };
    Some(renamed)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs::File;

    use super::*;
    use crate::fs::calls::refusals;

    /// What file systems say that can't do something.
    const CANNOT: [Errno; 6] =
        [Errno::INVAL, Errno::PERM, Errno::NOSYS, Errno::OPNOTSUPP, Errno::MLINK, Errno::from_raw_os_error(524)];

    struct Folder {
        path: tempfile::TempDir,
        directory: Directory,
    }

    impl Folder {
        fn new(files: &[(&str, &str)]) -> Self {
            let path = tempfile::tempdir().unwrap();
            for (name, contents) in files {
                std::fs::write(path.path().join(name), contents).unwrap();
            }
            let directory = Directory::new(File::open(path.path()).unwrap().into());
            Self { path, directory }
        }

        fn take(&self, name: &str, wanted: &str) -> Result<Committed> {
            take_free_name(&self.directory, OsStr::new(name), OsStr::new(wanted))
        }

        fn replace(&self, name: &str, wanted: &str) -> Result<()> {
            replace(&self.directory, OsStr::new(name), OsStr::new(wanted))
        }

        fn assert_holds(&self, files: &[(&str, &str)]) {
            let found: BTreeMap<String, String> = std::fs::read_dir(self.path.path())
                .unwrap()
                .map(|entry| entry.unwrap())
                .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read_to_string(entry.path()).unwrap()))
                .collect();
            let expected = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_free_name_is_taken_and_a_taken_one_is_left_whatever_is_refused() {
        let exclusive = CANNOT.map(|error| vec![("renameat2", error)]);
        let neither = CANNOT.map(|error| vec![("renameat2", Errno::INVAL), ("link", error)]);
        let nor_over = CANNOT.map(|error| vec![("renameat2", Errno::INVAL), ("link", Errno::PERM), ("replace", error)]);
        for refused in [vec![vec![]], exclusive.into(), neither.into(), nor_over.into()].concat() {
            let folder = Folder::new(&[("one", "1"), ("two", "2"), ("three", "3"), ("there", "theirs")]);
            refusals::set(&refused);
            assert_eq!(folder.take("one", "there"), Ok(Committed::NameTaken), "{refused:?}");
            assert_eq!(folder.take("one", "free"), Ok(Committed::Yes), "{refused:?}");
            assert_eq!(folder.take("two", "free"), Ok(Committed::NameTaken), "{refused:?}");
            // What can't be done is tried once a directory.
            refusals::set(&refused);
            assert_eq!(folder.take("three", "another"), Ok(Committed::Yes), "{refused:?}");
            for (call, _) in refused.iter().filter(|(call, _)| *call != "replace") {
                assert_eq!(refusals::count(call), 0, "{refused:?}");
            }
            refusals::set(&[]);
            folder.assert_holds(&[("two", "2"), ("there", "theirs"), ("free", "1"), ("another", "3")]);
        }
    }

    #[test]
    fn a_name_that_is_said_to_be_taken_and_is_free_is_taken_in_another_way() {
        for refused in [vec![("renameat2", Errno::EXIST)], vec![("renameat2", Errno::EXIST), ("link", Errno::EXIST)]] {
            let folder = Folder::new(&[("one", "1"), ("two", "2")]);
            refusals::set(&refused);
            assert_eq!(folder.take("one", "free"), Ok(Committed::Yes));
            assert_eq!(folder.take("two", "free"), Ok(Committed::NameTaken));
            refusals::set(&[]);
            folder.assert_holds(&[("two", "2"), ("free", "1")]);
        }
    }

    #[test]
    fn a_link_that_is_made_twice_is_made() {
        let folder = Folder::new(&[("one", "1"), ("two", "2")]);
        let path = |name: &str| folder.path.path().join(name);
        std::fs::hard_link(path("one"), path("free")).unwrap();
        refusals::set(&[("renameat2", Errno::INVAL)]);
        assert_eq!(folder.take("one", "free"), Ok(Committed::Yes));
        assert_eq!(folder.take("two", "free"), Ok(Committed::NameTaken));
        refusals::set(&[]);
        folder.assert_holds(&[("free", "1"), ("two", "2")]);
    }

    #[test]
    fn failures_are_no_lack_of_means() {
        for error in [Errno::IO, Errno::NOSPC, Errno::DQUOT, Errno::ROFS, Errno::NAMETOOLONG] {
            let folder = Folder::new(&[("one", "1")]);
            refusals::set(&[("renameat2", error)]);
            assert_eq!(folder.take("one", "free"), Err(error));
            assert_eq!((refusals::count("link"), refusals::count("create")), (0, 0));
            refusals::set(&[("renameat2", Errno::INVAL), ("link", error)]);
            assert_eq!(folder.take("one", "free"), Err(error));
            assert_eq!(refusals::count("create"), 0);
            refusals::set(&[]);
            folder.assert_holds(&[("one", "1")]);
        }
    }

    #[test]
    fn a_reservation_goes_with_the_rename_that_failed() {
        for error in [Errno::IO, Errno::NOSPC, Errno::PERM, Errno::ACCESS] {
            let folder = Folder::new(&[("one", "1")]);
            folder.directory.remember(Naming::Reservation);
            refusals::set(&[("rename", error)]);
            assert_eq!(folder.take("one", "free"), Err(error));
            refusals::set(&[]);
            folder.assert_holds(&[("one", "1")]);
        }
    }

    #[test]
    fn a_reserved_name_that_is_not_empty_any_more_is_somebody_elses() {
        let folder = Folder::new(&[("empty", ""), ("written", "theirs")]);
        let state = |name: &str| reserved(&folder.directory, OsStr::new(name));
        assert!(matches!(state("empty"), Reserved::Ours));
        assert!(matches!(state("written"), Reserved::Theirs));
        assert!(matches!(state("missing"), Reserved::Gone));
        std::os::unix::fs::symlink("empty", folder.path.path().join("link")).unwrap();
        assert!(matches!(state("link"), Reserved::Theirs));
        for name in ["empty", "written", "link"] {
            give_up_reservation(&folder.directory, OsStr::new(name));
        }
        std::fs::remove_file(folder.path.path().join("link")).unwrap();
        folder.assert_holds(&[("written", "theirs")]);
    }

    #[test]
    fn what_can_not_be_renamed_over_is_put_aside() {
        for error in CANNOT.into_iter().chain([Errno::EXIST, Errno::BUSY]) {
            let folder = Folder::new(&[("one", "1"), ("there", "theirs")]);
            refusals::set(&[("replace", error)]);
            assert_eq!(folder.replace("one", "there"), Ok(()), "{error}");
            folder.assert_holds(&[("there", "1")]);
        }
        refusals::set(&[]);
    }

    #[test]
    fn what_was_put_aside_comes_back() {
        let folder = Folder::new(&[("one", "1"), ("there", "theirs")]);
        // The rename over the file is refused, the first one onto a free name puts aside, the second one fails.
        refusals::set(&[("replace", Errno::EXIST)]);
        refusals::set_nth(2, "rename", Errno::IO);
        assert_eq!(folder.replace("one", "there"), Err(Errno::IO));
        refusals::set(&[]);
        folder.assert_holds(&[("one", "1"), ("there", "theirs")]);
    }

    #[test]
    fn a_directory_is_put_nowhere() {
        let folder = Folder::new(&[("one", "1")]);
        std::fs::create_dir(folder.path.path().join("there")).unwrap();
        refusals::set(&[("replace", Errno::EXIST)]);
        assert_eq!(folder.replace("one", "there"), Err(Errno::EXIST));
        refusals::set(&[]);
        assert!(folder.replace("one", "there").is_err());
        std::fs::remove_dir(folder.path.path().join("there")).unwrap();
        folder.assert_holds(&[("one", "1")]);
    }
}
