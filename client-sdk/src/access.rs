//! What a caller needs beside an address: its key, and whom it trusts to be the server.

use std::path::{Path, PathBuf};

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity};
use tonic::{Request, Status};

use crate::Error;

/// The environment variable with a key, or `@` and the path of a file that holds one.
pub const CREDENTIAL_ENV: &str = "SENTINEL_CREDENTIAL";

/// The environment variable with the path of the certificate that servers are checked against.
pub const CA_ENV: &str = "SENTINEL_CA";

/// The environment variable with the path of the caller's own certificate.
pub const CLIENT_CERT_ENV: &str = "SENTINEL_CLIENT_CERT";

/// The environment variable with the path of its private key.
pub const CLIENT_KEY_ENV: &str = "SENTINEL_CLIENT_KEY";

/// Where `sentinel dev` leaves a key for programs that run in the same directory.
pub const DEV_TOKEN_PATH: &str = ".sentinel/dev-token";

/// A connection that carries the key of its caller, if it has one.
pub type AuthenticatedChannel = InterceptedService<Channel, BearerAuth>;

/// A key, and whom to trust. The default has no key and trusts the roots of the system.
#[derive(Clone, Debug, Default)]
pub struct ConnectOptions {
    bearer: BearerAuth,
    ca: Option<Certificate>,
    identity: Option<Identity>,
}

/// Puts `authorization: Bearer <key>` on every call.
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
    /// With a key, `snt_...`. It is not shown by `Debug`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when it can not be sent.
    pub fn with_credential(mut self, key: &str) -> Result<Self, Error> {
        let invalid = |_| Error::InvalidArgument {
            field: "credential",
            reason: "expected the text of a key, snt_...".to_owned(),
        };
        let mut value =
            MetadataValue::try_from(format!("Bearer {}", key.trim())).map_err(invalid)?;
        value.set_sensitive(true);
        self.bearer = BearerAuth(Some(value));
        Ok(self)
    }

    /// Trusts servers whose certificate comes from this one alone, in PEM.
    pub fn with_ca(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.ca = Some(Certificate::from_pem(pem));
        self
    }

    /// Shows a certificate of its own, for servers that ask clients for one: both in PEM.
    pub fn with_certificate(mut self, cert: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        self.identity = Some(Identity::from_pem(cert, key));
        self
    }

    /// The same from files, for a program that was told of both or of none.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when one is missing or can not be read.
    pub fn with_certificate_files(
        self,
        cert: Option<&Path>,
        key: Option<&Path>,
    ) -> Result<Self, Error> {
        let missing = |field, of| Error::InvalidArgument {
            field,
            reason: format!("is missing: a certificate and its key belong together, {of} is given"),
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

    /// For a program that was told a key (or `@` and a path) and a path, each perhaps. Without
    /// a key, that of a `sentinel dev` which runs in this directory and listens at `server`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when a file can not be read or holds no key.
    pub fn resolve(server: &str, key: Option<&str>, ca: Option<&Path>) -> Result<Self, Error> {
        let mut access = Self::default();
        if let Some(path) = ca {
            access = access.with_ca(read("ca", path)?);
        }
        match key.filter(|key| !key.is_empty()) {
            None => match dev_token(server) {
                Some(key) => access.with_credential(&key),
                None => Ok(access),
            },
            Some(key) => match key.strip_prefix('@') {
                Some(path) => access.with_credential(&read("credential", Path::new(path))?),
                None => access.with_credential(key),
            },
        }
    }

    /// As [`ConnectOptions::resolve`], from the environment: [`CREDENTIAL_ENV`], [`CA_ENV`], [`CLIENT_CERT_ENV`] and
    /// [`CLIENT_KEY_ENV`].
    ///
    /// # Errors
    /// As for [`ConnectOptions::resolve`].
    pub fn from_env(server: &str) -> Result<Self, Error> {
        let key = std::env::var(CREDENTIAL_ENV).ok();
        let path = |name| std::env::var_os(name).map(PathBuf::from);
        let (ca, cert, own_key) = (path(CA_ENV), path(CLIENT_CERT_ENV), path(CLIENT_KEY_ENV));
        Self::resolve(server, key.as_deref(), ca.as_deref())?
            .with_certificate_files(cert.as_deref(), own_key.as_deref())
    }

    /// Connects now, for clients of services that [`crate::Client`] does not know.
    ///
    /// # Errors
    /// [`Error::Transport`] when nobody answers there.
    pub async fn connect(&self, endpoint: impl AsRef<str>) -> Result<AuthenticatedChannel, Error> {
        Ok(self.over(crate::endpoint::parse(endpoint.as_ref(), self)?.connect().await?))
    }

    /// A connection that is made when it is first used and again when it is lost. It carries no
    /// key: for programs that pass on those of others.
    ///
    /// # Errors
    /// [`Error::InvalidEndpoint`] when it can not be read.
    pub fn lazy_channel(&self, endpoint: impl AsRef<str>) -> Result<Channel, Error> {
        Ok(crate::endpoint::parse(endpoint.as_ref(), self)?.connect_lazy())
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

    pub(crate) fn over(&self, channel: Channel) -> AuthenticatedChannel {
        InterceptedService::new(channel, self.bearer.clone())
    }
}

fn read(field: &'static str, path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|error| Error::InvalidArgument {
        field,
        reason: format!("read {}: {error}", path.display()),
    })
}

/// The address that the file was written for comes first: a key goes nowhere else.
fn dev_token(server: &str) -> Option<String> {
    let text = std::fs::read_to_string(DEV_TOKEN_PATH).ok()?;
    let (address, key) = text.trim_end().split_once('\n')?;
    let asked = server.trim().trim_end_matches('/');
    let asked =
        asked.strip_prefix("http://").or_else(|| asked.strip_prefix("https://")).unwrap_or(asked);
    (asked == address).then(|| key.trim().to_owned())
}

#[cfg(test)]
mod tests;
