//! Credentials from the caller's boto3 session, fetched on the caller's thread.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use pyo3::intern;
use pyo3::prelude::*;
use tokio::sync::oneshot;

use super::pump::{Message, Post};
use crate::store::credentials::{CredentialSource, SessionCredentials};

/// A worker's wish for credentials.
pub(super) struct CredentialRequest(oneshot::Sender<Result<SessionCredentials, String>>);

/// The source that workers see: it asks the pump.
#[derive(Debug)]
pub(super) struct CallerCredentials(Post);

impl CallerCredentials {
    pub(super) fn source(post: Post) -> Arc<dyn CredentialSource> {
        Arc::new(Self(post))
    }
}

impl CredentialSource for CallerCredentials {
    fn fetch(&self) -> BoxFuture<'_, Result<SessionCredentials, String>> {
        Box::pin(async move {
            let (sender, receiver) = oneshot::channel();
            self.0.send(Message::Credentials(CredentialRequest(sender)));
            receiver.await.unwrap_or_else(|_| Err("the call that brought the session has ended".to_owned()))
        })
    }
}

impl CredentialRequest {
    /// Asks the session. Its exception becomes the text of the worker's error.
    pub(super) fn answer(self, py: Python<'_>, session: Option<&Py<PyAny>>) {
        let credentials = match session {
            Some(session) => fetch(session.bind(py)).map_err(|error| error.to_string()),
            None => Err("no session was given".to_owned()),
        };
        // A worker that has gone away has no use for them.
        let _ = self.0.send(credentials);
    }
}

/// `get_frozen_credentials` fetches new ones where the old ones end soon.
fn fetch(session: &Bound<'_, PyAny>) -> PyResult<SessionCredentials> {
    let py = session.py();
    let credentials = session.call_method0(intern!(py, "get_credentials"))?;
    if credentials.is_none() {
        return Err(pyo3::exceptions::PyRuntimeError::new_err("Unable to locate credentials"));
    }
    let frozen = credentials.call_method0(intern!(py, "get_frozen_credentials"))?;
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
    Ok(SessionCredentials {
        access_key_id: text(intern!(py, "access_key"))?.unwrap_or_default(),
        secret_access_key: text(intern!(py, "secret_key"))?.unwrap_or_default(),
        session_token: text(intern!(py, "token"))?,
        expires: None,
        account_id,
    })
}
