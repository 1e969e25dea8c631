//! From what a person types to a tonic endpoint with the timings that every connection shares.

use std::time::Duration;

use tonic::transport::Endpoint;

use crate::{ConnectOptions, Error};

/// Frames up to this size pass in both directions: the largest batch (4 MiB) and the largest
/// payload a server may allow (16 MiB) with room for their envelopes.
pub(crate) const MAX_MESSAGE_BYTES: usize = 20 * 1024 * 1024;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
// A half-open connection is found out in 8 s. Until then every call on it waits, and a watch says
// nothing; a worker's session has a watch of its own, with 5 s.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(3);
// One full batch of assignments or snapshots in flight; the HTTP/2 default of 64 KiB would cost
// a round trip for each.
const STREAM_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 8 * 1024 * 1024;

/// Accepts `http://host:port`, `https://host:port` and `host:port`, which is the former.
pub(crate) fn parse(text: &str, access: &ConnectOptions) -> Result<Endpoint, Error> {
    let invalid = |reason: &str| Error::InvalidEndpoint {
        endpoint: text.to_owned(),
        reason: reason.to_owned(),
    };
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err(invalid("it is empty; expected http://host:port"));
    }
    let url = match trimmed.split_once("://") {
        Some(("http" | "https", _)) => trimmed.to_owned(),
        Some((scheme, _)) => {
            let reason = format!("scheme {scheme:?} is not known; expected http:// or https://");
            return Err(invalid(&reason));
        }
        None => format!("http://{trimmed}"),
    };
    let endpoint = Endpoint::from_shared(url).map_err(|error| invalid(&error.to_string()))?;
    if endpoint.uri().host().is_none_or(str::is_empty) {
        return Err(invalid("it names no host; expected http://host:port"));
    }
    let mut endpoint = endpoint;
    if endpoint.uri().scheme_str() == Some("https") {
        let tls = endpoint.tls_config(access.tls());
        endpoint = tls.map_err(|error| invalid(&format!("TLS: {error}")))?;
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

#[cfg(test)]
mod tests;
