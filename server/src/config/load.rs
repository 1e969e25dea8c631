//! Merges defaults, file, environment and flags. All errors are collected and reported together,
//! so that one start shows them all.

use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, ConfigErrorKind, ConfigErrors};
use super::origin::Origin;
use super::table::{Config, Setting, TABLE};
use super::value::Value;
use super::{Mode, conflict, did_you_mean};

/// The sources of settings. Plain data, so that tests need no files and no environment.
#[derive(Debug, Default, Clone)]
pub struct Sources {
    /// The configuration file: its path and its text.
    pub file: Option<(PathBuf, String)>,
    /// Environment variables whose names start with `SENTINEL_`.
    pub env: Vec<(String, String)>,
    /// Flags by the name of the setting.
    pub flags: Vec<(String, String)>,
    /// The host name.
    pub host: String,
}

/// A loaded configuration.
#[derive(Debug)]
pub struct Loaded {
    /// The effective settings.
    pub config: Config,
    /// Value and origin of each setting, in the order of the table.
    pub values: Vec<(Value, Origin)>,
    /// Warnings about environment variables that look like misspelt settings. They are no
    /// errors, because container platforms set variables with any prefix.
    pub warnings: Vec<String>,
}

impl Config {
    /// Merges the sources. A flag overrides the environment, the environment the file, the file
    /// the default.
    ///
    /// # Errors
    /// All errors of all sources.
    pub fn load(mode: Mode, sources: &Sources) -> Result<Loaded, ConfigErrors> {
        let mut errors = Vec::new();
        let assignments = assignments(sources, &mut errors);
        let mut values = Vec::with_capacity(TABLE.len());
        for setting in TABLE {
            let mut effective = default_value(setting, mode, &sources.host);
            for one in assignments.iter().filter(|one| one.setting.name == setting.name) {
                match setting.value_type.parse(&one.text) {
                    Ok(value) => effective = (value, one.origin.clone()),
                    Err(error) => errors.push(ConfigError {
                        origin: one.origin.clone(),
                        kind: ConfigErrorKind::InvalidValue {
                            name: setting.name,
                            text: setting.redacted(&one.text),
                            error,
                        },
                    }),
                }
            }
            values.push(effective);
        }
        let plain = values.iter().map(|(value, _)| value.clone()).collect();
        let config = Config::from_values(plain).expect("each type of the table fits its field");
        for (names, conflict) in conflict::find(&config, mode) {
            // Report the setting that was written, not the one with its default.
            let origins = TABLE.iter().zip(&values).map(|(setting, (_, origin))| (setting, origin));
            let mut involved = origins.filter(|(setting, _)| names.contains(&setting.name));
            let written = involved.find(|(_, origin)| **origin != Origin::Default);
            let origin = written.map_or(Origin::Default, |(_, origin)| origin.clone());
            errors.push(ConfigError { origin, kind: conflict.into() });
        }
        if errors.is_empty() {
            return Ok(Loaded { config, values, warnings: warnings(sources) });
        }
        Err(ConfigErrors(errors))
    }
}

fn default_value(setting: &Setting, mode: Mode, host: &str) -> (Value, Origin) {
    let value = match setting.default_for(mode, host) {
        Some(text) => {
            setting.value_type.parse(text).expect("each default of the table is in range")
        }
        None => Value::Unset,
    };
    (value, Origin::Default)
}

/// A value that a source gives to a setting.
struct Assignment {
    setting: &'static Setting,
    text: String,
    origin: Origin,
}

/// Returns the assignments of all sources, in ascending precedence.
fn assignments(sources: &Sources, errors: &mut Vec<ConfigError>) -> Vec<Assignment> {
    let mut found = Vec::new();
    if let Some((path, text)) = &sources.file {
        parse_file(path, text, &mut found, errors);
    }
    for setting in TABLE {
        let name = setting.env();
        for (_, text) in sources.env.iter().filter(|(key, _)| *key == name) {
            let origin = Origin::Env(name.clone());
            found.push(Assignment { setting, text: text.clone(), origin });
        }
    }
    for setting in TABLE {
        for (_, text) in sources.flags.iter().filter(|(key, _)| key == setting.name) {
            let origin = Origin::Flag(setting.flag());
            found.push(Assignment { setting, text: text.clone(), origin });
        }
    }
    found
}

fn parse_file(path: &Path, text: &str, found: &mut Vec<Assignment>, errors: &mut Vec<ConfigError>) {
    let line_of = |offset: usize| {
        let line = text[..offset.min(text.len())].bytes().filter(|byte| *byte == b'\n').count();
        Origin::File(path.to_path_buf(), line + 1)
    };
    let (table, syntax_errors) = DeTable::parse_recoverable(text);
    for error in syntax_errors {
        let origin = line_of(error.span().map_or(0, |span| span.start));
        let message = error.message().to_owned();
        errors.push(ConfigError { origin, kind: ConfigErrorKind::Syntax { message } });
    }
    for (key, value) in table.get_ref() {
        let origin = line_of(key.span().start);
        let name = key.get_ref().as_ref();
        let Some(setting) = TABLE.iter().find(|setting| setting.name == name) else {
            let did_you_mean =
                did_you_mean::closest(name, TABLE.iter().map(|setting| setting.name));
            let kind = ConfigErrorKind::UnknownSetting { name: name.to_owned(), did_you_mean };
            errors.push(ConfigError { origin, kind });
            continue;
        };
        match single_value(value.get_ref()) {
            Some(text) => found.push(Assignment { setting, text, origin }),
            None => {
                let found = value.get_ref().type_str();
                let kind = ConfigErrorKind::NotASingleValue { name: setting.name, found };
                errors.push(ConfigError { origin, kind });
            }
        }
    }
}

fn single_value(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Boolean(on) => Some(on.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

/// Environment variables of the client commands, and the one that names the file.
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
        if let Some(closest) = did_you_mean::closest(name, known.iter().map(String::as_str)) {
            warnings
                .push(format!("{name} is not a setting and is ignored; did you mean {closest}?"));
        }
    }
    warnings
}
