//! TLS of the gRPC listener. The certificate files are reloaded when they change, so that a
//! certificate is renewed without a restart. A change applies to new connections only.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::client::verify_server_cert_signed_by_trust_anchor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio_rustls::rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use tokio_rustls::rustls::{self, CertificateError, RootCertStore, ServerConfig};
use tokio_util::sync::CancellationToken;

use crate::config::Config;

/// How often the files are checked for changes.
const RELOAD_INTERVAL: Duration = Duration::from_secs(2);

/// How long before its expiry a certificate causes a warning.
const EXPIRY_WARNING: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Why TLS files are rejected.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error(
        "{setting}: cannot read {}: {error}; use a file that the server's user can read",
        path.display()
    )]
    Unreadable { setting: &'static str, path: PathBuf, error: std::io::Error },
    #[error("{setting}: {} is not valid PEM: {error:?}; replace the file", path.display())]
    InvalidPem { setting: &'static str, path: PathBuf, error: pem::Error },
    #[error(
        "{setting}: {} has no certificate; expected -----BEGIN CERTIFICATE-----",
        path.display()
    )]
    NoCertificate { setting: &'static str, path: PathBuf },
    #[error(
        "tls_key: {} has no private key; expected -----BEGIN PRIVATE KEY----- (or RSA or EC \
         PRIVATE KEY) without a passphrase",
        path.display()
    )]
    NoKey { path: PathBuf },
    #[error(
        "tls_cert: the server's certificate in {} {}; replace it with a valid one",
        path.display(), if *is_expired { "has expired" } else { "is not valid yet" }
    )]
    OutsideValidity { path: PathBuf, is_expired: bool },
    #[error(
        "tls_key: {} does not match the first certificate in {}; the server's certificate must \
         come first, followed by its intermediate certificates",
        key.display(), cert.display()
    )]
    KeyMismatch { cert: PathBuf, key: PathBuf },
    #[error("{setting}: {} is not usable for TLS: {message}", path.display())]
    Unusable { setting: &'static str, path: PathBuf, message: String },
}

/// The paths of the TLS files.
#[derive(Clone, Debug)]
struct TlsFiles {
    cert: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
}

/// The contents of the TLS files.
#[derive(PartialEq, Eq)]
struct TlsFileContents {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

/// The TLS configuration of the listener, which follows its files. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ServerTls {
    files: TlsFiles,
    current: Arc<RwLock<Arc<ServerConfig>>>,
}

impl ServerTls {
    /// Loads the files. Returns `None` if TLS is not configured.
    pub(crate) fn load(config: &Config) -> Result<Option<Self>, TlsError> {
        let (Some(cert), Some(key)) = (config.tls_cert.clone(), config.tls_key.clone()) else {
            return Ok(None);
        };
        let files = TlsFiles { cert, key, client_ca: config.tls_client_ca.clone() };
        let current = files.server_config(&files.read()?)?;
        Ok(Some(Self { files, current: Arc::new(RwLock::new(current)) }))
    }

    /// Returns the acceptor for a new connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.read().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Reloads changed files until `closing` is cancelled. Invalid files are ignored, for example a
    /// certificate whose key is not replaced yet.
    pub(crate) async fn run(self, closing: CancellationToken) {
        let mut loaded = self.files.read().ok();
        let mut reported = None;
        loop {
            tokio::select! {
                () = tokio::time::sleep(RELOAD_INTERVAL) => {}
                () = closing.cancelled() => return,
            }
            let failure = match self.files.read() {
                Ok(found) if loaded.as_ref() == Some(&found) => None,
                Ok(found) => match self.files.server_config(&found) {
                    Ok(config) => {
                        *self.current.write().unwrap_or_else(PoisonError::into_inner) = config;
                        loaded = Some(found);
                        tracing::info!("TLS certificate reloaded");
                        None
                    }
                    Err(error) => Some(error.to_string()),
                },
                Err(error) => Some(error.to_string()),
            };
            if let Some(error) = failure.as_ref().filter(|_| reported != failure) {
                tracing::error!(%error, "TLS reload failed, keeping the previous files");
            }
            reported = failure;
        }
    }
}

