//! The session's IO: dials, moves frames between the stream and the state, moves to another
//! server when asked. It runs on its own thread, so that handlers that never yield can not
//! delay a ping. It decides nothing that the state could decide.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

use super::attempt::Attempt;
use super::execute::Executor;
use super::state::{Finished, SessionState, Violation};
use super::tuning::SessionTimings;
use super::wire::Wire;
use crate::proto::workers::v1::{SessionResponse, session_response::Frame};
use crate::time::after;
use crate::{ConnectOptions, Error};

const BYE_PATIENCE: Duration = Duration::from_secs(1);
/// A stream that lived this long is redialled at once.
const HEALTHY_AFTER: Duration = Duration::from_secs(1);
const EVENTS_AT_ONCE: usize = 1024;

pub(crate) struct Session {
    pub(crate) state: SessionState,
    pub(crate) executor: Executor,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) access: ConnectOptions,
    pub(crate) tuning: SessionTimings,
    pub(crate) finished: mpsc::Receiver<Finished>,
    pub(crate) dirty: mpsc::Receiver<Arc<Attempt>>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) stop: CancellationToken,
    pub(crate) drain_timeout: Duration,
    pub(crate) inbox: Inbox,
}

/// Reused between turns of the loop.
#[derive(Default)]
pub(crate) struct Inbox {
    finished: Vec<Finished>,
    dirty: Vec<Arc<Attempt>>,
    next_endpoint: usize,
    failures: u32,
}

/// How serving a stream ended.
enum End {
    Drained,
    Lost(Error),
}

type Dialing = Pin<Box<dyn Future<Output = Channel> + Send>>;

impl Session {
    /// Until drained, stopped or refused.
    pub(crate) async fn run(mut self) -> Result<(), Error> {
        loop {
            let wire = match self.dial().await {
                Ok(Some(wire)) => wire,
                Ok(None) => return Ok(()),
                // A server that refuses the first Hello would refuse the next one, too.
                Err(error) if error.ends_streams() && !self.state.was_welcomed() => {
                    return Err(error);
                }
                Err(error) => {
                    self.tell_no_session(&error);
                    self.lost();
                    continue;
                }
            };
            let opened_at = Instant::now();
            let error = match self.serve(wire).await {
                End::Drained => return Ok(()),
                End::Lost(error) => error,
            };
            if self.stop.is_cancelled() {
                self.state.abort_all();
                return Ok(());
            }
            tracing::warn!(%error, "session lost its stream");
            // A server that welcomes and then dies, again and again, is not dialled in a loop.
            if opened_at.elapsed() >= HEALTHY_AFTER {
                self.inbox.failures = 0;
                self.state.disconnected(Instant::now());
            } else {
                self.lost();
            }
        }
    }

    /// A server that is away for a day must not fill a disk: repeats get rarer.
    fn tell_no_session(&self, error: &Error) {
        let failures = self.inbox.failures.saturating_add(1);
        let server = self.endpoint();
        if failures.is_power_of_two() || failures.is_multiple_of(64) {
            tracing::warn!(%error, server = %server.uri(), failures, "can not open a session");
        } else {
            tracing::debug!(%error, server = %server.uri(), failures, "can not open a session");
        }
    }

    /// Counts a stream that failed, and turns to the next server.
    fn lost(&mut self) {
        self.state.disconnected(Instant::now());
        self.inbox.failures = self.inbox.failures.saturating_add(1);
        self.inbox.next_endpoint = self.inbox.next_endpoint.wrapping_add(1);
    }

    fn endpoint(&self) -> Endpoint {
        self.endpoints[self.inbox.next_endpoint % self.endpoints.len()].clone()
    }

    /// A greeted stream; `None` when there is nothing left to stay for.
    async fn dial(&mut self) -> Result<Option<Wire>, Error> {
        let pause = self.tuning.redial().redial_delay(self.inbox.failures, rand::random());
        let endpoint = self.endpoint();
        let mut connect = pin!(async move {
            tokio::time::sleep(pause).await;
            endpoint.connect().await
        });
        let channel = loop {
            tokio::select! {
                channel = &mut connect => break channel?,
                () = self.local(false) => {}
            }
            if self.must_leave() {
                return Ok(None);
            }
        };
        let hello = self.state.hello(Instant::now());
        let mut open =
            pin!(Wire::open(self.access.over(channel), hello, self.tuning.hello_timeout));
        let (wire, welcome) = loop {
            tokio::select! {
                opened = &mut open => break opened?,
                () = self.local(false) => {}
            }
            if self.stop.is_cancelled() {
                return Ok(None);
            }
        };
        self.state.welcome(Instant::now(), &welcome)?;
        tracing::info!(server = %welcome.server, session = %welcome.session, "session is open");
        Ok(Some(wire))
    }

    fn must_leave(&self) -> bool {
        if self.stop.is_cancelled() {
            self.state.abort_all();
        }
        self.stop.is_cancelled() || self.state.is_drained()
    }

