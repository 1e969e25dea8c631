//! A pool of gRPC connections to the server. The server takes 200 streams per connection and
//! every open watch of every browser is one stream, so the pool grows with the streams.

mod accepted_keys;
mod deadline;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use http::{Request, Response};
use sentinel_client::ConnectOptions;
use tonic::Code;
use tonic::body::Body;
use tonic::transport::Channel;
use tower::{Service, ServiceExt as _};

use self::accepted_keys::AcceptedKeys;
use self::deadline::Deadline;
use crate::error::GatewayError;
use crate::error_trailers::ErrorTrailers;
use crate::guarded_body::GuardedBody;
use crate::request_body::BodyContext;

/// The limit of streams per connection. It is below the server's limit because the server counts
/// a closed stream a little longer than the client does.
const STREAMS_MAX: usize = 160;

/// The limit of connections. Streams beyond it wait for others to close.
const CONNECTIONS_MAX: usize = 64;

/// The connections to one server. They are opened on demand, and reopened when they break.
#[derive(Clone)]
pub(crate) struct Upstream {
    pool: Arc<ConnectionPool>,
}

struct ConnectionPool {
    server: String,
    connect: ConnectOptions,
    connections: Mutex<Vec<Connection>>,
    accepted_keys: AcceptedKeys,
}

#[derive(Clone)]
struct Connection {
    channel: Channel,
    streams: Arc<AtomicUsize>,
}

/// Counts as one stream of a connection until it is dropped.
struct StreamPermit(Arc<AtomicUsize>);

impl StreamPermit {
    fn new(streams: Arc<AtomicUsize>) -> Self {
        streams.fetch_add(1, Ordering::Relaxed);
        Self(streams)
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The transport of generated clients. An unreachable server becomes a response with a status.
impl Service<Request<Body>> for Upstream {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let upstream = self.clone();
        Box::pin(async move {
            let response = upstream.send(request).await;
            Ok(response.unwrap_or_else(GatewayError::into_grpc_response))
        })
    }
}

impl Upstream {
    /// Creates the pool without connecting.
    pub(crate) fn new(
        server: &str,
        connect: &ConnectOptions,
    ) -> Result<Self, sentinel_client::Error> {
        let connection =
            Connection { channel: connect.lazy_channel(server)?, streams: Arc::default() };
        let pool = ConnectionPool {
            server: server.to_owned(),
            connect: connect.clone(),
            connections: Mutex::new(vec![connection]),
            accepted_keys: AcceptedKeys::default(),
        };
        Ok(Self { pool: Arc::new(pool) })
    }

    pub(crate) fn accepted_keys(&self) -> &AcceptedKeys {
        &self.pool.accepted_keys
    }

    /// Sends one call and waits for its response, at most until its deadline.
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, GatewayError> {
        let deadline = Deadline::of(request.headers());
        let failure =
            request.extensions().get::<BodyContext>().cloned().unwrap_or_default().failure;
        let response = match deadline.limit(self.transport(request)).await {
            None => return Err(GatewayError::deadline_exceeded()),
            Some(Ok(response)) => response,
            Some(Err(error)) => {
                return Err(failure.get().unwrap_or_else(|| of_failed_call(&error)));
            }
        };
        // The server may see the deadline first, which tonic reports as a cancelled call.
        let code = response.headers().get("grpc-status").map(|code| code.as_bytes());
        if code.map(Code::from_bytes) == Some(Code::Cancelled) && deadline.is_over() {
            return Err(GatewayError::deadline_exceeded());
        }
        Ok(response)
    }

    /// Sends one call. The body of the response holds the permit of its stream.
    async fn transport(
        &self,
        request: Request<Body>,
    ) -> Result<Response<Body>, tonic::transport::Error> {
        let (mut channel, permit) = self.pool.acquire_stream();
        let response = channel.ready().await?.call(request).await?;
        Ok(response.map(|body| Body::new(GuardedBody::new(ErrorTrailers::new(body), permit))))
    }
}

/// Returns the error of a call that got no response.
fn of_failed_call(error: &tonic::transport::Error) -> GatewayError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(one) = cause {
        if one.is::<tonic::TimeoutExpired>() {
            return GatewayError::deadline_exceeded();
        }
        cause = one.source();
    }
    GatewayError::server_unreachable(error)
}

impl ConnectionPool {
    /// Takes a stream of the first connection below its limit. Always preferring the first lets
    /// the connections at the end of the list become idle.
    fn acquire_stream(&self) -> (Channel, StreamPermit) {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let streams = |connection: &Connection| connection.streams.load(Ordering::Relaxed);
        let free = connections.iter().find(|one| streams(one) < STREAMS_MAX).cloned();
        let connection = match free {
            Some(connection) => connection,
            None if connections.len() < CONNECTIONS_MAX => {
                match self.connect.lazy_channel(&self.server) {
                    Ok(channel) => {
                        let connection = Connection { channel, streams: Arc::default() };
                        connections.push(connection.clone());
                        connection
                    }
                    // The URL was valid at startup, so a call on the first connection fails with
                    // the actual error.
                    Err(_) => connections[0].clone(),
                }
            }
            None => {
                let least_used = connections.iter().min_by_key(|one| streams(one));
                least_used.expect("the pool has at least one connection").clone()
            }
        };
        (connection.channel, StreamPermit::new(connection.streams))
    }
}
