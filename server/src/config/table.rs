//! The table of settings. The struct `Config`, the file, the environment, the flags, `--help`,
//! `--print-config` and docs/configuration.md are all generated from it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::value::{FromValue, Value, ValueType};
use super::{AckLevel, Color, Credentials, DEV_DATA_DIR, LogFormat, Mode, SecretUrl};

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// The name in the configuration file.
    pub name: &'static str,
    /// The heading in the documentation.
    pub group: &'static str,
    /// The type and range of its values.
    pub value_type: ValueType,
    /// The default value.
    pub default: Default,
    /// The description.
    pub help: &'static str,
}

/// The default of a setting.
#[derive(Debug)]
pub enum Default {
    /// The same value in both modes.
    Both(&'static str),
    /// A value for each mode.
    ByMode {
        /// The default of `sentinel serve`.
        serve: &'static str,
        /// The default of `sentinel dev`.
        dev: &'static str,
    },
    /// The host name.
    HostName,
    /// No default.
    Unset,
}

impl Setting {
    /// Returns the name of the flag without its leading dashes, such as `session-ttl`.
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    /// Returns the name of the environment variable, such as `SENTINEL_SESSION_TTL`.
    pub fn env(&self) -> String {
        format!("SENTINEL_{}", self.name.to_uppercase())
    }

    /// Returns a value as it was written, without a password.
    pub(super) fn redacted(&self, text: &str) -> String {
        match self.value_type {
            ValueType::Database(_) | ValueType::Url => super::secret_url::redact(text),
            _ => text.to_owned(),
        }
    }

    /// Returns the default as it is shown in help texts.
    pub fn default_text(&self) -> String {
        match self.default {
            Default::Both(text) => text.to_owned(),
            Default::ByMode { serve, dev } => format!("{serve}; {dev} in dev mode"),
            Default::HostName => "the host name".to_owned(),
            Default::Unset => "not set".to_owned(),
        }
    }

    /// Returns the text of the default in a mode; `None` if there is no default.
    pub fn default_for<'a>(&self, mode: Mode, host: &'a str) -> Option<&'a str>
    where
        'static: 'a,
    {
        match (&self.default, mode) {
            (Default::Both(text), _) => Some(text),
            (Default::ByMode { serve, .. }, Mode::Serve) => Some(serve),
            (Default::ByMode { dev, .. }, Mode::Dev) => Some(dev),
            (Default::HostName, _) => Some(host),
            (Default::Unset, _) => None,
        }
    }
}

