//! Opening a cache's `SQLite` file so that many processes can share it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

/// How long a write waits for other processes. Their transactions are one batch each.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// What is wrong with a cache's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Its contents are no database, or not the one it should be: it has to go.
    Broken,
    /// Others hold it, it may not be written, the disk is full, …: leave it alone.
    Unusable,
}

/// Which of the two an error of `SQLite` means.
#[must_use]
pub(crate) fn trouble(error: &rusqlite::Error) -> Trouble {
    const SHORT_READ: i32 = rusqlite::ffi::SQLITE_IOERR_SHORT_READ;
    if error.sqlite_error().is_some_and(|error| error.extended_code == SHORT_READ) {
        return Trouble::Broken;
    }
    match error.sqlite_error_code() {
        // `Unknown` is SQLITE_ERROR: a table that lacks a column of ours.
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown | ErrorCode::TypeMismatch) => {
            Trouble::Broken
        }
        Some(_) => Trouble::Unusable,
        // A value of another type than the column's: written by no version of either tool.
        None => Trouble::Broken,
    }
}

/// Opens or creates a database file and its tables.
///
/// # Errors
/// `SQLite`'s error, where the folder can't be made or the file can't be used.
pub(crate) fn open(file: &Path, create_tables: &str) -> rusqlite::Result<Connection> {
    let connection = open_file(file)?;
    connection.execute_batch(create_tables)?;
    Ok(connection)
}

/// Opens or creates a database file, in the journal mode that its file system allows.
///
/// # Errors
/// `SQLite`'s error.
pub(crate) fn open_file(file: &Path) -> rusqlite::Result<Connection> {
    open_on(file, is_network_file_system(file))
}

/// As [`open_file`], for a file on a network file system or not.
fn open_on(file: &Path, is_network: bool) -> rusqlite::Result<Connection> {
    // No URI: a file name with a `?` or `%` is that name. No mutex: callers hold one.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    set_journal_mode(&connection, if is_network { "delete" } else { "wal" })?;
    // In WAL mode this loses no consistency, only the last transactions of a crashed machine.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.set_prepared_statement_cache_capacity(16);
    Ok(connection)
}

/// Sets the journal mode unless it is set. Changing it needs the file alone for a moment, so others may be in the way
/// without the busy time-out's help; the mode that the file has then serves as well.
fn set_journal_mode(connection: &Connection, wanted: &str) -> rusqlite::Result<()> {
    for attempt in 0..20 {
        let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
        if mode.eq_ignore_ascii_case(wanted) {
            return Ok(());
        }
        let set = connection.query_row(&format!("PRAGMA journal_mode={wanted}"), [], |row| row.get::<_, String>(0));
        match set {
            Err(error)
                if matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)) =>
            {
                std::thread::sleep(Duration::from_millis(1 + attempt));
            }
            // A read-only file keeps its mode.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ReadOnly) => return Ok(()),
            Err(error) => return Err(error),
            Ok(_) => return Ok(()),
        }
    }
    Ok(())
}

/// Whether shared memory, which WAL needs, may not work there: <https://www.sqlite.org/wal.html#noshm>.
#[cfg(target_os = "linux")]
fn is_network_file_system(file: &Path) -> bool {
    let folder = file.parent().unwrap_or(file);
    #[allow(
        clippy::cast_sign_loss,
        clippy::cast_lossless,
        clippy::unnecessary_cast,
        reason = "the type differs by target"
    )]
    rustix::fs::statfs(folder).is_ok_and(|stat| is_network_type(stat.f_type as u64))
}

/// Whether a file system of this type reaches other machines, or may.
#[cfg(target_os = "linux")]
fn is_network_type(file_system_type: u64) -> bool {
    // `f_type` of statfs(2), and of kernels' headers for those that the manual leaves out.
    const NETWORK: &[u64] = &[
        0x6969,      // NFS
        0x517B,      // SMB
        0xFE53_4D42, // SMB2
        0xFF53_4D42, // CIFS
        0x5346_414F, // AFS
        0x0102_1997, // 9P
        0x00C3_6400, // Ceph
        0x0BD0_0BD0, // Lustre
        0x4750_4653, // GPFS
        0x6573_5546, // FUSE, which may be anything
    ];
    // The field is signed on some targets: what is above 32 bits is its sign.
    NETWORK.contains(&(file_system_type & 0xFFFF_FFFF))
}

#[cfg(not(target_os = "linux"))]
fn is_network_file_system(_file: &Path) -> bool {
    false
}

/// Renames a broken database, with its journal, to `<name>.corrupt`, replacing an earlier one. Returns the new name.
///
/// `identity` is the file that was found broken: if another process has put it aside meanwhile, nothing happens.
///
/// # Errors
/// The system's, where the file can't be renamed.
pub(crate) fn put_aside(file: &Path, identity: Option<FileIdentity>) -> std::io::Result<PathBuf> {
    let aside = with_suffix(file, ".corrupt");
    if identity.is_some() && FileIdentity::of(file) != identity {
        return Ok(aside);
    }
    // The journals go first: a new database must never meet them.
    for journal in ["-wal", "-shm", "-journal"] {
        match std::fs::rename(with_suffix(file, journal), with_suffix(&aside, journal)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    match std::fs::rename(file, &aside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(aside),
    }
}

fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Which file a name stands for at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileIdentity {
    device: u64,
    inode: u64,
}

impl FileIdentity {
    /// The identity of the file with that name now, if there is one.
    #[must_use]
    #[cfg(unix)]
    pub(crate) fn of(file: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(file).ok().map(|metadata| Self { device: metadata.dev(), inode: metadata.ino() })
    }

    /// The identity of the file with that name now, if there is one.
    #[must_use]
    #[cfg(not(unix))]
    pub fn of(_file: &Path) -> Option<Self> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal_mode(connection: &Connection) -> String {
        connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap()
    }

    fn rows(connection: &Connection) -> i64 {
        connection.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn network_file_systems_get_a_rollback_journal() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cache.db");
        let connection = open_on(&file, true).unwrap();
        assert_eq!(journal_mode(&connection), "delete");
        connection.execute_batch("CREATE TABLE t(x); INSERT INTO t VALUES (1);").unwrap();
        // Nothing that needs shared memory is made, while the file is open or after.
        let names = || std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(names().collect::<Vec<_>>(), ["cache.db"]);
        let another = open_on(&file, true).unwrap();
        another.execute_batch("INSERT INTO t VALUES (2);").unwrap();
        assert_eq!(rows(&connection), 2);
    }

    #[test]
    fn a_file_that_moves_to_a_network_file_system_keeps_its_rows() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cache.db");
        let local = open_on(&file, false).unwrap();
        assert_eq!(journal_mode(&local), "wal");
        local.execute_batch("CREATE TABLE t(x); INSERT INTO t VALUES (1);").unwrap();
        drop(local);
        let remote = open_on(&file, true).unwrap();
        assert_eq!((journal_mode(&remote).as_str(), rows(&remote)), ("delete", 1));
        drop(remote);
        assert_eq!(journal_mode(&open_on(&file, false).unwrap()), "wal");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn types_of_file_systems_are_told_apart() {
        for network in [0x6969, 0x517B, 0xFE53_4D42, 0xFFFF_FFFF_FE53_4D42, 0x6573_5546] {
            assert!(is_network_type(network), "{network:x}");
        }
        // ext4, xfs, btrfs, tmpfs.
        for local in [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994] {
            assert!(!is_network_type(local), "{local:x}");
        }
    }
}
