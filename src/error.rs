//! The crate's one error type, and the rules for it.
//!
//! 1. An error names the thing that failed: the file, the key and bucket, the manifest entry, the option. A reader can act
//!    on the text alone.
//! 2. Variants are structured; text is made in `Display`. Callers match on variants, never on text.
//! 3. An error keeps its cause (`#[source]`). Nothing is swallowed: what is not returned is logged through
//!    [`crate::transfer::context::Context`].
//! 4. An error about S3 carries the reference's fields (action, status code, bucket, key) and its guidance for that status,
//!    so that the Python face can raise the reference's classes without parsing text.
//! 5. A cancelled operation is an error ([`Error::Cancelled`]), never a partial success.
//! 6. No panic is part of an interface. `unwrap` and `expect` stand only where a comment proves them.

use std::path::PathBuf;

/// The action of the [`Error::Io`] for a directory that files should have been downloaded to. The reference raises a plain
/// `OSError` for it, with advice.
pub(crate) const CREATE_DOWNLOAD_DIRECTORY: &str = "create download directory";

/// The crate's result type.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, one variant for each thing a caller may want to tell apart.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// S3 answered with an error status.
    #[error(transparent)]
    S3Service(Box<S3ServiceError>),

    /// No usable answer came from S3: no connection, no credentials, a time-out, a broken reply.
    #[error(transparent)]
    S3Client(Box<S3ClientError>),

    /// The AWS configuration can't be used: a variable, a profile, a certificate, a proxy.
    #[error(transparent)]
    Configuration(Box<ConfigurationError>),

    /// The caller asked to stop. The text is the reference's ("File upload cancelled.", …).
    #[error("{0}")]
    Cancelled(String),

    /// Bytes are not what their content hash says.
    #[error(transparent)]
    Integrity(Box<IntegrityError>),

    /// A local input can't be used: missing, changed while it was read, not a regular file, …
    #[error("{path}: {problem}", path = path.display())]
    SourceFile {
        /// The file as the caller named it.
        path: PathBuf,
        /// What is wrong with it.
        problem: SourceProblem,
    },

    /// A system call on a local path failed.
    #[error("Failed to {action} '{path}': {source}", path = path.display())]
    Io {
        /// What was tried, as a verb phrase: "create directory", "write", …
        action: &'static str,
        /// The path that it was tried on.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },

    /// A downloaded file could not be written. The reference wraps the system's error into an `AssetSyncError`.
    #[error("Failed to {action} '{path}': {source}", path = path.display())]
    Download {
        /// What was tried, as a verb phrase.
        action: &'static str,
        /// The path that it was tried on.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },

    /// A path would lead out of its root, or can't be a path on this host.
    #[error("The provided path is not under the root directory: {path} ({problem})")]
    PathOutsideRoot {
        /// The manifest path, as text.
        path: String,
        /// Why it is refused.
        problem: PathProblem,
    },

    /// A local path is not below the directory that it should be in; the reference's `PathOutsideDirectoryError`.
    #[error("{0}")]
    PathOutside(String),

    /// A manifest is not valid. The text is the reference's where the reference has one.
    #[error("{0}")]
    ManifestInvalid(String),

    /// A document is no JSON. Carries what `json.JSONDecodeError` needs.
    #[error("{message}: line {line} column {column} (char {position})")]
    Json {
        /// What is wrong, in the words of Python's `json` module where they apply.
        message: String,
        /// Offset in characters, from 0.
        position: usize,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
    },

    /// An argument's value can't be used; a `ValueError` in Python.
    #[error("{0}")]
    InvalidArgument(String),

    /// An input document or option given by a user can't be used; the reference's `NonValidInputError`.
    #[error("{0}")]
    NonValidInput(String),

    /// Inputs of a submission are missing or are directories; the reference's `MisconfiguredInputsError`.
    #[error("{0}")]
    MisconfiguredInputs(String),

    /// An output manifest in S3 names no asset root; the reference's `MissingAssetRootError`.
    #[error("{0}")]
    MissingAssetRoot(String),

    /// The operation is not defined for this input; `NotImplementedError` in Python.
    #[error("{0}")]
    NotSupported(String),

    /// Any other failure of job attachments; the reference's `AssetSyncError`.
    #[error("{0}")]
    Sync(String),
}

/// An error status from S3, with the fields of the reference's `JobAttachmentsS3ClientError`.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "Error {action} in bucket '{bucket}', Target key or prefix: '{key}', HTTP Status Code: {status_code}, {message}",
    action = action.as_str()
)]
pub struct S3ServiceError {
    /// What was being done.
    pub action: S3Action,
    /// The HTTP status.
    pub status_code: u16,
    /// The bucket.
    pub bucket: String,
    /// The key, or the prefix of a listing.
    pub key: String,
    /// S3's error code ("`AccessDenied`", …), where the reply had one.
    pub code: Option<String>,
    /// Guidance for the status and S3's own text.
    pub message: String,
    /// The reply itself, for programs that look beneath the text.
    pub reply: ServiceReply,
}

