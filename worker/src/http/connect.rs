//! From a URL to a connection: one look-up, every address judged, and only judged ones dialled.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use sentinel_client::worker::HandlerError;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::{Host, Url};

use super::Shared;
use super::guard::Allowed;

/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 4;

/// An address that does not answer leaves time for the others.
const DIAL_WITHIN: Duration = Duration::from_secs(5);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("can not look up {host}: {source}")]
    LookUp { host: String, source: io::Error },
    #[error("{host} has no address")]
    NoAddress { host: String },
    #[error(
        "{host} is at {ip}, which is {what}; this worker may not reach it (its operator can allow \
         it with --http-allow)"
    )]
    Refused { host: String, ip: IpAddr, what: &'static str },
    #[error("can not connect to {host} at {address}: {source}")]
    Dial { host: String, address: SocketAddr, source: io::Error },
    #[error("no TLS with {host}: {reason}")]
    Tls { host: String, reason: String },
}

impl ConnectError {
    pub(super) fn into_failure(self) -> HandlerError {
        let text = self.to_string();
        match self {
            ConnectError::Refused { .. } => {
                HandlerError::non_retryable(text).with_code("TARGET_REFUSED")
            }
            ConnectError::LookUp { .. } | ConnectError::NoAddress { .. } => {
                HandlerError::retryable(text).with_code("HTTP_LOOK_UP")
            }
            ConnectError::Dial { .. } => HandlerError::retryable(text).with_code("HTTP_CONNECT"),
            ConnectError::Tls { .. } => HandlerError::retryable(text).with_code("HTTP_TLS"),
        }
    }
}

/// A connection of either kind.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// A connection and what it leads to.
pub(super) struct Connected {
    pub(super) wire: Box<dyn Wire>,
    pub(super) address: SocketAddr,
}

pub(super) async fn connect(url: &Url, shared: &Shared) -> Result<Connected, ConnectError> {
    let host = host_of(url);
    let port = url.port_or_known_default().unwrap_or_default();
    let addresses = addresses(url, &host, port).await?;
    let addresses = judged(&host, addresses, &shared.config.allowed)?;
    let (stream, address) = dial(&host, &addresses).await?;
    let wire: Box<dyn Wire> = match url.scheme() {
        "https" => Box::new(shared.tls.wrap(&host, stream).await?),
        _ => Box::new(stream),
    };
    Ok(Connected { wire, address })
}

/// A name, or an address without brackets.
fn host_of(url: &Url) -> String {
    match url.host() {
        Some(Host::Domain(name)) => name.to_owned(),
        Some(Host::Ipv4(ip)) => ip.to_string(),
        Some(Host::Ipv6(ip)) => ip.to_string(),
        None => String::new(),
    }
}

async fn addresses(url: &Url, host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
    let name = match url.host() {
        Some(Host::Ipv4(ip)) => return Ok(vec![SocketAddr::new(ip.into(), port)]),
        Some(Host::Ipv6(ip)) => return Ok(vec![SocketAddr::new(ip.into(), port)]),
        _ => host,
    };
    let found = tokio::net::lookup_host((name, port)).await;
    let found = found.map_err(|source| ConnectError::LookUp { host: name.to_owned(), source })?;
    Ok(found.collect())
}

/// Those that may be dialled. A name with forbidden addresses only is refused.
fn judged(
    host: &str,
    addresses: Vec<SocketAddr>,
    allowed: &Allowed,
) -> Result<Vec<SocketAddr>, ConnectError> {
    if allowed.allows_host(host) {
        return Ok(addresses);
    }
    let mut refusal = ConnectError::NoAddress { host: host.to_owned() };
    let mut open = Vec::with_capacity(addresses.len());
    for address in addresses {
        match allowed.forbids(address.ip()) {
            None => open.push(address),
            Some(what) => {
                refusal = ConnectError::Refused { host: host.to_owned(), ip: address.ip(), what };
            }
        }
    }
    if open.is_empty() { Err(refusal) } else { Ok(open) }
}

async fn dial(
    host: &str,
    addresses: &[SocketAddr],
) -> Result<(TcpStream, SocketAddr), ConnectError> {
    let mut failure = ConnectError::NoAddress { host: host.to_owned() };
    for address in addresses.iter().take(MAX_ADDRESSES) {
        let dialed = timeout(DIAL_WITHIN, TcpStream::connect(address)).await;
        match dialed.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(stream) => {
                // Only latency is at stake.
                let _ = stream.set_nodelay(true);
                return Ok((stream, *address));
            }
            Err(source) => {
                failure = ConnectError::Dial { host: host.to_owned(), address: *address, source };
            }
        }
    }
    Err(failure)
}

#[cfg(test)]
mod tests;
