//! The shared stores of a cluster: one Redis and one MariaDB, a proxy for each connection from a
//! server, and a load balancer in front of the servers.

mod load_balancer;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use sentinel_faults::{MariaDb, Proxy, RedisServer};

use crate::harness::{ServerProcess, sentinel};
use load_balancer::LoadBalancer;

/// Fields are dropped in order: the stores last.
pub(crate) struct SharedStores {
    load_balancer: LoadBalancer,
    /// One proxy per server.
    pub(super) to_redis: Vec<Proxy>,
    /// One proxy per server.
    pub(super) to_ledger: Vec<Proxy>,
    pub(crate) redis: RedisServer,
    pub(crate) ledger: MariaDb,
}

impl SharedStores {
    /// Starts the stores and this many servers, each with its own proxies to both stores.
    pub(super) async fn start(
        dir: &Path,
        servers: usize,
        flags: &[&str],
    ) -> (Self, Vec<ServerProcess>) {
        let subdir = |name: &str| {
            let path = dir.join(name);
            std::fs::create_dir(&path).expect("create a directory");
            path
        };
        let redis = RedisServer::start(&subdir("redis"), &[]);
        let ledger = MariaDb::start();
        sentinel(["migrate", "--ledger-url", &ledger.url(), "--json"]).await.ok();
        let (mut to_redis, mut to_ledger) = (Vec::new(), Vec::new());
        let mut processes = Vec::with_capacity(servers);
        for nth in 0..servers {
            let (redis_proxy, ledger_proxy) =
                (proxy(redis.port()).await, proxy(ledger.port()).await);
            let store_url = format!("--store-url=redis://{}", redis_proxy.address());
            let ledger_url = ledger.url_at(ledger_proxy.address().port());
            let ledger_url = format!("--ledger-url={ledger_url}");
            let stores = [flags, &[&store_url, &ledger_url]].concat();
            processes.push(ServerProcess::start(&subdir(&format!("server{nth}")), &stores).await);
            to_redis.push(redis_proxy);
            to_ledger.push(ledger_proxy);
        }
        let addresses = processes.iter().map(ServerProcess::socket_address).collect();
        let load_balancer = LoadBalancer::start(addresses).await;
        (Self { load_balancer, to_redis, to_ledger, redis, ledger }, processes)
    }

    /// Returns the address of the load balancer.
    pub(super) fn address(&self) -> SocketAddr {
        self.load_balancer.address()
    }

    /// Ends all network faults.
    pub(super) fn restore(&self) {
        self.to_redis.iter().chain(&self.to_ledger).for_each(Proxy::restore);
    }
}

async fn proxy(port: u16) -> Proxy {
    Proxy::start((Ipv4Addr::LOCALHOST, port).into()).await.expect("a proxy")
}
