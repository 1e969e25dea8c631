//! The state of one session and its event loop.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::FixedState;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{Stream, StreamExt};
use sentinel_domain::{Job, JobId, Millis, Name, Progress, Scopes, SessionId};
use sentinel_store::WorkerInfo;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::context::SessionContext;
use super::frame::{FromWorker, ReportVerdict, StreamEnd, ToWorker};
use super::outbound_queue::OutboundQueue;
use super::poison_isolation::PoisonIsolation;
use crate::cluster::until_unreachable;
use crate::dispatch::{HeldLease, Outbox, Pending, Registration};
use crate::runtime::sleep_until_some;

/// The most commits of one session under way. Beyond it its frames wait.
const IN_FLIGHT_MAX: usize = 64;

/// The most bytes of one Assign frame. A larger one would exceed the message size limit.
const ASSIGN_BYTES: usize = 4 << 20;

/// The most bytes of an assignment without its payload and its checkpoint.
const ASSIGNMENT_BYTES: usize = 2 << 10;

/// The interval of the timers: unacknowledged assignments, renewals, progress.
const TICK: Duration = Duration::from_millis(250);

/// How long a stream stays open after GoAway. Until then its worker has reconnected to a peer, or
/// keeps its jobs and resumes the session later.
const CLOSE_AFTER_GO_AWAY: Duration = Duration::from_millis(1_200);

/// GoAway asks a worker to reconnect within 50 to 500 ms, so that not all workers reconnect at
/// once.
const RECONNECT_MIN_MS: u64 = 50;
const RECONNECT_SPREAD_MS: u64 = 451;

/// A job that the worker holds.
pub(super) struct RunningJob {
    pub(super) job: Arc<Job>,
    /// The worker acknowledged the assignment, or says that it holds the lease.
    pub(super) is_received: bool,
    pub(super) progress: Option<Progress>,
    pub(super) shown_at: Millis,
    pub(super) stored_at: Millis,
    /// The newest progress was offered to watches.
    pub(super) is_shown: bool,
    /// The newest progress was stored.
    pub(super) is_stored: bool,
    /// Orders the checkpoints: one that is decided again must not overwrite a later one.
    pub(super) checkpoint_order: Arc<tokio::sync::Mutex<()>>,
}

/// An Assign frame that the worker has not acknowledged.
pub(super) struct Unreceived {
    pub(super) assign_seq: u64,
    pub(super) sent_at: Millis,
    pub(super) jobs: Vec<JobId>,
}

/// A report with its verdict.
pub(super) struct SettledReport {
    pub(super) held: HeldLease,
    pub(super) verdict: ReportVerdict,
}

/// The result of work that runs concurrently with the loop.
pub(super) enum Completion {
    Reports(Vec<SettledReport>),
    /// Jobs that were handed back.
    HandedBack(Vec<HeldLease>),
    Checkpoint {
        held: HeldLease,
        seq: u64,
        verdict: ReportVerdict,
        job: Option<Arc<Job>>,
    },
    Logs {
        held: HeldLease,
        seq: u64,
    },
    Output {
        held: HeldLease,
        offset: u64,
        verdict: ReportVerdict,
        stored: u64,
    },
    /// The current versions of jobs that a peer changed.
    Reloaded(Vec<(HeldLease, Option<Arc<Job>>)>),
    ReloadFailed(Vec<HeldLease>),
    Renewed {
        is_owned: bool,
    },
    /// The session was drained at some server of the cluster.
    Drained,
    Nothing,
}

/// One stream of a session.
pub(super) struct Session {
    pub(super) context: Arc<SessionContext>,
    pub(super) id: SessionId,
    pub(super) worker: Name,
    pub(super) outbox: Arc<Outbox>,
    pub(super) outbound: OutboundQueue,
    pub(super) running: HashMap<JobId, RunningJob, FixedState>,
    pub(super) unreceived: VecDeque<Unreceived>,
    pub(super) assign_seq: u64,
    pub(super) isolation: PoisonIsolation,
    /// Cancels that were sent and not acknowledged.
    pub(super) cancels: HashMap<JobId, Arc<Job>, FixedState>,
    pub(super) last_frame_at: Millis,
    pub(super) renewed_at: Millis,
    pub(super) is_draining: bool,
    /// As stored with the session row.
    pub(super) info: WorkerInfo,
    /// The queues that the worker's principal has access to.
    pub(super) scopes: Arc<Scopes>,
    pub(super) in_flight: FuturesUnordered<BoxFuture<'static, Completion>>,
    /// Dropped last: the next stream of the session waits for it.
    pub(super) _registration: Registration,
}

