//! The crate's one error type, and the rules for it.
//!
//! 1. An error names the thing that failed: the file, the key and bucket, the manifest entry, the option. A reader can act
//!    on the text alone.
//! 2. Variants are structured; text is made in `Display`. Callers match on variants, never on text.
//! 3. An error keeps its cause (`#[source]`), and clones share it, so that several callers of one failure have all of it.
//!    Nothing is swallowed: what is not returned is logged through [`crate::transfer::context::Context`].
//! 4. An error about S3 carries the reference's fields (action, status code, bucket, key) and its guidance for that status,
//!    so that the Python face can raise the reference's classes without parsing text.
//! 5. A cancelled operation is an error ([`Error::Cancelled`]), never a partial success.
//! 6. No panic is part of an interface. `unwrap` and `expect` stand only where a comment proves them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The crate's result type.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, one variant for each thing a caller may want to tell apart.
#[derive(Debug, Clone, thiserror::Error)]
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
        source: Arc<std::io::Error>,
    },

    /// A directory that files are downloaded to could not be made or opened. The reference raises a plain `OSError` for it, with
    /// advice.
    #[error("Failed to create download directory '{path}': {source}", path = path.display())]
    DownloadDirectory {
        /// The directory.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: Arc<std::io::Error>,
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
        source: Arc<std::io::Error>,
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
    #[error("The provided path '{path}' is not under the root directory: {root}", path = path.display(), root = root.display())]
    PathOutside {
        /// The path.
        path: PathBuf,
        /// The directory that it should be in.
        root: PathBuf,
    },

    /// A manifest is not valid. The text is the reference's where the reference has one.
    #[error("{text}")]
    ManifestInvalid {
        /// What kind of thing is wrong.
        problem: ManifestProblem,
        /// What is wrong, and where.
        text: String,
    },

    /// A manifest in S3 can't be used. The reference says why, and not which it is.
    #[error("{}{source}", if *names_url { format!("{url}: ") } else { String::new() })]
    StoredManifest {
        /// Where it is: `s3://bucket/key`.
        url: String,
        /// Whether the text begins with the URL; else it is in the log.
        names_url: bool,
        /// What is wrong with it.
        #[source]
        source: Arc<Error>,
    },

    /// Several files could not be worked on.
    #[error("{first} (and {more} more file{plural} could not be {verb})", plural = if *more == 1 { "" } else { "s" })]
    SeveralFiles {
        /// What is wrong with the first, by name.
        #[source]
        first: Arc<Error>,
        /// How many more there are.
        more: usize,
        /// What was to be done with them: "hashed", "uploaded".
        verb: &'static str,
    },

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
    #[error("{text}")]
    MisconfiguredInputs {
        /// Inputs that are not there.
        missing: Vec<PathBuf>,
        /// Inputs that are directories.
        directories: Vec<PathBuf>,
        /// All of them, in the reference's words.
        text: String,
    },

    /// An output manifest in S3 names no asset root; the reference's `MissingAssetRootError`.
    #[error("Failed to get asset root from metadata of output manifest: {key}")]
    MissingAssetRoot {
        /// The manifest's key.
        key: String,
    },

    /// The operation is not defined for this input; `NotImplementedError` in Python.
    #[error("{0}")]
    NotSupported(String),

    /// Any other failure of job attachments; the reference's `AssetSyncError`.
    #[error("{0}")]
    Sync(String),
}

/// What kind of thing is wrong with a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ManifestProblem {
    /// Its version is not known, or not supported.
    Version,
    /// It is not of its version's form: not UTF-8, a field that is missing or has another type, an unknown reference.
    Form,
    /// An entry can't be: a negative size, a path that is there twice, a file below a file, a deletion in a snapshot.
    Entry,
    /// Its sizes don't add up to its total, or to a number that has a place in it.
    Total,
    /// It has something that the version that it should be written in has no place for.
    NotExpressible,
    /// A diff is applied to another manifest than its parent, or used where a snapshot is needed.
    Diff,
}

/// An error status from S3, with the fields of the reference's `JobAttachmentsS3ClientError`.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
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
#[non_exhaustive]
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
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
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
    /// What is beneath it: an error of the system, of TLS, of the HTTP client.
    #[source]
    pub source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl S3ClientError {
    /// One that has no other error beneath it.
    #[must_use]
    pub fn new(action: S3Action, bucket: &str, key: &str, details: impl Into<String>) -> Self {
        Self { action, bucket: bucket.to_owned(), key: key.to_owned(), details: details.into(), source: None }
    }

    /// The same with an error beneath it.
    #[must_use]
    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }
}

