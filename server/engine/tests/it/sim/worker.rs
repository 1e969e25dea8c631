//! A worker that acts at random and logs what it does. It handles frames only in `receive`, so that
//! nothing changes between two steps of a schedule.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use rand::RngExt;
use rand::rngs::StdRng;
use sentinel_domain::{Command, Failure, Job, JobError, JobId, Progress, Scopes, SessionId};
use sentinel_engine::Engine;
use sentinel_engine::session::{
    FromWorker, HeldLease, HeldLeaseVerdict, Hello, OutboundFrames, Principal, ReportItem,
    ReportVerdict, ToWorker, Welcome, WorkerDetails, outbound_queue,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::observations::{EventLog, Observation};
use super::schedule::{KIND, QUEUE};

/// The number of jobs that a worker runs concurrently.
pub(crate) const SLOTS: usize = 2;

/// Returns a checkpoint with its epoch and number.
fn checkpoint(epoch: u64, seq: u64) -> Bytes {
    format!("{epoch}:{seq}").into()
}

/// Parses the epoch and number of a checkpoint.
pub(crate) fn checkpoint_seq(data: &[u8]) -> Option<(u64, u64)> {
    let (epoch, seq) = std::str::from_utf8(data).ok()?.split_once(':')?;
    Some((epoch.parse().ok()?, seq.parse().ok()?))
}

/// A running handler, or its report without a verdict.
struct RunningJob {
    held: HeldLease,
    is_cancelled: bool,
    seq: u64,
    /// Set when the handler has returned.
    report: Option<Command>,
    is_sent: bool,
}

/// A session stream to a server.
struct Connection {
    frames: mpsc::Sender<FromWorker>,
    out: OutboundFrames,
    run: JoinHandle<()>,
    is_welcome: bool,
}

/// A worker process; after a crash, the next one.
pub(crate) struct SimWorker {
    event_log: EventLog,
    connection: Option<Connection>,
    session: Option<SessionId>,
    running: BTreeMap<JobId, RunningJob>,
    /// The leases of the pending Hello, in its order.
    offered: Vec<HeldLease>,
    granted: usize,
    /// The number of steps in which the worker neither receives nor sends.
    pub(crate) silent_steps: u32,
}

impl SimWorker {
    pub(crate) fn new(event_log: &EventLog) -> Self {
        Self {
            event_log: event_log.clone(),
            connection: None,
            session: None,
            running: BTreeMap::new(),
            offered: Vec::new(),
            granted: 0,
            silent_steps: 0,
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// Sends Hello on a new stream; an older stream may still be open.
    pub(crate) fn connect(&mut self, engine: &Engine) {
        let (frames, incoming) = mpsc::channel(256);
        let (outbound_queue, out) = outbound_queue();
        self.offered = self.running.values().map(|active| active.held).collect();
        for active in self.running.values_mut() {
            active.is_sent = false;
        }
        self.granted = SLOTS.saturating_sub(self.running.len());
        let hello = Hello {
            principal: Principal { key_id: None, scopes: Scopes::ALL },
            instance: "w".into(),
            queues: vec![QUEUE.into()],
            kinds: vec![KIND.into()],
            details: WorkerDetails::default(),
            session: self.session,
            held: self.offered.clone(),
            credit_jobs: self.granted,
            credit_bytes: None,
        };
        let engine = engine.clone();
        let run = tokio::spawn(async move {
            let next = async |mut incoming: mpsc::Receiver<FromWorker>| {
                Some((incoming.recv().await?, incoming))
            };
            let incoming = futures_util::stream::unfold(incoming, next);
            // A refused Hello closes the outbound queue.
            let _ = engine
                .sessions()
                .run(hello, incoming, outbound_queue, CancellationToken::new())
                .await;
        });
        self.connection = Some(Connection { frames, out, run, is_welcome: false });
    }

    /// Breaks the stream; handlers continue.
    pub(crate) fn disconnect(&mut self) {
        self.connection = None;
    }

    /// Ends the stream of a killed server.
    pub(crate) fn on_server_death(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.run.abort();
        }
    }

    /// Crashes the process with its handlers. The next process has a new session.
    pub(crate) fn crash(&mut self) {
        for active in self.running.values().filter(|active| active.report.is_none()) {
            self.event_log.write(Observation::Finished { held: active.held });
        }
        *self = Self::new(&self.event_log);
    }

    fn send(&mut self, frame: FromWorker) {
        // A full or broken stream loses the frame; important frames are sent again.
        if let Some(connection) = &self.connection {
            let _ = connection.frames.try_send(frame);
        }
    }

    /// Removes a lease that this worker has lost or finished.
    fn drop_lease(&mut self, held: &HeldLease) {
        let is_it = self.running.get(&held.id).is_some_and(|active| active.held == *held);
        if let Some(active) = is_it.then(|| self.running.remove(&held.id)).flatten()
            && active.report.is_none()
        {
            self.event_log.write(Observation::Finished { held: *held });
        }
    }

    /// Handles all frames that have arrived. An assignment that was revoked in the same batch does
    /// not start: a worker reads faster than it starts handlers.
    pub(crate) fn receive(&mut self) {
        if self.silent_steps > 0 {
            self.silent_steps -= 1;
            return;
        }
        let mut frames = Vec::new();
        if let Some(connection) = &mut self.connection {
            loop {
                match connection.out.next().now_or_never() {
                    Some(Some(frame)) => frames.push(frame),
                    Some(None) => {
                        self.connection = None;
                        break;
                    }
                    None => break,
                }
            }
        }
        let revoked_leases = |frame: &ToWorker| match frame {
            ToWorker::Revoked(all) => all.clone(),
            _ => Vec::new(),
        };
        let revoked: Vec<HeldLease> = frames.iter().flat_map(revoked_leases).collect();
        for frame in frames {
            self.handle_frame(frame, &revoked);
        }
        let is_welcome = self.connection.as_ref().is_some_and(|connection| connection.is_welcome);
        if is_welcome {
            self.send(FromWorker::Ping { nonce: 0 });
            self.report();
            let free = SLOTS.saturating_sub(self.running.len() + self.granted);
            if free > 0 {
                self.granted += free;
                self.send(FromWorker::Credit { jobs: free, bytes: None });
            }
        }
    }

    fn handle_frame(&mut self, frame: ToWorker, revoked: &[HeldLease]) {
        match frame {
            ToWorker::Welcome(welcome) => self.handle_welcome(&welcome),
            ToWorker::Assign { assign_seq, jobs } => {
                self.granted = self.granted.saturating_sub(jobs.len());
                self.handle_assignment(&jobs, revoked);
                self.send(FromWorker::Received { assign_seq });
            }
            ToWorker::ReportAck(items) => {
                for (held, verdict) in items {
                    self.handle_verdict(&held, verdict);
                }
            }
            ToWorker::CheckpointAck { held, seq, verdict: ReportVerdict::Recorded } => {
                self.event_log.write(Observation::Checkpointed { held, seq });
            }
            ToWorker::Revoked(all) => all.iter().for_each(|held| self.drop_lease(held)),
            ToWorker::Cancel(jobs) | ToWorker::Pong { cancels: jobs, .. } => {
                self.handle_cancel(&jobs)
            }
            _ => {}
        }
    }

    fn handle_welcome(&mut self, welcome: &Welcome) {
        self.session = Some(welcome.session);
        if let Some(connection) = &mut self.connection {
            connection.is_welcome = true;
        }
        for (held, verdict) in std::mem::take(&mut self.offered).iter().zip(&welcome.held) {
            match verdict {
                HeldLeaseVerdict::Keep => {}
                HeldLeaseVerdict::Revoked => self.drop_lease(held),
                HeldLeaseVerdict::AlreadyRecorded => {
                    self.handle_verdict(held, ReportVerdict::Duplicate)
                }
            }
        }
    }

    fn handle_assignment(&mut self, jobs: &[Arc<Job>], revoked: &[HeldLease]) {
        for job in jobs {
            let Some(lease) = job.status.lease else { continue };
            let held = HeldLease { id: job.id, lease: lease.id };
            if revoked.contains(&held) {
                continue;
            }
            // A newer lease of the same job replaces the lost one.
            if let Some(older) = self.running.get(&job.id).map(|active| active.held) {
                self.drop_lease(&older);
            }
            self.event_log.write(Observation::Started { held });
            let (seq, report) = (0, None);
            let active = RunningJob { held, is_cancelled: false, seq, report, is_sent: false };
            self.running.insert(job.id, active);
        }
    }

    fn handle_cancel(&mut self, jobs: &[Arc<Job>]) {
        let mut acknowledged = Vec::new();
        for job in jobs {
            let Some(lease) = job.status.lease else { continue };
            let held = HeldLease { id: job.id, lease: lease.id };
            acknowledged.push(held);
            if let Some(active) = self.running.get_mut(&job.id).filter(|active| active.held == held)
            {
                active.is_cancelled = true;
            }
        }
        if !acknowledged.is_empty() {
            self.send(FromWorker::CancelAck(acknowledged));
        }
    }

    fn handle_verdict(&mut self, held: &HeldLease, verdict: ReportVerdict) {
        let Some(active) = self.running.get_mut(&held.id).filter(|active| active.held == *held)
        else {
            return;
        };
        if verdict == ReportVerdict::RetryLater {
            active.is_sent = false;
            return;
        }
        let succeeds = matches!(active.report, Some(Command::Succeed { .. }));
        self.event_log.write(Observation::ReportVerdict { held: *held, verdict, succeeds });
        self.drop_lease(held);
    }

    /// Sends the reports that were not sent yet.
    fn report(&mut self) {
        let mut items = Vec::new();
        for active in self.running.values_mut().filter(|active| !active.is_sent) {
            let Some(command) = active.report.clone() else { continue };
            active.is_sent = true;
            items.push(ReportItem { held: active.held, command });
        }
        if !items.is_empty() {
            self.send(FromWorker::Report(items));
        }
    }

    /// Lets one handler finish, send progress, or write a checkpoint.
    pub(crate) fn step(&mut self, entropy: &mut StdRng) {
        let open: Vec<JobId> = self
            .running
            .values()
            .filter(|active| active.report.is_none())
            .map(|active| active.held.id)
            .collect();
        if open.is_empty() || self.silent_steps > 0 {
            return;
        }
        let id = open[entropy.random_range(0..open.len())];
        match entropy.random_range(0..10) {
            0 | 1 => self.checkpoint(id),
            2 => self.progress(id),
            _ => self.finish(id, entropy),
        }
        self.report();
    }

    /// Finishes all handlers.
    pub(crate) fn finish_all(&mut self, entropy: &mut StdRng) {
        let open: Vec<JobId> = self.running.keys().copied().collect();
        open.into_iter().for_each(|id| self.finish(id, entropy));
    }

    /// Sends all reports again, as after a timeout.
    pub(crate) fn resend(&mut self) {
        self.running.values_mut().for_each(|active| active.is_sent = false);
        self.report();
    }

    fn checkpoint(&mut self, id: JobId) {
        // Two at once: the second does not wait for the acknowledgement of the first.
        for _ in 0..2 {
            let Some(active) = self.running.get_mut(&id) else { return };
            active.seq += 1;
            let (held, seq) = (active.held, active.seq);
            let data = checkpoint(held.lease.epoch, seq);
            self.send(FromWorker::Checkpoint { held, seq, data });
        }
    }

    fn progress(&mut self, id: JobId) {
        let Some(active) = self.running.get_mut(&id) else { return };
        active.seq += 1;
        let progress = Progress { seq: active.seq, done: 1, total: 2, message: "working".into() };
        let held = active.held;
        self.send(FromWorker::Progress(vec![(held, progress)]));
    }

    fn finish(&mut self, id: JobId, entropy: &mut StdRng) {
        let Some(active) = self.running.get_mut(&id).filter(|active| active.report.is_none())
        else {
            return;
        };
        let lease = active.held.lease;
        active.report = Some(match entropy.random_range(0..10) {
            _ if active.is_cancelled && entropy.random_bool(0.8) => {
                Command::Stop { lease, started_at: None, entropy: entropy.random() }
            }
            0 => {
                Command::Snooze { lease, started_at: None, delay_ms: entropy.random_range(0..600) }
            }
            1 => Command::Release { lease },
            2 | 3 => {
                let retryable = entropy.random_bool(0.8);
                let error = JobError::new("failed", "FAILED", retryable);
                let (next_delay_ms, entropy) = (None, entropy.random());
                let failure = Failure { error, next_delay_ms, timed_out: false, entropy };
                Command::Fail { lease, started_at: None, failure }
            }
            _ => Command::Succeed { lease, started_at: None, result: "done".into() },
        });
        self.event_log.write(Observation::Finished { held: active.held });
    }

    /// Leaves with Bye.
    pub(crate) fn leave(&mut self) {
        self.send(FromWorker::Bye);
        self.connection = None;
    }
}
