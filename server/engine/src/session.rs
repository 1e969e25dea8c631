//! A worker session: everything between one worker process and the queue.
//!
//! The stream is the worker's sign of life; the leases hang on the session, not on the
//! stream, so that a stream may break and come back, here or at another server.

mod cancels;
mod card;
mod chores;
mod close;
mod frame;
mod hello;
mod lanes;
mod news;
mod report;
mod side;
mod suspects;

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::FixedState;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{Stream, StreamExt};
use sentinel_domain::{Job, JobId, Millis, Name, SessionId};
use sentinel_store::WorkerInfo;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use frame::{
    About, Ended, FromWorker, Held, HeldVerdict, Hello, LogLine, ReportItem, ReportVerdict,
    ToWorker, Welcome, failure,
};
pub use lanes::{Lanes, Outgoing, lanes};

use crate::demand::Asker;
use crate::reach::until_cut_off;
use crate::roster::{Inbox, Mailbox, Presence};
use crate::session::report::Settled;
use crate::session::suspects::Suspects;
use crate::{Engine, EngineError};

/// Commits of one session under way; beyond, its frames wait.
const IN_FLIGHT_MAX: usize = 64;

/// Of one Assign: what does not fit into a message would end the stream.
const ASSIGN_BYTES: usize = 4 << 20;

/// What an assignment has beside its payload and its checkpoint, with room to spare.
const ASSIGNMENT_BYTES: usize = 2 << 10;

/// Time of chores: receipts, renewals, progress that was held back.
const TICK: Duration = Duration::from_millis(250);

/// How long a session outlives GoAway. Its worker has moved by then, or keeps its jobs and
/// comes back to whoever answers.
const LEAVE_WITHIN: Duration = Duration::from_millis(1_200);

/// A job that the worker holds.
struct Running {
    job: Arc<Job>,
    /// The worker said that it has the assignment, or that it holds the lease.
    is_received: bool,
    progress: Option<sentinel_domain::Progress>,
    shown_at: Millis,
    kept_at: Millis,
    is_shown: bool,
    is_kept: bool,
    /// Checkpoints take turns: one that has to be decided anew must not overwrite a later one.
    turn: Arc<tokio::sync::Mutex<()>>,
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
    Handed {
        held: Held,
        offset: u64,
        verdict: ReportVerdict,
        stored: u64,
    },
    /// Jobs that another server changed, as they are now.
    Read(Vec<(Held, Option<Arc<Job>>)>),
    /// They could not be read.
    Unread(Vec<Held>),
    Renewed {
        is_ours: bool,
    },
    /// The session gets no more jobs, because somebody said so at some server.
    Drained,
    Nothing,
}

struct Session {
    engine: Engine,
    id: SessionId,
    worker: Name,
    mailbox: Arc<Mailbox>,
    lanes: Lanes,
    running: HashMap<JobId, Running, FixedState>,
    unreceived: VecDeque<Unreceived>,
    assign_seq: u64,
    suspects: Suspects,
    /// Cancels that the worker was told and has not acknowledged.
    cancels: HashMap<JobId, Arc<Job>, FixedState>,
    heard_at: Millis,
    renewed_at: Millis,
    is_draining: bool,
    /// As it stands beside the row of the session.
    announcement: WorkerInfo,
    in_flight: FuturesUnordered<BoxFuture<'static, Done>>,
    /// Dropped last: the next stream of the session waits for it.
    _presence: Presence,
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
        let ended = session.run(pin!(incoming), closing).await;
        session.close(ended).await;
        Ok(ended)
    }
}

