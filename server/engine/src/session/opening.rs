//! The opening of a stream: a new session, or one that is resumed.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::FixedState;
use futures_util::stream::FuturesUnordered;
use sentinel_domain::limits::{NAME_BYTES, WORKER_CREDITS, WORKER_KINDS, WORKER_QUEUES};
use sentinel_domain::{FieldViolation, Job, JobId, Millis, Scopes, SessionId, check_name};
use sentinel_store::{Mutation, SessionRow, StoreError, Transaction};

use super::actor::{RunningJob, Session};
use super::context::SessionContext;
use super::frame::{HeldLeaseVerdict, Hello, ToWorker, Welcome};
use super::outbound_queue::OutboundQueue;
use super::poison_isolation::PoisonIsolation;
use crate::EngineError;
use crate::dispatch::{HeldLease, Registration, SessionCapacity};

/// How long a Hello waits for the former stream of its session to close.
const FORMER_CLOSES_WITHIN: Duration = Duration::from_secs(5);

type JobsById = HashMap<JobId, Arc<Job>, FixedState>;

impl Hello {
    fn violations(&self) -> Vec<FieldViolation> {
        let mut found = Vec::new();
        let mut range = |field: &str, value: usize, min: u64, max: u64| {
            if !(min..=max).contains(&(value as u64)) {
                let text = format!("{value} is out of range: {min}..={max}");
                found.push(FieldViolation::new(format!("hello.{field}"), text));
            }
        };
        range("instance", self.instance.len(), 1, NAME_BYTES);
        range("queues", self.queues.len(), 1, WORKER_QUEUES);
        range("kinds", self.kinds.len(), 1, WORKER_KINDS);
        range("held", self.held.len(), 0, 2 * WORKER_CREDITS);
        range("credit.jobs", self.credit_jobs, 0, WORKER_CREDITS);
        for (field, names) in [("queues", &self.queues), ("kinds", &self.kinds)] {
            // One invalid name is enough.
            let before = found.len();
            for name in names.iter() {
                check_name(&mut found, &format!("hello.{field}"), name);
                if found.len() > before {
                    break;
                }
            }
        }
        found
    }
}

fn slots(jobs: usize) -> u32 {
    u32::try_from(jobs).unwrap_or(u32::MAX)
}

impl Session {
    /// Adopts the session, judges the leases that the worker holds, and sends Welcome.
    pub(super) async fn open(
        context: Arc<SessionContext>,
        hello: Hello,
        outbound: OutboundQueue,
    ) -> Result<Self, EngineError> {
        let violations = hello.violations();
        if !violations.is_empty() {
            return Err(EngineError::Invalid(violations));
        }
        context.health.check()?;
        let resumed = context.session_to_resume(&hello).await?;
        let is_resumed = resumed.is_some();
        let id = resumed.unwrap_or_else(|| SessionId::from_u128(context.rng.next_u128()));
        let registration = context.register(id).await?;
        let outbox = registration.outbox();
        // Nothing has been claimed for the session since its former stream closed, and every
        // earlier claim was assigned before: the jobs in the store are complete.
        let now = context.clock.now();
        let mut info = hello.worker_info(now);
        if !is_resumed {
            info.slots = slots(hello.credit_jobs);
        }
        context.adopt(id, now, (!is_resumed).then(|| info.encode())).await?;
        let mut is_drained = false;
        let mut stored: JobsById = HashMap::default();
        let scopes = hello.principal.scopes.clone();
        if is_resumed {
            outbox.take();
            let session = context.stored_session(id).await?;
            info.since = session.since.unwrap_or(now);
            is_drained = session.is_drained;
            let jobs = context.store.session_jobs(id).await?.into_iter();
            let jobs = jobs.filter(|job| scopes.contains(&job.spec.queue));
            stored.extend(jobs.map(|job| (job.id, job)));
        }
        let (verdicts, kept) = context.judge(&hello.held, &mut stored, &scopes).await?;
        context.returner.hand_back(stored.into_values().collect(), Some(context.server)).await;
        let suspect = kept.iter().find(|job| job.is_poison_suspect()).map(|job| job.id);
        let mut session = Self {
            context,
            id,
            worker: hello.instance.as_str().into(),
            scopes: scopes.into(),
            outbox,
            outbound,
            running: HashMap::default(),
            unreceived: VecDeque::new(),
            assign_seq: 0,
            isolation: PoisonIsolation::resumed(suspect, now),
            cancels: HashMap::default(),
            last_frame_at: now,
            renewed_at: now,
            is_draining: is_drained,
            info,
            in_flight: FuturesUnordered::new(),
            _registration: registration,
        };
        for job in kept {
            session.running.insert(job.id, RunningJob::new(job, true));
        }
        if is_resumed {
            session.info.slots = slots(session.running.len() + hello.credit_jobs);
            session.put_worker_info();
        }
        session.welcome(verdicts, hello).await;
        Ok(session)
    }

