//! The beginning of a stream: a new session, or one that comes back.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use sentinel_domain::limits::{NAME_BYTES, WORKER_CREDIT, WORKER_KINDS, WORKER_QUEUES};
use sentinel_domain::{Job, Millis, SessionId, Violation, check_name};
use sentinel_store::{Mutation, SessionRow, StoreError, Transaction};

use super::{Asker, Held, HeldVerdict, Hello, Lanes, Running, Session, ToWorker, Welcome};
use crate::roster::Presence;
use crate::{Engine, EngineError};

/// How long a Hello waits for what the former stream of its session still commits.
const FORMER_LEAVES_WITHIN: Duration = Duration::from_secs(5);

impl Hello {
    fn violations(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        let mut range = |field: &str, value: usize, min: u64, max: u64| {
            if !(min..=max).contains(&(value as u64)) {
                let text = format!("{value} is out of range: {min}..={max}");
                found.push(Violation::new(format!("hello.{field}"), text));
            }
        };
        range("instance", self.instance.len(), 1, NAME_BYTES);
        range("queues", self.queues.len(), 1, WORKER_QUEUES);
        range("kinds", self.kinds.len(), 1, WORKER_KINDS);
        range("held", self.held.len(), 0, 2 * WORKER_CREDIT);
        range("credit.jobs", self.credit_jobs, 0, WORKER_CREDIT);
        for (field, names) in [("queues", &self.queues), ("kinds", &self.kinds)] {
            // The first of many tells what is wrong.
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

impl Engine {
    /// Adopts the session, judges what the worker still holds, and says Welcome.
    pub(super) async fn open_session(
        &self,
        hello: Hello,
        lanes: Lanes,
    ) -> Result<Session, EngineError> {
        let violations = hello.violations();
        if !violations.is_empty() {
            return Err(EngineError::Invalid(violations));
        }
        self.refuse_if_cut_off()?;
        let id = hello.session.unwrap_or_else(|| SessionId::from_u128(self.chance.throw_wide()));
        let (presence, mailbox, former_left) = Presence::take(self, id);
        if let Some(left) = former_left {
            let left = tokio::time::timeout(FORMER_LEAVES_WITHIN, left.cancelled()).await;
            left.map_err(|_| {
                StoreError::Unavailable("the session's former stream is still ending".into())
            })?;
        }
        // Nothing was claimed for the session since its former stream left, and what was
        // claimed before was handed out by then: what the store lists is complete.
        let now = self.now();
        let expires_at = now + self.settings.session_ttl_ms;
        let row = SessionRow { id, owner: self.server, expires_at };
        let mut announcement = hello.announcement(now);
        let mut changes = vec![Mutation::PutSession(row)];
        if hello.session.is_none() {
            // One that comes back is noted below, when it is known since when it is there.
            announcement.slots = slots(hello.credit_jobs);
            let announcement = announcement.encode();
            changes.push(Mutation::PutWorkerInfo { session: id, announcement });
        }
        let adopt = Transaction { changes, ..Transaction::default() };
        self.commits.group(adopt).await?;
        let mut is_drained = false;
        let mut known: HashMap<_, _, foldhash::fast::FixedState> = HashMap::default();
        if hello.session.is_some() {
            mailbox.take();
            let (since, is_its_end) = self.known_session(id).await?;
            announcement.since = since.unwrap_or(now);
            is_drained = is_its_end;
            for job in self.store.session_jobs(id).await? {
                known.insert(job.id, job);
            }
        }
        let (held, kept) = self.judge(&hello.held, &mut known).await?;
        self.hand_back(known.into_values().collect(), Some(self.server)).await;
        let suspect = kept.iter().find(|job| job.is_suspect()).map(|job| job.id);
        let mut session = Session {
            engine: self.clone(),
            id,
            worker: hello.instance.as_str().into(),
            mailbox,
            lanes,
            running: HashMap::default(),
            unreceived: std::collections::VecDeque::new(),
            assign_seq: 0,
            suspects: super::suspects::Suspects::kept(suspect, now),
            cancels: HashMap::default(),
            heard_at: now,
            renewed_at: now,
            is_draining: is_drained,
            announcement,
            in_flight: FuturesUnordered::new(),
            _presence: presence,
        };
        for job in kept {
            session.running.insert(job.id, Running::new(job, true));
        }
        if hello.session.is_some() {
            let slots = slots(session.running.len() + hello.credit_jobs);
            session.announcement.slots = slots;
            session.put_card();
        }
        session.welcome(held, hello).await;
        Ok(session)
    }

    /// A verdict per held lease; takes what is kept out of `known`.
    async fn judge(
        &self,
        held: &[Held],
        known: &mut HashMap<sentinel_domain::JobId, Arc<Job>, foldhash::fast::FixedState>,
    ) -> Result<(Vec<HeldVerdict>, Vec<Arc<Job>>), EngineError> {
        let mut verdicts = Vec::with_capacity(held.len());
        let mut kept = Vec::new();
        let mut gone = Vec::new();
        for held in held {
            let is_live = known
                .get(&held.id)
                .is_some_and(|job| job.status.lease.is_some_and(|l| l.is_same(&held.lease)));
            if is_live {
                kept.extend(known.remove(&held.id));
                verdicts.push(HeldVerdict::Keep);
            } else {
                gone.push((verdicts.len(), held));
                verdicts.push(HeldVerdict::Revoked);
            }
        }
        let ids: Vec<_> = gone.iter().map(|(_, held)| held.id).collect();
        if !ids.is_empty() {
            let jobs = self.get_many(&ids).await?;
            for ((at, held), job) in gone.into_iter().zip(jobs) {
                let report = Some((held.lease.epoch, held.lease.session));
                if job.is_some_and(|job| job.status.recorded == report) {
                    verdicts[at] = HeldVerdict::AlreadyRecorded;
                }
            }
        }
        Ok((verdicts, kept))
    }
}

impl Session {
    async fn welcome(&mut self, held: Vec<HeldVerdict>, hello: Hello) {
        self.engine.kinds.declare(self.announcement.since, hello.about.kinds);
        let duration = |ms: Millis| Duration::from_millis(ms.cast_unsigned());
        let welcome = Welcome {
            session: self.id,
            ping: duration(self.engine.settings.ping_ms),
            ttl: duration(self.engine.settings.session_ttl_ms),
            held,
        };
        // A lane that is closed already shows itself as the end of the stream.
        let _ = self.send(ToWorker::Welcome(welcome)).await;
        let jobs = self.running.values().map(|running| running.job.clone());
        let _ = self.tell_cancels(jobs.filter(|job| job.status.cancel.is_some()).collect()).await;
        let mut kinds = hello.kinds;
        kinds.sort();
        kinds.dedup();
        let asker = Asker::new(self.worker.clone(), hello.queues.into(), kinds.into());
        self.engine.demand.join(self.id, asker);
        self.pause_for_suspects();
        if !self.is_draining {
            self.engine.demand.grant(self.id, hello.credit_jobs, hello.credit_bytes);
        }
        tracing::info!(session = %self.id, worker = %self.worker, held = self.running.len(), "a worker session began");
    }
}
