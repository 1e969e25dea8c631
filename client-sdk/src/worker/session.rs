//! The I/O of a session: connects, transfers frames between the stream and the session state, and
//! switches to another server on GoAway. It runs on its own thread, so that handlers that never
//! yield cannot delay a ping. All decisions are in [`SessionState`].

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

use super::active_attempt::ActiveAttempt;
use super::events::{EventHooks, WorkerEvent};
use super::executor::Executor;
use super::session_stream::SessionStream;
use super::state::{HandlerFinished, ProtocolViolation, SessionState};
use super::timings::SessionTimings;
use crate::proto::workers::v1::{SessionResponse, session_response::Frame};
use crate::time::after;
use crate::{ConnectOptions, Error};

const BYE_TIMEOUT: Duration = Duration::from_secs(1);
/// After a stream that lived this long the reconnect is immediate.
const HEALTHY_AFTER: Duration = Duration::from_secs(1);
const MAX_EVENTS_PER_TURN: usize = 1024;

pub(crate) struct Session {
    pub(crate) state: SessionState,
    pub(crate) events: EventHooks,
    pub(crate) executor: Executor,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) connect_options: ConnectOptions,
    pub(crate) timings: SessionTimings,
    pub(crate) finished: mpsc::Receiver<HandlerFinished>,
    pub(crate) dirty: mpsc::Receiver<Arc<ActiveAttempt>>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) stop: CancellationToken,
    pub(crate) drain_timeout: Duration,
    pub(crate) buffers: EventBuffers,
    pub(crate) next_endpoint: usize,
    /// Streams that failed or were short-lived, in a row.
    pub(crate) failures: u32,
}

/// Buffers that are reused between turns of the event loop.
#[derive(Default)]
pub(crate) struct EventBuffers {
    finished: Vec<HandlerFinished>,
    dirty: Vec<Arc<ActiveAttempt>>,
}

/// Why a stream is no longer served.
enum ServeEnd {
    Drained,
    Lost(Error),
}

type ConnectFuture = Pin<Box<dyn Future<Output = Channel> + Send>>;

impl Session {
    /// Runs until the drain is complete, the worker is stopped or a server rejects the first Hello.
    pub(crate) async fn run(mut self) -> Result<(), Error> {
        loop {
            let stream = match self.open().await {
                Ok(Some(stream)) => stream,
                Ok(None) => return Ok(()),
                // A server that rejects the first Hello would also reject the next one.
                Err(error) if error.closes_streams() && !self.state.was_welcomed() => {
                    return Err(error);
                }
                Err(error) => {
                    self.log_open_failure(&error);
                    self.record_failure();
                    continue;
                }
            };
            let opened_at = Instant::now();
            let error = match self.serve(stream).await {
                ServeEnd::Drained => return Ok(()),
                ServeEnd::Lost(error) => error,
            };
            if self.stop.is_cancelled() {
                self.state.abort_all();
                return Ok(());
            }
            tracing::warn!(%error, "session stream lost, reconnecting");
            self.events.emit(&WorkerEvent::SessionLost { error: &error });
            // A short-lived stream counts as a failure, so that the reconnects back off.
            if opened_at.elapsed() >= HEALTHY_AFTER {
                self.failures = 0;
                self.state.disconnected(Instant::now());
            } else {
                self.record_failure();
            }
        }
    }

    /// Logs at a decreasing rate, so that a long outage does not fill the disk.
    fn log_open_failure(&self, error: &Error) {
        let failures = self.failures.saturating_add(1);
        let server = self.endpoint();
        if failures.is_power_of_two() || failures.is_multiple_of(64) {
            tracing::warn!(%error, server = %server.uri(), failures, "cannot open a session");
        } else {
            tracing::debug!(%error, server = %server.uri(), failures, "cannot open a session");
        }
    }

    /// Counts a failed stream and selects the next server.
    fn record_failure(&mut self) {
        self.state.disconnected(Instant::now());
        self.failures = self.failures.saturating_add(1);
        self.next_endpoint = self.next_endpoint.wrapping_add(1);
    }

    fn endpoint(&self) -> Endpoint {
        self.endpoints[self.next_endpoint % self.endpoints.len()].clone()
    }

