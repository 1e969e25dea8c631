//! A worker that does what the entropy say and writes down what it does. It takes in what was
//! sent when it is told to listen, so that between two steps of a schedule nothing moves.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use rand::RngExt;
use rand::rngs::StdRng;
use sentinel_domain::{Command, Failure, Job, JobError, JobId, Progress, SessionId};
use sentinel_engine::Engine;
use sentinel_engine::session::{
    About, FromWorker, Held, HeldVerdict, Hello, Outgoing, ReportItem, ReportVerdict, ToWorker,
    Welcome, lanes,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::notes::{Note, Notebook};
use super::schedule::{KIND, QUEUE};

/// Jobs that a worker runs at the same time.
pub(crate) const SLOTS: usize = 2;

/// What a checkpoint says: whose it is and which one.
fn checkpoint(epoch: u64, seq: u64) -> Bytes {
    format!("{epoch}:{seq}").into()
}

/// Epoch and number of a checkpoint.
pub(crate) fn checkpoint_seq(data: &[u8]) -> Option<(u64, u64)> {
    let (epoch, seq) = std::str::from_utf8(data).ok()?.split_once(':')?;
    Some((epoch.parse().ok()?, seq.parse().ok()?))
}

/// A handler, or its report that was not answered yet.
struct Hand {
    held: Held,
    is_cancelled: bool,
    seq: u64,
    /// There once the handler has returned.
    report: Option<Command>,
    is_sent: bool,
}

/// A stream to a server.
struct Line {
    frames: mpsc::Sender<FromWorker>,
    out: Outgoing,
    run: JoinHandle<()>,
    is_welcome: bool,
}

/// One worker process after the other, in the same place.
pub(crate) struct Worker {
    notebook: Notebook,
    line: Option<Line>,
    session: Option<SessionId>,
    hands: BTreeMap<JobId, Hand>,
    /// Leases that the Hello under way names, in its order.
    offered: Vec<Held>,
    granted: usize,
    /// Listens to nobody and says nothing until then.
    pub(crate) deaf_steps: u32,
}

impl Worker {
    pub(crate) fn new(notebook: &Notebook) -> Self {
        Self {
            notebook: notebook.clone(),
            line: None,
            session: None,
            hands: BTreeMap::new(),
            offered: Vec::new(),
            granted: 0,
            deaf_steps: 0,
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.hands.is_empty()
    }

    pub(crate) fn has_line(&self) -> bool {
        self.line.is_some()
    }

    /// Says Hello on a new stream; a former one may still stand.
    pub(crate) fn connect(&mut self, engine: &Engine) {
        let (frames, incoming) = mpsc::channel(256);
        let (lanes, out) = lanes();
        self.offered = self.hands.values().map(|hand| hand.held).collect();
        for hand in self.hands.values_mut() {
            hand.is_sent = false;
        }
        self.granted = SLOTS.saturating_sub(self.hands.len());
        let hello = Hello {
            instance: "w".into(),
            queues: vec![QUEUE.into()],
            kinds: vec![KIND.into()],
            about: About::default(),
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
            // A Hello that is refused shows itself as the end of the lanes.
            let _ = engine.run_session(hello, incoming, lanes, CancellationToken::new()).await;
        });
        self.line = Some(Line { frames, out, run, is_welcome: false });
    }

    /// The stream breaks; handlers go on.
    pub(crate) fn disconnect(&mut self) {
        self.line = None;
    }

    /// The server dies, and the stream with it.
    pub(crate) fn server_died(&mut self) {
        if let Some(line) = self.line.take() {
            line.run.abort();
        }
    }

    /// The process dies, and its handlers with it. The next one is somebody else.
    pub(crate) fn crash(&mut self) {
        for hand in self.hands.values().filter(|hand| hand.report.is_none()) {
            self.notebook.write(Note::Ended { held: hand.held });
        }
        *self = Self::new(&self.notebook);
    }

    fn send(&mut self, frame: FromWorker) {
        // A stream that is full or broken loses it; what matters is sent again.
        if let Some(line) = &self.line {
            let _ = line.frames.try_send(frame);
        }
    }

    /// The lease is over for this worker.
    fn let_go(&mut self, held: &Held) {
        let is_it = self.hands.get(&held.id).is_some_and(|hand| hand.held == *held);
        if let Some(hand) = is_it.then(|| self.hands.remove(&held.id)).flatten()
            && hand.report.is_none()
        {
            self.notebook.write(Note::Ended { held: *held });
        }
    }

    /// Takes in all that was sent. An assignment that was taken back while it waited to be
    /// read is never begun: the worker reads faster than it begins.
    pub(crate) fn listen(&mut self) {
        if self.deaf_steps > 0 {
            self.deaf_steps -= 1;
            return;
        }
        let mut frames = Vec::new();
        if let Some(line) = &mut self.line {
            loop {
                match line.out.next().now_or_never() {
                    Some(Some(frame)) => frames.push(frame),
                    Some(None) => {
                        self.line = None;
                        break;
                    }
                    None => break,
                }
            }
        }
        let taken_back = |frame: &ToWorker| match frame {
            ToWorker::Revoked(all) => all.clone(),
            _ => Vec::new(),
        };
        let gone: Vec<Held> = frames.iter().flat_map(taken_back).collect();
        for frame in frames {
            self.take_in(frame, &gone);
        }
        let is_welcome = self.line.as_ref().is_some_and(|line| line.is_welcome);
        if is_welcome {
            self.send(FromWorker::Ping { nonce: 0 });
            self.report();
            let free = SLOTS.saturating_sub(self.hands.len() + self.granted);
            if free > 0 {
                self.granted += free;
                self.send(FromWorker::Credit { jobs: free, bytes: None });
            }
        }
    }

    fn take_in(&mut self, frame: ToWorker, gone: &[Held]) {
        match frame {
            ToWorker::Welcome(welcome) => self.welcomed(&welcome),
            ToWorker::Assign { assign_seq, jobs } => {
                self.granted = self.granted.saturating_sub(jobs.len());
                self.assigned(&jobs, gone);
                self.send(FromWorker::Received { assign_seq });
            }
            ToWorker::ReportAck(items) => {
                for (held, verdict) in items {
                    self.told(&held, verdict);
                }
            }
            ToWorker::CheckpointAck { held, seq, verdict: ReportVerdict::Recorded } => {
                self.notebook.write(Note::Checkpointed { held, seq });
            }
            ToWorker::Revoked(all) => all.iter().for_each(|held| self.let_go(held)),
            ToWorker::Cancel(jobs) | ToWorker::Pong { cancels: jobs, .. } => self.cancelled(&jobs),
            _ => {}
        }
    }

    fn welcomed(&mut self, welcome: &Welcome) {
        self.session = Some(welcome.session);
        if let Some(line) = &mut self.line {
            line.is_welcome = true;
        }
        for (held, verdict) in std::mem::take(&mut self.offered).iter().zip(&welcome.held) {
            match verdict {
                HeldVerdict::Keep => {}
                HeldVerdict::Revoked => self.let_go(held),
                HeldVerdict::AlreadyRecorded => self.told(held, ReportVerdict::Duplicate),
            }
        }
    }

    fn assigned(&mut self, jobs: &[Arc<Job>], gone: &[Held]) {
        for job in jobs {
            let Some(lease) = job.status.lease else { continue };
            let held = Held { id: job.id, lease };
            if gone.contains(&held) {
                continue;
            }
            // A newer lease of the same job: the older one was lost.
            if let Some(older) = self.hands.get(&job.id).map(|hand| hand.held) {
                self.let_go(&older);
            }
            self.notebook.write(Note::Started { held });
            let (seq, report) = (0, None);
            let hand = Hand { held, is_cancelled: false, seq, report, is_sent: false };
            self.hands.insert(job.id, hand);
        }
    }

    fn cancelled(&mut self, jobs: &[Arc<Job>]) {
        let mut acknowledged = Vec::new();
        for job in jobs {
            let Some(lease) = job.status.lease else { continue };
            let held = Held { id: job.id, lease };
            acknowledged.push(held);
            if let Some(hand) = self.hands.get_mut(&job.id).filter(|hand| hand.held == held) {
                hand.is_cancelled = true;
            }
        }
        if !acknowledged.is_empty() {
            self.send(FromWorker::CancelAck(acknowledged));
        }
    }

    fn told(&mut self, held: &Held, verdict: ReportVerdict) {
        let Some(hand) = self.hands.get_mut(&held.id).filter(|hand| hand.held == *held) else {
            return;
        };
        if verdict == ReportVerdict::RetryLater {
            hand.is_sent = false;
            return;
        }
        let succeeds = matches!(hand.report, Some(Command::Succeed { .. }));
        self.notebook.write(Note::Told { held: *held, verdict, succeeds });
        self.let_go(held);
    }

    /// Sends the reports that wait for an answer and are not on their way.
    fn report(&mut self) {
        let mut items = Vec::new();
        for hand in self.hands.values_mut().filter(|hand| !hand.is_sent) {
            let Some(command) = hand.report.clone() else { continue };
            hand.is_sent = true;
            items.push(ReportItem { held: hand.held, command });
        }
        if !items.is_empty() {
            self.send(FromWorker::Report(items));
        }
    }

    /// One handler does something: returns, or says how far it is.
    pub(crate) fn work(&mut self, entropy: &mut StdRng) {
        let open: Vec<JobId> =
            self.hands.values().filter(|h| h.report.is_none()).map(|h| h.held.id).collect();
        if open.is_empty() || self.deaf_steps > 0 {
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

    /// All handlers return.
    pub(crate) fn finish_all(&mut self, entropy: &mut StdRng) {
        let open: Vec<JobId> = self.hands.keys().copied().collect();
        open.into_iter().for_each(|id| self.finish(id, entropy));
    }

    /// Reports again what was reported: a worker that lost its patience.
    pub(crate) fn insist(&mut self) {
        self.hands.values_mut().for_each(|hand| hand.is_sent = false);
        self.report();
    }

    fn checkpoint(&mut self, id: JobId) {
        // Two at once: the second does not wait for the first to be stored.
        for _ in 0..2 {
            let Some(hand) = self.hands.get_mut(&id) else { return };
            hand.seq += 1;
            let (held, seq) = (hand.held, hand.seq);
            let data = checkpoint(held.lease.epoch, seq);
            self.send(FromWorker::Checkpoint { held, seq, data });
        }
    }

    fn progress(&mut self, id: JobId) {
        let Some(hand) = self.hands.get_mut(&id) else { return };
        hand.seq += 1;
        let progress = Progress { seq: hand.seq, done: 1, total: 2, message: "on".into() };
        let held = hand.held;
        self.send(FromWorker::Progress(vec![(held, progress)]));
    }

    fn finish(&mut self, id: JobId, entropy: &mut StdRng) {
        let Some(hand) = self.hands.get_mut(&id).filter(|hand| hand.report.is_none()) else {
            return;
        };
        let lease = hand.held.lease;
        hand.report = Some(match entropy.random_range(0..10) {
            _ if hand.is_cancelled && entropy.random_bool(0.8) => {
                Command::Stop { lease, started_at: None, entropy: entropy.random() }
            }
            0 => {
                Command::Snooze { lease, started_at: None, delay_ms: entropy.random_range(0..600) }
            }
            1 => Command::Release { lease },
            2 | 3 => {
                let retryable = entropy.random_bool(0.8);
                let error = JobError { message: "no".into(), code: "NO".into(), retryable };
                let (next_delay_ms, entropy) = (None, entropy.random());
                let failure = Failure { error, next_delay_ms, timed_out: false, entropy };
                Command::Fail { lease, started_at: None, failure }
            }
            _ => Command::Succeed { lease, started_at: None, result: "done".into() },
        });
        self.notebook.write(Note::Ended { held: hand.held });
    }

    /// In good order.
    pub(crate) fn leave(&mut self) {
        self.send(FromWorker::Bye);
        self.line = None;
    }
}