/// What an error reply of S3 says, as botocore shows it in `ClientError.response`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceReply {
    /// S3's name of the operation: `PutObject`, …
    pub operation: String,
    /// S3's code, or the status where the reply had none.
    pub code: String,
    /// S3's text, or the status's reason phrase.
    pub text: String,
    /// `x-amz-request-id`.
    pub request_id: Option<String>,
    /// `x-amz-id-2`.
    pub host_id: Option<String>,
}

/// A failure to get any usable answer from S3.
#[derive(Debug, thiserror::Error)]
#[error(
    "An issue occurred with AWS service request while {action}: {details} (bucket '{bucket}', key '{key}')\n\
     This could be due to temporary issues with AWS, internet connection, or your AWS credentials. \
     Please verify your credentials and network connection. If the problem persists, try again later \
     or contact support for further assistance.",
    action = action.while_asking()
)]
pub struct S3ClientError {
    /// What was being done.
    pub action: S3Action,
    /// The bucket.
    pub bucket: String,
    /// The key, or the prefix of a listing.
    pub key: String,
    /// The chain of causes, outermost first.
    pub details: String,
    /// The SDK's error.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl S3ClientError {
    /// One that has no error of the SDK beneath it.
    pub fn new(action: S3Action, bucket: &str, key: &str, details: impl Into<String>) -> Self {
        Self { action, bucket: bucket.to_owned(), key: key.to_owned(), details: details.into(), source: None }
    }
}

/// A mistake in the AWS configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("The AWS configuration can't be used: {place}: {problem}.")]
pub struct ConfigurationError {
    /// Where it is: a variable, a profile and its file, a bundle of certificates.
    pub place: String,
    /// What is wrong there. Never a secret.
    pub problem: String,
}

impl ConfigurationError {
    /// One mistake.
    pub fn new(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { place: place.into(), problem: problem.into() }
    }
}

/// Bytes that are not what their hash or size says.
#[derive(Debug, Clone, thiserror::Error)]
#[error("Integrity check failed for {subject}: expected {expected}, found {found}{place}", place = place.as_deref().map(|p| format!(" ({p})")).unwrap_or_default())]
pub struct IntegrityError {
    /// What was checked: an S3 location or a local path.
    pub subject: String,
    /// The hash or size that was promised.
    pub expected: String,
    /// The hash or size that was found.
    pub found: String,
    /// Where the bytes were going, where that helps.
    pub place: Option<String>,
}

/// What the reference calls `action` in its S3 errors; the words are part of its texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum S3Action {
    UploadingFile,
    UploadingBinaryFile,
    DownloadingFile,
    DownloadingBinaryFile,
    ListingBucketContents,
    CheckingIfObjectExists,
}