    async fn welcome(&mut self, held: Vec<HeldLeaseVerdict>, hello: Hello) {
        self.context.kinds.declare(self.info.since, hello.details.kinds);
        let duration = |ms: Millis| Duration::from_millis(ms.cast_unsigned());
        let welcome = Welcome {
            session: self.id,
            ping: duration(self.context.settings.ping_ms),
            ttl: duration(self.context.settings.session_ttl_ms),
            held,
        };
        // If the queue is closed already, the loop sees the end of the stream.
        let _ = self.send(ToWorker::Welcome(welcome)).await;
        let jobs = self.running.values().map(|running| running.job.clone());
        let _ = self.send_cancels(jobs.filter(|job| job.status.cancel.is_some()).collect()).await;
        let mut kinds = hello.kinds;
        kinds.sort();
        kinds.dedup();
        let capacity = SessionCapacity::new(self.worker.clone(), hello.queues.into(), kinds.into());
        self.context.scheduler.join(self.id, capacity);
        self.pause_for_isolation();
        if !self.is_draining {
            self.context.scheduler.grant(self.id, hello.credit_jobs, hello.credit_bytes);
        }
        let held = self.running.len();
        tracing::info!(session = %self.id, worker = %self.worker, held, "worker stream opened");
    }
}

impl SessionContext {
    /// Registers a stream of a session, and waits until the former one has closed.
    async fn register(&self, id: SessionId) -> Result<Registration, EngineError> {
        let (registration, former_closed) = self.registry.register(id);
        if let Some(closed) = former_closed {
            let closed = tokio::time::timeout(FORMER_CLOSES_WITHIN, closed.cancelled()).await;
            closed.map_err(|_| {
                StoreError::Unavailable("the former stream of the session is still closing".into())
            })?;
        }
        Ok(registration)
    }

    /// Makes this server the owner of the session. The worker information of a resumed session is
    /// stored later, when it is known since when the session lives.
    async fn adopt(
        &self,
        session: SessionId,
        now: Millis,
        worker_info: Option<bytes::Bytes>,
    ) -> Result<(), EngineError> {
        let expires_at = now + self.settings.session_ttl_ms;
        let row = SessionRow { id: session, owner: self.server, expires_at };
        let mut mutations = vec![Mutation::PutSession(row)];
        if let Some(worker_info) = worker_info {
            mutations.push(Mutation::PutWorkerInfo { session, worker_info });
        }
        let transaction = Transaction { mutations, ..Transaction::default() };
        self.committer.submit(transaction).await.map(drop)
    }

    /// Returns the session that a Hello resumes. A session of another principal is not touched: the
    /// worker gets a new session.
    async fn session_to_resume(&self, hello: &Hello) -> Result<Option<SessionId>, EngineError> {
        let Some(id) = hello.session else { return Ok(None) };
        if self.stored_session(id).await?.belongs_to(&hello.principal) {
            return Ok(Some(id));
        }
        let (worker, key_id) = (&hello.instance, hello.principal.key_id);
        tracing::warn!(worker, ?key_id, "worker sent the session id of another API key");
        Ok(None)
    }

    /// Returns a verdict per held lease, and the jobs that are kept, which are removed from
    /// `stored`.
    async fn judge(
        &self,
        held: &[HeldLease],
        stored: &mut JobsById,
        scopes: &Scopes,
    ) -> Result<(Vec<HeldLeaseVerdict>, Vec<Arc<Job>>), EngineError> {
        let mut verdicts = Vec::with_capacity(held.len());
        let mut kept = Vec::new();
        let mut lost = Vec::new();
        for held in held {
            let is_live = stored
                .get(&held.id)
                .is_some_and(|job| job.status.lease.is_some_and(|l| l.id == held.lease));
            if is_live {
                kept.extend(stored.remove(&held.id));
                verdicts.push(HeldLeaseVerdict::Keep);
            } else {
                lost.push((verdicts.len(), held));
                verdicts.push(HeldLeaseVerdict::Revoked);
            }
        }
        let ids: Vec<_> = lost.iter().map(|(_, held)| held.id).collect();
        if !ids.is_empty() {
            let jobs = self.reader.get_many(&ids).await?;
            for ((at, held), job) in lost.into_iter().zip(jobs) {
                let report = Some((held.lease.epoch, held.lease.session));
                let job = job.filter(|job| scopes.contains(&job.spec.queue));
                if job.is_some_and(|job| job.status.recorded_lease == report) {
                    verdicts[at] = HeldLeaseVerdict::AlreadyRecorded;
                }
            }
        }
        Ok((verdicts, kept))
    }
}
