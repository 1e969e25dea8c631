//! The URL of a shared database. It may contain a password, which is never displayed.

use std::fmt;

/// The URL of a shared database: Redis for the store, MySQL for the ledger.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// Returns `None` unless the scheme is one of `schemes` and a non-empty rest follows it.
    pub(super) fn parse(text: &str, schemes: &[&str]) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let is_valid_rest = !rest.is_empty() && !rest.contains(char::is_whitespace);
        (schemes.contains(&scheme) && is_valid_rest).then(|| Self(text.to_owned()))
    }

    /// Returns the URL with its password.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redact(&self.0))
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Replaces user and password by `***`, also in a URL that is invalid.
pub(super) fn redact(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => {
            format!("{}***{}", &url[..scheme + 3], &url[at..])
        }
        _ => url.to_owned(),
    }
}
