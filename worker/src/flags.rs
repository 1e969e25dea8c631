//! The command-line flags and environment variables.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use sentinel_client::worker::{Worker, WorkerBuilder};
use sentinel_client::{
    CA_ENV, CLIENT_CERT_ENV, CLIENT_KEY_ENV, CREDENTIAL_ENV, ConnectOptions, DEFAULT_ENDPOINT,
};

use crate::{demo, exec, http};

const HTTP: &str = "http.request";
const EXEC: &str = "process.exec (disabled unless a program is allowed)";
const EXAMPLES: &str = "\
Kinds:
  http.request   calls an HTTP endpoint; the response status determines the outcome
  process.exec   runs an allowed program; its exit code determines the outcome
  demo.*         kinds for tests and demos: noop, echo, sleep, progress, fail, ...

Examples:
  sentinel-worker --queues default,mail --concurrency 16
  sentinel-worker --http-allow 10.1.0.0/16,orders.internal --http-secret shop=env:SHOP_KEY
  sentinel-worker --allow-program resize=/usr/bin/convert

  sentinel job enqueue http.request --payload '{\"url\": \"https://example.com/hook\", \"body\": \"{}\"}'
  sentinel job enqueue process.exec --payload '{\"program\": \"resize\", \"args\": [\"-version\"]}'

Payloads, signatures, retries and exit codes: docs/handlers.md";

/// Runs the jobs of a Sentinel server with the built-in handlers.
#[derive(Clone, Debug, Parser)]
#[command(name = "sentinel-worker", version, after_long_help = EXAMPLES)]
pub struct Flags {
    /// Server to receive jobs from; repeat it for several servers of one cluster
    #[arg(long = "server", value_name = "URL", env = "SENTINEL_SERVER", value_delimiter = ',',
          default_value = DEFAULT_ENDPOINT)]
    pub servers: Vec<String>,
    /// API key, or @FILE to read it from a file, so that it is not visible in the process list
    #[arg(long, value_name = "KEY", env = CREDENTIAL_ENV, hide_env_values = true)]
    pub credential: Option<String>,
    /// CA certificate to verify https:// servers with, in PEM [default: those of the system]
    #[arg(long, value_name = "FILE", env = CA_ENV)]
    pub ca: Option<PathBuf>,
    /// Client certificate for servers that require one (mTLS), in PEM
    #[arg(long, value_name = "FILE", env = CLIENT_CERT_ENV)]
    pub cert: Option<PathBuf>,
    /// Private key of the client certificate, in PEM
    #[arg(long, value_name = "FILE", env = CLIENT_KEY_ENV)]
    pub key: Option<PathBuf>,
    /// Queues to receive jobs from, separated by commas
    #[arg(
        long,
        value_name = "NAMES",
        env = "SENTINEL_WORKER_QUEUES",
        value_delimiter = ',',
        default_value = "default"
    )]
    pub queues: Vec<String>,
    /// Maximum number of jobs that run concurrently, 1..100000
    #[arg(long, value_name = "N", env = "SENTINEL_WORKER_CONCURRENCY", default_value_t = 64,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub concurrency: u32,
    /// Name of this worker in logs and in the panel [default: HOST-PID]
    #[arg(long, value_name = "NAME", env = "SENTINEL_WORKER_INSTANCE")]
    pub instance: Option<String>,
    /// Label of this worker, shown in the worker list; at most 16
    #[arg(long = "label", value_name = "KEY=VALUE", env = "SENTINEL_WORKER_LABELS",
          value_delimiter = ',', value_parser = parse_label)]
    pub labels: Vec<(String, String)>,
    /// How long running jobs may continue after SIGTERM, such as 500ms, 30s or 5m
    #[arg(long, value_name = "DURATION", env = "SENTINEL_WORKER_DRAIN_TIMEOUT",
          default_value = "30s", value_parser = parse_duration)]
    pub drain_timeout: Duration,
    /// Disable http.request
    #[arg(long, env = "SENTINEL_WORKER_NO_HTTP", help_heading = HTTP)]
    pub no_http: bool,
    /// Target that requests may reach in addition to the public internet: a block such as
    /// 10.1.0.0/16, an address, or a host name (with any address it resolves to)
    #[arg(long = "http-allow", value_name = "TARGET", env = "SENTINEL_WORKER_HTTP_ALLOW",
          value_delimiter = ',', help_heading = HTTP)]
    pub http_allow: Vec<String>,
    /// Secret to sign requests with if their payload names it; read at startup
    #[arg(long = "http-secret", value_name = "NAME=env:VARIABLE|file:PATH", value_delimiter = ',',
          env = "SENTINEL_WORKER_HTTP_SECRETS", help_heading = HTTP)]
    pub http_secrets: Vec<String>,
    /// Program that jobs may run; without one process.exec is disabled
    #[arg(long = "allow-program", value_name = "NAME=/PATH", value_delimiter = ',',
          env = "SENTINEL_WORKER_ALLOW_PROGRAMS", help_heading = EXEC)]
    pub programs: Vec<String>,
    /// Environment variable that a payload may set for its program
    #[arg(long = "allow-env", value_name = "NAME", value_delimiter = ',',
          env = "SENTINEL_WORKER_ALLOW_ENV", help_heading = EXEC)]
    pub env_names: Vec<String>,
    /// Format of log lines
    #[arg(long, value_enum, env = "SENTINEL_WORKER_LOG_FORMAT", default_value = "pretty")]
    pub log_format: LogFormat,
    /// Shorthand for --log-format json
    #[arg(long)]
    pub json: bool,
    /// Which log lines to write, such as info or sentinel_client=debug
    #[arg(long, value_name = "FILTER", env = "SENTINEL_WORKER_LOG", default_value = "info")]
    pub log: String,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Human-readable text.
    Pretty,
    /// One JSON object per line.
    Json,
}

