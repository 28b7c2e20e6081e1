//! From options and environment to a client.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::attempts::{BACKOFF, MAX_ATTEMPTS};
use super::endpoint::Endpoint;
use super::environment::Environment;
use super::errors::{Messages, OutageClassifier};
use super::http::Clients;
use super::identity::{Identity, IdentityProvider};
use super::redirect::Redirects;
use super::settings::{self, Origin, Resolved, S3Settings};
use super::traffic::{Gate, GatedClient, Link, RateLimits, Route, Signals};
use super::{Connection, S3Options, S3Store};
use crate::error::{Error, Result};
use aws_config::ecs::EcsCredentialsProvider;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::{RetryConfig, RetryPartition, TokenBucket};
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{IdentityCache, Region, RequestChecksumCalculation, ResponseChecksumValidation};
use aws_sdk_s3::config::{SharedHttpClient, StalledStreamProtectionConfig};
use parking_lot::Mutex;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Where nothing names a region. Buckets of another one are found by S3's redirect.
const DEFAULT_REGION: &str = "us-east-1";
const STS_TIMEOUT: Duration = Duration::from_secs(3);

/// What clients of one process share: connections, and which account a key belongs to. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct S3Shared {
    clients: Clients,
    accounts: Arc<Mutex<HashMap<String, Option<String>>>>,
    endpoints: Arc<Mutex<HashMap<String, Arc<Endpoint>>>>,
    link: Arc<Link>,
    routes: Arc<Mutex<HashMap<String, Arc<Route>>>>,
}

impl S3Shared {
    /// Opens no connection.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// What a client's attempts pass on their way to an endpoint.
    fn gate(&self, url: Option<&str>, options: &S3Options) -> Gate {
        self.link.fit();
        let mut routes = self.routes.lock();
        let route = routes.entry(url.unwrap_or_default().to_owned()).or_insert_with(|| Arc::new(Route::new()));
        Gate {
            link: Arc::clone(&self.link),
            route: Arc::clone(route),
            signals: Arc::new(Signals::new(options.retry_budget, route, &self.link)),
            stall_limit: options.stall_limit,
            limits: options.bytes_per_second.map(|rate| Arc::new(RateLimits::new(rate))),
        }
    }

    /// What is known of an endpoint; AWS's own is the one without a URL.
    fn endpoint(&self, url: Option<&str>) -> Arc<Endpoint> {
        let mut endpoints = self.endpoints.lock();
        let known = endpoints.entry(url.unwrap_or_default().to_owned());
        Arc::clone(known.or_insert_with(|| Arc::new(Endpoint::new(url.is_none()))))
    }
}

pub(super) async fn connect(common: &S3Shared, mut options: S3Options) -> Result<S3Store> {
    let resolved = settings::resolve(&options, &Environment::of_process())?;
    let http = common.clients.client(&resolved.trust, &resolved.proxies)?;
    let shared = load(&resolved, &http, options.unsigned).await;
    options.check_bucket_owner &= !options.unsigned;
    let identity = Arc::new(match &options.credentials {
        Some(source) => Identity::from_caller(Arc::clone(source)),
        None if options.unsigned => Identity::from_environment(),
        None => identity(&resolved, &shared, &http)?,
    });
    let settings = &resolved.settings;
    let region = shared.region().cloned().unwrap_or_else(|| Region::from_static(DEFAULT_REGION));
    let builder_region = region.to_string();
    let expected_owner = account_id(common, &options, &shared, settings, &identity).await;
    let gate = common.gate(settings.endpoint_url.as_deref(), &options);
    let signals = Arc::clone(&gate.signals);
    let mut builder = aws_sdk_s3::config::Builder::from(&shared)
        .region(region)
        .http_client(GatedClient { inner: http, gate })
        .identity_cache(IdentityCache::no_cache())
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(MAX_ATTEMPTS)
                .with_initial_backoff(BACKOFF.first)
                .with_max_backoff(BACKOFF.longest),
        )
        // The SDK's bucket is for a client that makes one kind of request; a burst of errors among hundreds of
        // requests would empty it and fail them all. Here time limits retries, and requests are spaced instead.
        .retry_partition(RetryPartition::custom("job-attachments").token_bucket(TokenBucket::unlimited()).build())
        .retry_classifier(OutageClassifier(Arc::clone(&signals)))
        // Once connected, an attempt lasts as long as bytes move: the gate sees to that.
        .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).build())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        // Contents are checked against their own hash.
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .interceptor(Messages);
    builder = if options.unsigned {
        builder.allow_no_auth()
    } else {
        builder.credentials_provider(SharedCredentialsProvider::new(IdentityProvider(Arc::clone(&identity))))
    };
    options.checksums &= !settings.checksums_when_required;
    if !options.checksums {
        builder = builder.request_checksum_calculation(RequestChecksumCalculation::WhenRequired);
    }
    let endpoint = settings.endpoint_url.as_deref();
    let place = format!("{}|{}", endpoint.unwrap_or_default(), expected_owner.as_deref().unwrap_or_default());
    let known = common.endpoint(endpoint);
    builder = builder.force_path_style(settings.path_style()).accelerate(settings.use_accelerate);
    // Also where there is none: the SDK takes an empty variable for an endpoint.
    builder.set_endpoint_url(endpoint.map(|endpoint| with_closed_path(endpoint).into_owned()));
    // The switches name AWS's own endpoints, and the SDK refuses them beside another one.
    let at_aws = endpoint.is_none();
    builder = builder.use_fips(settings.use_fips && at_aws).use_dual_stack(settings.use_dualstack && at_aws);
    let connection = connection_of(&resolved, &options, builder_region);
    Ok(S3Store {
        client: Client::from_conf(builder.build()),
        connection,
        identity,
        signals,
        endpoint: known,
        redirects: Redirects::default(),
        expected_owner,
        place,
        options,
    })
}