async fn until(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// The server ends, or can do nothing for its workers.
async fn leave(closing: &CancellationToken, cut_off: &mut watch::Receiver<bool>) {
    tokio::select! {
        () = closing.cancelled() => {}
        () = until_cut_off(cut_off) => {}
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
        let mut cut_off = self.engine.cut_off();
        loop {
            let has_room = self.in_flight.len() < IN_FLIGHT_MAX;
            // What is rarely ready comes first: a worker that never pauses must not keep its
            // own row from being renewed, or its cancels from being told.
            let ended = tokio::select! {
                biased;
                _ = tick.tick() => self.on_tick().await,
                () = leave(&closing, &mut cut_off), if leave_at.is_none() => {
                    leave_at = Some(tokio::time::Instant::now() + LEAVE_WITHIN);
                    self.go_away().await
                }
                () = until(leave_at) => Err(Ended::Drained),
                () = mailbox.filled() => self.on_inbox().await,
                Some(done) = self.in_flight.next(), if !self.in_flight.is_empty() => {
                    self.on_done(done).await
                }
                frame = incoming.next(), if has_room => match frame {
                    None => Err(Ended::Eof),
                    Some(frame) => {
                        self.heard_at = self.engine.now();
                        self.on_frame(frame).await
                    }
                },
            };
            let ended = match ended {
                Ok(()) => self.on_suspects().await,
                ended => ended,
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
        let reconnect_within = Duration::from_millis(50 + self.engine.chance.throw() % 451);
        self.send(ToWorker::GoAway { reconnect_within }).await
    }

    /// A worker that does not read for the whole life of a lease is gone.
    async fn send(&mut self, frame: ToWorker) -> Result<(), Ended> {
        let ttl_ms = self.engine.settings.session_ttl_ms.cast_unsigned();
        self.lanes.send(frame, Duration::from_millis(ttl_ms)).await
    }

    async fn on_inbox(&mut self) -> Result<(), Ended> {
        let Inbox { cancels, revoked, assigned, look, looks_at_all, is_doubted, is_superseded } =
            self.mailbox.take();
        if is_superseded {
            return Err(Ended::Superseded);
        }
        if !revoked.is_empty() {
            let revoked: Vec<Held> =
                revoked.into_iter().map(|(id, lease)| Held { id, lease }).collect();
            for held in &revoked {
                self.forget(held);
            }
            self.send(ToWorker::Revoked(revoked)).await?;
        }
        let assigned = self.hold_suspects(assigned);
        if !assigned.is_empty() {
            self.assign(assigned).await?;
        }
        // After the assignments: one of them may be what is cancelled.
        self.on_cancels(cancels).await?;
        if is_doubted {
            self.renew();
            self.look_at_card();
        }
        self.look_at(look, looks_at_all);
        Ok(())
    }

    async fn assign(&mut self, jobs: Vec<Arc<Job>>) -> Result<(), Ended> {
        let mut frames = in_frames(jobs).into_iter();
        while let Some(jobs) = frames.next() {
            self.assign_seq += 1;
            self.unreceived.push_back(Unreceived {
                assign_seq: self.assign_seq,
                sent_at: self.engine.now(),
                jobs: jobs.iter().map(|job| job.id).collect(),
            });
            for job in &jobs {
                self.running.insert(job.id, Running::new(job.clone(), false));
            }
            let sent = self.send(ToWorker::Assign { assign_seq: self.assign_seq, jobs }).await;
            if sent.is_err() {
                // Never sent: the end of the stream hands them back without an attempt.
                self.mailbox.assign(frames.flatten().collect());
                return sent;
            }
        }
        Ok(())
    }

    async fn on_frame(&mut self, frame: FromWorker) -> Result<(), Ended> {
        match frame {
            FromWorker::Credit { jobs, bytes } if !self.is_draining => {
                self.engine.demand.grant(self.id, jobs, bytes);
            }
            FromWorker::Credit { .. } => {}
            FromWorker::Received { assign_seq } => self.on_received(assign_seq).await?,
            FromWorker::Report(items) => self.on_report(items),
            FromWorker::Progress(items) => {
                for (held, progress) in items {
                    self.on_progress(&held, progress);
                }
            }
            FromWorker::Checkpoint { held, seq, data } => self.on_checkpoint(held, seq, data),
            FromWorker::Log { held, lines } => self.on_log(held, lines),
            FromWorker::Output { held, offset, data } => self.on_output(held, offset, data),
            FromWorker::CancelAck(held) => self.on_cancel_ack(held),
            FromWorker::Ping { nonce } => {
                let cancels = self.unacknowledged();
                self.send(ToWorker::Pong { nonce, cancels }).await?;
            }
            FromWorker::Drain => {
                self.engine.demand.close(self.id);
                self.is_draining = true;
                self.announcement.is_leaving = true;
                self.put_card();
                self.barrier().await;
                self.on_inbox().await?;
                self.on_suspects().await?;
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
        self.suspects.remove(held);
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
                    running.renew(&job);
                }
                self.send(ToWorker::CheckpointAck { held, seq, verdict }).await
            }
            Done::Logged { held, seq } => self.send(ToWorker::LogAck { held, seq }).await,
            Done::Handed { held, offset, verdict, stored } => {
                self.send(ToWorker::OutputAck { held, offset, verdict, stored }).await
            }
            Done::Read(found) => self.on_read(found).await,
            Done::Unread(held) => {
                self.on_unread(held);
                Ok(())
            }
            Done::Renewed { is_ours: false } => Err(Ended::Superseded),
            Done::Drained => {
                self.engine.demand.close(self.id);
                self.is_draining = true;
                Ok(())
            }
            Done::Renewed { is_ours: true } | Done::Nothing => Ok(()),
        }
    }
}

/// Parts of at most [`ASSIGN_BYTES`] each, or one job that is larger.
fn in_frames(jobs: Vec<Arc<Job>>) -> Vec<Vec<Arc<Job>>> {
    let mut frames: Vec<Vec<Arc<Job>>> = Vec::new();
    let mut bytes = ASSIGN_BYTES;
    for job in jobs {
        let checkpoint = job.status.checkpoint.as_ref().map_or(0, |c| c.len());
        let more = job.spec.payload.len() + checkpoint + ASSIGNMENT_BYTES;
        if bytes + more > ASSIGN_BYTES {
            frames.push(Vec::new());
            bytes = 0;
        }
        bytes += more;
        if let Some(frame) = frames.last_mut() {
            frame.push(job);
        }
    }
    frames
}

impl Running {
    fn new(job: Arc<Job>, is_received: bool) -> Self {
        Self {
            job,
            is_received,
            progress: None,
            shown_at: 0,
            kept_at: 0,
            is_shown: true,
            is_kept: true,
            turn: Arc::default(),
        }
    }

    /// Takes over a newer copy under the same lease; commits may answer out of order.
    fn renew(&mut self, job: &Arc<Job>) -> bool {
        let is_same = match (self.job.status.lease, job.status.lease) {
            (Some(old), Some(new)) => old.is_same(&new),
            _ => false,
        };
        let is_newer = is_same && self.job.status.version < job.status.version;
        if is_newer {
            self.job = job.clone();
        }
        is_newer
    }
}