    /// Connects and opens a stream. Returns `None` when the worker should exit instead.
    async fn open(&mut self) -> Result<Option<SessionStream>, Error> {
        let delay = self.timings.reconnect().reconnect_delay(self.failures, rand::random());
        let endpoint = self.endpoint();
        let mut connect = pin!(async move {
            tokio::time::sleep(delay).await;
            endpoint.connect().await
        });
        let channel = loop {
            tokio::select! {
                channel = &mut connect => break channel?,
                () = self.handle_local_events(false) => {}
            }
            if self.should_exit() {
                return Ok(None);
            }
        };
        let hello = self.state.hello(Instant::now());
        let channel = self.connect_options.authenticate(channel);
        let mut open = pin!(SessionStream::open(channel, hello, self.timings.hello_timeout));
        let (stream, welcome) = loop {
            tokio::select! {
                opened = &mut open => break opened?,
                () = self.handle_local_events(false) => {}
            }
            if self.stop.is_cancelled() {
                return Ok(None);
            }
        };
        self.state.welcome(Instant::now(), &welcome)?;
        tracing::info!(server = %welcome.server, session = %welcome.session, "session opened");
        self.events.emit(&WorkerEvent::SessionOpened { server: &welcome.server });
        Ok(Some(stream))
    }

    fn should_exit(&self) -> bool {
        if self.stop.is_cancelled() {
            self.state.abort_all();
        }
        self.stop.is_cancelled() || self.state.is_drained()
    }

    async fn serve(&mut self, mut stream: SessionStream) -> ServeEnd {
        let mut next_channel: Option<ConnectFuture> = None;
        loop {
            let now = Instant::now();
            self.state.advance(now);
            if self.state.is_drained() {
                stream.bye("drained", BYE_TIMEOUT).await;
                return ServeEnd::Drained;
            }
            if self.stop.is_cancelled() {
                return ServeEnd::Lost(Error::Transport { message: "stopped".to_owned() });
            }
            if self.state.is_silent(now) {
                let message = "the server sent no frame within the silence timeout".to_owned();
                return ServeEnd::Lost(Error::Transport { message });
            }
            if self.state.is_ack_overdue(now) {
                let message = "the server acknowledged no report within the ack timeout".to_owned();
                return ServeEnd::Lost(Error::Transport { message });
            }
            let can_send = self.send_due_frames(&stream, now);
            let channel = tokio::select! {
                frame = stream.from_server.message() => {
                    match self.receive(frame) {
                        Ok(()) => {}
                        Err(error) => return ServeEnd::Lost(error),
                    }
                    None
                }
                _ = stream.to_server.reserve(), if !can_send => None,
                () = self.handle_local_events(can_send) => None,
                channel = connected(&mut next_channel) => Some(channel),
            };
            if let Some(within) = self.state.take_go_away() {
                next_channel = next_channel.or_else(|| Some(self.connect_to_next_server(within)));
            }
            if let Some(channel) = channel {
                next_channel = None;
                stream = match self.switch_to(channel, stream).await {
                    Ok(stream) => stream,
                    Err(error) => return ServeEnd::Lost(error),
                };
            }
        }
    }

    /// Sends all due frames. Returns `false` when the connection accepts no more for now.
    fn send_due_frames(&mut self, stream: &SessionStream, now: Instant) -> bool {
        while let Ok(permit) = stream.to_server.try_reserve() {
            match self.state.next_frame(now) {
                Some(frame) => permit.send(frame),
                None => return true,
            }
        }
        false
    }

    fn receive(
        &mut self,
        frame: Result<Option<SessionResponse>, tonic::Status>,
    ) -> Result<(), Error> {
        let Some(frame) = frame? else {
            return Err(Error::Transport { message: "the server closed the stream".to_owned() });
        };
        let attempts = self.state.frame(Instant::now(), frame)?;
        self.executor.start(attempts);
        Ok(())
    }