    async fn serve(&mut self, mut wire: Wire) -> End {
        let mut moving: Option<Dialing> = None;
        loop {
            let now = Instant::now();
            self.state.advance(now);
            if self.state.is_drained() {
                wire.bye("drained", BYE_PATIENCE).await;
                return End::Drained;
            }
            if self.stop.is_cancelled() {
                return End::Lost(Error::Transport { message: "stopped".to_owned() });
            }
            if self.state.is_silent(now) {
                let message = "the server went silent".to_owned();
                return End::Lost(Error::Transport { message });
            }
            if self.state.is_ignored(now) {
                let message = "the server acknowledged no report for too long".to_owned();
                return End::Lost(Error::Transport { message });
            }
            let can_send = self.send(&wire, now);
            let channel = tokio::select! {
                frame = wire.from_server.message() => {
                    match self.receive(frame) {
                        Ok(()) => {}
                        Err(error) => return End::Lost(error),
                    }
                    None
                }
                _ = wire.to_server.reserve(), if !can_send => None,
                () = self.local(can_send) => None,
                channel = dialed(&mut moving) => Some(channel),
            };
            if let Some(within) = self.state.take_go_away() {
                moving = moving.or_else(|| Some(self.dial_elsewhere(within)));
            }
            if let Some(channel) = channel {
                moving = None;
                wire = match self.move_to(channel, wire).await {
                    Ok(wire) => wire,
                    Err(error) => return End::Lost(error),
                };
            }
        }
    }

    /// Sends what is due; `false` when the connection takes no more for now.
    fn send(&mut self, wire: &Wire, now: Instant) -> bool {
        while let Ok(permit) = wire.to_server.try_reserve() {
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
            return Err(Error::Transport { message: "the server ended the stream".to_owned() });
        };
        let starts = self.state.frame(Instant::now(), frame)?;
        self.executor.start(starts);
        Ok(())
    }

    /// What happens in this process: handlers end and write, time passes, the caller wants out.
    async fn local(&mut self, can_send: bool) {
        let wake = self.state.next_wake(can_send);
        let Inbox { finished, dirty, .. } = &mut self.inbox;
        tokio::select! {
            _ = self.finished.recv_many(finished, EVENTS_AT_ONCE) => {}
            _ = self.dirty.recv_many(dirty, EVENTS_AT_ONCE) => {}
            () = sleep_until(wake) => {}
            () = self.shutdown.cancelled(), if !self.state.is_draining() => {
                let now = Instant::now();
                self.state.begin_drain(now, after(now, self.drain_timeout));
            }
            () = self.stop.cancelled() => {}
        }
        // Writes first: they precede the end of the handler that made them.
        while let Ok(attempt) = self.dirty.try_recv() {
            dirty.push(attempt);
            if dirty.len() >= EVENTS_AT_ONCE {
                break;
            }
        }
        for attempt in dirty.drain(..) {
            self.state.wrote(&attempt);
        }
        for end in finished.drain(..) {
            self.state.finished(end);
        }
        self.state.advance(Instant::now());
    }

    /// Connects to the next server at a random moment within `within`; keeps trying.
    fn dial_elsewhere(&mut self, within: Duration) -> Dialing {
        self.inbox.next_endpoint = self.inbox.next_endpoint.wrapping_add(1);
        let first = self.inbox.next_endpoint;
        let endpoints = self.endpoints.clone();
        let redial = self.tuning.redial();
        let pause = within.mul_f64(rand::random::<f64>() / 2.0);
        tracing::info!(?within, ?pause, "the server will leave; moving to another one");
        Box::pin(async move {
            tokio::time::sleep(pause).await;
            let mut failures = 0u32;
            loop {
                let endpoint = &endpoints[first.wrapping_add(failures as usize) % endpoints.len()];
                match endpoint.connect().await {
                    Ok(channel) => return channel,
                    Err(error) => tracing::debug!(%error, server = %endpoint.uri(), "no move yet"),
                }
                tokio::time::sleep(redial.delay(failures, rand::random())).await;
                failures = failures.saturating_add(1);
            }
        })
    }

    /// Opens the session on the new connection, then leaves the old stream. From the Hello on,
    /// the old stream only brings verdicts: what it still assigns was not in the Hello and goes
    /// back to its queue unreceived.
    async fn move_to(&mut self, channel: Channel, mut old: Wire) -> Result<Wire, Error> {
        let hello = self.state.hello(Instant::now());
        let mut open =
            pin!(Wire::open(self.access.over(channel), hello, self.tuning.hello_timeout));
        let mut old_is_open = true;
        let (new, welcome) = loop {
            tokio::select! {
                opened = &mut open => break opened?,
                frame = old.from_server.message(), if old_is_open => match frame {
                    Ok(Some(frame)) => self.last_verdicts(frame),
                    _ => old_is_open = false,
                },
                () = self.local(false) => {}
            }
            if self.stop.is_cancelled() {
                return Err(Error::Transport { message: "stopped".to_owned() });
            }
        };
        self.state.welcome(Instant::now(), &welcome)?;
        tracing::info!(server = %welcome.server, "session has moved");
        tokio::spawn(old.bye("moved", BYE_PATIENCE));
        Ok(new)
    }

    fn last_verdicts(&mut self, frame: SessionResponse) {
        let now = Instant::now();
        match frame.frame {
            Some(Frame::ReportAck(ack)) => self.state.report_ack(now, ack),
            Some(Frame::Revoked(revoked)) => self.state.revoked(now, &revoked),
            _ => {}
        }
    }
}

impl From<Violation> for Error {
    fn from(violation: Violation) -> Self {
        Error::Protocol { message: violation.0 }
    }
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

async fn dialed(moving: &mut Option<Dialing>) -> Channel {
    match moving {
        Some(dialing) => dialing.await,
        None => std::future::pending().await,
    }
}
