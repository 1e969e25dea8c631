//! A worker that does what the test says, frame by frame.

use std::sync::Arc;

use bytes::Bytes;
use sentinel_domain::{Command, Job, JobError, Lease};
use sentinel_engine::session::{
    About, Ended, FromWorker, Held, HeldVerdict, Hello, Outgoing, ReportItem, ReportVerdict,
    ToWorker, Welcome, failure, lanes,
};
use sentinel_engine::{Engine, EngineError};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::house::bounded;

pub(crate) struct Worker {
    frames: mpsc::Sender<FromWorker>,
    out: Outgoing,
    run: JoinHandle<Result<Ended, EngineError>>,
    pub(crate) welcome: Welcome,
    pub(crate) closing: CancellationToken,
}

pub(crate) fn hello(jobs: usize) -> Hello {
    Hello {
        instance: "w".into(),
        queues: vec!["q".into()],
        kinds: vec!["k".into()],
        about: About::default(),
        session: None,
        held: Vec::new(),
        credit_jobs: jobs,
        credit_bytes: None,
    }
}

/// Of a worker that comes back.
pub(crate) fn hello_again(before: &Welcome, holds: &[&Job]) -> Hello {
    let held = holds.iter().map(|job| held(job)).collect();
    Hello { session: Some(before.session), held, ..hello(0) }
}

pub(crate) fn held(job: &Job) -> Held {
    Held { id: job.id, lease: lease(job) }
}

pub(crate) fn lease(job: &Job) -> Lease {
    job.status.lease.expect("it runs")
}

pub(crate) fn success(job: &Job) -> ReportItem {
    let result = Bytes::from_static(b"done");
    let command = Command::Succeed { lease: lease(job), started_at: None, result };
    ReportItem { held: held(job), command }
}

pub(crate) fn crash(job: &Job, retryable: bool) -> ReportItem {
    let error = JobError { message: "no".into(), code: "NO".into(), retryable };
    let failure = failure(error, Some(0), false);
    let command = Command::Fail { lease: lease(job), started_at: None, failure };
    ReportItem { held: held(job), command }
}

impl Worker {
    pub(crate) async fn join(engine: &Engine, hello: Hello) -> Self {
        Self::try_join(engine, hello).await.expect("is welcome")
    }

    /// None when the Hello was refused.
    pub(crate) async fn try_join(engine: &Engine, hello: Hello) -> Option<Self> {
        let (frames, incoming) = mpsc::channel(1_024);
        let (lanes, mut out) = lanes();
        let closing = CancellationToken::new();
        let (engine, token) = (engine.clone(), closing.clone());
        let run = tokio::spawn(async move {
            let incoming = futures_util::stream::unfold(incoming, |mut incoming| async move {
                Some((incoming.recv().await?, incoming))
            });
            engine.run_session(hello, incoming, lanes, token).await
        });
        let welcome = match bounded("Welcome", out.next()).await {
            Some(ToWorker::Welcome(welcome)) => welcome,
            None => return None,
            other => panic!("{other:?} instead of Welcome"),
        };
        Some(Self { frames, out, run, welcome, closing })
    }

    /// Joins again as the same session.
    pub(crate) async fn rejoin(engine: &Engine, before: &Welcome, holds: &[&Job]) -> Self {
        Self::join(engine, hello_again(before, holds)).await
    }

    pub(crate) async fn send(&self, frame: FromWorker) {
        self.frames.send(frame).await.expect("the session reads");
    }

    /// False when the session has ended.
    pub(crate) async fn try_send(&self, frame: FromWorker) -> bool {
        self.frames.send(frame).await.is_ok()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.frames.is_closed()
    }

    pub(crate) async fn credit(&self, jobs: usize) {
        self.send(FromWorker::Credit { jobs, bytes: None }).await;
    }

    /// The next frame that `pick` takes; others are passed over.
    pub(crate) async fn until<T>(
        &mut self,
        what: &str,
        mut pick: impl FnMut(ToWorker) -> Option<T>,
    ) -> T {
        bounded(what, async {
            loop {
                let frame = self.out.next().await;
                let frame = frame.unwrap_or_else(|| panic!("the stream ended before {what}"));
                if let Some(found) = pick(frame) {
                    return found;
                }
            }
        })
        .await
    }

    /// The next frame within a moment.
    pub(crate) async fn poll(&mut self) -> Option<ToWorker> {
        let moment = std::time::Duration::from_millis(2);
        tokio::time::timeout(moment, self.out.next()).await.ok().flatten()
    }

    pub(crate) async fn assigned_quietly(&mut self) -> (u64, Vec<Arc<Job>>) {
        self.until("Assign", |frame| match frame {
            ToWorker::Assign { assign_seq, jobs } => Some((assign_seq, jobs)),
            _ => None,
        })
        .await
    }

    /// `count` jobs, each assignment acknowledged.
    pub(crate) async fn assigned(&mut self, count: usize) -> Vec<Arc<Job>> {
        let mut all = Vec::new();
        while all.len() < count {
            let (assign_seq, jobs) = self.assigned_quietly().await;
            self.send(FromWorker::Received { assign_seq }).await;
            all.extend(jobs);
        }
        all
    }

    pub(crate) async fn report(&mut self, items: Vec<ReportItem>) -> Vec<ReportVerdict> {
        self.send(FromWorker::Report(items)).await;
        self.acked().await
    }

    pub(crate) async fn acked(&mut self) -> Vec<ReportVerdict> {
        self.until("ReportAck", |frame| match frame {
            ToWorker::ReportAck(items) => Some(items.into_iter().map(|(_, v)| v).collect()),
            _ => None,
        })
        .await
    }

    pub(crate) async fn pong(&mut self) -> Vec<Arc<Job>> {
        self.send(FromWorker::Ping { nonce: 1 }).await;
        self.until("Pong", |frame| match frame {
            ToWorker::Pong { cancels, .. } => Some(cancels),
            _ => None,
        })
        .await
    }

    pub(crate) async fn revoked(&mut self) -> Vec<Held> {
        self.until("Revoked", |frame| match frame {
            ToWorker::Revoked(held) => Some(held),
            _ => None,
        })
        .await
    }

    pub(crate) fn verdicts(&self) -> &[HeldVerdict] {
        &self.welcome.held
    }

    /// The stream breaks.
    pub(crate) async fn eof(self) -> Ended {
        let Self { frames, run, out, .. } = self;
        drop(frames);
        let ended = bounded("the end of the session", run).await;
        drop(out);
        ended.expect("no panic").expect("was welcome")
    }

    pub(crate) async fn bye(self) -> Ended {
        self.send(FromWorker::Bye).await;
        self.ended().await
    }

    pub(crate) async fn ended(self) -> Ended {
        let Self { frames, run, out, .. } = self;
        let ended = bounded("the end of the session", run).await;
        drop((frames, out));
        ended.expect("no panic").expect("was welcome")
    }
}
