//! Signs requests, so that a receiver can verify the sender and the time. The secrets are
//! configured on the worker; a payload only has the name of one.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;
use std::path::Path;

use ring::hmac;

/// Minimum length. Shorter secrets can be guessed.
const MIN_SECRET_BYTES: usize = 16;
const MAX_SECRET_BYTES: usize = 4 * 1024;

/// A signing key. `Debug` does not reveal it.
#[derive(Clone)]
pub struct Secret {
    key: hmac::Key,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Why an entry is invalid.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The entry has the wrong form.
    #[error("expected NAME=env:VARIABLE or NAME=file:/path")]
    Form,
    /// Two entries have the same name.
    #[error("secret {name} is listed twice")]
    Twice {
        /// The name of the secret.
        name: String,
    },
    /// The environment variable is not set or not valid Unicode.
    #[error("secret {name}: the environment variable {variable} is not set")]
    Variable {
        /// The name of the secret.
        name: String,
        /// The name of the variable.
        variable: String,
    },
    /// The file cannot be read.
    #[error("secret {name}: cannot read {path}")]
    File {
        /// The name of the secret.
        name: String,
        /// The path of the file.
        path: String,
        /// The cause.
        source: std::io::Error,
    },
    /// The length is out of range.
    #[error("secret {name} has {bytes} bytes; allowed: {MIN_SECRET_BYTES}..{MAX_SECRET_BYTES}")]
    Length {
        /// The name of the secret.
        name: String,
        /// The length found.
        bytes: usize,
    },
}

impl Secret {
    /// Returns `v1=` and the HMAC-SHA256 of the time, a dot and the body, in hexadecimal digits.
    pub(super) fn signature(&self, unix_s: u64, body: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(unix_s.to_string().as_bytes());
        context.update(b".");
        context.update(body);
        let mut text = String::from("v1=");
        for byte in context.sign().as_ref() {
            // Writing to a String does not fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }
}

/// Secrets by the name that payloads use.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    by_name: BTreeMap<String, Secret>,
}

impl Secrets {
    /// Parses entries such as `shop=env:SHOP_KEY` and `shop=file:/run/secrets/shop`. A newline at
    /// the end of a file is not part of the secret.
    ///
    /// # Errors
    /// The first invalid entry, by name and without its value.
    pub fn read<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, SecretError> {
        let mut secrets = Self::default();
        for entry in entries {
            let (name, source) = entry.split_once('=').ok_or(SecretError::Form)?;
            let name = name.trim().to_owned();
            if name.is_empty() {
                return Err(SecretError::Form);
            }
            let value = value(&name, source.trim())?;
            let bytes = value.len();
            if !(MIN_SECRET_BYTES..=MAX_SECRET_BYTES).contains(&bytes) {
                return Err(SecretError::Length { name, bytes });
            }
            let key = hmac::Key::new(hmac::HMAC_SHA256, &value);
            if secrets.by_name.insert(name.clone(), Secret { key }).is_some() {
                return Err(SecretError::Twice { name });
            }
        }
        Ok(secrets)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Secret> {
        self.by_name.get(name)
    }
}

fn value(name: &str, source: &str) -> Result<Vec<u8>, SecretError> {
    let name = name.to_owned();
    match source.split_once(':') {
        Some(("env", variable)) => std::env::var(variable)
            .map(String::into_bytes)
            .map_err(|_| SecretError::Variable { name, variable: variable.to_owned() }),
        Some(("file", path)) => {
            let mut bytes = std::fs::read(Path::new(path)).map_err(|source| SecretError::File {
                name,
                path: path.to_owned(),
                source,
            })?;
            while bytes.last().is_some_and(|byte| b"\r\n".contains(byte)) {
                bytes.pop();
            }
            Ok(bytes)
        }
        _ => Err(SecretError::Form),
    }
}

#[cfg(test)]
mod tests;
