//! What several servers share: one Redis, one MariaDB, a proxy on each way there, and a
//! balancer in front of the servers.

mod balancer;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use sentinel_faults::{MariaDb, Proxy, RedisServer};

use crate::harness::{Server, sentinel};
use balancer::Balancer;

/// Fields are dropped in order: the stores last.
pub(crate) struct Stores {
    balancer: Balancer,
    /// From each server to Redis.
    pub(super) to_redis: Vec<Proxy>,
    /// From each server to the database.
    pub(super) to_ledger: Vec<Proxy>,
    pub(crate) redis: RedisServer,
    pub(crate) ledger: MariaDb,
}

impl Stores {
    /// So many servers, each with ways of its own to both stores.
    pub(super) async fn start(dir: &Path, servers: usize, flags: &[&str]) -> (Self, Vec<Server>) {
        let place = |name: &str| {
            let place = dir.join(name);
            std::fs::create_dir(&place).expect("a directory");
            place
        };
        let redis = RedisServer::start(&place("redis"), &[]);
        let ledger = MariaDb::start();
        sentinel(["migrate", "--ledger-url", &ledger.url(), "--json"]).await.ok();
        let (mut to_redis, mut to_ledger) = (Vec::new(), Vec::new());
        let mut members = Vec::with_capacity(servers);
        for nth in 0..servers {
            let (redis_way, ledger_way) = (proxy(redis.port()).await, proxy(ledger.port()).await);
            let store_url = format!("--store-url=redis://{}", redis_way.address());
            let ledger_url = ledger.url_at(ledger_way.address().port());
            let ledger_url = format!("--ledger-url={ledger_url}");
            let stores = [flags, &[&store_url, &ledger_url]].concat();
            members.push(Server::start(&place(&format!("server{nth}")), &stores).await);
            to_redis.push(redis_way);
            to_ledger.push(ledger_way);
        }
        let addresses = members.iter().map(Server::socket_address).collect();
        let balancer = Balancer::start(addresses).await;
        (Self { balancer, to_redis, to_ledger, redis, ledger }, members)
    }

    /// Whichever server is up.
    pub(super) fn front(&self) -> SocketAddr {
        self.balancer.address()
    }

    /// Ends the faults of the network.
    pub(super) fn restore(&self) {
        self.to_redis.iter().chain(&self.to_ledger).for_each(Proxy::restore);
    }
}

async fn proxy(port: u16) -> Proxy {
    Proxy::start((Ipv4Addr::LOCALHOST, port).into()).await.expect("a proxy")
}
