//! Where the database is. The password stays in here: what is shown has none.

use std::path::{Path, PathBuf};

use crate::LedgerError;

const SCHEME: &str = "mysql://";

/// What the driver must know beside what is asked for: it would move to a socket by itself
/// where it finds the server on this machine, and keep statements that diesel keeps already.
const OPTIONS: [(&str, &str); 3] =
    [("prefer_socket", "false"), ("stmt_cache_size", "0"), ("tcp_keepalive", "5000")];

/// An address that was looked at.
#[derive(Clone)]
pub(crate) struct Address {
    url: String,
    shown: PathBuf,
}

impl Address {
    /// Reads `mysql://user:password@host:port/database`.
    pub(crate) fn parse(url: &str) -> Result<Self, LedgerError> {
        let unfit = |message: &str| LedgerError::Misconfigured {
            path: shown(url),
            message: format!("{message}: mysql://USER:PASSWORD@HOST:PORT/DATABASE is expected"),
        };
        let rest = url.strip_prefix(SCHEME).ok_or_else(|| unfit("the URL does not begin so"))?;
        let (place, options) = rest.split_once('?').unwrap_or((rest, ""));
        let (_, database) = place.rsplit_once('/').ok_or_else(|| unfit("no database"))?;
        if database.is_empty() || place.starts_with('/') {
            return Err(unfit("a host or a database is missing"));
        }
        let mut whole = url.to_owned();
        let mut joint = if rest.contains('?') { '&' } else { '?' };
        for (name, value) in OPTIONS {
            if !options.split('&').any(|option| option.split('=').next() == Some(name)) {
                whole += &format!("{joint}{name}={value}");
                joint = '&';
            }
        }
        Ok(Self { url: whole, shown: shown(url) })
    }

    /// For the driver alone.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// For people.
    pub(super) fn shown(&self) -> &Path {
        &self.shown
    }
}

/// A URL without its password and options, whatever else it is.
fn shown(url: &str) -> PathBuf {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let scheme = &url[..url.len() - rest.len()];
    let place = rest.split('?').next().unwrap_or_default();
    // A password may hold an unescaped `@`; a host can not.
    let Some((user, host)) = place.rsplit_once('@') else {
        return format!("{scheme}{place}").into();
    };
    let user = user.split(':').next().unwrap_or_default();
    format!("{scheme}{user}@{host}").into()
}

#[cfg(test)]
mod tests;
