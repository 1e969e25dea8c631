//! A worker session whose frames the test sends one by one.

use std::sync::Arc;

use bytes::Bytes;
use sentinel_domain::{Command, Job, JobError, LeaseId, Scopes};
use sentinel_engine::session::{
    FromWorker, HeldLease, HeldLeaseVerdict, Hello, OutboundFrames, Principal, ReportItem,
    ReportVerdict, StreamEnd, ToWorker, Welcome, WorkerDetails, failure, outbound_queue,
};
use sentinel_engine::{Engine, EngineError};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::harness::within_timeout;

/// A worker without automatic behaviour.
pub(crate) struct ScriptedWorker {
    frames: mpsc::Sender<FromWorker>,
    out: OutboundFrames,
    run: JoinHandle<Result<StreamEnd, EngineError>>,
    pub(crate) welcome: Welcome,
    pub(crate) closing: CancellationToken,
}

/// Returns a valid Hello with this credit.
pub(crate) fn hello(jobs: usize) -> Hello {
    Hello {
        principal: Principal { key_id: None, scopes: Scopes::ALL },
        instance: "w".into(),
        queues: vec!["q".into()],
        kinds: vec!["k".into()],
        details: WorkerDetails::default(),
        session: None,
        held: Vec::new(),
        credit_jobs: jobs,
        credit_bytes: None,
    }
}

/// Returns the Hello of a worker that resumes its session and holds these leases.
pub(crate) fn resume_hello(before: &Welcome, holds: &[&Job]) -> Hello {
    let held = holds.iter().map(|job| held(job)).collect();
    Hello { session: Some(before.session), held, ..hello(0) }
}

pub(crate) fn held(job: &Job) -> HeldLease {
    HeldLease { id: job.id, lease: lease(job) }
}

pub(crate) fn lease(job: &Job) -> LeaseId {
    job.status.lease.expect("a lease").id
}

pub(crate) fn succeeded_report(job: &Job) -> ReportItem {
    let result = Bytes::from_static(b"done");
    let command = Command::Succeed { lease: lease(job), started_at: None, result };
    ReportItem { held: held(job), command }
}

pub(crate) fn failed_report(job: &Job, retryable: bool) -> ReportItem {
    let error = JobError::new("no", "NO", retryable);
    let failure = failure(error, Some(0), false);
    let command = Command::Fail { lease: lease(job), started_at: None, failure };
    ReportItem { held: held(job), command }
}

impl ScriptedWorker {
    /// Opens a stream, sends Hello and waits for Welcome.
    pub(crate) async fn join(engine: &Engine, hello: Hello) -> Self {
        Self::try_join(engine, hello).await.expect("a Welcome frame")
    }

    /// Like [`Self::join`]; returns `None` when the engine refuses the Hello.
    pub(crate) async fn try_join(engine: &Engine, hello: Hello) -> Option<Self> {
        let (frames, incoming) = mpsc::channel(1_024);
        let (outbound_queue, mut out) = outbound_queue();
        let closing = CancellationToken::new();
        let (engine, token) = (engine.clone(), closing.clone());
        let run = tokio::spawn(async move {
            let incoming = futures_util::stream::unfold(incoming, |mut incoming| async move {
                Some((incoming.recv().await?, incoming))
            });
            engine.sessions().run(hello, incoming, outbound_queue, token).await
        });
        let welcome = match within_timeout("Welcome", out.next()).await {
            Some(ToWorker::Welcome(welcome)) => welcome,
            None => return None,
            other => panic!("{other:?} instead of Welcome"),
        };
        Some(Self { frames, out, run, welcome, closing })
    }

    /// Opens another stream of the same session.
    pub(crate) async fn resume(engine: &Engine, before: &Welcome, holds: &[&Job]) -> Self {
        Self::join(engine, resume_hello(before, holds)).await
    }

    pub(crate) async fn send(&self, frame: FromWorker) {
        self.frames.send(frame).await.expect("an open session");
    }

