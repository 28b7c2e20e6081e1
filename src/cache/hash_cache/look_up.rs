//! Reading rows: many at once where they lie together, and the reference's where ours has none.

use rusqlite::{Connection, params};

use super::records::{ByteRange, FileState, HashRequest, Lookup, StaleReason};
use super::seal::seal;
use crate::cache::local_time;
use crate::hash::{ContentHash, HashAlgorithm, parse_hex};

const SELECT_OWN: &str = "SELECT hash, size_bytes, mtime_ns, ctime_ns, inode, seal, range_start, range_end, file_path \
    FROM rustyAttachmentsV1";
const SELECT_REFERENCE: &str = "SELECT file_hash, last_modified_time FROM hashesV4 \
    WHERE file_path=?1 AND hash_algorithm=?2 AND range_start=?3 AND range_end=?4";

/// A batch this large is read as one run of the table between its first and last path.
const SCAN_FROM: usize = 64;
/// How many rows a run may have for each that is asked for before rows are asked for one by one.
const SCAN_RATIO: usize = 8;

pub(super) fn look_up(connection: &Connection, requests: &[HashRequest<'_>]) -> rusqlite::Result<Vec<Lookup>> {
    let transaction = connection.unchecked_transaction()?;
    let mut found = vec![Lookup::Absent; requests.len()];
    let mut order: Vec<usize> = (0..requests.len()).collect();
    order.sort_by(|left, right| sort_key(&requests[*left]).cmp(&sort_key(&requests[*right])));
    let done = if requests.len() >= SCAN_FROM { scan_own(&transaction, requests, &order, &mut found)? } else { 0 };
    look_up_own(&transaction, requests, &order[done..], &mut found)?;
    look_up_reference(&transaction, requests, &mut found)?;
    transaction.commit()?;
    Ok(found)
}

fn sort_key<'a>(request: &HashRequest<'a>) -> (&'a [u8], ByteRange) {
    (request.path, request.range)
}

/// Walks the table and the sorted requests side by side. Returns how many requests were answered: fewer than all where the
/// table has many more rows in that run than are asked for.
fn scan_own(
    connection: &Connection,
    requests: &[HashRequest<'_>],
    order: &[usize],
    found: &mut [Lookup],
) -> rusqlite::Result<usize> {
    let (Some(first), Some(last)) = (order.first(), order.last()) else { return Ok(0) };
    let sql = format!("{SELECT_OWN} WHERE file_path BETWEEN ?1 AND ?2 ORDER BY file_path, range_start, range_end");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([requests[*first].path, requests[*last].path])?;
    let mut budget = requests.len() * SCAN_RATIO;
    let mut next = 0;
    while next < order.len() {
        let Some(row) = rows.next()? else { return Ok(order.len()) };
        let (path, range) = (row.get_ref(8)?.as_blob()?, ByteRange { start: row.get(6)?, end: row.get(7)? });
        while next < order.len() && sort_key(&requests[order[next]]) < (path, range) {
            next += 1;
        }
        while next < order.len() && sort_key(&requests[order[next]]) == (path, range) {
            found[order[next]] = judge(&requests[order[next]], row)?;
            next += 1;
        }
        budget -= 1;
        if budget == 0 {
            return Ok(next);
        }
    }
    Ok(order.len())
}

fn look_up_own(
    connection: &Connection,
    requests: &[HashRequest<'_>],
    order: &[usize],
    found: &mut [Lookup],
) -> rusqlite::Result<()> {
    let sql = format!("{SELECT_OWN} WHERE file_path=?1 AND range_start=?2 AND range_end=?3");
    let mut statement = connection.prepare_cached(&sql)?;
    for index in order {
        let request = &requests[*index];
        let mut rows = statement.query(params![request.path, request.range.start, request.range.end])?;
        if let Some(row) = rows.next()? {
            found[*index] = judge(request, row)?;
        }
    }
    Ok(())
}

/// Compares a row of our table with the file as it is.
fn judge(request: &HashRequest<'_>, row: &rusqlite::Row<'_>) -> rusqlite::Result<Lookup> {
    let hash = row.get_ref(0)?.as_blob()?;
    let known = FileState {
        size_bytes: row.get::<_, i64>(1)?.cast_unsigned(),
        mtime_ns: row.get(2)?,
        ctime_ns: row.get(3)?,
        inode: row.get::<_, i64>(4)?.cast_unsigned(),
    };
    let now = &request.state;
    Ok(if seal(request.path, request.range, &known, hash) != row.get::<_, i64>(5)? {
        Lookup::Stale(StaleReason::DamagedRow)
    } else if known.size_bytes != now.size_bytes {
        Lookup::Stale(StaleReason::Size)
    } else if known.mtime_ns != now.mtime_ns {
        Lookup::Stale(StaleReason::ModificationTime)
    } else if known != *now {
        Lookup::Stale(StaleReason::StatusChange)
    } else {
        <[u8; 16]>::try_from(hash)
            .map_or(Lookup::Stale(StaleReason::DamagedRow), |hash| Lookup::Hit(ContentHash::Xxh128(hash)))
    })
}

/// Asks the reference's table about the files that ours doesn't know.
fn look_up_reference(
    connection: &Connection,
    requests: &[HashRequest<'_>],
    found: &mut [Lookup],
) -> rusqlite::Result<()> {
    let is_empty: bool =
        connection.prepare_cached("SELECT NOT EXISTS(SELECT 1 FROM hashesV4)")?.query_one([], |row| row.get(0))?;
    if is_empty {
        return Ok(());
    }
    let mut statement = connection.prepare_cached(SELECT_REFERENCE)?;
    for (request, found) in requests.iter().zip(found) {
        if *found != Lookup::Absent {
            continue;
        }
        let HashRequest { path, range, state } = request;
        let mut rows = statement.query(params![path, HashAlgorithm::Xxh128.as_str(), range.start, range.end])?;
        let Some(row) = rows.next()? else { continue };
        let time = local_time::python_local_text(state.mtime_ns);
        let same_time = time.is_some_and(|time| row.get_ref(1).is_ok_and(|known| known.as_str() == Ok(&time)));
        let hash = row.get_ref(0)?.as_str().ok().and_then(parse_hex);
        *found = match hash {
            // What the row can't tell apart is hashed again.
            Some(hash) if same_time && state.is_as_written() && !local_time::is_ambiguous(state.mtime_ns) => {
                Lookup::ReferenceHit(ContentHash::Xxh128(hash))
            }
            Some(_) if same_time => Lookup::Stale(StaleReason::StatusChange),
            Some(_) => Lookup::Stale(StaleReason::ModificationTime),
            None => Lookup::Stale(StaleReason::DamagedRow),
        };
    }
    Ok(())
}
