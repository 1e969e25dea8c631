//! The command line flags of the gateway process. Each has an environment variable.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use sentinel_client::{CA_ENV, CLIENT_CERT_ENV, CLIENT_KEY_ENV, ConnectOptions, DEFAULT_ENDPOINT};

use crate::settings::{Limits, Settings};

const EXAMPLES: &str = "\
Serves, on one address:
  /                       the panel
  /v1, /openapi.json      REST and its OpenAPI document
  /sentinel.*/*           gRPC-Web

Examples:
  sentinel-gateway --server http://10.0.0.5:7070
  sentinel-gateway --allow-origin https://shop.example --listen 0.0.0.0:7080
  curl -s http://127.0.0.1:7080/v1/counts

Callers send their own API key (authorization: Bearer snt_...); the server checks it.";

/// The host names of a gateway on loopback.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Serves the panel, gRPC-Web, REST and server-sent events for a Sentinel server
#[derive(Clone, Debug, Parser)]
#[command(name = "sentinel-gateway", version, after_long_help = EXAMPLES)]
pub struct Flags {
    /// URL of the server
    #[arg(long, value_name = "URL", env = "SENTINEL_SERVER", default_value = DEFAULT_ENDPOINT)]
    pub server: String,
    /// PEM file with the CA certificate of an https:// server [default: the CAs of the system]
    #[arg(long, value_name = "FILE", env = CA_ENV)]
    pub ca: Option<PathBuf>,
    /// PEM file with the client certificate, for a server that requires one
    #[arg(long, value_name = "FILE", env = CLIENT_CERT_ENV)]
    pub cert: Option<PathBuf>,
    /// PEM file with the private key of the client certificate
    #[arg(long, value_name = "FILE", env = CLIENT_KEY_ENV)]
    pub key: Option<PathBuf>,
    /// Address to listen on. Put a TLS proxy in front unless it is a loopback address
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "SENTINEL_GATEWAY_LISTEN",
        default_value = "127.0.0.1:7080"
    )]
    pub listen: SocketAddr,
    /// Address of /metrics, /healthz and /readyz
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "SENTINEL_GATEWAY_OPS_LISTEN",
        default_value = "127.0.0.1:7081"
    )]
    pub ops_listen: SocketAddr,
    /// Host name, without a port, that requests to --ops-listen may use besides localhost and IP
    /// addresses; may be repeated
    #[arg(
        long = "ops-allow-host",
        value_name = "NAME",
        env = "SENTINEL_GATEWAY_OPS_ALLOW_HOSTS",
        value_delimiter = ','
    )]
    pub ops_allow_hosts: Vec<String>,
    /// Other origin whose pages may call: scheme, host and optional port; may be repeated
    #[arg(
        long = "allow-origin",
        value_name = "ORIGIN",
        env = "SENTINEL_GATEWAY_ALLOW_ORIGINS",
        value_delimiter = ','
    )]
    pub allow_origins: Vec<String>,
    /// Host name, without a port, that requests may use; may be repeated [default: the loopback
    /// names when --listen is a loopback address, otherwise all]
    #[arg(
        long = "allow-host",
        value_name = "NAME",
        env = "SENTINEL_GATEWAY_ALLOW_HOSTS",
        value_delimiter = ','
    )]
    pub allow_hosts: Vec<String>,
    /// Use the last address of x-forwarded-for as the client; only behind a proxy that appends it
    #[arg(long, env = "SENTINEL_GATEWAY_TRUST_FORWARDED")]
    pub trust_forwarded: bool,
    /// Largest request body in bytes
    #[arg(long, value_name = "N", env = "SENTINEL_GATEWAY_BODY_MAX_BYTES",
          default_value_t = Limits::default().body_max_bytes,
          value_parser = clap::value_parser!(u64).range(1_024..=20 << 20))]
    pub body_max_bytes: u64,
    /// Bytes of request bodies in memory, of all clients; one client may have a quarter of them
    #[arg(long, value_name = "N", env = "SENTINEL_GATEWAY_BODIES_MAX_BYTES",
          default_value_t = Limits::default().bodies_max_bytes,
          value_parser = clap::value_parser!(u64).range(1 << 20..=16 << 30))]
    pub bodies_max_bytes: u64,
    /// Seconds to send a request body
    #[arg(long, value_name = "SECONDS", env = "SENTINEL_GATEWAY_BODY_TIMEOUT",
          default_value_t = Limits::default().body_timeout.as_secs(),
          value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub body_timeout: u64,
    /// Connections of all clients; one client may have a quarter of them
    #[arg(long, value_name = "N", env = "SENTINEL_GATEWAY_CONNECTIONS_MAX",
          default_value_t = Limits::default().connections_max as u64,
          value_parser = clap::value_parser!(u64).range(16..=1_000_000))]
    pub connections_max: u64,
    /// Seconds that a connection may be idle between requests; longer than in the proxy in front
    #[arg(long, value_name = "SECONDS", env = "SENTINEL_GATEWAY_KEEP_ALIVE",
          default_value_t = Limits::default().keep_alive.as_secs(),
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub keep_alive: u64,
    /// Requests per second of one client, with a burst of twice as many; 0 for no limit
    #[arg(long, value_name = "N", env = "SENTINEL_GATEWAY_REQUESTS_PER_SECOND",
          default_value_t = Limits::default().requests_per_second,
          value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub requests_per_second: u32,
    /// Requests and streams of one client in flight; 0 for no limit
    #[arg(long, value_name = "N", env = "SENTINEL_GATEWAY_IN_FLIGHT_MAX",
          default_value_t = Limits::default().in_flight_max,
          value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub in_flight_max: u32,
    /// Format of log lines
    #[arg(long, value_enum, env = "SENTINEL_GATEWAY_LOG_FORMAT", default_value = "pretty")]
    pub log_format: LogFormat,
    /// Log filter, such as info or sentinel_gateway=debug
    #[arg(long, value_name = "FILTER", env = "SENTINEL_GATEWAY_LOG", default_value = "info")]
    pub log: String,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object per line.
    Json,
}

impl Flags {
    /// Returns the settings, and reads the certificate files for them.
    ///
    /// # Errors
    /// A file cannot be read, or an origin or a certificate is invalid.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        let mut connect = ConnectOptions::default()
            .with_certificate_files(self.cert.as_deref(), self.key.as_deref())?;
        if let Some(path) = &self.ca {
            let pem =
                std::fs::read(path).with_context(|| format!("--ca: read {}", path.display()))?;
            connect = connect.with_ca(pem);
        }
        let mut settings = Settings::new(&self.server);
        settings.connect = connect;
        settings.trusts_forwarded = self.trust_forwarded;
        settings.allow_hosts = match self.allow_hosts.as_slice() {
            [] if self.listen.ip().is_loopback() => loopback_hosts(),
            named => named.iter().map(|name| name.to_ascii_lowercase()).collect(),
        };
        settings.limits = Limits {
            body_max_bytes: self.body_max_bytes,
            bodies_max_bytes: self.bodies_max_bytes,
            body_timeout: Duration::from_secs(self.body_timeout),
            connections_max: usize::try_from(self.connections_max).unwrap_or(usize::MAX),
            keep_alive: Duration::from_secs(self.keep_alive),
            requests_per_second: self.requests_per_second,
            in_flight_max: self.in_flight_max,
            ..Limits::default()
        };
        for origin in &self.allow_origins {
            settings = settings.allow_origin(origin)?;
        }
        Ok(settings)
    }
}

/// Returns the host names of a gateway on loopback. Allowing only these prevents DNS rebinding:
/// pages of a site whose host name resolves to this machine are refused.
pub fn loopback_hosts() -> Vec<String> {
    LOOPBACK.map(str::to_owned).to_vec()
}