    /// Sends a frame; returns false when the session has closed.
    pub(crate) async fn try_send(&self, frame: FromWorker) -> bool {
        self.frames.send(frame).await.is_ok()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.frames.is_closed()
    }

    pub(crate) async fn credit(&self, jobs: usize) {
        self.send(FromWorker::Credit { jobs, bytes: None }).await;
    }

    /// Skips frames until `pick` accepts one.
    pub(crate) async fn wait_for<T>(
        &mut self,
        what: &str,
        mut pick: impl FnMut(ToWorker) -> Option<T>,
    ) -> T {
        within_timeout(what, async {
            loop {
                let frame = self.out.next().await;
                let frame = frame.unwrap_or_else(|| panic!("the stream closed before {what}"));
                if let Some(found) = pick(frame) {
                    return found;
                }
            }
        })
        .await
    }

    /// Returns the next frame if one arrives within 2 ms.
    pub(crate) async fn try_next(&mut self) -> Option<ToWorker> {
        let limit = std::time::Duration::from_millis(2);
        tokio::time::timeout(limit, self.out.next()).await.ok().flatten()
    }

    /// Waits for an assignment without acknowledging its receipt.
    pub(crate) async fn next_assignment(&mut self) -> (u64, Vec<Arc<Job>>) {
        self.wait_for("Assign", |frame| match frame {
            ToWorker::Assign { assign_seq, jobs } => Some((assign_seq, jobs)),
            _ => None,
        })
        .await
    }

    /// Waits for `count` jobs and acknowledges the receipt of each assignment.
    pub(crate) async fn accept_jobs(&mut self, count: usize) -> Vec<Arc<Job>> {
        let mut all = Vec::new();
        while all.len() < count {
            let (assign_seq, jobs) = self.next_assignment().await;
            self.send(FromWorker::Received { assign_seq }).await;
            all.extend(jobs);
        }
        all
    }

    /// Sends a report and returns the verdicts.
    pub(crate) async fn report(&mut self, items: Vec<ReportItem>) -> Vec<ReportVerdict> {
        self.send(FromWorker::Report(items)).await;
        self.report_verdicts().await
    }

    pub(crate) async fn report_verdicts(&mut self) -> Vec<ReportVerdict> {
        self.wait_for("ReportAck", |frame| match frame {
            ToWorker::ReportAck(items) => Some(items.into_iter().map(|(_, v)| v).collect()),
            _ => None,
        })
        .await
    }

    /// Sends a ping and returns the cancels of its pong.
    pub(crate) async fn ping(&mut self) -> Vec<Arc<Job>> {
        self.send(FromWorker::Ping { nonce: 1 }).await;
        self.wait_for("Pong", |frame| match frame {
            ToWorker::Pong { cancels, .. } => Some(cancels),
            _ => None,
        })
        .await
    }

    pub(crate) async fn next_revoked(&mut self) -> Vec<HeldLease> {
        self.wait_for("Revoked", |frame| match frame {
            ToWorker::Revoked(held) => Some(held),
            _ => None,
        })
        .await
    }

    pub(crate) fn verdicts(&self) -> &[HeldLeaseVerdict] {
        &self.welcome.held
    }

    /// Ends the stream without Bye.
    pub(crate) async fn disconnect(self) -> StreamEnd {
        let Self { frames, run, out, .. } = self;
        drop(frames);
        let end = within_timeout("the end of the session", run).await;
        drop(out);
        end.expect("no panic").expect("no error")
    }

    pub(crate) async fn bye(self) -> StreamEnd {
        self.send(FromWorker::Bye).await;
        self.closed().await
    }

    /// Waits until the engine closes the session.
    pub(crate) async fn closed(self) -> StreamEnd {
        let Self { frames, run, out, .. } = self;
        let end = within_timeout("the end of the session", run).await;
        drop((frames, out));
        end.expect("no panic").expect("no error")
    }
}
