//! What a gateway is told: its server, the pages that may call it, and its bounds.

use std::time::Duration;

use http::HeaderValue;
use sentinel_client::Access;

/// What a [`crate::Gateway`] is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `http://host:port` or `https://host:port` of the server.
    pub server: String,
    /// Whom to trust to be the server, and the gateway's own certificate. A key in it is not
    /// used: callers bring theirs.
    pub access: Access,
    /// Origins of other pages that may call, such as `https://shop.example`.
    pub allow_origins: Vec<HeaderValue>,
    /// Names that requests may address the gateway by, without a port. Empty: all.
    pub allow_hosts: Vec<String>,
    /// Whether the last address in `x-forwarded-for` is the client, as behind a proxy.
    pub trusts_forwarded: bool,
    /// What one client may do.
    pub limits: Limits,
}

/// What one client, an IPv4 address or an IPv6 /64, may do.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a request's body.
    pub body_max_bytes: u64,
    /// Requests a second, twice as many at once. 0: no bound.
    pub requests_per_second: u32,
    /// Requests that are not answered to their end yet, streams among them. 0: no bound.
    pub in_flight_max: u32,
    /// Connections of all clients together.
    pub connections_max: usize,
    /// How long the head of a request may take, and an idle connection may stay.
    pub head_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_max_bytes: 20 << 20,
            requests_per_second: 200,
            in_flight_max: 64,
            connections_max: 4_096,
            head_timeout: Duration::from_secs(30),
        }
    }
}

/// Why there is no gateway.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The address of the server is none.
    #[error("server: {0}")]
    Server(#[from] sentinel_client::Error),
    /// An origin is none.
    #[error(
        "allow-origin: {0:?} is no origin; expected a scheme, a host and perhaps a port, such as https://shop.example"
    )]
    Origin(String),
}

impl Settings {
    /// For a server on this machine, with the bounds that [`Limits::default`] says.
    pub fn new(server: impl Into<String>) -> Self {
        Self {
            server: server.into(),
            access: Access::default(),
            allow_origins: Vec::new(),
            allow_hosts: Vec::new(),
            trusts_forwarded: false,
            limits: Limits::default(),
        }
    }

    /// Lets a page of another origin call.
    ///
    /// # Errors
    /// [`SettingsError::Origin`] when it is none: a wildcard, a path, no scheme.
    pub fn allow_origin(mut self, origin: &str) -> Result<Self, SettingsError> {
        let wrong = || SettingsError::Origin(origin.to_owned());
        let uri: http::Uri = origin.parse().map_err(|_| wrong())?;
        let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
        // Browsers send an origin without a slash at its end, so that is how it is compared.
        if !is_web || uri.host().is_none_or(str::is_empty) || origin.ends_with('/') {
            return Err(wrong());
        }
        if uri.path() != "/" || uri.query().is_some() || origin.contains(['@', '*']) {
            return Err(wrong());
        }
        let origin = origin.to_ascii_lowercase();
        self.allow_origins.push(HeaderValue::from_str(&origin).map_err(|_| wrong())?);
        Ok(self)
    }
}
