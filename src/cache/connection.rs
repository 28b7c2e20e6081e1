//! A cache's database for callers who speak SQL, behind the Python cache classes.

use std::path::Path;

use parking_lot::{Mutex, MutexGuard};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ToSql};

use super::db::{self, FileIdentity, Trouble};

/// A value of a row or a parameter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum SqlValue {
    /// `NULL`.
    Null,
    /// A 64-bit integer.
    Integer(i64),
    /// A double.
    Real(f64),
    /// Text, as bytes: files written by other programs may hold what is no UTF-8.
    Text(Vec<u8>),
    /// Bytes.
    Blob(Vec<u8>),
}

/// Why a statement failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SqlError {
    /// The connection was closed.
    Closed,
    /// `SQLite`'s message.
    Failed(String),
}

/// A row of a result.
pub(crate) type SqlRow = Vec<SqlValue>;

/// A connection shared by threads.
#[derive(Debug)]
pub(crate) struct SharedConnection(Mutex<Option<Connection>>);

impl SharedConnection {
    /// Opens a database file and makes `table` where it is not there yet. A damaged file is put aside; the second value is
    /// then a warning that says so.
    ///
    /// # Errors
    /// [`SqlError::Failed`].
    pub(crate) fn open(file: &Path, table: &str, create_query: &str) -> Result<(Self, Option<String>), SqlError> {
        let attempt = || {
            let connection = db::open_file(file)?;
            let is_there: bool = connection.query_row(
                "SELECT EXISTS(SELECT 1 FROM sqlite_master WHERE type='table' AND name=?1)",
                [table],
                |row| row.get(0),
            )?;
            if !is_there {
                create(&connection, create_query, table)?;
            }
            Ok(connection)
        };
        let identity = FileIdentity::of(file);
        let error = match attempt() {
            Ok(connection) => return Ok((Self(Mutex::new(Some(connection))), None)),
            Err(error) => error,
        };
        if !is_damage(&error) {
            return Err(failed(&error));
        }
        let aside = db::put_aside(file, identity).map_err(|error| SqlError::Failed(error.to_string()))?;
        let connection = attempt().map_err(|error| failed(&error))?;
        let warning = format!(
            "Cache file {} is damaged ({error}). It was put aside as {}, and a new one is made.",
            file.display(),
            aside.display()
        );
        Ok((Self(Mutex::new(Some(connection))), Some(warning)))
    }

    /// Runs one statement and returns all rows of its result.
    ///
    /// # Errors
    /// [`SqlError`].
    pub(crate) fn execute(&self, sql: &str, parameters: &[SqlValue]) -> Result<Vec<SqlRow>, SqlError> {
        let guard = self.lock();
        let connection = guard.as_ref().ok_or(SqlError::Closed)?;
        run(connection, sql, parameters).map_err(|error| failed(&error))
    }

    /// Runs one statement with each list of parameters: with all of them, or where one fails with none.
    ///
    /// # Errors
    /// [`SqlError`].
    pub(crate) fn execute_many(&self, sql: &str, lists: &[Vec<SqlValue>]) -> Result<(), SqlError> {
        let guard = self.lock();
        let connection = guard.as_ref().ok_or(SqlError::Closed)?;
        run_many(connection, sql, lists).map_err(|error| failed(&error))
    }

    /// Closes the connection; doing it twice does nothing.
    pub(crate) fn close(&self) {
        drop(self.lock().take());
    }

    fn lock(&self) -> MutexGuard<'_, Option<Connection>> {
        self.0.lock()
    }
}

/// Another process may make the table at the same moment.
fn create(connection: &Connection, create_query: &str, table: &str) -> rusqlite::Result<()> {
    match connection.execute_batch(create_query) {
        Err(error) if error.to_string().contains(&format!("table {table} already exists")) => Ok(()),
        result => result,
    }
}

/// Only what is certain: an error in the caller's own SQL is no damage.
fn is_damage(error: &rusqlite::Error) -> bool {
    db::trouble(error) == Trouble::Broken && error.sqlite_error_code() != Some(rusqlite::ErrorCode::Unknown)
}

fn run(connection: &Connection, sql: &str, parameters: &[SqlValue]) -> rusqlite::Result<Vec<SqlRow>> {
    let mut statement = connection.prepare_cached(sql)?;
    let columns = statement.column_count();
    let texts: Vec<rusqlite::types::Value> = parameters.iter().map(to_sqlite).collect();
    let bound: Vec<&dyn ToSql> = texts.iter().map(|value| value as &dyn ToSql).collect();
    let mut rows = statement.query(bound.as_slice())?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push((0..columns).map(|index| row.get_ref(index).map(from_sqlite)).collect::<rusqlite::Result<SqlRow>>()?);
    }
    Ok(all)
}

fn run_many(connection: &Connection, sql: &str, lists: &[Vec<SqlValue>]) -> rusqlite::Result<()> {
    // A caller who has begun a transaction ends it, too.
    let transaction = connection.is_autocommit().then(|| connection.unchecked_transaction()).transpose()?;
    let mut statement = connection.prepare_cached(sql)?;
    for list in lists {
        statement.execute(rusqlite::params_from_iter(list.iter().map(to_sqlite)))?;
    }
    transaction.map_or(Ok(()), rusqlite::Transaction::commit)
}

fn to_sqlite(value: &SqlValue) -> rusqlite::types::Value {
    use rusqlite::types::Value;
    match value {
        SqlValue::Null => Value::Null,
        SqlValue::Integer(number) => Value::Integer(*number),
        SqlValue::Real(number) => Value::Real(*number),
        SqlValue::Text(text) => String::from_utf8(text.clone()).map_or(Value::Null, Value::Text),
        SqlValue::Blob(bytes) => Value::Blob(bytes.clone()),
    }
}

fn from_sqlite(value: ValueRef<'_>) -> SqlValue {
    match value {
        ValueRef::Null => SqlValue::Null,
        ValueRef::Integer(number) => SqlValue::Integer(number),
        ValueRef::Real(number) => SqlValue::Real(number),
        ValueRef::Text(text) => SqlValue::Text(text.to_vec()),
        ValueRef::Blob(bytes) => SqlValue::Blob(bytes.to_vec()),
    }
}

fn failed(error: &rusqlite::Error) -> SqlError {
    SqlError::Failed(error.to_string())
}
