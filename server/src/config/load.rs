//! Merges file, environment and flags, and reports every mistake at once: fixing a
//! configuration one refused start at a time is what this spares people.

use std::fmt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::kind::{Bad, Value};
use super::table::{Config, Setting, TABLE};
use super::{AckLevel, Credentials, Mode, near};

/// Where settings may come from. Plain data, so that a test can say what a machine would.
#[derive(Debug, Default, Clone)]
pub struct Sources {
    /// The file: its path and its text.
    pub file: Option<(PathBuf, String)>,
    /// The environment; only names that begin with `SENTINEL_` count.
    pub env: Vec<(String, String)>,
    /// Flags by the name of the setting.
    pub flags: Vec<(String, String)>,
    /// The name of the host.
    pub host: String,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The table.
    Default,
    /// A line of the file.
    File(PathBuf, usize),
    /// An environment variable.
    Env(String),
    /// A flag, without its dashes.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(path, line) => write!(f, "{}:{line}", path.display()),
            Origin::Env(name) => f.write_str(name),
            Origin::Flag(name) => write!(f, "--{name}"),
        }
    }
}

/// One thing wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {fault}")]
pub struct Mistake {
    /// Where it was said.
    pub origin: Origin,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No setting has this name.
    #[error("there is no setting {name}{}", suggest(.nearest))]
    Unknown {
        /// As written.
        name: String,
        /// The setting that was meant, perhaps.
        nearest: Option<&'static str>,
    },
    /// The value does not fit.
    #[error("{name} = {text:?}: {bad}")]
    Value {
        /// The setting.
        name: &'static str,
        /// As written, without a password.
        text: String,
        /// Why.
        bad: Bad,
    },
    /// The file gives a table or a list where one value belongs.
    #[error("{name} is one value, but {found} was found")]
    NotOneValue {
        /// The setting.
        name: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// The file is not TOML.
    #[error("{message}")]
    Syntax {
        /// What the parser says.
        message: String,
    },
    /// Two settings contradict each other.
    #[error("{0}")]
    Contradiction(#[from] Contradiction),
}

/// Settings that do not go together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    /// Beyond loopback without credentials.
    #[error(
        "{setting} = {listen} can be reached from other machines, and this server does not ask for \
         credentials. Set credentials = required, or listen on 127.0.0.1, or set insecure = true \
         (--insecure) where the network keeps others out"
    )]
    Exposed {
        /// Which of the listeners.
        setting: &'static str,
        /// The address.
        listen: std::net::SocketAddr,
    },
    /// The gateway in this process speaks to it without TLS.
    #[error(
        "gateway_listen does not go with tls_cert: run sentinel-gateway --server https://.. --ca .. \
         beside this server, and set gateway_listen = off"
    )]
    GatewayWithTls,
    /// Two listeners on one address.
    #[error("listen and ops_listen are both {listen}; give ops_listen another port")]
    SameAddress {
        /// The address.
        listen: std::net::SocketAddr,
    },
    /// One store is shared and the other is not.
    #[error(
        "{set} is set and {unset} is not: servers share both stores, or one server has a data \
         directory; set both or neither"
    )]
    HalfShared {
        /// The setting that is there.
        set: &'static str,
        /// The setting that is missing.
        unset: &'static str,
    },
    /// A certificate without its key, or the other way round.
    #[error("{set} needs {unset}: TLS takes a certificate and its key; set both or neither")]
    HalfTls {
        /// The setting that is there.
        set: &'static str,
        /// The setting that is missing.
        unset: &'static str,
    },
    /// The worker in `sentinel dev`, and who tries it out, know no certificate.
    #[error("tls_cert is for `sentinel serve`: `sentinel dev` listens on this machine alone")]
    TlsInDev,
    /// Replicas of nothing.
    #[error("ack = replicated needs store_url: only Redis has replicas. Use ack = store or ledger")]
    NoReplicas,
    /// Workers would be declared lost between two pings.
    #[error("session_ttl = {ttl} is under 3 x ping = 3 x {ping}; raise it or lower ping")]
    TtlTooShort {
        /// As written.
        ttl: String,
        /// As written.
        ping: String,
    },
}

fn suggest(nearest: &Option<&'static str>) -> String {
    nearest.map(|name| format!("; did you mean {name}?")).unwrap_or_default()
}

