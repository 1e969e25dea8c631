//! Accepts HTTP connections within the limits: the number of connections, the time to send a
//! request head, and the time a connection may stay idle.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::settings::Limits;

/// The pause after a failed accept. The usual cause is a lack of file descriptors; without a
/// pause the loop would spin.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// How long sent data may stay unacknowledged before the connection is closed.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long requests may take to finish after the shutdown began. Streams close sooner when the
/// server shuts down as well.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// Serves until `stop` is cancelled.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) -> io::Result<()> {
    let permits = Arc::new(Semaphore::new(limits.connections_max));
    let mut connections = JoinSet::new();
    loop {
        let accept = async {
            let permit = permits.clone().acquire_owned().await.expect("the semaphore stays open");
            (permit, listener.accept().await)
        };
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            (permit, accepted) = accept => match accepted {
                Ok((stream, peer)) => {
                    let router = router.clone();
                    let stop = stop.clone();
                    connections.spawn(async move {
                        serve_connection(stream, peer, router, (limits, stop)).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection failed, retrying");
                    tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                }
            },
        }
    }
    let finished = async { while connections.join_next().await.is_some() {} };
    // Dropping the set closes the connections that are still open.
    let _ = tokio::time::timeout(SHUTDOWN_GRACE, finished).await;
    Ok(())
}

async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    (limits, stop): (Limits, CancellationToken),
) {
    let timeout_ms = TCP_USER_TIMEOUT.as_millis() as u32;
    let user_timeout = rustix::net::sockopt::set_tcp_user_timeout(&stream, timeout_ms);
    if let Err(error) = stream.set_nodelay(true).and(user_timeout.map_err(io::Error::from)) {
        tracing::debug!(%error, "setting a socket option failed");
    }
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let response = router.clone().oneshot(request.map(Body::new));
        async move { response.await.map_err(|never: Infallible| match never {}) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let result = tokio::select! {
        result = &mut connection => result,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, %peer, "connection closed by an error");
    }
}
