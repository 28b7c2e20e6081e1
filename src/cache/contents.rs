//! What is in the cache files, for people who look after them.

use std::path::{Path, PathBuf};

use super::{db, hash_cache, s3_check_cache};
use crate::error::{Error, Result};

/// A cache as it is stored: a file and its tables.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored {
    name: &'static str,
    tables: &'static [&'static str],
}

/// Hashes of local files. Our table holds what the reference's does and more, so its rows are those that count.
pub(crate) const HASHES: Stored = Stored { name: hash_cache::CACHE_NAME, tables: &["rustyAttachmentsV1", "hashesV4"] };
/// Objects that were seen in S3.
pub(crate) const S3_CHECKS: Stored = Stored { name: s3_check_cache::CACHE_NAME, tables: &["s3checkV1"] };

impl Stored {
    /// The file.
    #[must_use]
    pub(crate) fn file(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.db", self.name))
    }

    /// The file's size in bytes; 0 where there is none.
    #[must_use]
    pub(crate) fn size_bytes(&self, folder: &Path) -> u64 {
        std::fs::metadata(self.file(folder)).map_or(0, |metadata| metadata.len())
    }

    /// How many entries there are: rows of the table that has most. `None` where the file can't be read.
    #[must_use]
    pub(crate) fn count(&self, folder: &Path) -> Option<u64> {
        let file = self.file(folder);
        if !file.exists() {
            return Some(0);
        }
        let connection = db::open_file(&file).ok()?;
        let counts = self.tables.iter().map(|table| rows(&connection, table).unwrap_or(0));
        counts.max()
    }

    /// Deletes all rows and gives their room back; returns how many entries there were.
    ///
    /// # Errors
    /// [`Error::Sync`].
    pub(crate) fn clear(&self, folder: &Path) -> Result<u64> {
        let file = self.file(folder);
        if !file.exists() {
            return Ok(0);
        }
        let fail = |error: rusqlite::Error| Error::Sync(format!("{} can't be emptied: {error}", file.display()));
        let connection = db::open_file(&file).map_err(fail)?;
        let mut most = 0;
        for table in self.tables {
            let Ok(count) = rows(&connection, table) else { continue };
            connection.execute(&format!("DELETE FROM {table}"), []).map_err(fail)?;
            most = most.max(count);
        }
        connection.execute_batch("VACUUM").map_err(fail)?;
        Ok(most)
    }
}

/// Fails where there is no such table.
fn rows(connection: &rusqlite::Connection, table: &str) -> rusqlite::Result<u64> {
    let count: i64 = connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::S3CheckCache;

    #[test]
    fn a_cache_is_counted_and_cleared() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!((S3_CHECKS.count(folder.path()), S3_CHECKS.clear(folder.path()).unwrap()), (Some(0), 0));
        let cache = S3CheckCache::open(Some(folder.path()));
        cache.record(&["b/one", "b/two"]);
        assert_eq!(S3_CHECKS.count(folder.path()), Some(2));
        assert_eq!(S3_CHECKS.clear(folder.path()).unwrap(), 2);
        assert_eq!(S3_CHECKS.count(folder.path()), Some(0));
        assert_eq!(cache.seen(&["b/one".to_owned()]), [false], "one that is open sees it too");
        std::fs::write(HASHES.file(folder.path()), "no database").unwrap();
        assert_eq!(HASHES.count(folder.path()), None);
        assert!(HASHES.clear(folder.path()).is_err());
    }
}
