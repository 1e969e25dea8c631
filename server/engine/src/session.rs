//! A worker session: everything between one worker process and the queue.
//!
//! The stream is the worker's sign of life; the leases hang on the session, not on the
//! stream, so that a stream may break and come back, here or at another server.

mod chores;
mod close;
mod frame;
mod hello;
mod report;

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{Stream, StreamExt};
use sentinel_domain::{Job, JobId, Millis, Name, SessionId};
use sentinel_ledger::LogRow;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use frame::{
    Ended, FromWorker, Held, HeldVerdict, Hello, LogLine, ReportItem, ReportVerdict, ToWorker,
    Welcome, failure,
};

use crate::demand::Asker;
use crate::roster::{Inbox, Mailbox};
use crate::session::report::Settled;
use crate::{Engine, EngineError};

/// Frames that may wait to be sent, per lane.
const LANE: usize = 64;

/// Commits of one session under way; beyond, its frames wait.
const IN_FLIGHT_MAX: usize = 64;

/// Time of chores: receipts, renewals, progress that was held back.
const TICK: Duration = Duration::from_millis(250);

/// How long a session outlives GoAway. Its worker has moved by then, or keeps its jobs and
/// comes back to whoever answers.
const LEAVE_WITHIN: Duration = Duration::from_millis(1_200);

/// The two ways to a worker: what can not wait overtakes what is bulky.
pub struct Lanes {
    control: mpsc::Sender<ToWorker>,
    bulk: mpsc::Sender<ToWorker>,
}

/// The other end of the lanes; ends when the session has.
pub struct Outgoing {
    control: mpsc::Receiver<ToWorker>,
    bulk: mpsc::Receiver<ToWorker>,
}

/// A pair of lanes.
pub fn lanes() -> (Lanes, Outgoing) {
    let (control, control_out) = mpsc::channel(LANE);
    let (bulk, bulk_out) = mpsc::channel(LANE);
    (Lanes { control, bulk }, Outgoing { control: control_out, bulk: bulk_out })
}

impl Outgoing {
    /// The next frame, control before bulk.
    pub async fn next(&mut self) -> Option<ToWorker> {
        tokio::select! {
            biased;
            Some(frame) = self.control.recv() => Some(frame),
            Some(frame) = self.bulk.recv() => Some(frame),
            else => None,
        }
    }
}

/// A job that the worker holds.
struct Running {
    job: Arc<Job>,
    progress: Option<sentinel_domain::Progress>,
    shown_at: Millis,
    kept_at: Millis,
    is_shown: bool,
    is_kept: bool,
}

/// Assignments whose receipt was not acknowledged.
struct Unreceived {
    assign_seq: u64,
    sent_at: Millis,
    jobs: Vec<JobId>,
}

/// What a commit under way brings back.
enum Done {
    Settled(Vec<Settled>),
    /// Jobs that were handed back, with their leases.
    HandedBack(Vec<Held>),
    Checkpoint {
        held: Held,
        seq: u64,
        verdict: ReportVerdict,
        job: Option<Arc<Job>>,
    },
    Logged {
        held: Held,
        seq: u64,
    },
    Renewed {
        is_ours: bool,
    },
    Nothing,
}

struct Session {
    engine: Engine,
    id: SessionId,
    worker: Name,
    mailbox: Arc<Mailbox>,
    lanes: Lanes,
    running: HashMap<JobId, Running, foldhash::fast::RandomState>,
    unreceived: VecDeque<Unreceived>,
    assign_seq: u64,
    /// Cancels that the worker has not acknowledged.
    cancels: HashMap<JobId, Arc<Job>>,
    heard_at: Millis,
    renewed_at: Millis,
    is_draining: bool,
    in_flight: FuturesUnordered<BoxFuture<'static, Done>>,
}

impl Engine {
    /// Runs one stream of a session to its end. The caller answers `hello` errors as a
    /// status; after Welcome an end is an end of the stream.
    pub async fn run_session(
        &self,
        hello: Hello,
        incoming: impl Stream<Item = FromWorker>,
        lanes: Lanes,
        closing: CancellationToken,
    ) -> Result<Ended, EngineError> {
        let mut session = self.open_session(hello, lanes).await?;
        self.observer.sessions(self.roster.count());
        let ended = session.run(pin!(incoming), closing).await;
        session.close(ended).await;
        self.observer.sessions(self.roster.count());
        Ok(ended)
    }
}

