//! Why a command ends without its result.

use std::io;

use crate::Error;

/// Why a command ends without its result.
#[derive(Debug)]
pub(super) enum Failure {
    /// An error of the API.
    Error(Box<Error>),
    /// A text that says what is wrong and what to do.
    Text(String),
    /// Arguments that do not go together.
    Usage(String),
    /// The reader of standard output has gone.
    BrokenPipe,
}

impl Failure {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(Box::new(error))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::BrokenPipe,
            _ => Self::Text(format!("the output can't be written: {error}")),
        }
    }
}
