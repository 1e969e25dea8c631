//! Every setting, said once: the struct, the file, the environment, the flags, `--help`,
//! `--print-config` and docs/configuration.md all come from this table.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::kind::{FromValue, Kind, Value};
use super::{AckLevel, Color, Credentials, LogFormat, Mode, StoreUrl};

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Its name in the file.
    pub name: &'static str,
    /// The heading under which people find it.
    pub group: &'static str,
    /// What it may hold.
    pub kind: Kind,
    /// What it holds when nobody says anything.
    pub default: Default,
    /// What it does.
    pub help: &'static str,
}

/// What a setting holds when nobody says anything.
#[derive(Debug)]
pub enum Default {
    /// The same in both modes.
    Both(&'static str),
    /// By mode.
    ByMode {
        /// Under `sentinel serve`.
        serve: &'static str,
        /// Under `sentinel dev`.
        dev: &'static str,
    },
    /// The name of the host.
    HostName,
    /// Nothing.
    Unset,
}

impl Setting {
    /// `--session-ttl`, without the dashes in front.
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    /// `SENTINEL_SESSION_TTL`.
    pub fn env(&self) -> String {
        format!("SENTINEL_{}", self.name.to_uppercase())
    }

    /// A value for people, as it was written but for a password.
    pub(super) fn shown(&self, text: &str) -> String {
        match self.kind {
            Kind::Store(_) => super::store_url::without_password(text),
            _ => text.to_owned(),
        }
    }

    /// The default for people.
    pub fn default_text(&self) -> String {
        match self.default {
            Default::Both(text) => text.to_owned(),
            Default::ByMode { serve, dev } => format!("{serve}; in dev {dev}"),
            Default::HostName => "the name of the host".to_owned(),
            Default::Unset => "not set".to_owned(),
        }
    }

