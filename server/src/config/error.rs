//! Errors in the configuration.

use super::conflict::Conflict;
use super::origin::Origin;
use super::value::ValueError;

/// One error in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {kind}")]
pub struct ConfigError {
    /// The source of the wrong setting.
    pub origin: Origin,
    /// What is wrong.
    pub kind: ConfigErrorKind,
}

/// The kinds of errors in a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigErrorKind {
    /// No setting has this name.
    #[error("unknown setting {name}{}", suggest(.did_you_mean))]
    UnknownSetting {
        /// The name as written.
        name: String,
        /// The setting with the closest name.
        did_you_mean: Option<&'static str>,
    },
    /// The value is invalid.
    #[error("{name} = {text:?}: {error}")]
    InvalidValue {
        /// The name of the setting.
        name: &'static str,
        /// The value as written, without a password.
        text: String,
        /// Why the value is invalid.
        error: ValueError,
    },
    /// The file has a table or an array instead of a single value.
    #[error("{name}: expected a single value, found {found}")]
    NotASingleValue {
        /// The name of the setting.
        name: &'static str,
        /// The TOML type in the file.
        found: &'static str,
    },
    /// The file is not valid TOML.
    #[error("{message}")]
    Syntax {
        /// The message of the TOML parser.
        message: String,
    },
    /// Settings conflict with each other.
    #[error("{0}")]
    Conflict(#[from] Conflict),
}

fn suggest(did_you_mean: &Option<&'static str>) -> String {
    did_you_mean.map(|name| format!("; did you mean {name}?")).unwrap_or_default()
}

/// All errors in the configuration.
#[derive(Debug, thiserror::Error)]
#[error("{}", list(.0))]
pub struct ConfigErrors(pub Vec<ConfigError>);

fn list(errors: &[ConfigError]) -> String {
    let count = errors.len();
    let noun = if count == 1 { "error" } else { "errors" };
    let lines: Vec<String> = errors.iter().map(|error| format!("  {error}")).collect();
    format!("{count} {noun} in the configuration:\n{}", lines.join("\n"))
}