/// A mistake in the AWS configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
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
#[non_exhaustive]
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
#[non_exhaustive]
pub enum S3Action {
    /// Uploading a file's contents.
    UploadingFile,
    /// Uploading bytes, such as a manifest.
    UploadingBinaryFile,
    /// Downloading contents into a file.
    DownloadingFile,
    /// Downloading bytes, such as a manifest.
    DownloadingBinaryFile,
    /// Listing keys.
    ListingBucketContents,
    /// Asking whether an object is there.
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
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: impl Into<std::io::Error>) -> Self {
        Self::Io { action, path: path.into(), source: Arc::new(source.into()) }
    }

    /// An [`Error::DownloadDirectory`] from a failed call.
    pub(crate) fn download_directory(path: impl Into<PathBuf>, source: impl Into<std::io::Error>) -> Self {
        Self::DownloadDirectory { path: path.into(), source: Arc::new(source.into()) }
    }

    /// An [`Error::ManifestInvalid`].
    pub(crate) fn manifest(problem: ManifestProblem, text: impl Into<String>) -> Self {
        Self::ManifestInvalid { problem, text: text.into() }
    }

    /// An [`Error::SourceFile`] from what opening or reading an input gave.
    pub(crate) fn source_file(path: impl Into<PathBuf>, error: &std::io::Error) -> Self {
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

    /// Whether this is a cancellation.
    #[must_use]
    pub const fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled(_))
    }

    /// Whether the object, the bucket or the local file is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        match self.first() {
            Self::SourceFile { problem, .. } => *problem == SourceProblem::Missing,
            error => error.status_code() == Some(404) || error.has_io_kind(std::io::ErrorKind::NotFound),
        }
    }

    /// Whether S3 or the system does not permit it.
    #[must_use]
    pub fn is_access_denied(&self) -> bool {
        let denied = std::io::ErrorKind::PermissionDenied;
        match self.first() {
            Self::SourceFile { problem: SourceProblem::Unreadable { number: Some(number), .. }, .. } => {
                std::io::Error::from_raw_os_error(*number).kind() == denied
            }
            error => error.status_code() == Some(403) || error.has_io_kind(denied),
        }
    }

    /// The HTTP status, where S3 answered with one.
    #[must_use]
    pub fn status_code(&self) -> Option<u16> {
        match self {
            Self::S3Service(error) => Some(error.status_code),
            _ => None,
        }
    }

    /// The local path that it is about.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self.first() {
            Self::SourceFile { path, .. }
            | Self::Io { path, .. }
            | Self::DownloadDirectory { path, .. }
            | Self::Download { path, .. }
            | Self::PathOutside { path, .. } => Some(path),
            _ => None,
        }
    }

    /// The bucket that it is about.
    #[must_use]
    pub fn bucket(&self) -> Option<&str> {
        match self {
            Self::S3Service(error) => Some(&error.bucket),
            Self::S3Client(error) => Some(&error.bucket),
            _ => None,
        }
    }

    /// The key, or the prefix of a listing, that it is about.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::S3Service(error) => Some(&error.key),
            Self::S3Client(error) => Some(&error.key),
            Self::MissingAssetRoot { key } => Some(key),
            _ => None,
        }
    }

    /// The first of several errors, or this one.
    fn first(&self) -> &Self {
        match self {
            Self::SeveralFiles { first, .. } => first,
            _ => self,
        }
    }

    fn has_io_kind(&self, kind: std::io::ErrorKind) -> bool {
        match self {
            Self::Io { source, .. } | Self::DownloadDirectory { source, .. } | Self::Download { source, .. } => {
                source.kind() == kind
            }
            _ => false,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_the_cause() {
        let error = Error::io("write", "/target/file", rustix::io::Errno::NOSPC);
        let copy = error.clone();
        let (Error::Io { source: one, .. }, Error::Io { source: other, .. }) = (&error, &copy) else { unreachable!() };
        assert!(Arc::ptr_eq(one, other));
        assert_eq!((copy.to_string(), copy.path()), (error.to_string(), Some(Path::new("/target/file"))));
    }

    #[test]
    fn predicates_go_by_what_happened_wherever_it_did() {
        let denied = |errno: rustix::io::Errno| Error::source_file("/a", &errno.into()).is_access_denied();
        assert!(denied(rustix::io::Errno::ACCESS) && !denied(rustix::io::Errno::IO));
        let missing = Error::source_file("/a", &std::io::ErrorKind::NotFound.into());
        let several = Error::SeveralFiles { first: Arc::new(missing), more: 2, verb: "hashed" };
        assert!(several.is_not_found() && !several.is_access_denied());
        assert_eq!(several.path(), Some(Path::new("/a")));
        assert_eq!(several.to_string(), "/a: the file does not exist (and 2 more files could not be hashed)");
        assert!(Error::download_directory("/a", rustix::io::Errno::ACCESS).is_access_denied());
        let client = S3ClientError::new(S3Action::UploadingFile, "bucket", "key", "no reply").with_source("a cause");
        let error = Error::from(client).clone();
        assert_eq!((error.bucket(), error.key()), (Some("bucket"), Some("key")));
        assert!(std::error::Error::source(&error).is_some_and(|source| source.to_string() == "a cause"));
    }
}
