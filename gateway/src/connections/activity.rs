//! What a connection does: it is new, idle, in the middle of a request head, or has a request.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// The activity of one connection.
#[derive(Debug)]
pub(super) struct Activity(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Requests whose response is not complete.
    requests: u32,
    /// Whether a request head is expected now: the connection is new, or the head has begun.
    expects_head: bool,
    since: Instant,
}

/// Counts as a request of its connection until it is dropped.
pub(super) struct RequestGuard(Arc<Activity>);

impl Drop for RequestGuard {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.requests -= 1;
        state.since = Instant::now();
    }
}

impl Activity {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State { requests: 0, expects_head: true, since: Instant::now() }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The head of a request is complete.
    pub(super) fn begin_request(self: &Arc<Self>) -> RequestGuard {
        let mut state = self.lock();
        state.requests += 1;
        (state.expects_head, state.since) = (false, Instant::now());
        RequestGuard(self.clone())
    }

    fn bytes_received(&self) {
        let mut state = self.lock();
        if state.requests == 0 && !state.expects_head {
            (state.expects_head, state.since) = (true, Instant::now());
        }
    }

    /// Returns whether the connection has a request, and since when it is in its state.
    pub(super) fn busy_since(&self) -> (bool, Instant) {
        let state = self.lock();
        (state.requests > 0, state.since)
    }

    /// Returns when the connection is to be closed unless its state changes.
    pub(super) fn deadline(&self, head: Duration, idle: Duration) -> Option<Instant> {
        let state = self.lock();
        let time = if state.expects_head { head } else { idle };
        (state.requests == 0).then(|| state.since + time)
    }
}

/// A TCP stream that records when bytes arrive.
pub(super) struct RecordedStream {
    stream: TcpStream,
    activity: Arc<Activity>,
}

impl RecordedStream {
    pub(super) fn new(stream: TcpStream, activity: Arc<Activity>) -> Self {
        Self { stream, activity }
    }
}

impl AsyncRead for RecordedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.activity.bytes_received();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for RecordedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
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
