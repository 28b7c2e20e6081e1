//! From the crate's errors to the exceptions that the reference's users catch.

use pyo3::exceptions::{PyNotImplementedError, PyOSError, PyValueError};
use pyo3::prelude::*;

use super::calls::call;
use crate::error::{Error, S3ClientError, S3ServiceError, ServiceReply};

/// An exception for an error. Statistics of a cancelled operation are added by whoever has them.
pub(crate) fn to_py_err(py: Python<'_>, error: &Error) -> PyErr {
    make(py, error).unwrap_or_else(|failure| failure)
}

fn make(py: Python<'_>, error: &Error) -> PyResult<PyErr> {
    let text = error.to_string();
    Ok(match error {
        Error::S3Service(error) => return service_error(py, error),
        Error::S3Client(error) => return client_error(py, error),
        Error::Cancelled(_) => named(py, "AssetSyncCancelledError", &text)?,
        Error::PathOutsideRoot { .. } | Error::PathOutside { .. } => named(py, "PathOutsideDirectoryError", &text)?,
        Error::ManifestInvalid { .. } => named(py, "ManifestDecodeValidationError", &text)?,
        Error::NonValidInput(_) => named(py, "NonValidInputError", &text)?,
        Error::MisconfiguredInputs { .. } => named(py, "MisconfiguredInputsError", &text)?,
        Error::MissingAssetRoot { .. } => named(py, "MissingAssetRootError", &text)?,
        Error::SourceFile { path, problem } => source_file_error(py, &text, problem.os_error(), path)?,
        Error::Integrity(_)
        | Error::Sync(_)
        | Error::Configuration(_)
        | Error::StoredManifest { .. }
        | Error::SeveralFiles { .. } => named(py, "AssetSyncError", &text)?,
        Error::DownloadDirectory { path, source } => {
            let error = directory_error(py, source, &text)?;
            error.set_cause(py, Some(os_error(py, source, &source.to_string(), path)?));
            error
        }
        Error::Io { path, source, .. } => os_error(py, source, &text, path)?,
        Error::Download { path, source, .. } => {
            let error = named(py, "AssetSyncError", &text)?;
            error.set_cause(py, Some(os_error(py, source, &text, path)?));
            error
        }
        Error::InvalidArgument(_) => PyValueError::new_err(text),
        Error::NotSupported(_) => PyNotImplementedError::new_err(text),
        Error::Json { .. } => {
            let class = py.import("json")?.getattr("JSONDecodeError")?;
            PyErr::from_value(call(&class, (text, "", 0))?)
        }
    })
}

fn named(py: Python<'_>, class: &str, text: &str) -> PyResult<PyErr> {
    let class = exceptions(py)?.getattr(class)?;
    Ok(PyErr::from_value(call(&class, (text,))?))
}

fn exceptions(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    py.import("rusty_attachments.exceptions")
}

fn service_error(py: Python<'_>, error: &S3ServiceError) -> PyResult<PyErr> {
    let class = exceptions(py)?.getattr("JobAttachmentsS3ClientError")?;
    let arguments = (error.action.as_str(), error.status_code, &error.bucket, &error.key, &error.message);
    let raised = PyErr::from_value(call(&class, arguments)?);
    let ServiceReply { operation, code, text, request_id, host_id } = &error.reply;
    let reply = (operation, error.status_code, code, text, (request_id, host_id));
    raised.set_cause(py, Some(PyErr::from_value(call(&botocore(py)?.getattr("client_error")?, reply)?)));
    Ok(raised)
}

fn client_error(py: Python<'_>, error: &S3ClientError) -> PyResult<PyErr> {
    let class = exceptions(py)?.getattr("JobAttachmentS3BotoCoreError")?;
    let details = format!("{} (bucket '{}', key '{}')", error.details, error.bucket, error.key);
    let raised = PyErr::from_value(call(&class, (error.action.while_asking(), details))?);
    let cause = call(&botocore(py)?.getattr("request_error")?, (&error.details,))?;
    raised.set_cause(py, Some(PyErr::from_value(cause)));
    Ok(raised)
}

/// Makes the errors that the reference chains to its own.
fn botocore(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    py.import("rusty_attachments._botocore")
}

/// An `AssetSyncError`; also an `OSError` of the error number's subclass, where the system would have raised one.
fn source_file_error(py: Python<'_>, text: &str, number: Option<i32>, path: &std::path::Path) -> PyResult<PyErr> {
    let Some(number) = number else { return named(py, "AssetSyncError", text) };
    let make = exceptions(py)?.getattr("source_file_error")?;
    Ok(PyErr::from_value(call(&make, (text, number, path.as_os_str()))?))
}

/// The reference's advice for a directory that can't be made. Its text is all of the error's text, so that no number and no
/// file name may be among the arguments.
fn directory_error(py: Python<'_>, source: &std::io::Error, text: &str) -> PyResult<PyErr> {
    let text = format!(
        "{text}. If this path was configured on a different operating system, re-run the download and choose a valid local path \
         when prompted."
    );
    let class = py.get_type::<PyOSError>();
    let Some(number) = source.raw_os_error() else { return Ok(PyErr::from_value(call(&class, (text,))?)) };
    let value = call(&class, (number, ""))?.get_type().call1((text,))?;
    value.setattr("errno", number)?;
    Ok(PyErr::from_value(value))
}

/// An `OSError` of the subclass that belongs to the error number (`PermissionError`, …), with its file name.
fn os_error(py: Python<'_>, source: &std::io::Error, text: &str, path: &std::path::Path) -> PyResult<PyErr> {
    let class = py.get_type::<PyOSError>();
    let value = match source.raw_os_error() {
        Some(number) => call(&class, (number, text, path.as_os_str()))?,
        None => call(&class, (text,))?,
    };
    Ok(PyErr::from_value(value))
}
