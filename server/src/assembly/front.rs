//! The gateway in the server's process, for those who want one process: it calls the server over
//! the network like any other gateway, and knows nothing of it beyond its address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::Result;
use sentinel_engine::Tasks;
use sentinel_gateway::flags::loopback_hosts;
use sentinel_gateway::{Gateway, Settings};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A gateway that has its address and is not open yet.
pub(super) struct Front {
    listener: TcpListener,
    address: SocketAddr,
}

impl Front {
    pub(super) async fn bind(address: Option<SocketAddr>) -> Result<Option<Self>> {
        let Some(address) = address else { return Ok(None) };
        let listener = super::bind("gateway_listen", address).await?;
        let address = listener.local_addr()?;
        Ok(Some(Self { listener, address }))
    }

    fn open(self, server: SocketAddr, tasks: &Tasks, stop: CancellationToken) -> Result<()> {
        let mut settings = Settings::new(format!("http://{}", reached_at(server)));
        if self.address.ip().is_loopback() {
            settings.allow_hosts = loopback_hosts();
        }
        let gateway = Gateway::new(settings)?;
        tasks.spawn("gateway", async move {
            if let Err(error) = gateway.serve(self.listener, stop).await {
                tracing::error!(%error, "the gateway failed");
            }
        });
        Ok(())
    }
}

/// Serves browsers until `stop`, where it is to; answers at which address.
pub(super) fn open(
    front: Option<Front>,
    server: SocketAddr,
    tasks: &Tasks,
    stop: &CancellationToken,
) -> Result<Option<SocketAddr>> {
    let Some(front) = front else { return Ok(None) };
    let address = front.address;
    front.open(server, tasks, stop.clone())?;
    Ok(Some(address))
}

/// One that listens on all addresses is called on loopback.
fn reached_at(listens: SocketAddr) -> SocketAddr {
    let ip = match listens.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listens.port())
}
