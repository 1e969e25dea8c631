//! A TCP listener that limits the number of connections and the time of their handshake. tonic
//! limits neither, and a process without free file descriptors cannot open its journal.

mod transport;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::{Stream, stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tonic::transport::server::{Connected, TcpConnectInfo};

use self::transport::Transport;
use crate::tls::ServerTls;

/// The connection preface of HTTP/2 and the header of the SETTINGS frame after it. From there on
/// the HTTP/2 keepalive detects a dead connection.
const HANDSHAKE_BYTES: usize = 24 + 9;

/// The pause after a failed accept. Accept fails mostly without free file descriptors; without a
/// pause the loop would use a whole CPU.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// File descriptors reserved for the journal, the ledger and the listeners.
const RESERVED_FILES: u64 = 128;

/// The maximum number of connections, whatever the limit on open files allows. It limits memory.
const CONNECTIONS_MAX: u64 = 20_000;

/// A listener with a maximum number of open connections. Further ones wait in the accept queue of
/// the kernel.
pub(crate) struct LimitedListener {
    listener: TcpListener,
    permits: Arc<Semaphore>,
    max: usize,
    /// The HTTP/2 handshake must complete within this time; there is no timeout after it.
    handshake_timeout: Duration,
    tls: Option<ServerTls>,
}

/// Raises the limit on open files as far as allowed and returns the number of connections that fit.
pub(crate) fn connections_max() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // A sandbox may forbid this; then the present limit applies.
    let _ = setrlimit(Resource::Nofile, limit);
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    files.saturating_sub(RESERVED_FILES).clamp(16, CONNECTIONS_MAX) as usize
}

impl LimitedListener {
    /// Limits a listener to `max` open connections.
    pub(crate) fn new(listener: TcpListener, max: usize, handshake_timeout: Duration) -> Self {
        Self { listener, permits: Arc::new(Semaphore::new(max)), max, handshake_timeout, tls: None }
    }

    /// Uses TLS if `tls` is set.
    pub(crate) fn with_tls(self, tls: Option<ServerTls>) -> Self {
        Self { tls, ..self }
    }

    async fn next(&self) -> (Connection, SocketAddr) {
        let permit = self.acquire().await;
        let (stream, peer) = loop {
            match self.listener.accept().await {
                Ok(accepted) => break accepted,
                Err(error) => {
                    tracing::warn!(%error, "accept failed, retrying");
                    tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                }
            }
        };
        // Nagle's algorithm with delayed acknowledgements delays responses by up to 40 ms.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "setting TCP_NODELAY failed");
        }
        let handshake_bytes_left = Some(HANDSHAKE_BYTES);
        let deadline = Some(Box::pin(tokio::time::sleep(self.handshake_timeout)));
        let info = stream.connect_info();
        let stream = Transport::new(stream, self.tls.as_ref().map(ServerTls::acceptor));
        (Connection { stream, info, deadline, handshake_bytes_left, _permit: permit }, peer)
    }

    async fn acquire(&self) -> OwnedSemaphorePermit {
        let permits = self.permits.clone();
        if let Ok(permit) = permits.clone().try_acquire_owned() {
            return permit;
        }
        tracing::warn!(
            connections = self.max,
            "connection limit reached, new connections wait until one closes; raise the limit on \
             open files"
        );
        permits.acquire_owned().await.expect("the semaphore is never closed")
    }

    /// Returns the stream of connections for tonic.
    pub(crate) fn into_incoming(self) -> impl Stream<Item = io::Result<Connection>> {
        stream::unfold(self, |connections| async move {
            let (connection, _) = connections.next().await;
            Some((Ok(connection), connections))
        })
    }
}

/// An accepted connection. It counts towards the limit until it is dropped.
pub(crate) struct Connection {
    stream: Transport,
    info: TcpConnectInfo,
    /// When the connection times out; `None` after the handshake.
    deadline: Option<Pin<Box<Sleep>>>,
    /// Bytes to receive until the handshake is complete; `None` after it.
    handshake_bytes_left: Option<usize>,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    /// Fails after the deadline, and registers the task to be woken at the deadline.
    fn check_deadline(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let Some(deadline) = &mut self.deadline else { return Ok(()) };
        match deadline.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check_deadline(context)?;
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if let Some(left) = self.handshake_bytes_left {
            let left = left.saturating_sub(buffer.filled().len() - before);
            self.handshake_bytes_left = (left > 0).then_some(left);
            if left == 0 {
                self.deadline = None;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check_deadline(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check_deadline(context)?;
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.info.clone()
    }
}

#[cfg(test)]
mod tests;