    /// The default as text; none when there is none.
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
    ($($group:literal { $($name:ident: $type:ty, $kind:expr, $default:expr, $help:literal;)* })*) => {
        /// The effective settings of a server.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Config {
            $($(#[doc = $help] pub $name: $type,)*)*
        }

        /// All settings in the order of the documentation.
        pub const TABLE: &[Setting] = &[$($(Setting {
            name: stringify!($name),
            group: $group,
            kind: $kind,
            default: $default,
            help: $help,
        },)*)*];

        impl Config {
            /// `values` are in the order of [`TABLE`]; none when one does not fit its field.
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

const BROKERS: &[&str] = &["redis", "redis+cluster", "redis+sentinel", "redis+unix"];
const LEDGERS: &[&str] = &["mysql"];

settings! {
    "Network" {
        listen: SocketAddr, Kind::Address, Default::Both("127.0.0.1:7070"),
            "Address of the gRPC services. Beyond loopback it needs credentials = required, or insecure";
        ops_listen: SocketAddr, Kind::Address, Default::Both("127.0.0.1:7071"),
            "Address of /metrics, /healthz and /readyz";
        gateway_listen: Option<SocketAddr>, Kind::Listener,
            Default::ByMode { serve: "off", dev: "127.0.0.1:7080" },
            "Address of the panel, REST and gRPC-Web, or off. A sentinel-gateway beside the servers can be told more: other origins, limits, TLS towards servers";
        credentials: Credentials, Kind::Choice(Credentials::WORDS), Default::Both("off"),
            "Whether a call needs a key. With off, whoever reaches the port may do everything but manage keys; a key that is sent is checked all the same";
        tls_cert: Option<PathBuf>, Kind::Path, Default::Unset,
            "PEM file with the certificate of this server, then those that signed it. With it the gRPC services speak TLS alone. Files that change are taken within 2 s, for new connections. Needs tls_key";
        tls_key: Option<PathBuf>, Kind::Path, Default::Unset,
            "PEM file with the private key of tls_cert, without a passphrase";
        tls_client_ca: Option<PathBuf>, Kind::Path, Default::Unset,
            "PEM file with the certificates that those of clients must come from. A client without one is refused, whatever its key. Needs tls_cert";
        insecure: bool, Kind::Switch, Default::Both("false"),
            "Allows to listen beyond loopback without credentials: whoever reaches the port may enqueue and cancel";
        server_name: String, Kind::Text(128), Default::HostName,
            "Name of this server in logs, traces and the greeting to workers";
    }
    "Data" {
        data_dir: PathBuf, Kind::Path,
            Default::ByMode { serve: "/var/lib/sentinel", dev: "./.sentinel" },
            "Directory of the journal and the ledger. One server holds it at a time. Not used with store_url";
        store_url: Option<StoreUrl>, Kind::Store(BROKERS), Default::Unset,
            "Redis or Valkey, 7 or newer, that servers share for the jobs in work. Needs ledger_url";
        ledger_url: Option<StoreUrl>, Kind::Store(LEDGERS), Default::Unset,
            "MySQL 8 or MariaDB 10.11 that servers share for the history. Needs store_url";
        ack: AckLevel, Kind::Choice(AckLevel::WORDS), Default::Both("store"),
            "What has a change before it is acknowledged, unless the job says another: the store, replicas of Redis, or the ledger";
        ack_replicas: u64, Kind::Count(1, 16), Default::Both("1"),
            "How many replicas of Redis have a change before it is acknowledged as replicated";
        ack_timeout: Duration, Kind::Span(100, 4 * SECOND), Default::Both("2s"),
            "How long a commit waits for the replicas of Redis. Nothing else is committed meanwhile";
        journal_max_bytes: u64, Kind::Bytes(64 * MIB, 1024 * GIB), Default::Both("4GiB"),
            "Size of the journal beyond which the watch window shrinks, then enqueues are refused";
        store_retention: Duration, Kind::Span(SECOND, HOUR), Default::Both("1m"),
            "How long a finished job stays in memory after it is in the ledger";
        watch_window: Duration, Kind::Span(10 * MINUTE, 24 * HOUR), Default::Both("10m"),
            "How far back a watch can resume";
        keep_succeeded: Duration, Kind::Span(HOUR, 3660 * DAY), Default::Both("30d"),
            "How long a SUCCEEDED job can be looked up after its end";
        keep_unsuccessful: Duration, Kind::Span(HOUR, 3660 * DAY), Default::Both("90d"),
            "How long a FAILED, CANCELLED or EXPIRED job can be looked up after its end";
        keep_finished_max: u64, Kind::Count(1_000, 1_000_000_000), Default::Both("10000000"),
            "Finished jobs of one queue beyond which the oldest are removed, unless they ended in the last 10 minutes";
    }
    "Jobs and workers" {
        auto_create_queues: bool, Kind::Switch,
            Default::ByMode { serve: "false", dev: "true" },
            "Creates a queue when the first job names it; otherwise such a job is refused";
        payload_max_bytes: u64, Kind::Bytes(KIB, 16 * MIB), Default::Both("1MiB"),
            "Largest payload of a job";
        ping: Duration, Kind::Span(100, MINUTE), Default::Both("2s"),
            "How often server and worker send each other a sign of life";
        session_ttl: Duration, Kind::Span(SECOND, 10 * MINUTE), Default::Both("15s"),
            "How long the leases of a worker live without a sign of it. At least 3 pings";
        receive_timeout: Duration, Kind::Span(100, MINUTE), Default::Both("2s"),
            "How long a worker may take to acknowledge an assignment before it goes back to the queue";
        drain_timeout: Duration, Kind::Span(0, HOUR), Default::Both("20s"),
            "How long a stopping server waits for its streams to end";
    }
    "Logs and traces" {
        log_format: LogFormat, Kind::Choice(LogFormat::WORDS), Default::Both("auto"),
            "Form of the log lines; auto is pretty on a terminal and json otherwise";
        log_filter: String, Kind::Filter, Default::Both("info"),
            "What to log: a level, or target=level separated by commas";
        color: Color, Kind::Choice(Color::WORDS), Default::Both("auto"),
            "Colours in output for people; auto is on a terminal, unless NO_COLOR is set";
        otlp_endpoint: Option<String>, Kind::Url, Default::Unset,
            "OTLP/gRPC collector to send traces to";
    }
}
