//! Writing rows.

use rusqlite::{CachedStatement, Transaction, params};

use super::records::HashRecord;
use super::seal::seal;
use crate::cache::local_time;
use crate::hash::{ContentHash, HashAlgorithm};

/// Writes rows to both tables.
pub(super) struct RowWriter<'a> {
    own: CachedStatement<'a>,
    reference: CachedStatement<'a>,
}

impl<'a> RowWriter<'a> {
    pub(super) fn new(transaction: &'a Transaction<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            own: transaction
                .prepare_cached("INSERT OR REPLACE INTO rustyAttachmentsV1 VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9)")?,
            reference: transaction.prepare_cached("INSERT OR REPLACE INTO hashesV4 VALUES(?1,?2,?3,?4,?5,?6)")?,
        })
    }

    pub(super) fn put(&mut self, record: &HashRecord<'_>) -> rusqlite::Result<()> {
        let ContentHash::Xxh128(hash) = record.hash else { return Ok(()) };
        let HashRecord { path, range, state, .. } = record;
        self.own.execute(params![
            path,
            range.start,
            range.end,
            &hash[..],
            state.size_bytes.cast_signed(),
            state.mtime_ns,
            state.ctime_ns,
            state.inode.cast_signed(),
            seal(path, *range, state, hash),
        ])?;
        if let Some(time) = local_time::python_local_text(state.mtime_ns) {
            let algorithm = HashAlgorithm::Xxh128.as_str();
            let hash = crate::hash::hex(*hash);
            self.reference.execute(params![path, algorithm, range.start, range.end, hash, time])?;
        }
        Ok(())
    }
}
