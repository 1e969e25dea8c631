//! Types of settings: how a value is parsed, checked and formatted.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::SecretUrl;
use super::units::{self, UnitError};

/// The value that disables a listener.
pub(super) const OFF: &str = "off";

/// The type of a setting and the values it allows.
#[derive(Debug, Clone, Copy)]
pub enum ValueType {
    /// An IP address and a port.
    Address,
    /// An IP address and a port, or `off`.
    OptionalAddress,
    /// A path in the file system.
    Path,
    /// `true` or `false`.
    Bool,
    /// A size in bytes: minimum and maximum.
    Bytes(u64, u64),
    /// A whole number: minimum and maximum.
    Integer(u64, u64),
    /// A duration in milliseconds: minimum and maximum.
    Duration(u64, u64),
    /// A non-empty text of at most this many bytes.
    Text(usize),
    /// `http://` or `https://` and a host.
    Url,
    /// The URL of a database with one of these schemes.
    Database(&'static [&'static str]),
    /// A log filter: directives of `tracing_subscriber::EnvFilter`.
    LogFilter,
    /// One of these names.
    Choice(&'static [&'static str]),
}

/// A parsed value that is within its range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Of [`ValueType::Address`].
    Address(SocketAddr),
    /// Of [`ValueType::OptionalAddress`]; `None` if it is off.
    OptionalAddress(Option<SocketAddr>),
    /// Of [`ValueType::Path`].
    Path(PathBuf),
    /// Of [`ValueType::Bool`].
    Bool(bool),
    /// Of [`ValueType::Bytes`].
    Bytes(u64),
    /// Of [`ValueType::Integer`].
    Integer(u64),
    /// Of [`ValueType::Duration`].
    Duration(std::time::Duration),
    /// Of [`ValueType::Text`], [`ValueType::LogFilter`] and [`ValueType::Choice`].
    Text(String),
    /// Of [`ValueType::Url`] and [`ValueType::Database`].
    Url(SecretUrl),
    /// The setting has no default and no source sets it.
    Unset,
}

/// Why a text is not a valid value of its type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// The text has the wrong form.
    #[error("expected {expected}")]
    Form {
        /// The expected form.
        expected: String,
    },
    /// The text is not a duration or a size.
    #[error(transparent)]
    Unit(#[from] UnitError),
    /// The value is out of range.
    #[error("out of range; allowed: {range}")]
    Range {
        /// The allowed range.
        range: String,
    },
    /// The text is not a log filter.
    #[error("{reason}; expected a level (error, warn, info, debug, trace) or target=level, ...")]
    LogFilter {
        /// The message of the filter's parser.
        reason: String,
    },
}

impl ValueType {
    /// Parses a text and checks its range.
    ///
    /// # Errors
    /// The text has the wrong form or the value is out of range.
    pub fn parse(&self, text: &str) -> Result<Value, ValueError> {
        let form = |expected: &str| ValueError::Form { expected: expected.to_owned() };
        match self {
            ValueType::Address => text
                .parse()
                .map(Value::Address)
                .map_err(|_| form("an IP address and a port, such as 127.0.0.1:7070")),
            ValueType::OptionalAddress if text == OFF => Ok(Value::OptionalAddress(None)),
            ValueType::OptionalAddress => text
                .parse()
                .map(|address| Value::OptionalAddress(Some(address)))
                .map_err(|_| form("an IP address and a port, such as 127.0.0.1:7080, or off")),
            ValueType::Path if text.is_empty() => Err(form("a path")),
            ValueType::Path => Ok(Value::Path(text.into())),
            ValueType::Bool => text.parse().map(Value::Bool).map_err(|_| form("true or false")),
            ValueType::Bytes(min, max) => {
                let bytes = units::parse_bytes(text)?;
                self.check_range(bytes, *min, *max).map(|()| Value::Bytes(bytes))
            }
            ValueType::Integer(min, max) => {
                let number = text.parse().map_err(|_| form("a whole number, such as 10000"))?;
                self.check_range(number, *min, *max).map(|()| Value::Integer(number))
            }
            ValueType::Duration(min, max) => {
                let duration = units::parse_duration(text)?;
                let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
                self.check_range(ms, *min, *max).map(|()| Value::Duration(duration))
            }
            ValueType::Text(max) if text.is_empty() || text.len() > *max => {
                Err(ValueError::Range { range: self.range().unwrap_or_default() })
            }
            ValueType::Url if url_host(text).is_none() => {
                Err(form("a URL such as http://127.0.0.1:4317"))
            }
            ValueType::Database(schemes) => {
                let form = || form(&format!("{}://HOST", schemes.join("://HOST, or ")));
                SecretUrl::parse(text, schemes).map(Value::Url).ok_or_else(form)
            }
            ValueType::LogFilter => match text.parse::<tracing_subscriber::EnvFilter>() {
                Ok(_) => Ok(Value::Text(text.to_owned())),
                Err(error) => Err(ValueError::LogFilter { reason: error.to_string() }),
            },
            ValueType::Choice(names) if !names.contains(&text) => {
                Err(form(&format!("one of {}", names.join(", "))))
            }
            ValueType::Url => Ok(Value::Url(SecretUrl::new(text))),
            ValueType::Text(_) | ValueType::Choice(_) => Ok(Value::Text(text.to_owned())),
        }
    }

