//! TLS to a server whose certificate stands in the bundle itself, as `openssl req -x509` makes one for a studio's own store.
//!
//! Such a certificate calls itself an authority, and rustls refuses an authority's certificate at a server. OpenSSL, and so
//! botocore, takes it: the file that the user names says that it is trusted. The SDK's client has no place for another
//! verifier, so these bundles have a client of their own; all others keep the SDK's.

use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, HttpConnectorSettings};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector as TcpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::trust::Anchors;
use crate::error::{Error, Result};

/// The encoded name of the extension with a server's names (`subjectAltName`). Authorities have none of those.
const SERVER_NAMES: [u8; 5] = [0x06, 0x03, 0x55, 0x1d, 0x11];

/// Whether a bundle has certificates of servers in it.
pub(super) fn names_servers(anchors: &Anchors) -> bool {
    anchors.certificates().iter().any(|certificate| names_a_server(certificate))
}

fn names_a_server(certificate: &CertificateDer<'_>) -> bool {
    certificate.windows(SERVER_NAMES.len()).any(|window| window == SERVER_NAMES)
}

/// A connector that takes the bundle's servers, and what the bundle's authorities have signed.
#[derive(Debug)]
pub(super) struct SelfSigned {
    client: Client<HttpsConnector<TcpConnector>, SdkBody>,
    read_timeout: Option<Duration>,
}

impl SelfSigned {
    pub(super) fn new(anchors: &Anchors, settings: &HttpConnectorSettings) -> Result<Self> {
        let mut tcp = TcpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(settings.connect_timeout());
        let tls =
            HttpsConnectorBuilder::new().with_tls_config(tls(anchors)?).https_only().enable_http1().wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(super::IDLE_CONNECTIONS)
            .pool_idle_timeout(super::IDLE_TIMEOUT)
            .build(tls);
        Ok(Self { client, read_timeout: settings.read_timeout() })
    }
}

impl HttpConnector for SelfSigned {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into()))),
        };
        let (answer, limit) = (self.client.request(request), self.read_timeout);
        HttpConnectorFuture::new(async move {
            let answer = match limit {
                None => answer.await,
                Some(limit) => {
                    tokio::time::timeout(limit, answer).await.map_err(|error| ConnectorError::timeout(error.into()))?
                }
            };
            let answer = answer.map_err(|error| ConnectorError::io(error.into()))?;
            HttpResponse::try_from(answer.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

fn tls(anchors: &Anchors) -> Result<ClientConfig> {
    let unusable = |error: &dyn std::fmt::Display| Error::InvalidArgument(format!("TLS can't be used: {error}"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = verifier(anchors, &provider).map_err(|error| unusable(&error))?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?;
    Ok(config.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}

fn verifier(
    anchors: &Anchors,
    provider: &Arc<CryptoProvider>,
) -> Result<Verifier, rustls::server::VerifierBuilderError> {
    let mut roots = RootCertStore::empty();
    // Those that rustls does not take were left out when the bundle was read.
    roots.add_parsable_certificates(anchors.certificates().iter().cloned());
    let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build()?;
    let servers = anchors.certificates().iter().filter(|certificate| names_a_server(certificate)).cloned().collect();
    Ok(Verifier { usual, servers })
}

/// rustls's own verifier, and one exception to it.
#[derive(Debug)]
struct Verifier {
    usual: Arc<WebPkiServerVerifier>,
    servers: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.usual.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The dates were checked before this is found.
            Err(rustls::Error::InvalidCertificate(reason))
                if is_authority_at_server(&reason) && self.servers.iter().any(|server| server == end_entity) =>
            {
                rustls::client::verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

fn is_authority_at_server(reason: &CertificateError) -> bool {
    let CertificateError::Other(OtherError(error)) = reason else { return false };
    matches!(error.downcast_ref::<webpki::Error>(), Some(webpki::Error::CaUsedAsEndEntity))
}