/// Everything wrong with the configuration.
#[derive(Debug, thiserror::Error)]
#[error("{}", list(.0))]
pub struct Mistakes(pub Vec<Mistake>);

fn list(mistakes: &[Mistake]) -> String {
    let count = mistakes.len();
    let noun = if count == 1 { "mistake" } else { "mistakes" };
    let lines: Vec<String> = mistakes.iter().map(|one| format!("  {one}")).collect();
    format!("the configuration has {count} {noun}:\n{}", lines.join("\n"))
}

/// What came out of the sources.
#[derive(Debug)]
pub struct Loaded {
    /// The effective settings.
    pub config: Config,
    /// Value and origin of each setting, in the order of the table.
    pub values: Vec<(Value, Origin)>,
    /// Environment variables that look like a misspelt setting. Not an error, because
    /// container platforms put names of their own under any prefix.
    pub warnings: Vec<String>,
}

impl Config {
    /// Merges the sources: flags over environment over file over defaults.
    pub fn load(mode: Mode, sources: &Sources) -> Result<Loaded, Mistakes> {
        let mut mistakes = Vec::new();
        let said = said(sources, &mut mistakes);
        let mut values = Vec::with_capacity(TABLE.len());
        for setting in TABLE {
            let mut effective = by_default(setting, mode, &sources.host);
            for one in said.iter().filter(|one| one.setting.name == setting.name) {
                match setting.kind.parse(&one.text) {
                    Ok(value) => effective = (value, one.origin.clone()),
                    Err(bad) => mistakes.push(Mistake {
                        origin: one.origin.clone(),
                        fault: Fault::Value {
                            name: setting.name,
                            text: setting.shown(&one.text),
                            bad,
                        },
                    }),
                }
            }
            values.push(effective);
        }
        let plain = values.iter().map(|(value, _)| value.clone()).collect();
        let config = Config::from_values(plain).expect("each kind of the table fits its field");
        for (names, contradiction) in contradictions(&config, mode) {
            // Somebody wrote one of them; a default is not to blame.
            let origins = TABLE.iter().zip(&values).map(|(setting, (_, origin))| (setting, origin));
            let mut of_these = origins.filter(|(setting, _)| names.contains(&setting.name));
            let written = of_these.find(|(_, origin)| **origin != Origin::Default);
            let origin = written.map_or(Origin::Default, |(_, origin)| origin.clone());
            mistakes.push(Mistake { origin, fault: contradiction.into() });
        }
        if mistakes.is_empty() {
            return Ok(Loaded { config, values, warnings: warnings(sources) });
        }
        Err(Mistakes(mistakes))
    }
}

fn by_default(setting: &Setting, mode: Mode, host: &str) -> (Value, Origin) {
    let value = match setting.default_for(mode, host) {
        Some(text) => setting.kind.parse(text).expect("each default of the table is in range"),
        None => Value::Unset,
    };
    (value, Origin::Default)
}

/// Something that a source said about a setting.
struct Said {
    setting: &'static Setting,
    text: String,
    origin: Origin,
}

/// All that was said, the weakest source first.
fn said(sources: &Sources, mistakes: &mut Vec<Mistake>) -> Vec<Said> {
    let mut said = Vec::new();
    if let Some((path, text)) = &sources.file {
        said_in_file(path, text, &mut said, mistakes);
    }
    for setting in TABLE {
        let name = setting.env();
        for (_, text) in sources.env.iter().filter(|(key, _)| *key == name) {
            said.push(Said { setting, text: text.clone(), origin: Origin::Env(name.clone()) });
        }
    }
    for setting in TABLE {
        for (_, text) in sources.flags.iter().filter(|(key, _)| key == setting.name) {
            let origin = Origin::Flag(setting.flag());
            said.push(Said { setting, text: text.clone(), origin });
        }
    }
    said
}

