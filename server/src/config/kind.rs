//! What a setting may hold: how its text is read, checked and written back.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::StoreUrl;
use super::amount::{self, NotAnAmount};

/// What turns a listener off.
pub(super) const OFF: &str = "off";

/// What a setting may hold.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// An IP address and a port.
    Address,
    /// An IP address and a port, or `off`.
    Listener,
    /// A path of the file system.
    Path,
    /// `true` or `false`.
    Switch,
    /// A size within a range, in bytes.
    Bytes(u64, u64),
    /// A whole number within a range.
    Count(u64, u64),
    /// A duration within a range, in milliseconds.
    Span(u64, u64),
    /// 1 to so many bytes of text.
    Text(usize),
    /// `http://` or `https://` and a host.
    Url,
    /// The address of a shared store, with one of these schemes.
    Store(&'static [&'static str]),
    /// Directives of what to log.
    Filter,
    /// One of these words.
    Choice(&'static [&'static str]),
}

/// A checked value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Of [`Kind::Address`].
    Address(SocketAddr),
    /// Of [`Kind::Listener`]; none when it is off.
    Listener(Option<SocketAddr>),
    /// Of [`Kind::Path`].
    Path(PathBuf),
    /// Of [`Kind::Switch`].
    Switch(bool),
    /// Of [`Kind::Bytes`].
    Bytes(u64),
    /// Of [`Kind::Count`].
    Count(u64),
    /// Of [`Kind::Span`].
    Span(Duration),
    /// Of the kinds that are text.
    Text(String),
    /// Of [`Kind::Store`].
    Store(StoreUrl),
    /// Nothing was said and there is no default.
    Unset,
}

/// Why a text is not a value of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Bad {
    /// Not of the form.
    #[error("expected {expected}")]
    Form {
        /// The form.
        expected: String,
    },
    /// Not an amount.
    #[error(transparent)]
    Amount(#[from] NotAnAmount),
    /// Outside of the range.
    #[error("allowed is {range}")]
    Range {
        /// The range.
        range: String,
    },
    /// Not a filter.
    #[error("{reason}; expected a level (error, warn, info, debug, trace) or target=level, ...")]
    Filter {
        /// What the parser says.
        reason: String,
    },
}

impl Kind {
    /// Reads and checks a text.
    pub fn parse(&self, text: &str) -> Result<Value, Bad> {
        let form = |expected: &str| Bad::Form { expected: expected.to_owned() };
        match self {
            Kind::Address => text
                .parse()
                .map(Value::Address)
                .map_err(|_| form("an IP address and a port, such as 127.0.0.1:7070")),
            Kind::Listener if text == OFF => Ok(Value::Listener(None)),
            Kind::Listener => text
                .parse()
                .map(|address| Value::Listener(Some(address)))
                .map_err(|_| form("an IP address and a port, such as 127.0.0.1:7080, or off")),
            Kind::Path if text.is_empty() => Err(form("a path")),
            Kind::Path => Ok(Value::Path(text.into())),
            Kind::Switch => text.parse().map(Value::Switch).map_err(|_| form("true or false")),
            Kind::Bytes(min, max) => {
                let bytes = amount::parse_bytes(text)?;
                self.within(bytes, *min, *max).map(|()| Value::Bytes(bytes))
            }
            Kind::Count(min, max) => {
                let count = text.parse().map_err(|_| form("a whole number, such as 10000"))?;
                self.within(count, *min, *max).map(|()| Value::Count(count))
            }
            Kind::Span(min, max) => {
                let span = amount::parse_span(text)?;
                let ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
                self.within(ms, *min, *max).map(|()| Value::Span(span))
            }
            Kind::Text(max) if text.is_empty() || text.len() > *max => {
                Err(Bad::Range { range: self.range().unwrap_or_default() })
            }
            Kind::Url if url_host(text).is_none() => {
                Err(form("a URL such as http://127.0.0.1:4317"))
            }
            Kind::Store(schemes) => {
                StoreUrl::parse(text, schemes).map(Value::Store).ok_or_else(|| Bad::Form {
                    expected: format!("{}://HOST", schemes.join("://HOST, or ")),
                })
            }
            Kind::Filter => match text.parse::<tracing_subscriber::EnvFilter>() {
                Ok(_) => Ok(Value::Text(text.to_owned())),
                Err(error) => Err(Bad::Filter { reason: error.to_string() }),
            },
            Kind::Choice(words) if !words.contains(&text) => {
                Err(Bad::Form { expected: format!("one of {}", words.join(", ")) })
            }
            Kind::Text(_) | Kind::Url | Kind::Choice(_) => Ok(Value::Text(text.to_owned())),
        }
    }

