//! Which objects were seen in S3 lately, so that they need not be asked for again.
//!
//! Table `s3checkV1`, the reference's: `s3_key` is `<bucket>/<key>`, `last_seen_time` seconds since the epoch.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::types::ValueRef;

use super::tolerant::TolerantDatabase;

/// The file's name without `.db`.
pub(crate) const CACHE_NAME: &str = "s3_check_cache";
const CREATE_TABLES: &str = "CREATE TABLE IF NOT EXISTS s3checkV1(s3_key text primary key, last_seen_time timestamp)";

const DAY_SECONDS: f64 = 86_400.0;
/// Entries older than this don't count, as in the reference.
pub(crate) const EXPIRY_DAYS: u32 = 30;
/// The same as a time.
pub(crate) const EXPIRY: Duration = Duration::from_hours(EXPIRY_DAYS as u64 * 24);

/// The cache of objects seen in S3. Shared by threads; it can't fail (see [`crate::cache`]).
#[derive(Debug)]
pub(crate) struct S3CheckCache {
    database: TolerantDatabase,
}

impl S3CheckCache {
    /// Opens the cache in `folder`, or in the default folder.
    #[must_use]
    pub(crate) fn open(folder: Option<&Path>) -> Self {
        Self { database: TolerantDatabase::open(folder, CACHE_NAME, CREATE_TABLES) }
    }

    /// Which of the keys (`<bucket>/<key>`) were seen within the last 30 days, in the order of `keys`.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn seen(&self, keys: &[String]) -> Vec<bool> {
        self.seen_within(&keys.iter(), EXPIRY)
    }

    /// Which of the keys were seen within this time, which is 30 days at the most. It is fastest where the keys are sorted.
    #[must_use]
    pub(crate) fn seen_within<K: AsRef<str>>(
        &self,
        keys: &(impl ExactSizeIterator<Item = K> + Clone),
        trust: Duration,
    ) -> Vec<bool> {
        let trust = trust.min(EXPIRY).as_secs_f64();
        let now = now_seconds();
        let count = keys.len();
        let found = self.database.with(|connection| {
            let mut statement = connection.prepare_cached("SELECT last_seen_time FROM s3checkV1 WHERE s3_key=?1")?;
            // One read transaction for all: without it each lookup takes and drops the file's lock.
            let transaction = connection.unchecked_transaction()?;
            let mut found = Vec::with_capacity(count);
            for key in keys.clone() {
                let mut rows = statement.query([key.as_ref()])?;
                found.push(match rows.next()? {
                    Some(row) => is_fresh(row.get_ref(0)?, now, trust),
                    None => false,
                });
            }
            transaction.commit()?;
            Ok(found)
        });
        if found.len() == count { found } else { vec![false; count] }
    }

    /// Notes that the keys were seen now, in one transaction.
    pub(crate) fn record<K: AsRef<str>>(&self, keys: &[K]) {
        let now = now_seconds();
        self.write(
            "INSERT OR REPLACE INTO s3checkV1(s3_key, last_seen_time) VALUES(?1, ?2)",
            keys,
            |statement, key| statement.execute(rusqlite::params![key, now]),
        );
    }

    /// Forgets the keys, in one transaction.
    pub(crate) fn remove<K: AsRef<str>>(&self, keys: &[K]) {
        self.write("DELETE FROM s3checkV1 WHERE s3_key=?1", keys, |statement, key| statement.execute([key]));
    }

    /// Forgets every key that begins so, when a sample has shown that rows of that place can't be believed.
    pub(crate) fn remove_below(&self, prefix: &str) {
        self.database.with(|connection| {
            // LIKE ignores case and has wildcards of its own; this compares bytes.
            let sql = "DELETE FROM s3checkV1 WHERE substr(s3_key, 1, length(?1)) = ?1";
            connection.execute(sql, [prefix]).map(drop)
        });
    }

    /// What went wrong since the last call, for the log.
    #[must_use]
    pub(crate) fn take_warnings(&self) -> Vec<String> {
        self.database.take_warnings()
    }

    fn write<K: AsRef<str>>(
        &self,
        sql: &str,
        keys: &[K],
        mut run: impl FnMut(&mut rusqlite::CachedStatement<'_>, &str) -> rusqlite::Result<usize>,
    ) {
        if keys.is_empty() {
            return;
        }
        self.database.with(|connection| {
            let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            let mut statement = transaction.prepare_cached(sql)?;
            for key in keys {
                run(&mut statement, key.as_ref())?;
            }
            drop(statement);
            transaction.commit()
        });
    }
}

