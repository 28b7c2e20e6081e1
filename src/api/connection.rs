//! How a client reaches S3, and how that goes.

use std::path::PathBuf;
use std::time::Duration;

use super::{Client, ClientBuilder};

/// Where the requests of a client go and who signs them. It has no secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Connection {
    /// The region that requests are signed for.
    pub region: String,
    /// The endpoint, if it is not AWS's.
    pub endpoint_url: Option<String>,
    /// Where credentials come from, in words; `None` where requests are not signed.
    pub credentials: Option<String>,
    /// The account of the credentials, where it is known.
    pub account_id: Option<String>,
    /// The file with the certificates to trust, if they are not the system's.
    pub ca_bundle: Option<PathBuf>,
}

/// Failures that a client is retrying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retrying {
    /// What kind of failures they are.
    pub cause: RetryCause,
    /// For how long there were failures and no success.
    pub lasting: Duration,
}

/// Why requests are repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetryCause {
    /// S3 answers that it is busy or has failed.
    Refused,
    /// No connection can be made.
    Unreachable,
    /// Connections break, or no reply comes.
    Silence,
}

impl ClientBuilder {
    /// The file with the certificates to trust (PEM); else that of the environment or profile, else the system's.
    pub fn ca_bundle(mut self, path: impl Into<PathBuf>) -> Self {
        self.options.ca_bundle = Some(path.into());
        self
    }

    /// The most bytes a second that the contents of files may take on their way to S3, and as many on their way from it. All
    /// transfers of this client share it.
    pub fn limit_rate(mut self, bytes_per_second: u64) -> Self {
        self.options.bytes_per_second = Some(bytes_per_second.max(1));
        self
    }

    /// Sends requests without a signature, for buckets that everyone may read. No credentials are looked for.
    pub fn no_sign_request(mut self) -> Self {
        self.options.unsigned = true;
        self
    }
}

impl Client {
    /// Where requests go and who signs them.
    #[must_use]
    pub fn connection(&self) -> Connection {
        let connection = self.store.connection().clone();
        Connection {
            region: connection.region,
            endpoint_url: connection.endpoint_url,
            credentials: connection.credentials,
            account_id: self.store.account_id().map(str::to_owned),
            ca_bundle: connection.ca_bundle,
        }
    }

    /// The failures that are being retried right now; `None` once a request has had success.
    #[must_use]
    pub fn retrying(&self) -> Option<Retrying> {
        let failure = self.store.trouble()?;
        let cause = match (failure.is_unreachable, failure.is_silence) {
            (true, _) => RetryCause::Unreachable,
            (false, true) => RetryCause::Silence,
            (false, false) => RetryCause::Refused,
        };
        Some(Retrying { cause, lasting: failure.lasting })
    }
}