impl Session {
    /// Runs until the stream closes.
    pub(super) async fn run(
        &mut self,
        mut incoming: impl Stream<Item = FromWorker> + Unpin,
        closing: CancellationToken,
    ) -> StreamEnd {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let outbox = self.outbox.clone();
        let mut close_at: Option<tokio::time::Instant> = None;
        let mut is_unreachable = self.context.health.subscribe();
        loop {
            let has_capacity = self.in_flight.len() < IN_FLIGHT_MAX;
            // Rare events come first: a worker that sends without a pause must not keep its row
            // from being renewed, or its cancels from being sent.
            let result = tokio::select! {
                biased;
                _ = tick.tick() => self.on_tick().await,
                () = until_leaving(&closing, &mut is_unreachable), if close_at.is_none() => {
                    close_at = Some(tokio::time::Instant::now() + CLOSE_AFTER_GO_AWAY);
                    self.go_away().await
                }
                () = sleep_until_some(close_at) => Err(StreamEnd::Drained),
                () = outbox.filled() => self.on_outbox().await,
                Some(completion) = self.in_flight.next(), if !self.in_flight.is_empty() => {
                    self.on_completion(completion).await
                }
                frame = incoming.next(), if has_capacity => match frame {
                    None => Err(StreamEnd::Eof),
                    Some(frame) => {
                        self.last_frame_at = self.context.clock.now();
                        self.on_frame(frame).await
                    }
                },
            };
            let result = match result {
                Ok(()) => self.continue_isolation().await,
                end => end,
            };
            if let Err(end) = result {
                return end;
            }
        }
    }

    /// Stops claims and asks the worker to reconnect to a peer.
    async fn go_away(&mut self) -> Result<(), StreamEnd> {
        self.stop_claiming();
        let jitter_ms = self.context.rng.next_u64() % RECONNECT_SPREAD_MS;
        let reconnect_within = Duration::from_millis(RECONNECT_MIN_MS + jitter_ms);
        self.send(ToWorker::GoAway { reconnect_within }).await
    }

    fn stop_claiming(&mut self) {
        self.context.scheduler.close(self.id);
        self.is_draining = true;
    }

    /// Sends a frame. A worker that reads nothing for the TTL of the session is silent.
    pub(super) async fn send(&mut self, frame: ToWorker) -> Result<(), StreamEnd> {
        let ttl_ms = self.context.settings.session_ttl_ms.cast_unsigned();
        self.outbound.send(frame, Duration::from_millis(ttl_ms)).await
    }

    /// Runs work concurrently with the loop.
    pub(super) fn spawn(&mut self, work: impl Future<Output = Completion> + Send + 'static) {
        self.in_flight.push(Box::pin(work));
    }

    async fn on_outbox(&mut self) -> Result<(), StreamEnd> {
        let Pending {
            cancels,
            revoked,
            assigned,
            reload,
            reload_all,
            recheck_owner,
            is_superseded,
        } = self.outbox.take();
        if is_superseded {
            return Err(StreamEnd::Superseded);
        }
        if !revoked.is_empty() {
            let revoked: Vec<HeldLease> =
                revoked.into_iter().map(|(id, lease)| HeldLease { id, lease }).collect();
            self.revoke(revoked).await?;
        }
        let assigned = self.isolate_suspects(assigned);
        if !assigned.is_empty() {
            self.assign(assigned).await?;
        }
        // After the assignments, which may include a cancelled job.
        self.on_cancels(cancels).await?;
        if recheck_owner {
            self.renew();
            self.recheck_drained();
        }
        self.reload(reload, reload_all);
        Ok(())
    }

    /// Removes leases and tells the worker.
    pub(super) async fn revoke(&mut self, revoked: Vec<HeldLease>) -> Result<(), StreamEnd> {
        for held in &revoked {
            self.remove(held);
        }
        self.send(ToWorker::Revoked(revoked)).await
    }

    pub(super) async fn assign(&mut self, jobs: Vec<Arc<Job>>) -> Result<(), StreamEnd> {
        let mut frames = split_by_size(jobs).into_iter();
        while let Some(jobs) = frames.next() {
            self.assign_seq += 1;
            self.unreceived.push_back(Unreceived {
                assign_seq: self.assign_seq,
                sent_at: self.context.clock.now(),
                jobs: jobs.iter().map(|job| job.id).collect(),
            });
            for job in &jobs {
                self.running.insert(job.id, RunningJob::new(job.clone(), false));
            }
            let sent = self.send(ToWorker::Assign { assign_seq: self.assign_seq, jobs }).await;
            if sent.is_err() {
                // These were never sent: the close of the stream hands them back without an
                // attempt.
                self.outbox.assign(frames.flatten().collect());
                return sent;
            }
        }
        Ok(())
    }