impl TlsFiles {
    fn read(&self) -> Result<TlsFileContents, TlsError> {
        let client_ca = self.client_ca.as_deref().map(|path| read("tls_client_ca", path));
        Ok(TlsFileContents {
            cert: read("tls_cert", &self.cert)?,
            key: read("tls_key", &self.key)?,
            client_ca: client_ca.transpose()?,
        })
    }

    fn server_config(&self, contents: &TlsFileContents) -> Result<Arc<ServerConfig>, TlsError> {
        let chain = certificates("tls_cert", &self.cert, &contents.cert)?;
        self.check_validity(&chain[0])?;
        let key = PrivateKeyDer::from_pem_slice(&contents.key).map_err(|error| match error {
            pem::Error::NoItemsFound => TlsError::NoKey { path: self.key.clone() },
            error => TlsError::InvalidPem { setting: "tls_key", path: self.key.clone(), error },
        })?;
        let unusable = |setting, path: &PathBuf, message: String| TlsError::Unusable {
            setting,
            path: path.clone(),
            message,
        };
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable("tls_cert", &self.cert, error.to_string()))?;
        let builder = match (&self.client_ca, &contents.client_ca) {
            (Some(path), Some(bytes)) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates("tls_client_ca", path, bytes)? {
                    let added = roots.add(certificate);
                    added.map_err(|error| unusable("tls_client_ca", path, error.to_string()))?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                let verifier =
                    verifier.map_err(|error| unusable("tls_client_ca", path, error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
            _ => builder.with_no_client_auth(),
        };
        let config = builder.with_single_cert(chain, key).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                TlsError::KeyMismatch { cert: self.cert.clone(), key: self.key.clone() }
            }
            error => unusable("tls_key", &self.key, error.to_string()),
        });
        let mut config = config?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Arc::new(config))
    }

    /// Rejects a certificate outside its validity period and warns about one that expires soon.
    fn check_validity(&self, leaf: &CertificateDer<'_>) -> Result<(), TlsError> {
        let now = UnixTime::now();
        let outside =
            |is_expired| TlsError::OutsideValidity { path: self.cert.clone(), is_expired };
        match validity_at(leaf, now) {
            Validity::NotYetValid => return Err(outside(false)),
            Validity::Expired => return Err(outside(true)),
            Validity::Valid => {}
        }
        let soon = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()) + EXPIRY_WARNING);
        if validity_at(leaf, soon) == Validity::Expired {
            let path = self.cert.display();
            tracing::warn!(%path, "TLS certificate expires within 14 days");
        }
        Ok(())
    }
}

#[derive(PartialEq, Eq)]
enum Validity {
    NotYetValid,
    Valid,
    Expired,
}

/// Returns whether a certificate is valid at a time. rustls only exposes this through a
/// verification. It checks the validity period before the issuer, so an empty root store is enough.
fn validity_at(leaf: &CertificateDer<'_>, now: UnixTime) -> Validity {
    let Ok(parsed) = ParsedCertificate::try_from(leaf) else { return Validity::Valid };
    let algorithms = default_provider().signature_verification_algorithms.all;
    let no_roots = RootCertStore::empty();
    match verify_server_cert_signed_by_trust_anchor(&parsed, &no_roots, &[], now, algorithms) {
        Err(rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        )) => Validity::Expired,
        Err(rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        )) => Validity::NotYetValid,
        _ => Validity::Valid,
    }
}

fn read(setting: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |error| TlsError::Unreadable { setting, path: path.to_owned(), error };
    std::fs::read(path).map_err(unreadable)
}

fn certificates(
    setting: &'static str,
    path: &Path,
    bytes: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    let found =
        found.map_err(|error| TlsError::InvalidPem { setting, path: path.to_owned(), error })?;
    if found.is_empty() {
        return Err(TlsError::NoCertificate { setting, path: path.to_owned() });
    }
    Ok(found)
}