/// What can be said of a connection before the first request.
fn connection_of(resolved: &Resolved, options: &S3Options, region: String) -> Connection {
    let place = match (&options.credentials, &resolved.origin) {
        (Some(_), _) => "the caller",
        (None, Some(origin)) => origin.place(),
        (None, None) => "the environment and the profiles",
    };
    Connection {
        region,
        endpoint_url: resolved.settings.endpoint_url.clone(),
        credentials: (!options.unsigned).then(|| place.to_owned()),
        ca_bundle: resolved.settings.ca_bundle.as_ref().map(|(path, _)| path.clone()),
    }
}

/// The SDK puts the bucket's name behind the path as it is, and so would make one name of both.
fn with_closed_path(endpoint: &str) -> std::borrow::Cow<'_, str> {
    let path = endpoint.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
    if path.is_empty() || path.ends_with('/') { endpoint.into() } else { format!("{endpoint}/").into() }
}

/// What the SDK's clients share. All that was decided already is given to it, so that it looks nothing up by itself: it would
/// ask the instance for a region, and it panics at retry modes that it does not know.
async fn load(resolved: &Resolved, http: &SharedHttpClient, unsigned: bool) -> SdkConfig {
    let settings = &resolved.settings;
    let elsewhere = settings.sts_endpoint_url.is_some();
    let loader = aws_config::defaults(BehaviorVersion::latest());
    let loader = if unsigned { loader.no_credentials() } else { loader };
    loader
        .http_client(http.clone())
        .region(Region::new(settings.region.clone().unwrap_or_else(|| DEFAULT_REGION.to_owned())))
        .profile_files(profile_files(resolved))
        .profile_name(&resolved.sdk_profile.1)
        .retry_config(RetryConfig::standard())
        .use_fips(settings.use_fips && !elsewhere)
        .use_dual_stack(settings.use_dualstack && !elsewhere)
        .load()
        .await
}

fn profile_files(resolved: &Resolved) -> EnvConfigFiles {
    EnvConfigFiles::builder().with_contents(EnvConfigFileKind::Config, resolved.sdk_profile.0.clone()).build()
}

/// Where credentials come from without a caller's session.
fn identity(resolved: &Resolved, shared: &SdkConfig, http: &SharedHttpClient) -> Result<Identity> {
    let chain = if resolved.named_profile {
        Some(without_environment(resolved, shared, http))
    } else {
        shared.credentials_provider()
    };
    let missing = || Error::InvalidArgument("The AWS configuration has no way to get credentials.".to_owned());
    Ok(match resolved.origin.clone() {
        Some(Origin::Environment) => Identity::from_environment(),
        Some(Origin::Keys(keys)) => Identity::from_keys(keys),
        origin => Identity::from_chain(chain.ok_or_else(missing)?, origin),
    })
}

/// The SDK's default providers, but for the environment's: a profile by name was asked for.
fn without_environment(resolved: &Resolved, shared: &SdkConfig, http: &SharedHttpClient) -> SharedCredentialsProvider {
    let config = ProviderConfig::without_region().with_http_client(http.clone()).with_region(shared.region().cloned());
    let profile = ProfileFileCredentialsProvider::builder()
        .profile_files(profile_files(resolved))
        .profile_name(&resolved.sdk_profile.1)
        .configure(&config)
        .build();
    let container = EcsCredentialsProvider::builder().configure(&config).build();
    let instance = ImdsCredentialsProvider::builder().configure(&config).build();
    let chain = CredentialsProviderChain::first_try("Profile", profile)
        .or_else("EcsContainer", container)
        .or_else("Ec2InstanceMetadata", instance);
    SharedCredentialsProvider::new(chain)
}

/// The account that the credentials belong to: as they say themselves, else as STS says, else unknown.
///
/// STS is not asked where S3 is somewhere else than at AWS and STS was not pointed there too: credentials of another
/// store are nothing to send to AWS.
async fn account_id(
    common: &S3Shared,
    options: &S3Options,
    shared: &SdkConfig,
    settings: &S3Settings,
    identity: &Arc<Identity>,
) -> Option<String> {
    if !options.check_bucket_owner {
        return None;
    }
    let credentials = identity.credentials().await.ok()?;
    if let Some(account) = credentials.account_id() {
        return Some(account.as_str().to_owned());
    }
    if settings.endpoint_url.is_some() && settings.sts_endpoint_url.is_none() {
        return None;
    }
    let key = credentials.access_key_id().to_owned();
    if let Some(known) = common.accounts.lock().get(&key) {
        return known.clone();
    }
    let account = ask_sts(shared, settings, identity).await;
    common.accounts.lock().insert(key, account.clone());
    account
}

async fn ask_sts(shared: &SdkConfig, settings: &S3Settings, identity: &Arc<Identity>) -> Option<String> {
    let mut config = aws_sdk_sts::config::Builder::from(shared)
        .credentials_provider(SharedCredentialsProvider::new(IdentityProvider(Arc::clone(identity))))
        .retry_config(RetryConfig::disabled())
        // The reply to a small request that stalls is asked for again, as a body that stalls is.
        .timeout_config(TimeoutConfig::builder().operation_timeout(STS_TIMEOUT).build());
    config.set_endpoint_url(settings.sts_endpoint_url.clone());
    let answer = aws_sdk_sts::Client::from_conf(config.build()).get_caller_identity().send().await.ok()?;
    answer.account().map(str::to_owned)
}
