//! From options and environment to a client.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::{RetryConfig, RetryPartition, TokenBucket};
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{IdentityCache, Region, RequestChecksumCalculation, ResponseChecksumValidation};
use aws_sdk_s3::config::{SharedHttpClient, StalledStreamProtectionConfig};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{HttpClient, HttpConnectorSettings, SharedHttpConnector};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::shared::IntoShared;

use super::endpoint::Endpoint;
use super::errors::{OutageClassifier, Signals, SignalsInterceptor};
use super::identity::{Identity, IdentityProvider};
use super::redirect::Redirects;
use super::{S3Options, S3Store};
use crate::error::{Error, Result};

/// Attempts of one request. With the waits between them they outlast the retry budget, which is what ends a request.
const MAX_ATTEMPTS: u32 = 60;
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const STS_TIMEOUT: Duration = Duration::from_secs(3);

/// What clients of one process share: connections, and which account a key belongs to. Clones share it.
#[derive(Debug, Clone)]
pub struct S3Shared {
    http: SharedHttpClient,
    accounts: Arc<Mutex<HashMap<String, Option<String>>>>,
    endpoints: Arc<Mutex<HashMap<String, Arc<Endpoint>>>>,
}

impl S3Shared {
    /// Reads `AWS_CA_BUNDLE` and the proxy variables; opens no connection.
    ///
    /// # Errors
    /// Where the CA bundle can't be read or used.
    pub fn new() -> Result<Self> {
        Ok(Self { http: http_client()?, accounts: Arc::default(), endpoints: Arc::default() })
    }

    /// What is known of an endpoint; AWS's own is the one without a URL.
    fn endpoint(&self, url: Option<&str>) -> Arc<Endpoint> {
        let mut endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        let known = endpoints.entry(url.unwrap_or_default().to_owned());
        Arc::clone(known.or_insert_with(|| Arc::new(Endpoint::new(url.is_none()))))
    }
}

pub(super) async fn connect(common: &S3Shared, mut options: S3Options) -> Result<S3Store> {
    let http = common.http.clone();
    let shared = load(&options, &http).await;
    let identity = Arc::new(match &options.credentials {
        Some(source) => Identity::from_caller(Arc::clone(source)),
        None => Identity::from_chain(shared.credentials_provider().ok_or_else(|| {
            Error::InvalidArgument("The AWS configuration has no way to get credentials.".to_owned())
        })?),
    });
    let endpoint = endpoint_url(&options);
    let region = shared.region().cloned().unwrap_or_else(|| Region::from_static("us-east-1"));
    let expected_owner = account_id(common, &options, (&shared, &region), &identity, endpoint.is_some()).await;
    let signals = Arc::new(Signals::default());
    let mut builder = aws_sdk_s3::config::Builder::from(&shared)
        .region(region)
        .http_client(http)
        .identity_cache(IdentityCache::no_cache())
        .credentials_provider(SharedCredentialsProvider::new(IdentityProvider(Arc::clone(&identity))))
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(MAX_ATTEMPTS)
                .with_initial_backoff(FIRST_BACKOFF)
                .with_max_backoff(LONGEST_BACKOFF),
        )
        // The SDK's bucket is for a client that makes one kind of request; a burst of errors among hundreds of
        // requests would empty it and fail them all. Here time limits retries, and concurrency falls instead.
        .retry_partition(RetryPartition::custom("job-attachments").token_bucket(TokenBucket::unlimited()).build())
        .retry_classifier(OutageClassifier(Arc::clone(&signals)))
        // The reply to a small request that stalls is asked for again, as a body that stalls is.
        .timeout_config(
            TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(options.stall_limit).build(),
        )
        // Bodies are watched by this crate, which counts their bytes anyway.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        // Contents are checked against their own hash.
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .interceptor(SignalsInterceptor(Arc::clone(&signals)));
    options.checksums &= shared.request_checksum_calculation() != Some(RequestChecksumCalculation::WhenRequired);
    if !options.checksums {
        builder = builder.request_checksum_calculation(RequestChecksumCalculation::WhenRequired);
    }
    let place =
        format!("{}|{}", endpoint.as_deref().unwrap_or_default(), expected_owner.as_deref().unwrap_or_default());
    let known = common.endpoint(endpoint.as_deref());
    if let Some(endpoint) = endpoint {
        // As botocore does: a host of one's own rarely has a name for every bucket.
        builder = builder.endpoint_url(endpoint).force_path_style(true);
    }
    Ok(S3Store {
        client: Client::from_conf(builder.build()),
        identity,
        signals,
        endpoint: known,
        redirects: Redirects::default(),
        expected_owner,
        place,
        options,
    })
}

