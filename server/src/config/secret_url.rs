//! The URL of another server. It may contain a password, which is never displayed.

use std::fmt;

/// The URL of another server: of the store, the ledger or a collector of traces.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl(String);

impl SecretUrl {
    /// Returns `None` unless the scheme is one of `schemes` and a non-empty rest follows it.
    pub(super) fn parse(text: &str, schemes: &[&str]) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let is_valid_rest = !rest.is_empty() && !rest.contains(char::is_whitespace);
        (schemes.contains(&scheme) && is_valid_rest).then(|| Self(text.to_owned()))
    }

    /// Wraps a URL that was checked before.
    pub(super) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Returns the URL with its password.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redact(&self.0))
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Replaces user, password and the values of the query by `***`, also in a URL that is invalid. Any
/// value of the query may be a secret: `redis+unix:///run/redis.sock?pass=...`.
pub(super) fn redact(url: &str) -> String {
    let (address, query) = match url.split_once('?') {
        Some((address, query)) => (address, Some(query)),
        None => (url, None),
    };
    let mut shown = match (address.find("://"), address.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => {
            format!("{}***{}", &address[..scheme + 3], &address[at..])
        }
        _ => address.to_owned(),
    };
    for (at, pair) in query.into_iter().flat_map(|query| query.split('&')).enumerate() {
        shown.push(if at == 0 { '?' } else { '&' });
        shown.push_str(pair.split('=').next().unwrap_or_default());
        shown.push_str("=***");
    }
    shown
}

#[cfg(test)]
mod tests;
