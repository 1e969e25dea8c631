//! Connections: to one server, to the primary that Sentinels name, or to a Cluster.

use std::time::Duration;

use bb8_redis::RedisConnectionManager;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{Route, SingleNodeRoutingInfo, SlotAddr};
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, Pipeline, RedisError, RedisFuture,
    RedisResult, Value,
};

use crate::address::Address;
use crate::error::is_misplaced;

/// Times that every connection keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Until a connection stands.
    pub(crate) connect: Duration,
    /// Until an answer is there.
    pub(crate) answer: Duration,
}

/// A connection.
pub(crate) enum Wire {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// A connection, and whether it is still good.
pub(crate) struct Link {
    wire: Wire,
    is_broken: bool,
}

impl ConnectionLike for Wire {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(wire) => wire.req_packed_command(cmd),
            Self::Cluster(wire) => wire.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(wire) => wire.req_packed_commands(pipeline, offset, count),
            Self::Cluster(wire) => wire.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(wire) => wire.get_db(),
            Self::Cluster(wire) => wire.get_db(),
        }
    }
}

impl Link {
    pub(crate) fn new(wire: Wire) -> Self {
        Self { wire, is_broken: false }
    }

    /// What is asked next goes elsewhere.
    pub(crate) fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Asks one command.
    pub(crate) async fn query(&mut self, command: &Cmd) -> RedisResult<Value> {
        // Whoever stops waiting leaves an answer behind that nobody takes.
        self.is_broken = true;
        let answer = command.query_async(&mut self.wire).await;
        self.is_broken = answer.as_ref().is_err_and(is_misplaced);
        answer
    }

    /// To one server, and never by itself to another.
    pub(crate) fn is_one(&self) -> bool {
        matches!(self.wire, Wire::One(_))
    }

    /// Asks several commands, one after another on one connection to the primary of a key.
    pub(crate) async fn query_on(
        &mut self,
        pipeline: &Pipeline,
        key: &str,
    ) -> RedisResult<Vec<Value>> {
        self.is_broken = true;
        let answer = match &mut self.wire {
            Wire::One(wire) => pipeline.query_async(wire).await,
            Wire::Cluster(wire) => {
                let route = Route::with_key(key, SlotAddr::Master);
                let route = SingleNodeRoutingInfo::SpecificNode(route);
                wire.route_pipeline(pipeline.clone(), 0, pipeline.len(), route).await
            }
        };
        self.is_broken = answer.as_ref().is_err_and(is_misplaced);
        answer
    }

    /// Asks several commands as one transaction.
    pub(crate) async fn query_all(&mut self, pipeline: &Pipeline) -> RedisResult<Vec<Value>> {
        self.is_broken = true;
        let answer = pipeline.query_async(&mut self.wire).await;
        self.is_broken = answer.as_ref().is_err_and(is_misplaced);
        answer
    }
}

/// Makes connections. Also the manager of the pool: bb8-redis has one for a single server,
/// and none for Sentinels and Clusters.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    pub(crate) address: Address,
    pub(crate) patience: Patience,
}

impl Connector {
    async fn one(&self, info: ConnectionInfo) -> RedisResult<Link> {
        let manager = RedisConnectionManager::new(info)?;
        let mut wire = bb8::ManageConnection::connect(&manager).await?;
        wire.set_response_timeout(self.patience.answer);
        Ok(Link::new(Wire::One(wire)))
    }

    async fn cluster(&self, nodes: &[ConnectionInfo]) -> RedisResult<Link> {
        // The client repeats by itself what was redirected or cut: a call has its number.
        let client = ClusterClientBuilder::new(nodes.to_vec())
            .connection_timeout(self.patience.connect)
            .response_timeout(self.patience.answer)
            .overall_response_timeout(Some(self.patience.answer))
            .retries(3)
            .build()?;
        Ok(Link::new(Wire::Cluster(client.get_async_connection().await?)))
    }

    /// The primary of a name, as a Sentinel knows it now.
    async fn primary(&self) -> RedisResult<ConnectionInfo> {
        let Address::Sentinel { sentinels, name, login } = &self.address else {
            return Err((redis::ErrorKind::InvalidClientConfig, "no Sentinels").into());
        };
        let sentinels = sentinels.iter().map(|info| info.addr().clone());
        let mut builder = SentinelClientBuilder::new(sentinels, name, SentinelServerType::Master)?;
        if let Some(user) = login.username() {
            builder = builder.set_client_to_redis_username(user);
        }
        if let Some(password) = login.password() {
            builder = builder.set_client_to_redis_password(password);
        }
        let client = builder.build()?.async_get_client().await?;
        Ok(client.get_connection_info().clone())
    }

    /// A new connection.
    pub(crate) async fn link(&self) -> RedisResult<Link> {
        let connecting = async {
            match &self.address {
                Address::One(info) => self.one(info.clone()).await,
                Address::Sentinel { .. } => self.one(self.primary().await?).await,
                Address::Cluster(nodes) => self.cluster(nodes).await,
            }
        };
        let late = || RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
        tokio::time::timeout(self.patience.connect, connecting)
            .await
            .unwrap_or_else(|_| Err(late()))
    }

    /// A client of the server that has a channel; on a Cluster, of the node that has its slot.
    pub(crate) async fn listener(
        &self,
        slot_of: &str,
    ) -> RedisResult<(Client, AsyncConnectionConfig)> {
        let info = match &self.address {
            Address::One(info) => info.clone(),
            Address::Sentinel { .. } => self.primary().await?,
            Address::Cluster(nodes) => self.node_of(nodes, slot_of).await?,
        };
        let settings = info.redis_settings().clone().set_protocol(redis::ProtocolVersion::RESP3);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.patience.connect))
            .set_response_timeout(Some(self.patience.answer));
        Ok((Client::open(info.set_redis_settings(settings))?, config))
    }

    /// The node of a Cluster that has the slot of a key, by asking those that are known.
    async fn node_of(&self, nodes: &[ConnectionInfo], key: &str) -> RedisResult<ConnectionInfo> {
        let mut last = RedisError::from((redis::ErrorKind::InvalidClientConfig, "no nodes"));
        for node in nodes {
            let mut wire = match self.one(node.clone()).await {
                Ok(link) => link,
                Err(error) => {
                    last = error;
                    continue;
                }
            };
            // A node that has not the slot says who does.
            let mut probe = redis::cmd("EXISTS");
            probe.arg(key);
            match wire.query(&probe).await {
                Ok(_) => return Ok(node.clone()),
                Err(error) => match error.redirect_node() {
                    Some((address, _)) => return at(node, address),
                    None => last = error,
                },
            }
        }
        Err(last)
    }
}

/// The same login at another address.
fn at(node: &ConnectionInfo, address: &str) -> RedisResult<ConnectionInfo> {
    let wrong = || RedisError::from((redis::ErrorKind::Parse, "a redirect without an address"));
    let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse().map_err(|_| wrong())?;
    Ok(node.clone().set_addr(redis::ConnectionAddr::Tcp(host.to_owned(), port)))
}

impl bb8::ManageConnection for Connector {
    type Connection = Link;
    type Error = RedisError;

    async fn connect(&self) -> Result<Link, RedisError> {
        self.link().await
    }

    async fn is_valid(&self, link: &mut Link) -> Result<(), RedisError> {
        link.query(&redis::cmd("PING")).await.map(drop)
    }

    fn has_broken(&self, link: &mut Link) -> bool {
        link.is_broken()
    }
}