    /// Waits for and handles events of this process: handlers that write or finish, timers, a
    /// requested shutdown.
    async fn handle_local_events(&mut self, can_send: bool) {
        let wake_at = self.state.next_wake(can_send);
        let EventBuffers { finished, dirty } = &mut self.buffers;
        tokio::select! {
            _ = self.finished.recv_many(finished, MAX_EVENTS_PER_TURN) => {}
            _ = self.dirty.recv_many(dirty, MAX_EVENTS_PER_TURN) => {}
            () = sleep_until(wake_at) => {}
            () = self.shutdown.cancelled(), if !self.state.is_draining() => {
                let now = Instant::now();
                self.state.begin_drain(now, after(now, self.drain_timeout));
            }
            () = self.stop.cancelled() => {}
        }
        // Writes are handled first, because a handler writes before it finishes.
        while let Ok(attempt) = self.dirty.try_recv() {
            dirty.push(attempt);
            if dirty.len() >= MAX_EVENTS_PER_TURN {
                break;
            }
        }
        for attempt in dirty.drain(..) {
            self.state.handler_wrote(&attempt);
        }
        for message in finished.drain(..) {
            self.state.handler_finished(message);
        }
        self.state.advance(Instant::now());
    }

    /// Connects to the next server after a random delay within `within`, and retries until it
    /// succeeds.
    fn connect_to_next_server(&mut self, within: Duration) -> ConnectFuture {
        self.next_endpoint = self.next_endpoint.wrapping_add(1);
        let first = self.next_endpoint;
        let endpoints = self.endpoints.clone();
        let reconnect = self.timings.reconnect();
        let delay = within.mul_f64(rand::random::<f64>() / 2.0);
        tracing::info!(?within, ?delay, "server is shutting down, moving to another one");
        Box::pin(async move {
            tokio::time::sleep(delay).await;
            let mut failures = 0u32;
            loop {
                let endpoint = &endpoints[first.wrapping_add(failures as usize) % endpoints.len()];
                match endpoint.connect().await {
                    Ok(channel) => return channel,
                    Err(error) => {
                        let server = endpoint.uri();
                        tracing::debug!(%error, %server, "cannot connect, retrying");
                    }
                }
                tokio::time::sleep(reconnect.delay(failures, rand::random())).await;
                failures = failures.saturating_add(1);
            }
        })
    }

    /// Opens the session on the new connection, then closes the old stream. Once Hello is sent,
    /// only verdicts of the old stream are applied: jobs that it still assigns are not listed in
    /// Hello and go back to their queue.
    async fn switch_to(
        &mut self,
        channel: Channel,
        mut old: SessionStream,
    ) -> Result<SessionStream, Error> {
        let hello = self.state.hello(Instant::now());
        let channel = self.connect_options.authenticate(channel);
        let mut open = pin!(SessionStream::open(channel, hello, self.timings.hello_timeout));
        let mut old_is_open = true;
        let (new, welcome) = loop {
            tokio::select! {
                opened = &mut open => break opened?,
                frame = old.from_server.message(), if old_is_open => match frame {
                    Ok(Some(frame)) => self.apply_late_verdicts(frame),
                    _ => old_is_open = false,
                },
                () = self.handle_local_events(false) => {}
            }
            if self.stop.is_cancelled() {
                return Err(Error::Transport { message: "stopped".to_owned() });
            }
        };
        self.state.welcome(Instant::now(), &welcome)?;
        tracing::info!(server = %welcome.server, "session moved to another server");
        self.events.emit(&WorkerEvent::SessionOpened { server: &welcome.server });
        tokio::spawn(old.bye("moved", BYE_TIMEOUT));
        Ok(new)
    }

    fn apply_late_verdicts(&mut self, frame: SessionResponse) {
        let now = Instant::now();
        match frame.frame {
            Some(Frame::ReportAck(ack)) => self.state.report_ack(now, ack),
            Some(Frame::Revoked(revoked)) => self.state.revoked(now, &revoked),
            _ => {}
        }
    }
}

impl From<ProtocolViolation> for Error {
    fn from(violation: ProtocolViolation) -> Self {
        Error::Protocol { message: violation.0 }
    }
}

async fn sleep_until(wake_at: Option<Instant>) {
    match wake_at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

async fn connected(next_channel: &mut Option<ConnectFuture>) -> Channel {
    match next_channel {
        Some(connect) => connect.await,
        None => std::future::pending().await,
    }
}
