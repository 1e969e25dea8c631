//! The settings of a gateway: its server, who may call it, and the limits of clients.

use std::time::Duration;

use http::HeaderValue;
use sentinel_client::ConnectOptions;

/// The settings of a [`crate::Gateway`].
#[derive(Clone, Debug)]
pub struct Settings {
    /// The URL of the server: `http://host:port` or `https://host:port`.
    pub server: String,
    /// The CA to verify the server with, and the client certificate of the gateway. The API key
    /// in it is not used, because callers send their own.
    pub connect: ConnectOptions,
    /// Other origins whose pages may call, such as `https://shop.example`.
    pub allow_origins: Vec<HeaderValue>,
    /// Host names, without a port, that requests may use for the gateway. Empty: all.
    pub allow_hosts: Vec<String>,
    /// Whether the last address in `x-forwarded-for` is the client. Set it only behind a proxy
    /// that appends that address.
    pub trusts_forwarded: bool,
    /// The limits of clients and connections.
    pub limits: Limits,
}

/// Limits of clients and connections. A client is an IPv4 address or an IPv6 /64.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Size of a request body in bytes.
    pub body_max_bytes: u64,
    /// Bytes of request bodies in memory, of all clients. One client may have a quarter of them.
    pub bodies_max_bytes: u64,
    /// Time to send a request body.
    pub body_timeout: Duration,
    /// Requests per second of one client, with a burst of twice as many. 0: no limit.
    pub requests_per_second: u32,
    /// Requests in flight of one client, including streams. 0: no limit.
    pub in_flight_max: u32,
    /// How long a request above `in_flight_max` waits for others of its client to end.
    pub in_flight_wait: Duration,
    /// Connections of all clients. One client may have a quarter of them, unless the gateway is
    /// behind a proxy. A new connection above a limit closes the one that is idle the longest.
    pub connections_max: usize,
    /// Time to send the head of a request.
    pub head_timeout: Duration,
    /// Time that a connection may be idle between requests. A proxy in front must close an idle
    /// connection first, or its next request may meet the close.
    pub keep_alive: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_max_bytes: 20 << 20,
            bodies_max_bytes: 128 << 20,
            body_timeout: Duration::from_secs(60),
            requests_per_second: 200,
            in_flight_max: 64,
            in_flight_wait: Duration::from_secs(5),
            connections_max: 4_096,
            head_timeout: Duration::from_secs(30),
            // A minute above the longest default of the usual proxies, that of Envoy.
            keep_alive: Duration::from_secs(3_660),
        }
    }
}

/// A setting with an invalid value.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The server URL is invalid.
    #[error("server: {0}")]
    Server(#[from] sentinel_client::Error),
    /// An allowed origin is invalid.
    #[error(
        "allow-origin: {0:?} is not an origin; expected a scheme, a host and an optional port, such as https://shop.example"
    )]
    Origin(String),
}

impl Settings {
    /// Returns the settings of a gateway to `server`, with default limits.
    pub fn new(server: impl Into<String>) -> Self {
        Self {
            server: server.into(),
            connect: ConnectOptions::default(),
            allow_origins: Vec::new(),
            allow_hosts: Vec::new(),
            trusts_forwarded: false,
            limits: Limits::default(),
        }
    }

    /// Allows pages of another origin to call the gateway.
    ///
    /// # Errors
    /// [`SettingsError::Origin`] when the text is not an origin, such as a wildcard, a URL with a
    /// path, or a host without a scheme.
    pub fn allow_origin(mut self, origin: &str) -> Result<Self, SettingsError> {
        let invalid = || SettingsError::Origin(origin.to_owned());
        let uri: http::Uri = origin.parse().map_err(|_| invalid())?;
        let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
        // Origins are compared as text, and browsers send them without a trailing slash.
        if !is_web || uri.host().is_none_or(str::is_empty) || origin.ends_with('/') {
            return Err(invalid());
        }
        if uri.path() != "/" || uri.query().is_some() || origin.contains(['@', '*']) {
            return Err(invalid());
        }
        let origin = origin.to_ascii_lowercase();
        self.allow_origins.push(HeaderValue::from_str(&origin).map_err(|_| invalid())?);
        Ok(self)
    }
}
