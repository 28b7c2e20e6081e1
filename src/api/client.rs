//! The client: S3 with the configuration that a program gives it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::error::Result;
use crate::store::credentials::{CredentialSource, Credentials};
use crate::store::s3::{S3Options, S3Shared, S3Store};

/// Moves files to and from S3. Clones share connections.
///
/// A client belongs to the Tokio runtime that made it: its connections end with that runtime.
#[derive(Debug, Clone)]
pub struct Client {
    pub(super) store: Arc<S3Store>,
}

impl Client {
    /// A client with the configuration of the environment and of the AWS profiles: region, endpoint, credentials.
    ///
    /// # Errors
    /// [`crate::Error::Configuration`] for a configuration that can't be used.
    pub async fn from_env() -> Result<Self> {
        Self::builder().build().await
    }

    /// A client with some of the configuration given. What is not given comes from the environment and the profiles.
    pub fn builder() -> ClientBuilder {
        ClientBuilder { options: S3Options::default() }
    }
}

/// The configuration of a [`Client`].
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it builds"]
pub struct ClientBuilder {
    pub(super) options: S3Options,
}

impl ClientBuilder {
    /// The AWS region; else that of the environment or profile, else `us-east-1`.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.options.region = Some(region.into());
        self
    }

    /// The endpoint, for servers that speak S3's protocol.
    pub fn endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.options.endpoint_url = Some(url.into());
        self
    }

    /// The profile of the AWS configuration files.
    pub fn profile(mut self, name: impl Into<String>) -> Self {
        self.options.profile = Some(name.into());
        self
    }

    /// Credentials that do not change.
    pub fn credentials(self, credentials: Credentials) -> Self {
        self.credential_source(Fixed(credentials))
    }

    /// Where credentials come from. It is asked again before they expire.
    pub fn credential_source(mut self, source: impl CredentialSource) -> Self {
        self.options.credentials = Some(Arc::new(source));
        self
    }

    /// The most requests under way at once.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.options.max_connections = connections;
        self
    }

    /// How long failures may come, without any success between them, before a request fails.
    pub fn retry_budget(mut self, budget: Duration) -> Self {
        self.options.retry_budget = budget;
        self
    }

    /// How long a request may show no sign of life before it is made again.
    pub fn stall_limit(mut self, limit: Duration) -> Self {
        self.options.stall_limit = limit;
        self
    }

    /// Whether requests carry checksums that S3 does not ask for; off for servers that reject them.
    pub fn checksums(mut self, checksums: bool) -> Self {
        self.options.checksums = checksums;
        self
    }

    /// Whether requests name the account that the bucket has to belong to, which is that of the credentials.
    pub fn check_bucket_owner(mut self, check: bool) -> Self {
        self.options.check_bucket_owner = check;
        self
    }

    /// Reads the rest of the configuration and prepares the client. No request is sent to S3; one may be sent to STS to learn
    /// the account.
    ///
    /// # Errors
    /// [`crate::Error::Configuration`] for a configuration that can't be used.
    pub async fn build(self) -> Result<Client> {
        let store = S3Store::connect(&S3Shared::new(), self.options).await?;
        Ok(Client { store: Arc::new(store) })
    }
}

#[derive(Debug)]
struct Fixed(Credentials);

impl CredentialSource for Fixed {
    fn fetch(&self) -> BoxFuture<'_, Result<Credentials, String>> {
        Box::pin(std::future::ready(Ok(self.0.clone())))
    }
}