impl Flags {
    /// Returns the log format of `--log-format` and `--json`.
    pub fn log_format(&self) -> LogFormat {
        if self.json { LogFormat::Json } else { self.log_format }
    }

    /// Builds the worker with the built-in handlers.
    pub fn worker(&self) -> anyhow::Result<Worker> {
        let mut servers = self.servers.iter();
        let first = servers.next().context("at least one --server is needed")?;
        let access =
            ConnectOptions::resolve(first, self.credential.as_deref(), self.ca.as_deref())?
                .with_certificate_files(self.cert.as_deref(), self.key.as_deref())?;
        let mut builder = Worker::builder(first)
            .connect_options(access)
            .concurrency(self.concurrency)
            .drain_timeout(self.drain_timeout)
            .build_version(concat!("sentinel-worker/", env!("CARGO_PKG_VERSION")));
        for server in servers {
            builder = builder.endpoint(server);
        }
        for queue in &self.queues {
            builder = builder.queue(queue.trim());
        }
        for (key, value) in &self.labels {
            builder = builder.label(key, value);
        }
        if let Some(instance) = &self.instance {
            builder = builder.instance(instance);
        }
        Ok(self.register_handlers(demo::register(builder))?.build()?)
    }

    fn register_handlers(&self, mut builder: WorkerBuilder) -> anyhow::Result<WorkerBuilder> {
        fn texts(list: &[String]) -> impl Iterator<Item = &str> {
            list.iter().map(String::as_str)
        }
        let config = http::Config {
            allowed_targets: http::AllowedTargets::parse(texts(&self.http_allow))
                .context("--http-allow")?,
            secrets: http::Secrets::read(texts(&self.http_secrets)).context("--http-secret")?,
        };
        if !self.no_http {
            builder = http::register(builder, config);
        }
        let config = exec::Config {
            programs: exec::Programs::read(texts(&self.programs)).context("--allow-program")?,
            env_names: self.env_names.clone(),
            supervisor: "/proc/self/exe".into(),
        };
        Ok(exec::register(builder, config))
    }
}

/// Why the value of a flag is invalid.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlagError {
    /// The value is not `key=value`.
    #[error("expected KEY=VALUE with a non-empty key")]
    Label,
    /// The value is not a number with a unit.
    #[error("expected a number with a unit of ms, s, m or h, such as 500ms or 30s")]
    Duration,
}

fn parse_label(text: &str) -> Result<(String, String), FlagError> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(FlagError::Label),
    }
}

fn parse_duration(text: &str) -> Result<Duration, FlagError> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or(FlagError::Duration)?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| FlagError::Duration)?;
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(FlagError::Duration),
    };
    number.checked_mul(unit_ms).map(Duration::from_millis).ok_or(FlagError::Duration)
}

#[cfg(test)]
mod tests;
