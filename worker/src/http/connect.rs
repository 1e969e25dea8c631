//! Opens the connection for a URL. The host is resolved once, each address is checked, and only
//! permitted addresses are connected to.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use sentinel_client::worker::HandlerError;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::{Host, Url};

use super::HandlerState;
use super::targets::AllowedTargets;

/// Maximum number of addresses of a host that are tried.
const MAX_ADDRESSES: usize = 4;

/// Timeout per address, so that an unreachable one leaves time for the others.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why no connection could be opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("cannot resolve {host}: {source}")]
    Resolve { host: String, source: io::Error },
    #[error("{host} has no address")]
    NoAddress { host: String },
    #[error(
        "{host} is at {ip}, which is {category}; this worker does not allow it (its operator can \
         allow it with --http-allow)"
    )]
    Forbidden { host: String, ip: IpAddr, category: &'static str },
    #[error("cannot connect to {host} at {address}: {source}")]
    Connect { host: String, address: SocketAddr, source: io::Error },
    #[error("TLS with {host} failed: {reason}")]
    Tls { host: String, reason: String },
}

impl ConnectError {
    pub(super) fn into_handler_error(self) -> HandlerError {
        let text = self.to_string();
        match self {
            ConnectError::Forbidden { .. } => {
                HandlerError::non_retryable(text).with_code("TARGET_REFUSED")
            }
            ConnectError::Resolve { .. } | ConnectError::NoAddress { .. } => {
                HandlerError::retryable(text).with_code("HTTP_LOOK_UP")
            }
            ConnectError::Connect { .. } => HandlerError::retryable(text).with_code("HTTP_CONNECT"),
            ConnectError::Tls { .. } => HandlerError::retryable(text).with_code("HTTP_TLS"),
        }
    }
}

/// A plain or TLS stream.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// An open connection and its remote address.
pub(super) struct Connected {
    pub(super) stream: Box<dyn Stream>,
    pub(super) address: SocketAddr,
}

pub(super) async fn connect(url: &Url, state: &HandlerState) -> Result<Connected, ConnectError> {
    let host = host_of(url);
    let port = url.port_or_known_default().unwrap_or_default();
    let addresses = resolve(url, &host, port).await?;
    let addresses = permitted(&host, addresses, &state.config.allowed_targets)?;
    let (stream, address) = connect_to_any(&host, &addresses).await?;
    let stream: Box<dyn Stream> = match url.scheme() {
        "https" => Box::new(state.tls.connect(&host, stream).await?),
        _ => Box::new(stream),
    };
    Ok(Connected { stream, address })
}

/// Returns the host name, or the address without brackets.
fn host_of(url: &Url) -> String {
    match url.host() {
        Some(Host::Domain(name)) => name.to_owned(),
        Some(Host::Ipv4(ip)) => ip.to_string(),
        Some(Host::Ipv6(ip)) => ip.to_string(),
        None => String::new(),
    }
}

async fn resolve(url: &Url, host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
    let name = match url.host() {
        Some(Host::Ipv4(ip)) => return Ok(vec![SocketAddr::new(ip.into(), port)]),
        Some(Host::Ipv6(ip)) => return Ok(vec![SocketAddr::new(ip.into(), port)]),
        _ => host,
    };
    let found = tokio::net::lookup_host((name, port)).await;
    let found = found.map_err(|source| ConnectError::Resolve { host: name.to_owned(), source })?;
    Ok(found.collect())
}

/// Returns the permitted addresses. Fails if there is none.
fn permitted(
    host: &str,
    addresses: Vec<SocketAddr>,
    allowed: &AllowedTargets,
) -> Result<Vec<SocketAddr>, ConnectError> {
    if allowed.allows_host(host) {
        return Ok(addresses);
    }
    let mut error = ConnectError::NoAddress { host: host.to_owned() };
    let mut permitted = Vec::with_capacity(addresses.len());
    for address in addresses {
        match allowed.forbidden_category(address.ip()) {
            None => permitted.push(address),
            Some(category) => {
                let ip = address.ip();
                error = ConnectError::Forbidden { host: host.to_owned(), ip, category };
            }
        }
    }
    if permitted.is_empty() { Err(error) } else { Ok(permitted) }
}

async fn connect_to_any(
    host: &str,
    addresses: &[SocketAddr],
) -> Result<(TcpStream, SocketAddr), ConnectError> {
    let mut error = ConnectError::NoAddress { host: host.to_owned() };
    for address in addresses.iter().take(MAX_ADDRESSES) {
        let connected = timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await;
        match connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(stream) => {
                // Only affects latency.
                let _ = stream.set_nodelay(true);
                return Ok((stream, *address));
            }
            Err(source) => {
                error = ConnectError::Connect { host: host.to_owned(), address: *address, source };
            }
        }
    }
    Err(error)
}

#[cfg(test)]
mod tests;
