//! TLS to targets, with the root certificates of the system (`SSL_CERT_FILE` and `SSL_CERT_DIR`
//! override them). They are loaded once, at the first https request.

use std::sync::{Arc, OnceLock};

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, crypto};

use super::connect::ConnectError;

#[derive(Default)]
pub(super) struct Tls {
    connector: OnceLock<Result<TlsConnector, TlsSetupError>>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// Performs the TLS handshake. `host` is a name, or an address without brackets.
    pub(super) async fn connect(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, ConnectError> {
        let failed = |reason: &dyn std::fmt::Display| ConnectError::Tls {
            host: host.to_owned(),
            reason: reason.to_string(),
        };
        let connector = self.connector.get_or_init(connector).as_ref().map_err(|e| failed(e))?;
        let name = ServerName::try_from(host.to_owned()).map_err(|e| failed(&e))?;
        connector.connect(name, stream).await.map_err(|error| failed(&error))
    }
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
enum TlsSetupError {
    #[error("no root certificates found: install ca-certificates, or set SSL_CERT_FILE{detail}")]
    NoRoots { detail: String },
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
}

fn connector() -> Result<TlsConnector, TlsSetupError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let detail = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
        return Err(TlsSetupError::NoRoots { detail });
    }
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