async fn until(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

impl Session {
    async fn run(
        &mut self,
        mut incoming: impl Stream<Item = FromWorker> + Unpin,
        closing: CancellationToken,
    ) -> Ended {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mailbox = self.mailbox.clone();
        let mut leave_at: Option<tokio::time::Instant> = None;
        loop {
            let has_room = self.in_flight.len() < IN_FLIGHT_MAX;
            let ended = tokio::select! {
                biased;
                Some(done) = self.in_flight.next(), if !self.in_flight.is_empty() => {
                    self.on_done(done).await
                }
                () = mailbox.filled() => self.on_inbox().await,
                frame = incoming.next(), if has_room => match frame {
                    None => Err(Ended::Eof),
                    Some(frame) => {
                        self.heard_at = self.engine.now();
                        self.on_frame(frame).await
                    }
                },
                _ = tick.tick() => self.on_tick().await,
                () = closing.cancelled(), if leave_at.is_none() => {
                    leave_at = Some(tokio::time::Instant::now() + LEAVE_WITHIN);
                    self.go_away().await
                }
                () = until(leave_at) => Err(Ended::Drained),
            };
            if let Err(ended) = ended {
                return ended;
            }
        }
    }

    async fn go_away(&mut self) -> Result<(), Ended> {
        self.engine.demand.close(self.id);
        self.is_draining = true;
        // Spread, so that not all workers knock at one door at the same time.
        let reconnect_within = Duration::from_millis(rand::random_range(50..=500));
        self.send(ToWorker::GoAway { reconnect_within }).await
    }

    /// A worker that does not read for the whole life of a lease is gone.
    async fn send(&mut self, frame: ToWorker) -> Result<(), Ended> {
        let lane = match frame {
            ToWorker::Assign { .. } | ToWorker::LogAck { .. } => &self.lanes.bulk,
            _ => &self.lanes.control,
        };
        let ttl_ms = self.engine.settings.session_ttl_ms.cast_unsigned();
        match tokio::time::timeout(Duration::from_millis(ttl_ms), lane.send(frame)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Ended::Eof),
            Err(_) => Err(Ended::Silent),
        }
    }

    async fn on_inbox(&mut self) -> Result<(), Ended> {
        let Inbox { cancels, revoked, assigned, is_superseded } = self.mailbox.take();
        if is_superseded {
            return Err(Ended::Superseded);
        }
        if !cancels.is_empty() {
            for job in &cancels {
                if let Some(running) = self.running.get_mut(&job.id) {
                    running.job = job.clone();
                }
                self.cancels.insert(job.id, job.clone());
            }
            self.send(ToWorker::Cancel(cancels)).await?;
        }
        if !revoked.is_empty() {
            let revoked: Vec<Held> =
                revoked.into_iter().map(|(id, lease)| Held { id, lease }).collect();
            for held in &revoked {
                self.forget(held);
            }
            self.send(ToWorker::Revoked(revoked)).await?;
        }
        if !assigned.is_empty() {
            self.assign(assigned).await?;
        }
        Ok(())
    }

    async fn assign(&mut self, jobs: Vec<Arc<Job>>) -> Result<(), Ended> {
        self.assign_seq += 1;
        let now = self.engine.now();
        self.unreceived.push_back(Unreceived {
            assign_seq: self.assign_seq,
            sent_at: now,
            jobs: jobs.iter().map(|job| job.id).collect(),
        });
        for job in &jobs {
            self.running.insert(job.id, Running::new(job.clone()));
        }
        self.send(ToWorker::Assign { assign_seq: self.assign_seq, jobs }).await
    }

    async fn on_frame(&mut self, frame: FromWorker) -> Result<(), Ended> {
        match frame {
            FromWorker::Credit { jobs, bytes } if !self.is_draining => {
                self.engine.demand.grant(self.id, jobs, bytes);
            }
            FromWorker::Credit { .. } => {}
            FromWorker::Received { assign_seq } => {
                while self.unreceived.front().is_some_and(|u| u.assign_seq <= assign_seq) {
                    self.unreceived.pop_front();
                }
            }
            FromWorker::Report(items) => self.on_report(items),
            FromWorker::Progress(items) => {
                for (held, progress) in items {
                    self.on_progress(&held, progress);
                }
            }
            FromWorker::Checkpoint { held, seq, data } => self.on_checkpoint(held, seq, data),
            FromWorker::Log { held, lines } => self.on_log(held, lines),
            FromWorker::CancelAck(held) => {
                for held in held {
                    if let Some(job) = self.cancels.remove(&held.id)
                        && let Some(cancel) = &job.status.cancel
                    {
                        let latency_ms = self.engine.now() - cancel.at;
                        self.engine.observer.cancel_acknowledged(latency_ms);
                    }
                }
            }
            FromWorker::Ping { nonce } => {
                let cancels = self.cancels.values().cloned().collect();
                self.send(ToWorker::Pong { nonce, cancels }).await?;
            }
            FromWorker::Drain => {
                self.engine.demand.close(self.id);
                self.is_draining = true;
                self.barrier().await;
                self.on_inbox().await?;
                self.send(ToWorker::DrainAck { last_assign_seq: self.assign_seq }).await?;
            }
            FromWorker::Bye => return Err(Ended::Bye),
        }
        Ok(())
    }

    /// Returns when every claim that was under way has been handed out.
    async fn barrier(&mut self) {
        let _ = self.engine.commits.groups(Vec::new()).await;
    }

    /// The running job, if the frame is about the lease that this session knows.
    fn running(&mut self, held: &Held) -> Option<&mut Running> {
        let is_live =
            |r: &&mut Running| r.job.status.lease.is_some_and(|lease| lease.is_same(&held.lease));
        self.running.get_mut(&held.id).filter(is_live)
    }

    fn forget(&mut self, held: &Held) {
        if self.running(held).is_some() {
            self.running.remove(&held.id);
            self.cancels.remove(&held.id);
        }
    }

    fn on_checkpoint(&mut self, held: Held, seq: u64, data: bytes::Bytes) {
        let job = self.running(&held).map(|r| r.job.clone());
        let engine = self.engine.clone();
        self.in_flight.push(Box::pin(async move {
            let (verdict, job) = engine.store_checkpoint(&held, job, data).await;
            Done::Checkpoint { held, seq, verdict, job }
        }));
    }

    fn on_log(&mut self, held: Held, lines: Vec<LogLine>) {
        let Some(seq) = lines.iter().map(|line| line.seq).max() else { return };
        let job = self.running(&held).map(|r| r.job.clone());
        let rows: Vec<LogRow> = lines
            .into_iter()
            .map(|line| LogRow {
                job: held.id,
                run: held.lease.run,
                attempt: held.lease.attempt,
                seq: line.seq,
                at: line.at,
                level: line.level,
                text: line.text,
            })
            .collect();
        let engine = self.engine.clone();
        self.in_flight.push(Box::pin(async move {
            // Lines of a lease that is gone are not kept: another attempt may be writing.
            if let Some(job) = job {
                let shared: Arc<[LogRow]> = rows.into();
                if !engine.logs.append(shared.to_vec()).await {
                    return Done::Nothing;
                }
                engine.fanout.logs(&job, &shared);
            }
            Done::Logged { held, seq }
        }));
    }

    async fn on_done(&mut self, done: Done) -> Result<(), Ended> {
        match done {
            Done::Settled(settled) => {
                let mut verdicts = Vec::with_capacity(settled.len());
                for Settled { held, verdict, .. } in settled {
                    if verdict != ReportVerdict::RetryLater {
                        self.forget(&held);
                    }
                    self.engine.observer.verdict(verdict.as_str());
                    verdicts.push((held, verdict));
                }
                self.send(ToWorker::ReportAck(verdicts)).await
            }
            Done::HandedBack(revoked) if revoked.is_empty() => Ok(()),
            Done::HandedBack(revoked) => self.send(ToWorker::Revoked(revoked)).await,
            Done::Checkpoint { held, seq, verdict, job } => {
                if let (Some(running), Some(job)) = (self.running(&held), job) {
                    running.job = job;
                }
                self.send(ToWorker::CheckpointAck { held, seq, verdict }).await
            }
            Done::Logged { held, seq } => self.send(ToWorker::LogAck { held, seq }).await,
            Done::Renewed { is_ours: false } => Err(Ended::Superseded),
            Done::Renewed { is_ours: true } | Done::Nothing => Ok(()),
        }
    }
}

impl Running {
    fn new(job: Arc<Job>) -> Self {
        Self { job, progress: None, shown_at: 0, kept_at: 0, is_shown: true, is_kept: true }
    }
}
