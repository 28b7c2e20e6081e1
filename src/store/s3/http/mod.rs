//! HTTP: connections by trust and proxy.
//!
//! The SDK's client knows one proxy for everything and reads certificates for plain HTTP too. A [`Router`] stands before
//! several of its connectors and chooses one for each request.

mod proxies;
mod self_signed;
mod trust;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_sdk_s3::config::SharedHttpClient;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::shared::IntoShared;
use parking_lot::{Mutex, RwLock};

pub(super) use proxies::Proxies;
use rustls::CertificateError;
use self_signed::SelfSigned;
use trust::Anchors;
pub(super) use trust::Trust;

use crate::error::{ConfigurationError, Error, Result};

/// Idle connections to one host that are kept, and for how long: they go when they are next looked at, which is as often. Each
/// has a descriptor and a read buffer of up to 400 KiB.
const IDLE_CONNECTIONS: usize = 128;
const IDLE_TIMEOUT: Duration = Duration::from_secs(6);

/// Clients of one process. One that was built is kept with its connections.
#[derive(Debug, Clone, Default)]
pub(super) struct Clients(Arc<Mutex<BTreeMap<(Trust, Proxies), SharedHttpClient>>>);

/// More than this many configurations in one process are those of tests, or a bundle that is rewritten again and again.
const MOST_CLIENTS: usize = 16;

impl Clients {
    /// The client for a choice of certificates and proxies.
    ///
    /// # Errors
    /// Where the certificates can't be read.
    pub(super) fn client(&self, trust: &Trust, proxies: &Proxies) -> Result<SharedHttpClient> {
        let mut clients = self.0.lock();
        let key = (trust.clone(), proxies.clone());
        if let Some(known) = clients.get(&key) {
            return Ok(known.clone());
        }
        if clients.len() >= MOST_CLIENTS {
            clients.clear();
        }
        let client = Client::new(trust, proxies)?.into_shared();
        clients.insert(key, client);
        Ok(clients[&(trust.clone(), proxies.clone())].clone())
    }
}

/// Certificates: read at once where an error should be seen at once, else when a request needs them.
#[derive(Debug)]
struct Certificates {
    trust: Trust,
    anchors: OnceLock<Anchors>,
}

impl Certificates {
    fn anchors(&self) -> Result<&Anchors> {
        if self.anchors.get().is_none() {
            // Another thread may have been faster: its result is the same.
            let _ = self.anchors.set(self.trust.read()?);
        }
        self.anchors.get().ok_or_else(|| Error::Sync("certificates were not kept".to_owned()))
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct TimeOuts {
    connect: Option<Duration>,
    read: Option<Duration>,
}

#[derive(Debug)]
struct Client {
    certificates: Arc<Certificates>,
    proxies: Arc<Proxies>,
    /// By time-outs, as the SDK keeps them: clients of S3 and of STS have different ones.
    connectors: RwLock<HashMap<TimeOuts, SharedHttpConnector>>,
}

impl Client {
    fn new(trust: &Trust, proxies: &Proxies) -> Result<Self> {
        let certificates = Certificates { trust: trust.clone(), anchors: OnceLock::new() };
        if *trust != Trust::System {
            certificates.anchors()?;
        }
        Ok(Self {
            certificates: Arc::new(certificates),
            proxies: Arc::new(proxies.clone()),
            connectors: RwLock::default(),
        })
    }
}

impl HttpClient for Client {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let key = TimeOuts { connect: settings.connect_timeout(), read: settings.read_timeout() };
        if let Some(known) = self.connectors.read().get(&key) {
            return known.clone();
        }
        let mut connectors = self.connectors.write();
        let router = || Router {
            certificates: Arc::clone(&self.certificates),
            proxies: Arc::clone(&self.proxies),
            settings: settings.clone(),
            components: components.clone(),
            plain: OnceLock::new(),
            others: Mutex::default(),
        };
        connectors.entry(key).or_insert_with(|| router().into_shared()).clone()
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        Some(ConnectorMetadata::new("hyper", Some("1.x".into())))
    }
}

/// Chooses a connector for each request.
#[derive(Debug)]
struct Router {
    certificates: Arc<Certificates>,
    proxies: Arc<Proxies>,
    settings: HttpConnectorSettings,
    components: RuntimeComponents,
    /// For plain HTTP without a proxy: no certificates are read.
    plain: OnceLock<SharedHttpConnector>,
    /// For TLS, and for each proxy.
    others: Mutex<HashMap<Option<String>, SharedHttpConnector>>,
}

impl Router {
    fn connector(&self, store: TrustStore, proxy: ProxyConfig) -> Result<SharedHttpConnector> {
        let tls = TlsContext::builder()
            .with_trust_store(store)
            .build()
            .map_err(|error| Error::InvalidArgument(format!("The TLS configuration can't be used: {error}")))?;
        let mut connector = Connector::builder()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .tls_context(tls)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .proxy_config(proxy);
        connector.set_connector_settings(Some(self.settings.clone()));
        connector.set_sleep_impl(self.components.sleep_impl());
        Ok(SharedHttpConnector::new(connector.build()))
    }

