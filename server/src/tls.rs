//! TLS of the listener: the files of the configuration, read at the start and again whenever they
//! change, so that a certificate is renewed without a restart.
//!
//! New connections get what the files say; those that are open keep what they began with.

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

/// How often the files are looked at. They are small.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How long before its end a certificate is worth a warning.
const SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// What is wrong with the files.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error(
        "{setting}: {} can not be read: {error}; name a file that the user of the server may read",
        path.display()
    )]
    Unread { setting: &'static str, path: PathBuf, error: std::io::Error },
    #[error("{setting}: {} is damaged: {error:?}; write it anew, as PEM", path.display())]
    Damaged { setting: &'static str, path: PathBuf, error: pem::Error },
    #[error(
        "{setting}: {} holds no certificate; it must have -----BEGIN CERTIFICATE-----",
        path.display()
    )]
    NoCertificate { setting: &'static str, path: PathBuf },
    #[error(
        "tls_key: {} holds no private key; it must have -----BEGIN PRIVATE KEY-----, or one of \
         RSA or EC, without a passphrase",
        path.display()
    )]
    NoKey { path: PathBuf },
    #[error(
        "tls_cert: the certificate of the server in {} {}; put one that holds in its place",
        path.display(), if *is_over { "has expired" } else { "does not hold yet" }
    )]
    Untimely { path: PathBuf, is_over: bool },
    #[error(
        "tls_key: {} is not the key of the first certificate in {}; the certificate of the server \
         comes first, those that signed it follow",
        key.display(), cert.display()
    )]
    OtherKey { cert: PathBuf, key: PathBuf },
    #[error("{setting}: {} can not be used: {message}", path.display())]
    Unusable { setting: &'static str, path: PathBuf, message: String },
}

/// Where the files are.
#[derive(Clone, Debug)]
struct Files {
    cert: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
}

/// What they hold.
#[derive(PartialEq, Eq)]
struct Contents {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

/// The TLS of new connections. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ServerTls {
    files: Files,
    now: Arc<RwLock<Arc<ServerConfig>>>,
}

impl ServerTls {
    /// Reads the files; none when the configuration names none.
    pub(crate) fn of(config: &Config) -> Result<Option<Self>, TlsError> {
        let (Some(cert), Some(key)) = (config.tls_cert.clone(), config.tls_key.clone()) else {
            return Ok(None);
        };
        let files = Files { cert, key, client_ca: config.tls_client_ca.clone() };
        let first = files.configured(&files.read()?)?;
        Ok(Some(Self { files, now: Arc::new(RwLock::new(first)) }))
    }

    /// For one new connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.now.read().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Reads the files again when they have changed, until `closing`. Files that do not fit
    /// together, as while they are being replaced, change nothing.
    pub(crate) async fn run(self, closing: CancellationToken) {
        let mut taken = self.files.read().ok();
        let mut told = None;
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = closing.cancelled() => return,
            }
            let failed = match self.files.read() {
                Ok(found) if taken.as_ref() == Some(&found) => None,
                Ok(found) => match self.files.configured(&found) {
                    Ok(fresh) => {
                        *self.now.write().unwrap_or_else(PoisonError::into_inner) = fresh;
                        taken = Some(found);
                        tracing::info!("new connections get the new certificate");
                        None
                    }
                    Err(error) => Some(error.to_string()),
                },
                Err(error) => Some(error.to_string()),
            };
            if let Some(error) = failed.as_ref().filter(|_| told != failed) {
                tracing::error!(%error, "the new files are not taken; those before go on");
            }
            told = failed;
        }
    }
}

impl Files {
    fn read(&self) -> Result<Contents, TlsError> {
        let client_ca = self.client_ca.as_deref().map(|path| read("tls_client_ca", path));
        Ok(Contents {
            cert: read("tls_cert", &self.cert)?,
            key: read("tls_key", &self.key)?,
            client_ca: client_ca.transpose()?,
        })
    }

    fn configured(&self, contents: &Contents) -> Result<Arc<ServerConfig>, TlsError> {
        let chain = certificates("tls_cert", &self.cert, &contents.cert)?;
        self.timely(&chain[0])?;
        let key = PrivateKeyDer::from_pem_slice(&contents.key).map_err(|error| match error {
            pem::Error::NoItemsFound => TlsError::NoKey { path: self.key.clone() },
            error => TlsError::Damaged { setting: "tls_key", path: self.key.clone(), error },
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
                for one in certificates("tls_client_ca", path, bytes)? {
                    let added = roots.add(one);
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
                TlsError::OtherKey { cert: self.cert.clone(), key: self.key.clone() }
            }
            error => unusable("tls_key", &self.key, error.to_string()),
        });
        let mut config = config?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Arc::new(config))
    }

    /// Refuses a certificate that no client would take today, and warns of one that none will
    /// take soon.
    fn timely(&self, leaf: &CertificateDer<'_>) -> Result<(), TlsError> {
        let now = UnixTime::now();
        let untimely = |is_over| TlsError::Untimely { path: self.cert.clone(), is_over };
        match time_of(leaf, now) {
            Time::Before => return Err(untimely(false)),
            Time::After => return Err(untimely(true)),
            Time::Within => {}
        }
        let soon = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()) + SOON);
        if time_of(leaf, soon) == Time::After {
            let path = self.cert.display();
            tracing::warn!(%path, "the certificate of the server expires within 14 days");
        }
        Ok(())
    }
}

#[derive(PartialEq, Eq)]
enum Time {
    Before,
    Within,
    After,
}

/// Where a time lies in that of a certificate. The only way to ask is to have it verified; its
/// time is looked at before who signed it, and nobody is trusted here.
fn time_of(leaf: &CertificateDer<'_>, now: UnixTime) -> Time {
    let Ok(parsed) = ParsedCertificate::try_from(leaf) else { return Time::Within };
    let algorithms = default_provider().signature_verification_algorithms.all;
    let nobody = RootCertStore::empty();
    match verify_server_cert_signed_by_trust_anchor(&parsed, &nobody, &[], now, algorithms) {
        Err(rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        )) => Time::After,
        Err(rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        )) => Time::Before,
        _ => Time::Within,
    }
}

fn read(setting: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let unread = |error| TlsError::Unread { setting, path: path.to_owned(), error };
    std::fs::read(path).map_err(unread)
}

fn certificates(
    setting: &'static str,
    path: &Path,
    bytes: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    let found =
        found.map_err(|error| TlsError::Damaged { setting, path: path.to_owned(), error })?;
    if found.is_empty() {
        return Err(TlsError::NoCertificate { setting, path: path.to_owned() });
    }
    Ok(found)
}
