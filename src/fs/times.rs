//! Modification times, from manifests to files.

use std::fs::File;

use rustix::fs::{Timespec, Timestamps, UTIME_OMIT};

use super::open::FileStamp;

/// A manifest's time as the system takes it. Any number of microseconds is a time.
#[must_use]
pub(crate) fn from_micros(micros: i64) -> Timespec {
    Timespec { tv_sec: micros.div_euclid(1_000_000), tv_nsec: micros.rem_euclid(1_000_000) * 1000 }
}

/// What came of setting a file's time.
#[derive(Debug)]
pub(crate) enum SetTime {
    /// It was set; the file has this stamp now.
    Set(FileStamp),
    /// The file was not as it was seen any more, and has been left alone.
    Changed,
    /// The system refused: the file is someone else's, or the file system is read-only or keeps no times.
    Refused(std::io::Error),
}

/// Sets the modification time of a file that is still as it was seen; its access time stays.
///
/// The file may be open for reading alone: it takes its owner, or the right to write to it. A write in the microseconds between the
/// look and the call is hidden by the call, so callers must not take the stamp for a proof where others write at that time.
#[must_use]
pub(crate) fn set_mtime(file: &File, micros: i64, seen: &FileStamp) -> SetTime {
    let now = |file: &File| rustix::fs::fstat(file).map(|stat| FileStamp::from_stat(&stat));
    let attempt = || {
        if now(file)? != *seen {
            return Ok(SetTime::Changed);
        }
        let omit = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let times = Timestamps { last_access: omit, last_modification: from_micros(micros) };
        rustix::fs::futimens(file, &times)?;
        let after = now(file)?;
        let is_same = FileStamp { mtime_ns: after.mtime_ns, ctime_ns: after.ctime_ns, ..*seen } == after;
        Ok(if is_same { SetTime::Set(after) } else { SetTime::Changed })
    };
    attempt().unwrap_or_else(|error: rustix::io::Errno| SetTime::Refused(error.into()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn the_time_of_a_file_that_is_as_it_was_seen_is_set_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, b"contents").unwrap();
        let file = File::open(&path).unwrap();
        let stamp = FileStamp::from_stat(&rustix::fs::fstat(&file).unwrap());
        let accessed = file.metadata().unwrap().atime_nsec();
        for micros in [1_700_000_000_123_456, -1, 0] {
            let seen = FileStamp::from_stat(&rustix::fs::fstat(&file).unwrap());
            let SetTime::Set(after) = set_mtime(&file, micros, &seen) else { panic!("not set to {micros}") };
            assert_eq!((after.mtime_micros(), after.inode), (micros, stamp.inode));
        }
        assert_eq!(file.metadata().unwrap().atime_nsec(), accessed);
        assert!(matches!(set_mtime(&file, 5, &stamp), SetTime::Changed));
        assert_eq!(FileStamp::from_stat(&rustix::fs::fstat(&file).unwrap()).mtime_micros(), 0);
    }

    #[test]
    fn every_number_of_microseconds_is_a_time() {
        for (micros, seconds, nanos) in [
            (0, 0, 0),
            (-1, -1, 999_999_000),
            (i64::MAX, 9_223_372_036_854, 775_807_000),
            (i64::MIN, -9_223_372_036_855, 224_192_000),
        ] {
            let time = from_micros(micros);
            assert_eq!((time.tv_sec, time.tv_nsec), (seconds, nanos), "{micros}");
        }
    }
}
