//! Parses an address into a tonic endpoint with the settings that all connections share.

use std::time::Duration;

use tonic::transport::{ClientTlsConfig, Endpoint};

use crate::Error;

/// The message size limit in both directions. Covers the largest batch (4 MiB) and the largest
/// payload that a server can allow (16 MiB), with their envelopes.
pub(crate) const MAX_MESSAGE_BYTES: usize = 20 * 1024 * 1024;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
// A half-open connection is detected within 8 s. Until then calls on it wait and watches are
// silent. A worker session has its own heartbeat and detects it within 5 s.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(3);
// Holds a full batch of assignments or snapshots. The HTTP/2 default of 64 KiB would need a round
// trip for each 64 KiB.
const STREAM_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 8 * 1024 * 1024;

/// Parses `http://host:port`, `https://host:port` or `host:port`, which means `http://`. `tls` is
/// used for `https://` only.
pub(crate) fn parse(text: &str, tls: ClientTlsConfig) -> Result<Endpoint, Error> {
    let invalid = |reason: &str| Error::InvalidEndpoint {
        endpoint: text.to_owned(),
        reason: reason.to_owned(),
    };
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err(invalid("the address is empty; expected http://host:port"));
    }
    let url = match trimmed.split_once("://") {
        Some(("http" | "https", _)) => trimmed.to_owned(),
        Some((scheme, _)) => {
            let reason = format!("unknown scheme {scheme:?}; expected http:// or https://");
            return Err(invalid(&reason));
        }
        None => format!("http://{trimmed}"),
    };
    let authority = url.split_once("://").map_or("", |(_, rest)| rest);
    if authority.matches(':').count() > 1 && !authority.contains(['[', '@', '/']) {
        return Err(invalid("an IPv6 address needs brackets: http://[::1]:7070"));
    }
    let endpoint = Endpoint::from_shared(url).map_err(|error| invalid(&error.to_string()))?;
    if endpoint.uri().host().is_none_or(str::is_empty) {
        return Err(invalid("the host is missing; expected http://host:port"));
    }
    let mut endpoint = endpoint;
    if endpoint.uri().scheme_str() == Some("https") {
        // A certificate names an IPv6 address without its brackets.
        let host = endpoint.uri().host().and_then(|host| host.strip_prefix('['));
        let tls = match host.and_then(|host| host.strip_suffix(']')) {
            Some(address) => tls.domain_name(address),
            None => tls,
        };
        let configured = endpoint.tls_config(tls);
        endpoint = configured.map_err(|error| invalid(&format!("TLS: {error}")))?;
    }
    endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .tcp_keepalive(Some(KEEPALIVE_INTERVAL))
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .user_agent(concat!("sentinel-client/", env!("CARGO_PKG_VERSION")))
        .map_err(|error| invalid(&error.to_string()))
}

/// Whether an address is of this machine, so that nobody else reads what is sent there.
pub(crate) fn is_loopback(endpoint: &Endpoint) -> bool {
    let host = endpoint.uri().host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<std::net::IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => bare.eq_ignore_ascii_case("localhost") || bare.ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests;
