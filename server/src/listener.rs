//! LimitedListener within bounds. Neither tonic nor axum bounds how many there are, or how long
//! one may take to say its first word; a process that is out of file descriptors can not
//! open its journal either.

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

use self::transport::Wire;
use crate::tls::ServerTls;

/// The preface of HTTP/2 and the head of the SETTINGS frame that follows it: from there on
/// the keepalive of the connection finds those that went silent.
const GREETING_BYTES: usize = 24 + 9;

/// After an accept that failed, mostly for want of file descriptors: without a pause the
/// loop would take a processor to itself.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// File descriptors that the journal, the ledger and the listeners need.
const OWN_FILES: u64 = 128;

/// More than this would be memory rather than workers.
const CONNECTIONS_MAX: u64 = 20_000;

/// What a listener allows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ConnectionTimeout {
    /// The greeting of HTTP/2 within this time; no bound from then on.
    Greeting(Duration),
    /// The whole connection within this time, so that nobody holds its place by being slow.
    Whole(Duration),
}

/// A listener with a bound on its connections. Beyond it they wait in the kernel's queue.
pub(crate) struct LimitedListener {
    listener: TcpListener,
    slots: Arc<Semaphore>,
    max: usize,
    patience: ConnectionTimeout,
    tls: Option<ServerTls>,
}

/// How many connections the limit on open files leaves, after raising it as far as this
/// process may.
pub(crate) fn connections_max() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Fails where a sandbox forbids it: then the limit is what it is.
    let _ = setrlimit(Resource::Nofile, limit);
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    files.saturating_sub(OWN_FILES).clamp(16, CONNECTIONS_MAX) as usize
}

impl LimitedListener {
    /// At most `max` at a time.
    pub(crate) fn new(listener: TcpListener, max: usize, patience: ConnectionTimeout) -> Self {
        Self { listener, slots: Arc::new(Semaphore::new(max)), max, patience, tls: None }
    }

    /// Behind TLS, where there is some.
    pub(crate) fn with_tls(self, tls: Option<ServerTls>) -> Self {
        Self { tls, ..self }
    }

    async fn next(&self) -> (Connection, SocketAddr) {
        let slot = self.slot().await;
        let (stream, peer) = loop {
            match self.listener.accept().await {
                Ok(accepted) => break accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        };
        // Nagle and delayed acknowledgements together hold answers back for 40 ms.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was not set");
        }
        let (ConnectionTimeout::Handshake(time) | ConnectionTimeout::Lifetime(time)) = self.patience;
        let awaits = match self.patience {
            ConnectionTimeout::Handshake(_) => Some(GREETING_BYTES),
            ConnectionTimeout::Lifetime(_) => None,
        };
        let deadline = Some(Box::pin(tokio::time::sleep(time)));
        let info = stream.connect_info();
        let stream = Wire::new(stream, self.tls.as_ref().map(ServerTls::acceptor));
        (Connection { stream, info, deadline, awaits, _slot: slot }, peer)
    }

    async fn slot(&self) -> OwnedSemaphorePermit {
        let slots = self.slots.clone();
        if let Ok(slot) = slots.clone().try_acquire_owned() {
            return slot;
        }
        tracing::warn!(
            connections = self.max,
            "no more connections are accepted until one closes; raise the limit on open files"
        );
        slots.acquire_owned().await.expect("nobody closes the semaphore")
    }

    /// For tonic.
    pub(crate) fn into_incoming(self) -> impl Stream<Item = io::Result<Connection>> {
        stream::unfold(self, |connections| async move {
            let (connection, _) = connections.next().await;
            Some((Ok(connection), connections))
        })
    }
}

impl axum::serve::Listener for LimitedListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        self.next().await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that gives its place back when it is dropped.
pub(crate) struct Connection {
    stream: Wire,
    info: TcpConnectInfo,
    deadline: Option<Pin<Box<Sleep>>>,
    /// Bytes that lift the deadline; none where nothing does.
    awaits: Option<usize>,
    _slot: OwnedSemaphorePermit,
}

impl Connection {
    /// Fails when the time is over, and wakes the task when it will be.
    fn in_time(&mut self, context: &mut Context<'_>) -> io::Result<()> {
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
        self.in_time(context)?;
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if let Some(left) = self.awaits {
            let left = left.saturating_sub(buffer.filled().len() - before);
            self.awaits = (left > 0).then_some(left);
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
        self.in_time(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.in_time(context)?;
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
