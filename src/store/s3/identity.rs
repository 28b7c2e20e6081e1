//! Credentials, cached here rather than in the SDK, so that an `ExpiredToken` reply can drop them at once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};

use crate::store::credentials::CredentialSource;

/// How long before their end credentials are fetched anew, as botocore does for its advisory refresh.
const REFRESH_BEFORE: Duration = Duration::from_mins(2);
/// How long credentials without an end are kept before the caller's session is asked again. Asking is cheap there: the
/// session caches on its own.
const KEEP_UNDATED: Duration = Duration::from_mins(1);

/// Where credentials come from, and the last ones that came.
#[derive(Debug)]
pub(super) struct Identity {
    source: Source,
    /// One fetch at a time; the others wait for it and find its result.
    fetching: tokio::sync::Mutex<()>,
    current: Mutex<Option<Cached>>,
}

#[derive(Debug)]
enum Source {
    Chain(SharedCredentialsProvider),
    Caller(Arc<dyn CredentialSource>),
}

#[derive(Debug, Clone)]
struct Cached {
    credentials: Credentials,
    refresh_at: SystemTime,
    fetched_at: Instant,
}

impl Identity {
    pub(super) fn from_chain(provider: SharedCredentialsProvider) -> Self {
        Self::new(Source::Chain(provider))
    }

    pub(super) fn from_caller(source: Arc<dyn CredentialSource>) -> Self {
        Self::new(Source::Caller(source))
    }

    fn new(source: Source) -> Self {
        Self { source, fetching: tokio::sync::Mutex::new(()), current: Mutex::new(None) }
    }

    /// Drops the cached credentials if a request that began then can have used them, so that the next one fetches new ones.
    /// Of many requests that fail together, only the first makes that happen.
    pub(super) fn invalidate(&self, request_began: Instant) {
        let mut current = self.lock();
        if current.as_ref().is_some_and(|cached| cached.fetched_at <= request_began) {
            *current = None;
        }
    }

    pub(super) async fn credentials(&self) -> Result<Credentials, CredentialsError> {
        if let Some(credentials) = self.fresh() {
            return Ok(credentials);
        }
        let _turn = self.fetching.lock().await;
        if let Some(credentials) = self.fresh() {
            return Ok(credentials);
        }
        let credentials = self.fetch().await?;
        let refresh_at = credentials
            .expiry()
            .map_or_else(|| SystemTime::now() + KEEP_UNDATED, |end| end.checked_sub(REFRESH_BEFORE).unwrap_or(end));
        *self.lock() = Some(Cached { credentials: credentials.clone(), refresh_at, fetched_at: Instant::now() });
        Ok(credentials)
    }

    fn fresh(&self) -> Option<Credentials> {
        let current = self.lock();
        current.as_ref().filter(|cached| SystemTime::now() < cached.refresh_at).map(|cached| cached.credentials.clone())
    }

    async fn fetch(&self) -> Result<Credentials, CredentialsError> {
        match &self.source {
            Source::Chain(provider) => provider.provide_credentials().await,
            Source::Caller(source) => {
                let session = source.fetch().await.map_err(CredentialsError::provider_error)?;
                let mut builder = Credentials::builder()
                    .access_key_id(session.access_key_id)
                    .secret_access_key(session.secret_access_key)
                    .provider_name("caller's session");
                builder.set_session_token(session.session_token);
                builder.set_expiry(session.expires);
                builder.set_account_id(session.account_id.map(Into::into));
                Ok(builder.build())
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Cached>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the SDK sees.
#[derive(Debug)]
pub(super) struct IdentityProvider(pub(super) Arc<Identity>);

impl ProvideCredentials for IdentityProvider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.0.credentials())
    }
}
