//! The database connections behind `rusty_attachments.caches`.

use std::path::PathBuf;

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyFloat, PyInt, PyList, PyString, PyTuple, PyType};

use crate::cache::connection::{SharedConnection, SqlError, SqlValue};

/// Adds what this module has for Python.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<CacheConnection>()?;
    module.add_class::<CacheRows>()?;
    Ok(())
}

/// A connection to a cache's file. Threads may share it; each statement is a transaction of its own.
#[pyclass(frozen, module = "rusty_attachments._native")]
pub(crate) struct CacheConnection {
    connection: SharedConnection,
}

#[pymethods]
impl CacheConnection {
    /// Opens the file, and makes the table where it is not there. Returns the connection and a warning, if there is one.
    #[classmethod]
    fn open(
        class: &Bound<'_, PyType>,
        file: PathBuf,
        table_name: &str,
        create_query: &str,
    ) -> PyResult<(Self, Option<String>)> {
        let py = class.py();
        let opened = py.detach(|| SharedConnection::open(&file, table_name, create_query));
        let (connection, warning) = opened.map_err(|error| to_py_err(py, &error))?;
        Ok((Self { connection }, warning))
    }

    /// Runs a statement.
    #[pyo3(signature = (sql, parameters = None))]
    fn execute<'py>(
        &self,
        py: Python<'py>,
        sql: &str,
        parameters: Option<Vec<Bound<'py, PyAny>>>,
    ) -> PyResult<CacheRows> {
        let parameters = parameters.unwrap_or_default().iter().map(value_from_python).collect::<PyResult<Vec<_>>>()?;
        let rows = py.detach(|| self.connection.execute(sql, &parameters)).map_err(|error| to_py_err(py, &error))?;
        let rows = rows.iter().map(|row| {
            let values = row.iter().map(|value| value_to_python(py, value)).collect::<PyResult<Vec<_>>>()?;
            PyTuple::new(py, values)
        });
        let rows = PyList::new(py, rows.collect::<PyResult<Vec<_>>>()?)?;
        Ok(CacheRows { rows: rows.unbind(), next: std::sync::atomic::AtomicUsize::new(0) })
    }

    /// Runs a statement with each of several lists of parameters: with all, or where one fails with none.
    fn executemany<'py>(&self, py: Python<'py>, sql: &str, parameters: &Bound<'py, PyAny>) -> PyResult<CacheRows> {
        let lists = parameters.try_iter()?.map(|list| {
            let list: Vec<Bound<'py, PyAny>> = list?.extract()?;
            list.iter().map(value_from_python).collect::<PyResult<Vec<_>>>()
        });
        let lists = lists.collect::<PyResult<Vec<_>>>()?;
        py.detach(|| self.connection.execute_many(sql, &lists)).map_err(|error| to_py_err(py, &error))?;
        Ok(CacheRows { rows: PyList::empty(py).unbind(), next: std::sync::atomic::AtomicUsize::new(0) })
    }

    /// Does nothing: statements are committed as they end. Programs written for `sqlite3` call it.
    #[allow(clippy::unused_self, reason = "it is a method in Python")]
    const fn commit(&self) {}

    /// `with connection:`, as for `sqlite3`. Statements are committed as they end.
    const fn __enter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    /// Does nothing: the connection stays open, as one of `sqlite3` does.
    #[pyo3(signature = (*_raised))]
    #[allow(clippy::unused_self, reason = "it is a method in Python")]
    fn __exit__(&self, _raised: &Bound<'_, PyTuple>) {}

    /// Closes the connection; doing it twice does nothing.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.connection.close());
    }
}

/// The rows of a result.
#[pyclass(frozen, module = "rusty_attachments._native")]
pub(crate) struct CacheRows {
    rows: Py<PyList>,
    next: std::sync::atomic::AtomicUsize,
}

#[pymethods]
impl CacheRows {
    /// The next row, or `None` after the last.
    fn fetchone<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        let index = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.rows.bind(py).get_item(index).ok()
    }

    /// The rows that were not fetched yet.
    fn fetchall<'py>(&self, py: Python<'py>) -> Bound<'py, PyList> {
        let rows = self.rows.bind(py);
        let index = self.next.swap(rows.len(), std::sync::atomic::Ordering::Relaxed);
        rows.get_slice(index, rows.len())
    }
}

fn value_from_python(value: &Bound<'_, PyAny>) -> PyResult<SqlValue> {
    if value.is_none() {
        return Ok(SqlValue::Null);
    }
    // Subclasses come as what they are: an enumeration of strings is its text.
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(SqlValue::Text(text.to_cow()?.into_owned().into_bytes()));
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(SqlValue::Blob(bytes.as_bytes().to_vec()));
    }
    if value.is_instance_of::<PyInt>() {
        return Ok(SqlValue::Integer(value.extract()?));
    }
    if value.is_instance_of::<PyFloat>() {
        return Ok(SqlValue::Real(value.extract()?));
    }
    let kind = value.get_type().name()?;
    Err(pyo3::exceptions::PyTypeError::new_err(format!("a value of type {kind} can't be kept in a cache")))
}

fn value_to_python<'py>(py: Python<'py>, value: &SqlValue) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        SqlValue::Null => py.None().into_bound(py),
        SqlValue::Integer(number) => number.into_pyobject(py)?.into_any(),
        SqlValue::Real(number) => number.into_pyobject(py)?.into_any(),
        SqlValue::Text(text) => PyString::from_bytes(py, text)?.into_any(),
        SqlValue::Blob(bytes) => PyBytes::new(py, bytes).into_any(),
    })
}

/// The exceptions that Python's own `sqlite3` raises, so that callers' `except` clauses hold.
fn to_py_err(py: Python<'_>, error: &SqlError) -> PyErr {
    let (class, text) = match error {
        SqlError::Closed => ("ProgrammingError", "Cannot operate on a closed database."),
        SqlError::Failed(text) => ("OperationalError", text.as_str()),
    };
    let made = py.import(intern!(py, "sqlite3")).and_then(|module| module.getattr(class)?.call1((text,)));
    // A Python built without SQLite has no such classes.
    made.map_or_else(|_| PyRuntimeError::new_err(text.to_owned()), PyErr::from_value)
}