    fn within(&self, amount: u64, min: u64, max: u64) -> Result<(), Bad> {
        if (min..=max).contains(&amount) {
            return Ok(());
        }
        Err(Bad::Range { range: self.range().unwrap_or_default() })
    }

    /// The allowed range or words, for people.
    pub fn range(&self) -> Option<String> {
        match self {
            Kind::Bytes(min, max) => {
                Some(format!("{}..{}", amount::show_bytes(*min), amount::show_bytes(*max)))
            }
            Kind::Count(min, max) => Some(format!("{min}..{max}")),
            Kind::Span(min, max) => {
                let show = |ms: &u64| amount::show_span(Duration::from_millis(*ms));
                Some(format!("{}..{}", show(min), show(max)))
            }
            Kind::Text(max) => Some(format!("1..{max} bytes")),
            Kind::Choice(words) => Some(words.join(", ")),
            Kind::Switch => Some("true, false".to_owned()),
            Kind::Address
            | Kind::Listener
            | Kind::Path
            | Kind::Url
            | Kind::Store(_)
            | Kind::Filter => None,
        }
    }

    /// The placeholder in `--help`.
    pub fn placeholder(&self) -> &'static str {
        match self {
            Kind::Address | Kind::Listener => "IP:PORT",
            Kind::Path => "PATH",
            Kind::Switch => "BOOL",
            Kind::Bytes(..) => "BYTES",
            Kind::Count(..) => "NUMBER",
            Kind::Span(..) => "DURATION",
            Kind::Text(_) => "TEXT",
            Kind::Url | Kind::Store(_) => "URL",
            Kind::Filter => "FILTER",
            Kind::Choice(_) => "WORD",
        }
    }

    /// The unit that the text carries, for people.
    pub fn unit(&self) -> &'static str {
        match self {
            Kind::Bytes(..) => "bytes (B, KiB, MiB, GiB, TiB)",
            Kind::Span(..) => "time (ms, s, m, h, d)",
            _ => "",
        }
    }
}

fn url_host(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"))?;
    let host = rest.split('/').next().unwrap_or_default();
    (!host.is_empty() && !host.contains(char::is_whitespace)).then_some(host)
}

impl Value {
    /// As TOML; none when unset.
    pub fn to_toml(&self) -> Option<String> {
        let text = match self {
            Value::Switch(on) => return Some(on.to_string()),
            Value::Count(count) => return Some(count.to_string()),
            Value::Address(address) | Value::Listener(Some(address)) => address.to_string(),
            Value::Listener(None) => OFF.to_owned(),
            Value::Path(path) => path.display().to_string(),
            Value::Bytes(bytes) => amount::show_bytes(*bytes),
            Value::Span(span) => amount::show_span(*span),
            Value::Text(text) => text.clone(),
            Value::Store(url) => url.to_string(),
            Value::Unset => return None,
        };
        Some(toml::Value::String(text).to_string())
    }
}

/// The typed side of a [`Value`]; [`super::Config`] is filled through it.
pub(super) trait FromValue: Sized {
    /// None when the table names a kind that does not fit the field.
    fn from_value(value: Value) -> Option<Self>;
}

macro_rules! from_value {
    ($($type:ty: $pattern:pat => $out:expr;)*) => {
        $(impl FromValue for $type {
            fn from_value(value: Value) -> Option<Self> {
                match value { $pattern => $out, _ => None }
            }
        })*
    };
}

from_value! {
    SocketAddr: Value::Address(address) => Some(address);
    Option<SocketAddr>: Value::Listener(address) => Some(address);
    PathBuf: Value::Path(path) => Some(path);
    bool: Value::Switch(on) => Some(on);
    u64: Value::Bytes(number) | Value::Count(number) => Some(number);
    Duration: Value::Span(span) => Some(span);
    String: Value::Text(text) => Some(text);
    super::LogFormat: Value::Text(text) => super::LogFormat::from_word(&text);
    super::AckLevel: Value::Text(text) => super::AckLevel::from_word(&text);
    super::Credentials: Value::Text(text) => super::Credentials::from_word(&text);
    super::Color: Value::Text(text) => super::Color::from_word(&text);
}

impl FromValue for Option<StoreUrl> {
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Store(url) => Some(Some(url)),
            Value::Unset => Some(None),
            _ => None,
        }
    }
}

impl FromValue for Option<PathBuf> {
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Path(path) => Some(Some(path)),
            Value::Unset => Some(None),
            _ => None,
        }
    }
}

impl FromValue for Option<String> {
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(Some(text)),
            Value::Unset => Some(None),
            _ => None,
        }
    }
}