macro_rules! settings {
    ($($group:literal { $($name:ident: $type:ty, $value_type:expr, $default:expr, $help:literal;)* })*) => {
        /// The effective settings of a server.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Config {
            $($(#[doc = $help] pub $name: $type,)*)*
        }

        /// All settings, in the order of the documentation.
        pub const TABLE: &[Setting] = &[$($(Setting {
            name: stringify!($name),
            group: $group,
            value_type: $value_type,
            default: $default,
            help: $help,
        },)*)*];

        impl Config {
            /// Builds the settings from `values`, which are in the order of [`TABLE`]. Returns
            /// `None` if the type of a value does not match its field.
            pub(super) fn from_values(values: Vec<Value>) -> Option<Config> {
                let mut values = values.into_iter();
                Some(Config { $($($name: <$type>::from_value(values.next()?)?,)*)* })
            }
        }
    };
}

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

const STORE_SCHEMES: &[&str] = &["redis", "redis+cluster", "redis+sentinel", "redis+unix"];
const LEDGER_SCHEMES: &[&str] = &["mysql"];

settings! {
    "Network" {
        listen: SocketAddr, ValueType::Address, Default::Both("127.0.0.1:7070"),
            "Address of the gRPC services. An address other than loopback needs credentials = required or insecure = true";
        ops_listen: SocketAddr, ValueType::Address, Default::Both("127.0.0.1:7071"),
            "Address of /metrics, /healthz and /readyz";
        ops_allow_hosts: String, ValueType::Text(4_096), Default::Both("localhost"),
            "Host names that requests to ops_listen may use, without a port, separated by commas. IP addresses and localhost are always allowed. This prevents DNS rebinding";
        gateway_listen: Option<SocketAddr>, ValueType::OptionalAddress,
            Default::ByMode { serve: "off", dev: "127.0.0.1:7080" },
            "Address of the web panel, the REST API and gRPC-Web, or off. Run sentinel-gateway as a separate process to configure other origins, limits, or TLS to the servers";
        credentials: Credentials, ValueType::Choice(Credentials::NAMES), Default::Both("off"),
            "Whether calls need an API key. With off, every caller may do everything except manage keys; a key that is sent is still checked";
        tls_cert: Option<PathBuf>, ValueType::Path, Default::Unset,
            "PEM file with the certificate chain of this server, its own certificate first. When set, the gRPC services accept only TLS. A changed file is loaded within 2 s and applies to new connections. Needs tls_key";
        tls_key: Option<PathBuf>, ValueType::Path, Default::Unset,
            "PEM file with the private key of tls_cert, without a passphrase";
        tls_client_ca: Option<PathBuf>, ValueType::Path, Default::Unset,
            "PEM file with the CA certificates for client certificates (mTLS). When set, connections without a client certificate from one of these CAs are rejected. Needs tls_cert";
        insecure: bool, ValueType::Bool, Default::Both("false"),
            "Allows listening on an address other than loopback with credentials = off: everyone who can connect may enqueue and cancel jobs";
        server_name: String, ValueType::Text(128), Default::HostName,
            "Name of this server in logs, in traces and in the Welcome frame sent to workers";
    }
    "Data" {
        data_dir: PathBuf, ValueType::Path,
            Default::ByMode { serve: "/var/lib/sentinel", dev: DEV_DATA_DIR },
            "Directory of the journal and the ledger. Only one server can use it at a time. Ignored when store_url is set";
        store_url: Option<SecretUrl>, ValueType::Database(STORE_SCHEMES), Default::Unset,
            "URL of the store shared by all servers of a cluster: Redis or Valkey 7 or newer. Needs ledger_url";
        ledger_url: Option<SecretUrl>, ValueType::Database(LEDGER_SCHEMES), Default::Unset,
            "URL of the ledger shared by all servers of a cluster: MySQL 8 or MariaDB 10.11. Needs store_url";
        ack: AckLevel, ValueType::Choice(AckLevel::NAMES), Default::Both("store"),
            "Durability level that a commit reaches before it is acknowledged, unless the job sets its own: written to the store, to Redis replicas, or to the ledger";
        ack_replicas: u64, ValueType::Integer(1, 16), Default::Both("1"),
            "Number of Redis replicas that must have a commit before it is acknowledged with ack = replicated";
        ack_timeout: Duration, ValueType::Duration(100, 4 * SECOND), Default::Both("2s"),
            "How long a commit waits for Redis replicas. No other commit runs in that time";
        journal_max_bytes: u64, ValueType::Bytes(64 * MIB, 1024 * GIB), Default::Both("4GiB"),
            "Maximum size of the journal. When it is exceeded, first the watch window shrinks, then enqueues are rejected";
        store_retention: Duration, ValueType::Duration(SECOND, HOUR), Default::Both("1m"),
            "How long a terminal job stays in the store after it is written to the ledger";
        watch_window: Duration, ValueType::Duration(10 * MINUTE, 24 * HOUR), Default::Both("10m"),
            "How long a watch cursor can be resumed";
        keep_succeeded: Duration, ValueType::Duration(HOUR, 3660 * DAY), Default::Both("30d"),
            "How long a SUCCEEDED job stays in the history after it finished";
        keep_unsuccessful: Duration, ValueType::Duration(HOUR, 3660 * DAY), Default::Both("90d"),
            "How long a FAILED, CANCELLED or EXPIRED job stays in the history after it finished";
        keep_terminal_max: u64, ValueType::Integer(1_000, 1_000_000_000), Default::Both("10000000"),
            "Maximum number of terminal jobs per queue in the history. The oldest above it are removed, except those that finished in the last 10 minutes";
    }
    "Jobs and workers" {
        auto_create_queues: bool, ValueType::Bool,
            Default::ByMode { serve: "false", dev: "true" },
            "Creates a missing queue when a job is enqueued to it. With false, the job is rejected";
        payload_max_bytes: u64, ValueType::Bytes(KIB, 16 * MIB), Default::Both("1MiB"),
            "Maximum size of a job's payload";
        ping_interval: Duration, ValueType::Duration(100, MINUTE), Default::Both("2s"),
            "Interval between the pings of a worker session";
        session_ttl: Duration, ValueType::Duration(SECOND, 10 * MINUTE), Default::Both("15s"),
            "How long the leases of a worker session remain valid without a ping. At least 3 x ping_interval";
        receive_timeout: Duration, ValueType::Duration(100, MINUTE), Default::Both("2s"),
            "How long a worker may take to acknowledge an assigned job before the job returns to its queue";
        drain_timeout: Duration, ValueType::Duration(0, HOUR), Default::Both("20s"),
            "How long a graceful shutdown waits for open streams to close";
    }
    "Logs and traces" {
        log_format: LogFormat, ValueType::Choice(LogFormat::NAMES), Default::Both("auto"),
            "Format of log lines. auto is pretty on a terminal and json otherwise";
        log_filter: String, ValueType::LogFilter, Default::Both("info"),
            "Which log lines to write: a level, or target=level separated by commas";
        color: Color, ValueType::Choice(Color::NAMES), Default::Both("auto"),
            "When to colour human-readable output. auto is on a terminal unless NO_COLOR is set";
        otlp_endpoint: Option<SecretUrl>, ValueType::Url, Default::Unset,
            "URL of the OTLP/gRPC collector that traces are exported to";
    }
}