/// Whether a `last_seen_time` counts. Anything that is no number doesn't, nor does a time more than a day ahead, which no
/// clock wrote.
fn is_fresh(value: ValueRef<'_>, now: f64, trust_seconds: f64) -> bool {
    #[allow(clippy::cast_precision_loss, reason = "seconds since the epoch fit a double")]
    let seen = match value {
        ValueRef::Real(seconds) => Some(seconds),
        ValueRef::Integer(seconds) => Some(seconds as f64),
        ValueRef::Text(text) => std::str::from_utf8(text).ok().and_then(|text| text.trim().parse().ok()),
        ValueRef::Null | ValueRef::Blob(_) => None,
    };
    seen.is_some_and(|seen| now - seen < trust_seconds && seen - now < DAY_SECONDS)
}

fn now_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_expire_after_thirty_days_and_odd_ones_do_not_count() {
        let (now, trust) = (1_700_000_000.0, EXPIRY.as_secs_f64());
        assert!(is_fresh(ValueRef::Real(now - 29.9 * DAY_SECONDS), now, trust));
        assert!(!is_fresh(ValueRef::Real(now - 30.0 * DAY_SECONDS), now, trust));
        assert!(is_fresh(ValueRef::Real(now + 3600.0), now, trust), "a clock that went back an hour");
        assert!(!is_fresh(ValueRef::Real(now + 400.0 * DAY_SECONDS), now, trust));
        assert!(is_fresh(ValueRef::Text(b"1699999999.5"), now, trust));
        for odd in [ValueRef::Text(b"yesterday"), ValueRef::Null, ValueRef::Blob(b"1"), ValueRef::Real(f64::NAN)] {
            assert!(!is_fresh(odd, now, trust), "{odd:?}");
        }
    }

    #[test]
    fn rows_are_trusted_for_the_time_that_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let cache = S3CheckCache::open(Some(folder.path()));
        let keys = ["b/1".to_owned()];
        cache.record(&keys);
        assert_eq!(cache.seen_within(&keys.iter(), Duration::from_mins(1)), [true]);
        assert_eq!(cache.seen_within(&keys.iter(), Duration::ZERO), [false]);
    }

    #[test]
    fn rows_of_one_place_are_forgotten_alone() {
        let folder = tempfile::tempdir().unwrap();
        let cache = S3CheckCache::open(Some(folder.path()));
        let keys = ["b/a_/1", "b/aX/1", "b/A_/1", "c/a_/1"].map(str::to_owned);
        cache.record(&keys);
        cache.remove_below("b/a_/");
        assert_eq!(cache.seen(&keys), [false, true, true, true]);
    }

    #[test]
    fn what_is_recorded_is_seen_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let cache = S3CheckCache::open(Some(folder.path()));
        let keys = ["b/1".to_owned(), "b/2".to_owned()];
        assert_eq!(cache.seen(&keys), [false, false]);
        cache.record(&keys);
        assert_eq!(cache.seen(&keys), [true, true]);
        cache.remove(&["b/1"]);
        assert_eq!(cache.seen(&keys), [false, true]);
        cache.remove(&["b/2"]);
        assert_eq!(cache.seen(&keys), [false, false]);
        cache.record(&["b/1"]);
        assert_eq!(S3CheckCache::open(Some(folder.path())).seen(&keys), [true, false]);
        assert_eq!(cache.take_warnings(), Vec::<String>::new());
    }
}
