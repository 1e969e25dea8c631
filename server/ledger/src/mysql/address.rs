//! The address of the database. Only this module reads the password; messages omit it.

use std::path::{Path, PathBuf};

use crate::error::LedgerError;

const SCHEME: &str = "mysql://";

/// Driver options that are added unless the URL sets them. By default the driver would switch to a
/// Unix socket for a local server, and would cache statements that diesel caches already.
const DEFAULT_OPTIONS: [(&str, &str); 3] =
    [("prefer_socket", "false"), ("stmt_cache_size", "0"), ("tcp_keepalive", "5000")];

/// A parsed address.
#[derive(Clone)]
pub(crate) struct Address {
    url: String,
    display: PathBuf,
}

impl Address {
    /// Parses `mysql://user:password@host:port/database`.
    pub(crate) fn parse(url: &str) -> Result<Self, LedgerError> {
        let invalid = |message: &str| LedgerError::Misconfigured {
            path: without_password(url),
            message: format!("{message}: use mysql://USER:PASSWORD@HOST:PORT/DATABASE"),
        };
        let rest = url
            .strip_prefix(SCHEME)
            .ok_or_else(|| invalid("the URL does not start with mysql://"))?;
        let (location, options) = rest.split_once('?').unwrap_or((rest, ""));
        let (_, database) =
            location.rsplit_once('/').ok_or_else(|| invalid("the URL names no database"))?;
        if database.is_empty() || location.starts_with('/') {
            return Err(invalid("the URL lacks a host or a database"));
        }
        let mut full = url.to_owned();
        let mut separator = if rest.contains('?') { '&' } else { '?' };
        for (name, value) in DEFAULT_OPTIONS {
            if !options.split('&').any(|option| option.split('=').next() == Some(name)) {
                full += &format!("{separator}{name}={value}");
                separator = '&';
            }
        }
        Ok(Self { url: full, display: without_password(url) })
    }

    /// Returns the URL for the driver, with the password.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Returns the URL for messages, without the password.
    pub(super) fn display(&self) -> &Path {
        &self.display
    }
}

/// Removes password and options from any URL, even an invalid one.
fn without_password(url: &str) -> PathBuf {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let scheme = &url[..url.len() - rest.len()];
    let location = rest.split('?').next().unwrap_or_default();
    // A password may contain an unescaped `@`, a host cannot.
    let Some((user, host)) = location.rsplit_once('@') else {
        return format!("{scheme}{location}").into();
    };
    let user = user.split(':').next().unwrap_or_default();
    format!("{scheme}{user}@{host}").into()
}

#[cfg(test)]
mod tests;