fn said_in_file(path: &Path, text: &str, said: &mut Vec<Said>, mistakes: &mut Vec<Mistake>) {
    let at = |offset: usize| {
        let line = text[..offset.min(text.len())].bytes().filter(|byte| *byte == b'\n').count();
        Origin::File(path.to_path_buf(), line + 1)
    };
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let origin = at(error.span().map_or(0, |span| span.start));
        let message = error.message().to_owned();
        mistakes.push(Mistake { origin, fault: Fault::Syntax { message } });
    }
    for (key, value) in table.get_ref() {
        let origin = at(key.span().start);
        let name = key.get_ref().as_ref();
        let Some(setting) = TABLE.iter().find(|setting| setting.name == name) else {
            let nearest = near::nearest(name, TABLE.iter().map(|setting| setting.name));
            let fault = Fault::Unknown { name: name.to_owned(), nearest };
            mistakes.push(Mistake { origin, fault });
            continue;
        };
        match one_value(value.get_ref()) {
            Some(text) => said.push(Said { setting, text, origin }),
            None => {
                let found = value.get_ref().type_str();
                let fault = Fault::NotOneValue { name: setting.name, found };
                mistakes.push(Mistake { origin, fault });
            }
        }
    }
}

fn one_value(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Boolean(on) => Some(on.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

/// With the settings that each is about.
fn contradictions(config: &Config, mode: Mode) -> Vec<(&'static [&'static str], Contradiction)> {
    let mut found: Vec<(&[&str], Contradiction)> = Vec::new();
    let listen = config.listen;
    let is_open = config.credentials == Credentials::Off && !config.insecure;
    let of_gateway = config.gateway_listen.map(|address| ("gateway_listen", address));
    for (setting, listen) in [("listen", listen)].into_iter().chain(of_gateway) {
        if is_open && !listen.ip().is_loopback() {
            let names: &[&str] =
                if setting == "listen" { &["listen"] } else { &["gateway_listen"] };
            found.push((names, Contradiction::Exposed { setting, listen }));
        }
    }
    if config.gateway_listen.is_some() && config.tls_cert.is_some() {
        found.push((&["gateway_listen", "tls_cert"], Contradiction::GatewayWithTls));
    }
    // Port 0 asks the system for a free port, so two of them never meet.
    if listen.port() != 0 && listen == config.ops_listen {
        found.push((&["listen", "ops_listen"], Contradiction::SameAddress { listen }));
    }
    let shared = [("store_url", &config.store_url), ("ledger_url", &config.ledger_url)];
    for (set, unset) in [(shared[0], shared[1]), (shared[1], shared[0])] {
        if set.1.is_some() && unset.1.is_none() {
            let contradiction = Contradiction::HalfShared { set: set.0, unset: unset.0 };
            found.push((&["store_url", "ledger_url"], contradiction));
        }
    }
    found.extend(tls_contradictions(config, mode));
    if config.ack == AckLevel::Replicated && config.store_url.is_none() {
        found.push((&["ack"], Contradiction::NoReplicas));
    }
    if config.session_ttl < 3 * config.ping {
        let ttl = super::amount::show_span(config.session_ttl);
        let ping = super::amount::show_span(config.ping);
        found.push((&["session_ttl", "ping"], Contradiction::TtlTooShort { ttl, ping }));
    }
    found
}

fn tls_contradictions(
    config: &Config,
    mode: Mode,
) -> Option<(&'static [&'static str], Contradiction)> {
    let has = [&config.tls_cert, &config.tls_key, &config.tls_client_ca].map(Option::is_some);
    let half = |set, unset| Contradiction::HalfTls { set, unset };
    Some(match has {
        [true, false, _] => (&["tls_cert"], half("tls_cert", "tls_key")),
        [false, true, _] => (&["tls_key"], half("tls_key", "tls_cert")),
        [false, false, true] => (&["tls_client_ca"], half("tls_client_ca", "tls_cert")),
        [true, true, _] if mode == Mode::Dev => (&["tls_cert"], Contradiction::TlsInDev),
        _ => return None,
    })
}

/// Read by the client verbs or before the settings are.
const OTHER_ENV: [&str; 6] = [
    "SENTINEL_CONFIG",
    "SENTINEL_SERVER",
    "SENTINEL_CREDENTIAL",
    "SENTINEL_CA",
    "SENTINEL_CLIENT_CERT",
    "SENTINEL_CLIENT_KEY",
];

fn warnings(sources: &Sources) -> Vec<String> {
    let known: Vec<String> = TABLE.iter().map(Setting::env).collect();
    let mut warnings = Vec::new();
    for (name, _) in &sources.env {
        if known.contains(name) || OTHER_ENV.contains(&name.as_str()) {
            continue;
        }
        if let Some(nearest) = near::nearest(name, known.iter().map(String::as_str)) {
            warnings
                .push(format!("{name} is not a setting and is ignored; did you mean {nearest}?"));
        }
    }
    warnings
}