impl S3Action {
    /// The reference's words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UploadingFile => "uploading file",
            Self::UploadingBinaryFile => "uploading binary file",
            Self::DownloadingFile => "downloading file",
            Self::DownloadingBinaryFile => "downloading binary file",
            Self::ListingBucketContents => "listing bucket contents",
            Self::CheckingIfObjectExists => "checking if object exists",
        }
    }

    /// The reference's words where no answer came.
    #[must_use]
    pub const fn while_asking(self) -> &'static str {
        match self {
            Self::CheckingIfObjectExists => "checking for the existence of an object in the S3 bucket",
            other => other.as_str(),
        }
    }
}

/// Why a local input can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceProblem {
    /// Nothing is there.
    #[error("the file does not exist")]
    Missing,
    /// It may not be read.
    #[error("the file cannot be read: {text}")]
    Unreadable {
        /// The system's error number, where it gave one.
        number: Option<i32>,
        /// The system's words.
        text: String,
    },
    /// It is a directory.
    #[error("is a directory, not a file")]
    IsDirectory,
    /// A FIFO, a socket or a device.
    #[error("is not a regular file")]
    NotRegular,
    /// A link out of the root, where links are confined to it.
    #[error("is a symbolic link that leads out of {0}")]
    LinkEscapes(String),
    /// Too many links, or a link where none may be.
    #[error("Too many levels of symbolic links")]
    LinkLoop,
    /// Its bytes are not those that were hashed.
    #[error("changed after it was hashed: expected {expected}, found {found}; hash it again and retry")]
    Changed {
        /// The hash or size in the manifest.
        expected: String,
        /// What was read.
        found: String,
    },
    /// It kept changing while it was being hashed.
    #[error("was being written while it was hashed; wait until its writer is done and retry")]
    Unstable,
}

impl SourceProblem {
    /// The system's error number for this, where a system call would have failed with one: what Python's `OSError` classes go by.
    #[must_use]
    pub const fn os_error(&self) -> Option<i32> {
        match self {
            Self::Missing => Some(MISSING_ERRNO),
            Self::IsDirectory => Some(DIRECTORY_ERRNO),
            Self::LinkLoop => Some(LOOP_ERRNO),
            Self::Unreadable { number, .. } => *number,
            Self::NotRegular | Self::LinkEscapes(_) | Self::Changed { .. } | Self::Unstable => None,
        }
    }
}

impl Error {
    /// An [`Error::Io`] from a failed call.
    pub fn io(action: &'static str, path: impl Into<PathBuf>, source: impl Into<std::io::Error>) -> Self {
        Self::Io { action, path: path.into(), source: source.into() }
    }

    /// An [`Error::SourceFile`] from what opening or reading an input gave.
    pub fn source_file(path: impl Into<PathBuf>, error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        let problem = match error.kind() {
            // Nothing else means that it has vanished: callers leave out files that have.
            ErrorKind::NotFound => SourceProblem::Missing,
            ErrorKind::IsADirectory => SourceProblem::IsDirectory,
            _ if error.raw_os_error() == Some(LOOP_ERRNO) => SourceProblem::LinkLoop,
            _ => SourceProblem::Unreadable { number: error.raw_os_error(), text: error.to_string() },
        };
        Self::SourceFile { path: path.into(), problem }
    }

