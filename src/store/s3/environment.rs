//! The variables of the process, as they are when a call begins.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use crate::error::{ConfigurationError, Result};

/// A copy of the environment, so that one call sees one state of it and tests can make their own.
#[derive(Debug, Clone, Default)]
pub(in crate::store::s3) struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// The variables of this process.
    pub(in crate::store::s3) fn of_process() -> Self {
        std::env::vars_os().map(|(name, value)| (as_compared(&name), value)).collect()
    }

    /// A variable, even if it is empty.
    pub(in crate::store::s3) fn raw(&self, name: &str) -> Option<&OsStr> {
        self.0.get(&as_compared(OsStr::new(name))).map(OsString::as_os_str)
    }

    /// A variable that is not empty.
    pub(in crate::store::s3) fn path(&self, name: &str) -> Option<&OsStr> {
        self.raw(name).filter(|value| !value.is_empty())
    }

    /// A variable that is not empty, as text.
    ///
    /// # Errors
    /// Where it is no UTF-8.
    pub(in crate::store::s3) fn text(&self, name: &str) -> Result<Option<&str>> {
        let Some(value) = self.path(name) else { return Ok(None) };
        let text = value.to_str();
        text.map(Some).ok_or_else(|| ConfigurationError::new(variable(name), "its value is not UTF-8").into())
    }

    /// All variables whose name and value are text.
    pub(in crate::store::s3) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)))
    }
}

impl<N: Into<OsString>, V: Into<OsString>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (as_compared(&name.into()), value.into())).collect())
    }
}

/// How an error names a variable.
pub(in crate::store::s3) fn variable(name: &str) -> String {
    format!("the environment variable {name}")
}

/// Windows takes `Path` and `PATH` for one name.
fn as_compared(name: &OsStr) -> OsString {
    if cfg!(windows) { name.to_ascii_uppercase() } else { name.to_owned() }
}
