//! Credentials from the caller's boto3 session, fetched on the caller's thread.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use pyo3::exceptions::{PyBaseException, PyException};
use pyo3::intern;
use pyo3::prelude::*;
use tokio::sync::oneshot;

use super::calls::{call, call_method};
use super::errors::to_py_err;
use crate::error::Error;
use crate::store::credentials::{CredentialSource, Credentials};
use crate::store::guidance::ErrorReply;

/// A worker's wish for credentials.
pub(super) struct CredentialRequest(oneshot::Sender<Result<Credentials, String>>);

/// The source that workers see: it hands their requests to the pump.
pub(super) struct CallerCredentials(Box<dyn Fn(CredentialRequest) + Send + Sync>);

impl std::fmt::Debug for CallerCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CallerCredentials")
    }
}

impl CallerCredentials {
    pub(super) fn source(post: impl Fn(CredentialRequest) + Send + Sync + 'static) -> Arc<dyn CredentialSource> {
        Arc::new(Self(Box::new(post)))
    }
}

impl CredentialSource for CallerCredentials {
    fn fetch(&self) -> BoxFuture<'_, Result<Credentials, String>> {
        Box::pin(async move {
            let (sender, receiver) = oneshot::channel();
            (self.0)(CredentialRequest(sender));
            receiver.await.unwrap_or_else(|_| Err("the call that brought the session has ended".to_owned()))
        })
    }
}

/// What botocore raised when the session was asked.
pub(super) struct SessionFailure {
    raised: PyErr,
    reply: Option<ErrorReplyOfService>,
}

/// What botocore's `ClientError` says: a service that hands out credentials refused to.
struct ErrorReplyOfService {
    operation: String,
    status_code: u16,
    code: Option<String>,
    message: Option<String>,
}

impl CredentialRequest {
    /// Asks the session.
    ///
    /// What botocore raises is the worker's to report, who knows the bucket and the key. Everything else ends the call at
    /// once: with an `AssetSyncError` where it is an `Exception`, as the reference does, and as it is where it is not.
    pub(super) fn answer(self, py: Python<'_>, session: Option<&Py<PyAny>>) -> PyResult<Option<SessionFailure>> {
        let Some(session) = session else {
            self.send(Err("no session was given".to_owned()));
            return Ok(None);
        };
        let raised = match fetch(session.bind(py)) {
            Ok(credentials) => {
                self.send(Ok(credentials));
                return Ok(None);
            }
            Err(raised) => raised,
        };
        if is_from_botocore(py, &raised, "ClientError")? {
            let reply = Some(ErrorReplyOfService::read(raised.value(py))?);
            self.send(Err(raised.to_string()));
            return Ok(Some(SessionFailure { raised, reply }));
        }
        if is_from_botocore(py, &raised, "BotoCoreError")? {
            self.send(Err(raised.to_string()));
            return Ok(Some(SessionFailure { raised, reply: None }));
        }
        Err(as_call_error(py, raised)?)
    }

    fn send(self, answer: Result<Credentials, String>) {
        // A worker that has gone away has no use for it.
        let _ = self.0.send(answer);
    }
}

impl SessionFailure {
    /// The error of a call that failed for want of credentials: as the reference's, with what botocore raised as its cause.
    pub(super) fn explain(&self, py: Python<'_>, error: &Error) -> PyErr {
        let explained = match (error, &self.reply) {
            (Error::S3Client(failed), Some(reply)) => {
                let reply = ErrorReply {
                    action: failed.action,
                    operation: &reply.operation,
                    status_code: reply.status_code,
                    code: reply.code.as_deref(),
                    message: reply.message.as_deref(),
                    bucket: &failed.bucket,
                    key: &failed.key,
                    account_id: None,
                    request_id: None,
                    host_id: None,
                };
                to_py_err(py, &reply.into_error().into())
            }
            _ => to_py_err(py, error),
        };
        if matches!(error, Error::S3Client(_)) {
            explained.set_cause(py, Some(self.raised.clone_ref(py)));
        }
        explained
    }
}

impl ErrorReplyOfService {
    fn read(error: &Bound<'_, PyBaseException>) -> PyResult<Self> {
        let response = error.getattr(intern!(error.py(), "response"))?;
        let part = |name: &str| response.get_item(name).ok();
        let text = |name: &str| part("Error").and_then(|it| it.get_item(name).ok()).and_then(|it| it.extract().ok());
        let status = part("ResponseMetadata").and_then(|it| it.get_item("HTTPStatusCode").ok());
        Ok(Self {
            operation: error.getattr(intern!(error.py(), "operation_name"))?.extract()?,
            // A service that refuses without a status has refused all the same.
            status_code: status.and_then(|it| it.extract().ok()).unwrap_or(400),
            code: text("Code"),
            message: text("Message"),
        })
    }
}

/// Whether an exception is of one of botocore's classes. Where one was raised, its module is loaded.
fn is_from_botocore(py: Python<'_>, raised: &PyErr, class: &str) -> PyResult<bool> {
    let modules = py.import(intern!(py, "sys"))?.getattr(intern!(py, "modules"))?;
    let Ok(module) = modules.get_item(intern!(py, "botocore.exceptions")) else { return Ok(false) };
    raised.value(py).is_instance(&module.getattr(class)?)
}

/// What the reference makes of an exception that it does not know.
fn as_call_error(py: Python<'_>, raised: PyErr) -> PyResult<PyErr> {
    let exceptions = py.import(intern!(py, "rusty_attachments.exceptions"))?;
    let is_known = raised.value(py).is_instance(&exceptions.getattr("JobAttachmentsError")?)?;
    if is_known || !raised.is_instance_of::<PyException>(py) {
        return Ok(raised);
    }
    let error = call(&exceptions.getattr("AssetSyncError")?, (raised.value(py),))?;
    let error = PyErr::from_value(error);
    error.set_cause(py, Some(raised));
    Ok(error)
}

/// `get_frozen_credentials` fetches new ones where the old ones end soon.
fn fetch(session: &Bound<'_, PyAny>) -> PyResult<Credentials> {
    let py = session.py();
    let credentials = call_method(session, intern!(py, "get_credentials"), ())?;
    if credentials.is_none() {
        return Err(pyo3::exceptions::PyRuntimeError::new_err("Unable to locate credentials"));
    }
    let frozen = call_method(&credentials, intern!(py, "get_frozen_credentials"), ())?;
    let text = |name: &Bound<'_, pyo3::types::PyString>| -> PyResult<Option<String>> {
        match frozen.getattr_opt(name)? {
            Some(value) if !value.is_none() => value.extract().map(Some),
            _ => Ok(None),
        }
    };
    let account_id = match text(intern!(py, "account_id"))? {
        Some(account) => Some(account),
        None => match credentials.getattr_opt(intern!(py, "account_id"))? {
            Some(value) => value.extract().unwrap_or(None),
            None => None,
        },
    };
    Ok(Credentials {
        access_key_id: text(intern!(py, "access_key"))?.unwrap_or_default(),
        secret_access_key: text(intern!(py, "secret_key"))?.unwrap_or_default(),
        // As botocore, which sends no empty one.
        session_token: text(intern!(py, "token"))?.filter(|token| !token.is_empty()),
        expires: None,
        account_id,
    })
}