    fn check_range(&self, value: u64, min: u64, max: u64) -> Result<(), ValueError> {
        if (min..=max).contains(&value) {
            return Ok(());
        }
        Err(ValueError::Range { range: self.range().unwrap_or_default() })
    }

    /// Returns the allowed range or the allowed names, for help texts and errors.
    pub fn range(&self) -> Option<String> {
        match self {
            ValueType::Bytes(min, max) => {
                Some(format!("{}..{}", units::format_bytes(*min), units::format_bytes(*max)))
            }
            ValueType::Integer(min, max) => Some(format!("{min}..{max}")),
            ValueType::Duration(min, max) => {
                let format =
                    |ms: &u64| units::format_duration(std::time::Duration::from_millis(*ms));
                Some(format!("{}..{}", format(min), format(max)))
            }
            ValueType::Text(max) => Some(format!("1..{max} bytes")),
            ValueType::Choice(names) => Some(names.join(", ")),
            ValueType::Bool => Some("true, false".to_owned()),
            ValueType::Address
            | ValueType::OptionalAddress
            | ValueType::Path
            | ValueType::Url
            | ValueType::Database(_)
            | ValueType::LogFilter => None,
        }
    }

    /// Returns the placeholder in `--help`.
    pub fn placeholder(&self) -> &'static str {
        match self {
            ValueType::Address | ValueType::OptionalAddress => "IP:PORT",
            ValueType::Path => "PATH",
            ValueType::Bool => "BOOL",
            ValueType::Bytes(..) => "BYTES",
            ValueType::Integer(..) => "NUMBER",
            ValueType::Duration(..) => "DURATION",
            ValueType::Text(_) => "TEXT",
            ValueType::Url | ValueType::Database(_) => "URL",
            ValueType::LogFilter => "FILTER",
            ValueType::Choice(_) => "NAME",
        }
    }

    /// Returns the units that a value may have; empty if the type has none.
    pub fn unit(&self) -> &'static str {
        match self {
            ValueType::Bytes(..) => "bytes (B, KiB, MiB, GiB, TiB)",
            ValueType::Duration(..) => "time (ms, s, m, h, d)",
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
    /// Returns the value as TOML; `None` if it is unset.
    pub fn to_toml(&self) -> Option<String> {
        let text = match self {
            Value::Bool(on) => return Some(on.to_string()),
            Value::Integer(number) => return Some(number.to_string()),
            Value::Address(address) | Value::OptionalAddress(Some(address)) => address.to_string(),
            Value::OptionalAddress(None) => OFF.to_owned(),
            Value::Path(path) => path.display().to_string(),
            Value::Bytes(bytes) => units::format_bytes(*bytes),
            Value::Duration(duration) => units::format_duration(*duration),
            Value::Text(text) => text.clone(),
            Value::Url(url) => url.to_string(),
            Value::Unset => return None,
        };
        Some(toml::Value::String(text).to_string())
    }
}

/// Converts a [`Value`] into the type of its field in [`super::Config`].
pub(super) trait FromValue: Sized {
    /// Returns `None` if the type in the table does not match the field.
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
    Option<SocketAddr>: Value::OptionalAddress(address) => Some(address);
    PathBuf: Value::Path(path) => Some(path);
    bool: Value::Bool(on) => Some(on);
    u64: Value::Bytes(number) | Value::Integer(number) => Some(number);
    std::time::Duration: Value::Duration(duration) => Some(duration);
    String: Value::Text(text) => Some(text);
    super::LogFormat: Value::Text(text) => super::LogFormat::from_name(&text);
    super::AckLevel: Value::Text(text) => super::AckLevel::from_name(&text);
    super::Credentials: Value::Text(text) => super::Credentials::from_name(&text);
    super::Color: Value::Text(text) => super::Color::from_name(&text);
}

impl FromValue for Option<SecretUrl> {
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Url(url) => Some(Some(url)),
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