    async fn on_frame(&mut self, frame: FromWorker) -> Result<(), StreamEnd> {
        match frame {
            FromWorker::Credit { jobs, bytes } if !self.is_draining => {
                self.context.scheduler.grant(self.id, jobs, bytes);
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
                let cancels = self.unacknowledged_cancels();
                self.send(ToWorker::Pong { nonce, cancels }).await?;
            }
            FromWorker::Drain => self.on_drain().await?,
            FromWorker::Bye => return Err(StreamEnd::Bye),
        }
        Ok(())
    }

    async fn on_drain(&mut self) -> Result<(), StreamEnd> {
        self.stop_claiming();
        self.info.is_draining = true;
        self.put_worker_info();
        self.wait_for_claims().await;
        self.on_outbox().await?;
        self.continue_isolation().await?;
        self.send(ToWorker::DrainAck { last_assign_seq: self.assign_seq }).await
    }

    /// Waits until every claim under way has been assigned.
    pub(super) async fn wait_for_claims(&mut self) {
        let _ = self.context.committer.submit_all(Vec::new()).await;
    }

    /// Returns a running job, if the worker holds its current lease.
    pub(super) fn running(&mut self, held: &HeldLease) -> Option<&mut RunningJob> {
        let running = self.running.get_mut(&held.id)?;
        running.job.status.lease.is_some_and(|lease| lease.id == held.lease).then_some(running)
    }

    /// Removes a lease that has ended.
    pub(super) fn remove(&mut self, held: &HeldLease) {
        if self.running(held).is_some() {
            self.running.remove(&held.id);
            self.cancels.remove(&held.id);
        }
        self.isolation.remove(held);
    }

    async fn on_completion(&mut self, completion: Completion) -> Result<(), StreamEnd> {
        match completion {
            Completion::Reports(settled) => {
                let mut verdicts = Vec::with_capacity(settled.len());
                for SettledReport { held, verdict } in settled {
                    if verdict != ReportVerdict::RetryLater {
                        self.remove(&held);
                    }
                    self.context.observer.report_verdict(verdict.as_str());
                    verdicts.push((held, verdict));
                }
                self.send(ToWorker::ReportAck(verdicts)).await
            }
            Completion::HandedBack(revoked) if revoked.is_empty() => Ok(()),
            Completion::HandedBack(revoked) => self.send(ToWorker::Revoked(revoked)).await,
            Completion::Checkpoint { held, seq, verdict, job } => {
                if let (Some(running), Some(job)) = (self.running(&held), job) {
                    running.update(&job);
                }
                self.send(ToWorker::CheckpointAck { held, seq, verdict }).await
            }
            Completion::Logs { held, seq } => self.send(ToWorker::LogAck { held, seq }).await,
            Completion::Output { held, offset, verdict, stored } => {
                self.send(ToWorker::OutputAck { held, offset, verdict, stored }).await
            }
            Completion::Reloaded(found) => self.on_reloaded(found).await,
            Completion::ReloadFailed(held) => {
                self.read_again(held);
                Ok(())
            }
            Completion::Renewed { is_owned: false } => Err(StreamEnd::Superseded),
            Completion::Drained => {
                self.stop_claiming();
                Ok(())
            }
            Completion::Renewed { is_owned: true } | Completion::Nothing => Ok(()),
        }
    }
}

/// Waits until this server shuts down or its store is unreachable.
async fn until_leaving(closing: &CancellationToken, is_unreachable: &mut watch::Receiver<bool>) {
    tokio::select! {
        () = closing.cancelled() => {}
        () = until_unreachable(is_unreachable) => {}
    }
}

/// Splits jobs into frames of at most [`ASSIGN_BYTES`], or of one larger job.
fn split_by_size(jobs: Vec<Arc<Job>>) -> Vec<Vec<Arc<Job>>> {
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

impl RunningJob {
    pub(super) fn new(job: Arc<Job>, is_received: bool) -> Self {
        Self {
            job,
            is_received,
            progress: None,
            shown_at: 0,
            stored_at: 0,
            is_shown: true,
            is_stored: true,
            checkpoint_order: Arc::default(),
        }
    }

    /// Replaces the job with a newer version under the same lease. Returns false for an older
    /// version: commits may complete out of order.
    pub(super) fn update(&mut self, job: &Arc<Job>) -> bool {
        let is_same = match (self.job.status.lease, job.status.lease) {
            (Some(old), Some(new)) => old.id == new.id,
            _ => false,
        };
        let is_newer = is_same && self.job.status.version < job.status.version;
        if is_newer {
            self.job = job.clone();
        }
        is_newer
    }
}
