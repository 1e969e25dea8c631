//! How to connect: the API key that calls carry, the trusted certificate authorities and the
//! client certificate.

use std::path::{Path, PathBuf};

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};

use crate::Error;
use crate::endpoint::is_loopback;

/// The environment variable that holds an API key, or `@` and the path of a file with one.
pub const CREDENTIAL_ENV: &str = "SENTINEL_CREDENTIAL";

/// The environment variable that holds the path of the CA certificate for checking servers.
pub const CA_ENV: &str = "SENTINEL_CA";

/// The environment variable that holds the path of the client certificate.
pub const CLIENT_CERT_ENV: &str = "SENTINEL_CLIENT_CERT";

/// The environment variable that holds the path of the client certificate's private key.
pub const CLIENT_KEY_ENV: &str = "SENTINEL_CLIENT_KEY";

/// The environment variable that, as `1`, allows credentials on a connection without TLS to another
/// machine: for networks that encrypt on their own.
pub const ALLOW_PLAINTEXT_ENV: &str = "SENTINEL_ALLOW_PLAINTEXT";

/// The path where `sentinel dev` stores an API key for programs that run in the same directory.
pub const DEV_TOKEN_PATH: &str = ".sentinel/dev-token";

/// A channel that adds the API key to every call, if there is one.
pub type AuthenticatedChannel = InterceptedService<Channel, BearerAuth>;

/// The credential and the TLS settings of a connection. The default has no API key and trusts the
/// system's certificate authorities.
#[derive(Clone, Debug, Default)]
pub struct ConnectOptions {
    auth: BearerAuth,
    ca: Option<Certificate>,
    identity: Option<Identity>,
    allows_plaintext: bool,
}

/// An interceptor that adds `authorization: Bearer <key>` to every call.
#[derive(Clone, Debug, Default)]
pub struct BearerAuth(Option<MetadataValue<Ascii>>);

impl Interceptor for BearerAuth {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

impl ConnectOptions {
    /// Sets the API key, `snt_...`. `Debug` does not show it.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when the key contains characters that a header cannot hold.
    pub fn with_credential(mut self, key: &str) -> Result<Self, Error> {
        let invalid = |_| Error::InvalidArgument {
            field: "credential",
            reason: "expected the text of an API key, snt_...".to_owned(),
        };
        let mut value =
            MetadataValue::try_from(format!("Bearer {}", key.trim())).map_err(invalid)?;
        value.set_sensitive(true);
        self.auth = BearerAuth(Some(value));
        Ok(self)
    }

    /// Trusts only servers whose certificate is signed by this CA, in PEM.
    pub fn with_ca(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.ca = Some(Certificate::from_pem(pem));
        self
    }

    /// Sets the client certificate and its private key for mutual TLS, both in PEM.
    pub fn with_certificate(mut self, cert: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        self.identity = Some(Identity::from_pem(cert, key));
        self
    }

    /// Allows an API key on a connection without TLS to another machine, where everyone on the way
    /// can read it. By default that is refused, except to loopback addresses.
    pub fn allow_plaintext(mut self, allow: bool) -> Self {
        self.allows_plaintext = allow;
        self
    }

    /// Reads the client certificate and its private key from files. Either both paths are given or
    /// neither.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when one path is missing or a file cannot be read.
    pub fn with_certificate_files(
        self,
        cert: Option<&Path>,
        key: Option<&Path>,
    ) -> Result<Self, Error> {
        let missing = |field, given| Error::InvalidArgument {
            field,
            reason: format!("is missing: {given} is set; set both cert and key, or neither"),
        };
        match (cert, key) {
            (None, None) => Ok(self),
            (Some(_), None) => Err(missing("key", "cert")),
            (None, Some(_)) => Err(missing("cert", "key")),
            (Some(cert), Some(key)) => {
                Ok(self.with_certificate(read("cert", cert)?, read("key", key)?))
            }
        }
    }