    fn plain(&self) -> Result<SharedHttpConnector> {
        if let Some(known) = self.plain.get() {
            return Ok(known.clone());
        }
        let made = self.connector(TrustStore::empty(), ProxyConfig::disabled())?;
        Ok(self.plain.get_or_init(|| made).clone())
    }

    fn other(&self, proxy: Option<String>) -> Result<SharedHttpConnector> {
        let mut others = self.others.lock();
        if let Some(known) = others.get(&proxy) {
            return Ok(known.clone());
        }
        let anchors = self.certificates.anchors()?;
        // Through a proxy the SDK's client is the only one that knows the way.
        if proxy.is_none() && self.certificates.trust != Trust::System && self_signed::names_servers(anchors) {
            let made = SharedHttpConnector::new(SelfSigned::new(anchors, &self.settings)?);
            others.insert(proxy, made.clone());
            return Ok(made);
        }
        let config = match &proxy {
            None => ProxyConfig::disabled(),
            Some(url) => ProxyConfig::all(url.as_str())
                .map_err(|error| ConfigurationError::new("the proxy", error.to_string()))?,
        };
        let made = self.connector(anchors.trust_store(), config)?;
        others.insert(proxy, made.clone());
        Ok(made)
    }

    fn route(&self, url: &str) -> Result<SharedHttpConnector> {
        let is_tls = url.starts_with("https:");
        let proxy = match (self.proxies.is_empty(), url.parse::<http::Uri>()) {
            (false, Ok(uri)) => self.proxies.proxy_for(&uri)?,
            _ => None,
        };
        if is_tls || proxy.is_some() { self.other(proxy) } else { self.plain() }
    }
}

impl HttpConnector for Router {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let url = request.uri();
        let connector = match self.route(url) {
            Ok(connector) => connector,
            Err(error) => return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into()))),
        };
        let host = url.strip_prefix("https://").and_then(|rest| rest.split(['/', '?']).next()).map(str::to_owned);
        let answer = connector.call(request);
        let Some(host) = host else { return answer };
        let certificates = Arc::clone(&self.certificates);
        HttpConnectorFuture::new(async move {
            answer.await.map_err(|error| match refused_certificate(&error) {
                Some(reason) => ConnectorError::user(untrusted(&host, reason, &certificates).into()),
                None => error,
            })
        })
    }
}

/// A certificate that is refused stays refused: the error is final, and says what it was checked against.
fn untrusted(host: &str, reason: &str, certificates: &Certificates) -> ConfigurationError {
    let checked = certificates.anchors().map_or_else(|error| error.to_string(), |anchors| anchors.description.clone());
    ConfigurationError::new(
        format!("the certificate of {host}"),
        format!(
            "it is not trusted ({reason}). It was checked against {checked}; AWS_CA_BUNDLE names other certificates"
        ),
    )
}

/// Why TLS refused the server's certificate, where that is what happened.
fn refused_certificate(error: &ConnectorError) -> Option<&'static str> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(rustls::Error::InvalidCertificate(reason)) = error.downcast_ref::<rustls::Error>() {
            return Some(refusal(reason));
        }
        // An I/O error's source is that of the error inside it.
        next = match error.downcast_ref::<std::io::Error>() {
            Some(error) => error.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static)),
            None => error.source(),
        };
    }
    None
}

fn refusal(reason: &CertificateError) -> &'static str {
    use CertificateError as Reason;
    match reason {
        Reason::Expired | Reason::ExpiredContext { .. } => "it has expired",
        Reason::NotValidYet | Reason::NotValidYetContext { .. } => "it is not valid yet",
        Reason::Revoked => "it was revoked",
        Reason::UnknownIssuer => "its issuer is not known",
        Reason::NotValidForName | Reason::NotValidForNameContext { .. } => "it is for another host",
        Reason::BadSignature => "its signature is wrong",
        Reason::BadEncoding => "it cannot be read",
        Reason::InvalidPurpose | Reason::InvalidPurposeContext { .. } => "it is not for a server",
        _ => "it breaks a rule for certificates",
    }
}
