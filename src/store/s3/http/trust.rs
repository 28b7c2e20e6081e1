//! Which certificates are trusted: a file's, the system's, or those that come with this package.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::SystemTime;

use aws_smithy_http_client::tls::TrustStore;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::error::{ConfigurationError, Error, Result};

/// A choice of certificates, before they are read. Equal ones share a client; a file that was written anew is another one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store::s3) enum Trust {
    System,
    Bundle { path: PathBuf, named_by: String, modified: Option<SystemTime>, size: u64 },
}

/// Certificates that were read.
#[derive(Debug, Clone)]
pub(super) struct Anchors {
    certificates: Arc<Vec<CertificateDer<'static>>>,
    /// What errors call them.
    pub(super) description: String,
}

impl Trust {
    /// The certificates of a file, which a setting names.
    ///
    /// # Errors
    /// Where the file is not there.
    pub(in crate::store::s3) fn bundle(path: &Path, named_by: &str) -> Result<Self> {
        let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, named_by, &error))?;
        let (modified, size) = (metadata.modified().ok(), metadata.len());
        Ok(Self::Bundle { path: path.to_path_buf(), named_by: named_by.to_owned(), modified, size })
    }

    /// Reads the certificates.
    ///
    /// # Errors
    /// Where a bundle can't be read or holds no certificate.
    pub(super) fn read(&self) -> Result<Anchors> {
        let Self::Bundle { path, named_by, .. } = self else { return Ok(SYSTEM.clone()) };
        // Once for a client, which its process keeps.
        let pem = std::fs::read(path).map_err(|error| unreadable(path, named_by, &error))?;
        let found = CertificateDer::pem_slice_iter(&pem).filter_map(std::result::Result::ok);
        let certificates = usable(found);
        let description = format!("the CA bundle {} of {named_by}", path.display());
        if certificates.is_empty() {
            return Err(ConfigurationError::new(description, "there is no certificate in it (PEM)").into());
        }
        Ok(Anchors { certificates: Arc::new(certificates), description })
    }
}

fn unreadable(path: &std::path::Path, named_by: &str, error: &std::io::Error) -> Error {
    ConfigurationError::new(
        format!("the CA bundle {} of {named_by}", path.display()),
        format!("it can't be read: {error}"),
    )
    .into()
}

/// Read at the first request that needs them: for a call of few requests to another endpoint, reading the system's
/// hundreds of certificates would be most of the work.
static SYSTEM: LazyLock<Anchors> = LazyLock::new(|| {
    let certificates = usable(rustls_native_certs::load_native_certs().certs);
    if !certificates.is_empty() {
        return Anchors { certificates: Arc::new(certificates), description: "the system's certificates".to_owned() };
    }
    let bundled = webpki_root_certs::TLS_SERVER_ROOT_CERTS.to_vec();
    let description = "the certificates that come with this package, because the system has none".to_owned();
    Anchors { certificates: Arc::new(bundled), description }
});

/// Those that can be trusted anchors. OpenSSL passes over others too.
fn usable(certificates: impl IntoIterator<Item = CertificateDer<'static>>) -> Vec<CertificateDer<'static>> {
    let mut roots = RootCertStore::empty();
    certificates.into_iter().filter(|certificate| roots.add(certificate.clone()).is_ok()).collect()
}

impl Anchors {
    /// For the SDK's client, which takes PEM alone.
    pub(super) fn trust_store(&self) -> TrustStore {
        let mut pem = String::new();
        for certificate in self.certificates.iter() {
            let body = aws_smithy_types::base64::encode(certificate);
            pem.extend(["-----BEGIN CERTIFICATE-----\n", &body, "\n-----END CERTIFICATE-----\n"]);
        }
        TrustStore::empty().with_pem_certificate(pem)
    }

    pub(super) fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_without_certificates_is_left_with_those_of_the_package() {
        let roots = usable(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
        assert!(roots.len() > 50, "{} roots", roots.len());
    }
}
