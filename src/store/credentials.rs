//! Credentials that come from the caller, as a boto3 session hands them out.

use std::time::SystemTime;

use futures_util::future::BoxFuture;

/// AWS credentials at one moment.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: String,
    /// Session token of temporary credentials.
    pub session_token: Option<String>,
    /// When they stop working, where that is known.
    pub expires: Option<SystemTime>,
    /// The account that they belong to, where that is known.
    pub account_id: Option<String>,
}

impl Credentials {
    /// The keys of a user, which do not expire.
    #[must_use]
    pub fn new(access_key_id: impl Into<String>, secret_access_key: impl Into<String>) -> Self {
        Self {
            access_key_id: access_key_id.into(),
            secret_access_key: secret_access_key.into(),
            session_token: None,
            expires: None,
            account_id: None,
        }
    }

    /// The session token of temporary credentials.
    #[must_use]
    pub fn session_token(mut self, token: impl Into<String>) -> Self {
        self.session_token = Some(token.into());
        self
    }
}

impl std::fmt::Debug for Credentials {
    /// Without the secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// Something that hands out credentials and is asked again whenever they expire.
pub trait CredentialSource: Send + Sync + std::fmt::Debug + 'static {
    /// Fresh credentials, or why there are none.
    fn fetch(&self) -> BoxFuture<'_, Result<Credentials, String>>;
}
