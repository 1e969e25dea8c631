//! Connections to a single server, to a primary that Redis Sentinels monitor, or to a Cluster.

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
use crate::error::should_reconnect;

/// The timeouts of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    pub(crate) connect: Duration,
    pub(crate) response: Duration,
}

/// A connection of the client library.
pub(crate) enum RawConnection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// A connection, and whether it is broken.
pub(crate) struct Connection {
    raw: RawConnection,
    is_broken: bool,
}

impl ConnectionLike for RawConnection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(raw) => raw.req_packed_command(cmd),
            Self::Cluster(raw) => raw.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(raw) => raw.req_packed_commands(pipeline, offset, count),
            Self::Cluster(raw) => raw.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(raw) => raw.get_db(),
            Self::Cluster(raw) => raw.get_db(),
        }
    }
}

impl Connection {
    pub(crate) fn new(raw: RawConnection) -> Self {
        Self { raw, is_broken: false }
    }

    /// Returns whether the connection must be replaced.
    pub(crate) fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Runs a command.
    pub(crate) async fn query(&mut self, command: &Cmd) -> RedisResult<Value> {
        // If the caller drops this future, the reply stays unread in the connection.
        self.is_broken = true;
        let reply = command.query_async(&mut self.raw).await;
        self.is_broken = reply.as_ref().is_err_and(should_reconnect);
        reply
    }

    /// Returns whether the connection always leads to the same server.
    pub(crate) fn is_single_server(&self) -> bool {
        matches!(self.raw, RawConnection::One(_))
    }

    /// Runs several commands in order on one connection to the primary of a key.
    pub(crate) async fn query_on(
        &mut self,
        pipeline: &Pipeline,
        key: &str,
    ) -> RedisResult<Vec<Value>> {
        self.is_broken = true;
        let reply = match &mut self.raw {
            RawConnection::One(raw) => pipeline.query_async(raw).await,
            RawConnection::Cluster(raw) => {
                let route = Route::with_key(key, SlotAddr::Master);
                let route = SingleNodeRoutingInfo::SpecificNode(route);
                raw.route_pipeline(pipeline.clone(), 0, pipeline.len(), route).await
            }
        };
        self.is_broken = reply.as_ref().is_err_and(should_reconnect);
        reply
    }

    /// Runs several commands as one transaction.
    pub(crate) async fn query_all(&mut self, pipeline: &Pipeline) -> RedisResult<Vec<Value>> {
        self.is_broken = true;
        let reply = pipeline.query_async(&mut self.raw).await;
        self.is_broken = reply.as_ref().is_err_and(should_reconnect);
        reply
    }
}

/// Opens connections. It is also the manager of the pool, because bb8-redis supports neither
/// Sentinels nor Clusters.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    pub(crate) address: Address,
    pub(crate) timeouts: Timeouts,
}

impl Connector {
    async fn connect_single(&self, info: ConnectionInfo) -> RedisResult<Connection> {
        let manager = RedisConnectionManager::new(info)?;
        let mut raw = bb8::ManageConnection::connect(&manager).await?;
        raw.set_response_timeout(self.timeouts.response);
        Ok(Connection::new(RawConnection::One(raw)))
    }

    async fn connect_cluster(&self, nodes: &[ConnectionInfo]) -> RedisResult<Connection> {
        // The client retries redirected and interrupted commands. Calls are numbered, so that is
        // safe.
        let client = ClusterClientBuilder::new(nodes.to_vec())
            .connection_timeout(self.timeouts.connect)
            .response_timeout(self.timeouts.response)
            .overall_response_timeout(Some(self.timeouts.response))
            .retries(3)
            .build()?;
        Ok(Connection::new(RawConnection::Cluster(client.get_async_connection().await?)))
    }

    /// Asks the Sentinels for the current primary.
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

    /// Opens a connection.
    pub(crate) async fn connection(&self) -> RedisResult<Connection> {
        let connecting = async {
            match &self.address {
                Address::One(info) => self.connect_single(info.clone()).await,
                Address::Sentinel { .. } => self.connect_single(self.primary().await?).await,
                Address::Cluster(nodes) => self.connect_cluster(nodes).await,
            }
        };
        let timed_out = || RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
        tokio::time::timeout(self.timeouts.connect, connecting)
            .await
            .unwrap_or_else(|_| Err(timed_out()))
    }

    /// Returns a client for a pub/sub subscription. On a Cluster it connects to the node with the
    /// slot of `key`.
    pub(crate) async fn subscriber(
        &self,
        key: &str,
    ) -> RedisResult<(Client, AsyncConnectionConfig)> {
        let info = match &self.address {
            Address::One(info) => info.clone(),
            Address::Sentinel { .. } => self.primary().await?,
            Address::Cluster(nodes) => self.node_of(nodes, key).await?,
        };
        let settings = info.redis_settings().clone().set_protocol(redis::ProtocolVersion::RESP3);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timeouts.connect))
            .set_response_timeout(Some(self.timeouts.response));
        Ok((Client::open(info.set_redis_settings(settings))?, config))
    }

    /// Finds the node of a Cluster that has the slot of a key.
    async fn node_of(&self, nodes: &[ConnectionInfo], key: &str) -> RedisResult<ConnectionInfo> {
        let mut last = RedisError::from((redis::ErrorKind::InvalidClientConfig, "no nodes"));
        for node in nodes {
            let mut connection = match self.connect_single(node.clone()).await {
                Ok(connection) => connection,
                Err(error) => {
                    last = error;
                    continue;
                }
            };
            // A node without the slot replies with the address of the one that has it.
            let mut probe = redis::cmd("EXISTS");
            probe.arg(key);
            match connection.query(&probe).await {
                Ok(_) => return Ok(node.clone()),
                Err(error) => match error.redirect_node() {
                    Some((address, _)) => return at_address(node, address),
                    None => last = error,
                },
            }
        }
        Err(last)
    }
}

/// Returns the same login at another address.
fn at_address(node: &ConnectionInfo, address: &str) -> RedisResult<ConnectionInfo> {
    let invalid = || RedisError::from((redis::ErrorKind::Parse, "a redirect without an address"));
    let (host, port) = address.rsplit_once(':').ok_or_else(invalid)?;
    let port = port.parse().map_err(|_| invalid())?;
    Ok(node.clone().set_addr(redis::ConnectionAddr::Tcp(host.to_owned(), port)))
}

impl bb8::ManageConnection for Connector {
    type Connection = Connection;
    type Error = RedisError;

    async fn connect(&self) -> Result<Connection, RedisError> {
        self.connection().await
    }

    async fn is_valid(&self, connection: &mut Connection) -> Result<(), RedisError> {
        connection.query(&redis::cmd("PING")).await.map(drop)
    }

    fn has_broken(&self, connection: &mut Connection) -> bool {
        connection.is_broken()
    }
}
