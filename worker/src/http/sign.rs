//! Signatures over requests, so that a receiver can tell who sent a body and when. The secrets
//! belong to the worker: a payload names one and never holds it.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;
use std::path::Path;

use ring::hmac;

/// Shorter keys can be guessed.
const MIN_SECRET_BYTES: usize = 16;
const MAX_SECRET_BYTES: usize = 4 * 1024;

/// A key to sign with. It is never shown.
#[derive(Clone)]
pub struct Secret {
    key: hmac::Key,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Why an entry was refused.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Not written as expected.
    #[error("expected NAME=env:VARIABLE or NAME=file:/path")]
    Form,
    /// Two entries of one name.
    #[error("secret {name} is there twice")]
    Twice {
        /// As given.
        name: String,
    },
    /// The variable is not set, or not text.
    #[error("secret {name}: the environment variable {variable} is not set")]
    Variable {
        /// As given.
        name: String,
        /// As given.
        variable: String,
    },
    /// The file can not be read.
    #[error("secret {name}: can not read {path}")]
    File {
        /// As given.
        name: String,
        /// As given.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Too short to be safe, or too long to be meant.
    #[error("secret {name} has {bytes} bytes; allowed are {MIN_SECRET_BYTES}..{MAX_SECRET_BYTES}")]
    Length {
        /// As given.
        name: String,
        /// As found.
        bytes: usize,
    },
}

impl Secret {
    /// `v1=` and the HMAC-SHA256, in hexadecimal digits, of the time, a dot and the body.
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

/// Secrets by name.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    by_name: BTreeMap<String, Secret>,
}

impl Secrets {
    /// Reads entries such as `shop=env:SHOP_KEY` and `shop=file:/run/secrets/shop`. A newline at
    /// the end of a file is not part of its secret.
    ///
    /// # Errors
    /// The first entry that can not be read, by name and never with its value.
    pub fn read<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, SecretError> {
        let mut secrets = Self::default();
        for entry in entries {
            let (name, place) = entry.split_once('=').ok_or(SecretError::Form)?;
            let name = name.trim().to_owned();
            if name.is_empty() {
                return Err(SecretError::Form);
            }
            let value = value(&name, place.trim())?;
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

fn value(name: &str, place: &str) -> Result<Vec<u8>, SecretError> {
    let name = name.to_owned();
    match place.split_once(':') {
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