    /// The same error once more, for several callers who share one failure. Causes become text.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        match self {
            Self::S3Service(error) => S3ServiceError::clone(error).into(),
            Self::S3Client(error) => {
                S3ClientError::new(error.action, &error.bucket, &error.key, error.details.clone()).into()
            }
            Self::Configuration(error) => ConfigurationError::clone(error).into(),
            Self::Cancelled(text) => Self::Cancelled(text.clone()),
            Self::Integrity(error) => IntegrityError::clone(error).into(),
            Self::SourceFile { path, problem } => Self::SourceFile { path: path.clone(), problem: problem.clone() },
            Self::Io { action, path, source } => Self::Io { action, path: path.clone(), source: duplicate_io(source) },
            Self::Download { action, path, source } => {
                Self::Download { action, path: path.clone(), source: duplicate_io(source) }
            }
            Self::PathOutsideRoot { path, problem } => Self::PathOutsideRoot { path: path.clone(), problem: *problem },
            Self::PathOutside(text) => Self::PathOutside(text.clone()),
            Self::ManifestInvalid(text) => Self::ManifestInvalid(text.clone()),
            Self::Json { message, position, line, column } => {
                Self::Json { message: message.clone(), position: *position, line: *line, column: *column }
            }
            Self::InvalidArgument(text) => Self::InvalidArgument(text.clone()),
            Self::NonValidInput(text) => Self::NonValidInput(text.clone()),
            Self::MisconfiguredInputs(text) => Self::MisconfiguredInputs(text.clone()),
            Self::MissingAssetRoot(text) => Self::MissingAssetRoot(text.clone()),
            Self::NotSupported(text) => Self::NotSupported(text.clone()),
            Self::Sync(text) => Self::Sync(text.clone()),
        }
    }

    /// Whether this is a cancellation.
    #[must_use]
    pub const fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled(_))
    }

    /// The HTTP status, where S3 answered with one.
    #[must_use]
    pub fn status_code(&self) -> Option<u16> {
        match self {
            Self::S3Service(error) => Some(error.status_code),
            _ => None,
        }
    }
}

fn duplicate_io(error: &std::io::Error) -> std::io::Error {
    error
        .raw_os_error()
        .map_or_else(|| std::io::Error::new(error.kind(), error.to_string()), std::io::Error::from_raw_os_error)
}

/// Why a manifest path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathProblem {
    /// It has no component at all.
    #[error("the path is empty")]
    Empty,
    /// It begins at the file system's root.
    #[error("the path is absolute")]
    Absolute,
    /// It is absolute, and leads elsewhere than below the root.
    #[error("the path is absolute and does not lead below the root")]
    Elsewhere,
    /// It has a `..` component.
    #[error("the path has a '..' component")]
    ParentComponent,
    /// It names a Windows drive.
    #[error("the path names a drive")]
    Drive,
    /// It has a backslash, which separates components on Windows.
    #[error("the path has a backslash")]
    Backslash,
    /// It names a Windows device or an alternate stream.
    #[error("the path names a device or a stream")]
    Device,
    /// It holds a NUL character.
    #[error("the path holds a NUL character")]
    Nul,
    /// It holds a surrogate that stands for no byte, so that no file can have this name.
    #[error("the path holds a surrogate that no file name can hold")]
    Surrogate,
    /// A link on the way leads out of the root.
    #[error("a symbolic link on the way leads out of the root")]
    LinkEscapes,
}

impl From<S3ServiceError> for Error {
    fn from(error: S3ServiceError) -> Self {
        Self::S3Service(Box::new(error))
    }
}

impl From<S3ClientError> for Error {
    fn from(error: S3ClientError) -> Self {
        Self::S3Client(Box::new(error))
    }
}

impl From<ConfigurationError> for Error {
    fn from(error: ConfigurationError) -> Self {
        Self::Configuration(Box::new(error))
    }
}

impl From<IntegrityError> for Error {
    fn from(error: IntegrityError) -> Self {
        Self::Integrity(Box::new(error))
    }
}

/// `ENOENT`: on all systems that Python runs on.
const MISSING_ERRNO: i32 = 2;
/// `EISDIR`: on all systems that Python runs on.
const DIRECTORY_ERRNO: i32 = 21;
/// `ELOOP`, which has no stable `ErrorKind`: of Linux, or of macOS and the BSDs. Windows has none.
const LOOP_ERRNO: i32 = if cfg!(target_os = "linux") {
    40
} else if cfg!(unix) {
    62
} else {
    -1
};
