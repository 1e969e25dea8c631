//! Runs the gateway in the server's process, for deployments that want a single process. The
//! gateway calls the server over the network like any other gateway.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::Result;
use sentinel_engine::Tasks;
use sentinel_gateway::flags::loopback_hosts;
use sentinel_gateway::{Gateway, Settings};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Serves the gateway on `listener` until `stop`. Returns the address it listens on, or none
/// without a listener.
pub(super) fn spawn(
    listener: Option<TcpListener>,
    server: SocketAddr,
    tasks: &Tasks,
    stop: &CancellationToken,
) -> Result<Option<SocketAddr>> {
    let Some(listener) = listener else { return Ok(None) };
    let address = listener.local_addr()?;
    let mut settings = Settings::new(format!("http://{}", reachable_address(server)));
    if address.ip().is_loopback() {
        settings.allow_hosts = loopback_hosts();
    }
    let gateway = Gateway::new(settings)?;
    let stop = stop.clone();
    tasks.spawn("gateway", async move {
        if let Err(error) = gateway.serve(listener, stop).await {
            tracing::error!(%error, "gateway failed");
        }
    });
    Ok(Some(address))
}

/// The address to call a server at: loopback when it listens on all addresses.
fn reachable_address(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}