    /// Options from settings: an API key, or `@` and the path of a file with one, and the path of
    /// a CA certificate. Without a key, uses the one that a `sentinel dev` at `server` stored in
    /// the current directory, if any. Reads [`ALLOW_PLAINTEXT_ENV`].
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when a file cannot be read or contains no key.
    pub fn resolve(server: &str, key: Option<&str>, ca: Option<&Path>) -> Result<Self, Error> {
        let allows = std::env::var(ALLOW_PLAINTEXT_ENV).is_ok_and(|value| value == "1");
        let mut options = Self::default().allow_plaintext(allows);
        if let Some(path) = ca {
            options = options.with_ca(read("ca", path)?);
        }
        match key.filter(|key| !key.is_empty()) {
            None => match dev_token(server) {
                Some(key) => options.with_credential(&key),
                None => Ok(options),
            },
            Some(key) => match key.strip_prefix('@') {
                Some(path) => options.with_credential(&read("credential", Path::new(path))?),
                None => options.with_credential(key),
            },
        }
    }

    /// As [`ConnectOptions::resolve`], from the environment variables [`CREDENTIAL_ENV`],
    /// [`CA_ENV`], [`CLIENT_CERT_ENV`] and [`CLIENT_KEY_ENV`].
    ///
    /// # Errors
    /// As [`ConnectOptions::resolve`].
    pub fn from_env(server: &str) -> Result<Self, Error> {
        let key = std::env::var(CREDENTIAL_ENV).ok();
        let path = |name| std::env::var_os(name).map(PathBuf::from);
        let (ca, cert, private_key) = (path(CA_ENV), path(CLIENT_CERT_ENV), path(CLIENT_KEY_ENV));
        Self::resolve(server, key.as_deref(), ca.as_deref())?
            .with_certificate_files(cert.as_deref(), private_key.as_deref())
    }

    /// Connects now. For clients of gRPC services that [`crate::Client`] does not cover.
    ///
    /// # Errors
    /// [`Error::Transport`] when no server is reachable at `endpoint`.
    pub async fn connect(&self, endpoint: impl AsRef<str>) -> Result<AuthenticatedChannel, Error> {
        Ok(self.authenticate(self.endpoint(endpoint.as_ref())?.connect().await?))
    }

    /// A channel that connects on first use and reconnects when the connection is lost. It adds no
    /// API key: for proxies that forward the keys of their callers.
    ///
    /// # Errors
    /// [`Error::InvalidEndpoint`] when `endpoint` is not a valid address.
    pub fn lazy_channel(&self, endpoint: impl AsRef<str>) -> Result<Channel, Error> {
        Ok(self.endpoint(endpoint.as_ref())?.connect_lazy())
    }

    /// Parses an address. Refuses to send secrets to another machine without TLS.
    pub(crate) fn endpoint(&self, text: &str) -> Result<Endpoint, Error> {
        let endpoint = crate::endpoint::parse(text, self.tls())?;
        let secret = match self {
            Self { allows_plaintext: true, .. } => return Ok(endpoint),
            Self { identity: Some(_), .. } => "a client certificate",
            Self { ca: Some(_), .. } => "a CA certificate",
            Self { auth: BearerAuth(Some(_)), .. } => "an API key",
            _ => return Ok(endpoint),
        };
        if endpoint.uri().scheme_str() == Some("https") || is_loopback(&endpoint) {
            return Ok(endpoint);
        }
        let reason = format!(
            "{secret} is set, but the connection would not be encrypted; use https://, or set \
             {ALLOW_PLAINTEXT_ENV}=1 on a network that encrypts on its own"
        );
        Err(Error::InvalidEndpoint { endpoint: text.to_owned(), reason })
    }

    pub(crate) fn tls(&self) -> ClientTlsConfig {
        let tls = match &self.ca {
            Some(ca) => ClientTlsConfig::new().ca_certificate(ca.clone()),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        match &self.identity {
            Some(identity) => tls.identity(identity.clone()),
            None => tls,
        }
    }

    pub(crate) fn authenticate(&self, channel: Channel) -> AuthenticatedChannel {
        InterceptedService::new(channel, self.auth.clone())
    }
}

fn read(field: &'static str, path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|error| Error::InvalidArgument {
        field,
        reason: format!("cannot read {}: {error}", path.display()),
    })
}

/// The API key in the dev token file, only when the file was written for `server`: the key must
/// not be sent to any other address.
fn dev_token(server: &str) -> Option<String> {
    let text = std::fs::read_to_string(DEV_TOKEN_PATH).ok()?;
    let (address, key) = text.trim_end().split_once('\n')?;
    let server = server.trim().trim_end_matches('/');
    let server = server
        .strip_prefix("http://")
        .or_else(|| server.strip_prefix("https://"))
        .unwrap_or(server);
    (server == address).then(|| key.trim().to_owned())
}

#[cfg(test)]
mod tests;
