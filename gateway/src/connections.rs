//! Accepts HTTP connections within the limits: the number of connections of a client and of all,
//! the time to send a request head, and the time a connection may be idle.

mod activity;
mod limits;
mod table;

use std::convert::Infallible;
use std::future::{Future as _, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use self::activity::RecordedStream;
pub(crate) use self::limits::ConnectionLimits;
use self::table::{ConnectionTable, Place};
use crate::guarded_body::GuardedBody;

/// The pause after a failed accept. The usual cause is a lack of file descriptors; without a
/// pause the loop would spin.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// How long sent data may stay unacknowledged before the connection is closed.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long requests may take to finish after the shutdown began. Streams close sooner when the
/// server shuts down as well.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// What all connections of a listener share.
#[derive(Clone)]
struct Shared {
    router: Router,
    limits: ConnectionLimits,
    stop: CancellationToken,
}

/// Serves until `stop` is cancelled.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ConnectionLimits,
    stop: CancellationToken,
) -> io::Result<()> {
    let table = Arc::new(ConnectionTable::new(limits));
    let shared = Shared { router, limits, stop: stop.clone() };
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => match table.admit(peer.ip()) {
                    Some(place) => {
                        connections.spawn(serve_connection(stream, peer, place, shared.clone()));
                    }
                    None => tracing::debug!(%peer, "connection limit reached, connection closed"),
                },
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection failed, retrying");
                    table.close_idle();
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

async fn serve_connection(stream: TcpStream, peer: SocketAddr, place: Place, shared: Shared) {
    let Shared { router, limits, stop } = shared;
    let timeout_ms = TCP_USER_TIMEOUT.as_millis() as u32;
    let user_timeout = rustix::net::sockopt::set_tcp_user_timeout(&stream, timeout_ms);
    if let Err(error) = stream.set_nodelay(true).and(user_timeout.map_err(io::Error::from)) {
        tracing::debug!(%error, "setting a socket option failed");
    }
    let activity = place.activity.clone();
    let requests = activity.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        let guard = requests.begin_request();
        request.extensions_mut().insert(ConnectInfo(peer));
        let response = router.clone().oneshot(request.map(Body::new));
        async move {
            let response = response.await.map_err(|never: Infallible| match never {})?;
            Ok::<_, Infallible>(response.map(|body| Body::new(GuardedBody::new(body, guard))))
        }
    });
    let stream = TokioIo::new(RecordedStream::new(stream, activity.clone()));
    let connection = hyper::server::conn::http1::Builder::new()
        // The activity has both timeouts; the one of hyper does not tell an idle connection from
        // a slow head.
        .header_read_timeout(None)
        .max_buf_size(64 << 10)
        .serve_connection(stream, service);
    tokio::pin!(connection);
    let timer = tokio::time::sleep_until(Instant::now() + limits.head_timeout);
    tokio::pin!(timer);
    // All changes of the activity happen while the connection is polled, so that the deadline is
    // read after it.
    let mut served = poll_fn(|context| {
        if let Poll::Ready(result) = connection.as_mut().poll(context) {
            return Poll::Ready(Some(result));
        }
        let deadline = activity.deadline(limits.head_timeout, limits.idle_timeout);
        let Some(deadline) = deadline else { return Poll::Pending };
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(context).map(|()| None)
    });
    let result = tokio::select! {
        result = &mut served => result,
        () = place.closed.cancelled() => None,
        () = stop.cancelled() => {
            drop(served);
            if activity.busy_since().0 {
                connection.as_mut().graceful_shutdown();
                Some(connection.await)
            } else {
                None
            }
        }
    };
    if let Some(Err(error)) = result {
        tracing::debug!(%error, %peer, "connection closed by an error");
    }
}