async fn load(options: &S3Options, http: &SharedHttpClient) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http.clone());
    if let Some(region) = &options.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(profile) = &options.profile {
        loader = loader.profile_name(profile);
    }
    if options.credentials.is_some() {
        loader = loader.no_credentials();
    }
    loader.load().await
}

/// The endpoint that was asked for by name. The SDK also reads profiles; those it applies by itself.
fn endpoint_url(options: &S3Options) -> Option<String> {
    let from_environment = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    options
        .endpoint_url
        .clone()
        .or_else(|| from_environment("AWS_ENDPOINT_URL_S3"))
        .or_else(|| from_environment("AWS_ENDPOINT_URL"))
}

/// An HTTP client that makes connectors when they are asked for.
///
/// The SDK's own also makes one whenever a client of S3 is built, and drops it, so that certificates are read early. For a
/// call of few requests, reading the system's hundreds of certificates would be most of the work.
#[derive(Debug)]
struct OnDemand(SharedHttpClient);

impl HttpClient for OnDemand {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        self.0.http_connector(settings, components)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.0.connector_metadata()
    }
}

fn http_client() -> Result<SharedHttpClient> {
    let tls = tls_context()?;
    Ok(OnDemand(Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = Connector::builder()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .tls_context(tls.clone())
            .proxy_config(ProxyConfig::from_env());
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        connector.build()
    }))
    .into_shared())
}

/// The system's trust store and, as botocore reads it, `AWS_CA_BUNDLE`.
fn tls_context() -> Result<TlsContext> {
    let mut trust = TrustStore::default();
    if let Some(path) = std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()) {
        let path = std::path::PathBuf::from(path);
        // Read once at the start of a client, not on a path that many files share.
        let pem = std::fs::read(&path).map_err(|error| Error::io("read the CA bundle", path, error))?;
        trust = TrustStore::empty().with_pem_certificate(pem);
    }
    TlsContext::builder()
        .with_trust_store(trust)
        .build()
        .map_err(|error| Error::InvalidArgument(format!("The TLS configuration can't be used: {error}")))
}

/// The account that the credentials belong to: as they say themselves, else as STS says, else unknown.
///
/// STS is not asked where S3 is somewhere else than at AWS and STS was not pointed there too: credentials of another
/// store are nothing to send to AWS.
async fn account_id(
    common: &S3Shared,
    options: &S3Options,
    (shared, region): (&SdkConfig, &Region),
    identity: &Arc<Identity>,
    custom_endpoint: bool,
) -> Option<String> {
    if !options.check_bucket_owner {
        return None;
    }
    let credentials = identity.credentials().await.ok()?;
    if let Some(account) = credentials.account_id() {
        return Some(account.as_str().to_owned());
    }
    let sts_endpoint = ["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"].iter().any(|name| std::env::var_os(name).is_some());
    if custom_endpoint && !sts_endpoint {
        return None;
    }
    let key = credentials.access_key_id().to_owned();
    if let Some(known) = common.accounts.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return known.clone();
    }
    let account = ask_sts(shared, region, identity).await;
    common.accounts.lock().unwrap_or_else(PoisonError::into_inner).insert(key, account.clone());
    account
}

async fn ask_sts(shared: &SdkConfig, region: &Region, identity: &Arc<Identity>) -> Option<String> {
    let config = aws_sdk_sts::config::Builder::from(shared)
        .region(region.clone())
        .credentials_provider(SharedCredentialsProvider::new(IdentityProvider(Arc::clone(identity))))
        .retry_config(RetryConfig::disabled())
        // The reply to a small request that stalls is asked for again, as a body that stalls is.
        .timeout_config(TimeoutConfig::builder().operation_timeout(STS_TIMEOUT).build())
        .build();
    let answer = aws_sdk_sts::Client::from_conf(config).get_caller_identity().send().await.ok()?;
    answer.account().map(str::to_owned)
}
