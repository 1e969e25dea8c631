//! What the process can be told, by flag or by environment variable.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use sentinel_client::{Access, CA_ENV, CERT_ENV, DEFAULT_ENDPOINT, KEY_ENV};

use crate::settings::{Limits, Settings};

const EXAMPLES: &str = "\
Serves, on one address:
  /                       the panel
  /v1, /openapi.json      REST and its description
  /sentinel.*/*           gRPC-Web

Examples:
  sentinel-gateway --server http://10.0.0.5:7070
  sentinel-gateway --allow-origin https://shop.example --listen 0.0.0.0:7080
  curl -s http://127.0.0.1:7080/v1/counts

Callers bring their own key (authorization: Bearer snt_...); the server judges it.";

/// The names by which a browser on this machine reaches it.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Opens a Sentinel server to browsers: the panel, gRPC-Web, REST and server-sent events.
#[derive(Clone, Debug, Parser)]
#[command(name = "sentinel-gateway", version, after_long_help = EXAMPLES)]
pub struct Flags {
    /// Server to pass calls on to
    #[arg(long, value_name = "URL", env = "SENTINEL_SERVER", default_value = DEFAULT_ENDPOINT)]
    pub server: String,
    /// Certificate that an https:// server is checked against, in PEM [default: the system's]
    #[arg(long, value_name = "FILE", env = CA_ENV)]
    pub ca: Option<PathBuf>,
    /// Certificate to show to a server that asks clients for one, in PEM
    #[arg(long, value_name = "FILE", env = CERT_ENV)]
    pub cert: Option<PathBuf>,
    /// Its private key, in PEM
    #[arg(long, value_name = "FILE", env = KEY_ENV)]
    pub key: Option<PathBuf>,
    /// Address for browsers. Beyond loopback put a proxy with TLS in front
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
    /// Origin of another page that may call: scheme, host and perhaps a port; may be repeated
    #[arg(
        long = "allow-origin",
        value_name = "ORIGIN",
        env = "SENTINEL_GATEWAY_ALLOW_ORIGINS",
        value_delimiter = ','
    )]
    pub allow_origins: Vec<String>,
    /// Name that browsers may reach the gateway by, without a port; may be repeated [default: on
    /// loopback, the names of loopback; else all]
    #[arg(
        long = "allow-host",
        value_name = "NAME",
        env = "SENTINEL_GATEWAY_ALLOW_HOSTS",
        value_delimiter = ','
    )]
    pub allow_hosts: Vec<String>,
    /// Take the last address of x-forwarded-for for the client: only behind a proxy that sets it
    #[arg(long, env = "SENTINEL_GATEWAY_TRUST_FORWARDED")]
    pub trust_forwarded: bool,
    /// Bytes that the body of a request may have
    #[arg(long, value_name = "N", env = "SENTINEL_GATEWAY_BODY_MAX_BYTES",
          default_value_t = Limits::default().body_max_bytes,
          value_parser = clap::value_parser!(u64).range(1_024..=20 << 20))]
    pub body_max_bytes: u64,
    /// Requests that one client may make in a second, and twice as many at once; 0 for no bound
    #[arg(long, value_name = "N", env = "SENTINEL_GATEWAY_REQUESTS_PER_SECOND",
          default_value_t = Limits::default().requests_per_second,
          value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub requests_per_second: u32,
    /// Requests and streams that one client may have open; 0 for no bound
    #[arg(long, value_name = "N", env = "SENTINEL_GATEWAY_IN_FLIGHT_MAX",
          default_value_t = Limits::default().in_flight_max,
          value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub in_flight_max: u32,
    /// How log lines look
    #[arg(long, value_enum, env = "SENTINEL_GATEWAY_LOG_FORMAT", default_value = "pretty")]
    pub log_format: LogFormat,
    /// Which log lines are shown, such as info or sentinel_gateway=debug
    #[arg(long, value_name = "FILTER", env = "SENTINEL_GATEWAY_LOG", default_value = "info")]
    pub log: String,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One object a line.
    Json,
}

impl Flags {
    /// Reads the files that are named and checks the rest.
    ///
    /// # Errors
    /// A file that can not be read, an origin or an address that is none.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        let mut access =
            Access::default().with_certificate_files(self.cert.as_deref(), self.key.as_deref())?;
        if let Some(path) = &self.ca {
            let pem =
                std::fs::read(path).with_context(|| format!("ca: read {}", path.display()))?;
            access = access.with_ca(pem);
        }
        let mut settings = Settings::new(&self.server);
        settings.access = access;
        settings.trusts_forwarded = self.trust_forwarded;
        settings.allow_hosts = match self.allow_hosts.as_slice() {
            [] if self.listen.ip().is_loopback() => loopback_hosts(),
            named => named.iter().map(|name| name.to_ascii_lowercase()).collect(),
        };
        settings.limits = Limits {
            body_max_bytes: self.body_max_bytes,
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

/// So that no page whose name was made to resolve to this machine gets to a gateway here.
pub fn loopback_hosts() -> Vec<String> {
    LOOPBACK.map(str::to_owned).to_vec()
}
