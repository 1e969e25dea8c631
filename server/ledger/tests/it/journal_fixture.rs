//! A fixture that generates random journals from a seed, and a model of the resulting history.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use sentinel_domain::{
    AttemptEnd, Command, Decision, Failure, Job, JobError, JobId, Millis, Name, NewJob, Queue,
    SessionId, SpecUpdate, decide, initial_state,
};
use sentinel_store::codec::{self, NamePool};
use sentinel_store::{
    IdempotencyRecord, JobEvent, JournalEntry, PRODUCER_OFFSET_PREFIX, Position, content_hash,
};

pub(crate) const QUEUES: [&str; 3] = ["images", "mail", "reports"];
pub(crate) const KINDS: [&str; 3] = ["render", "send", "sum"];
pub(crate) const START: Millis = 1_700_000_000_000;

/// A random journal, and the model of its history.
pub(crate) struct Journal {
    pub(crate) rng: StdRng,
    pub(crate) now: Millis,
    pub(crate) position: Position,
    pub(crate) jobs: BTreeMap<JobId, Job>,
    pub(crate) failed_attempts: HashMap<JobId, Vec<AttemptEnd>>,
    pub(crate) queues: BTreeMap<Name, Queue>,
    pub(crate) producers: BTreeMap<Box<str>, IdempotencyRecord>,
}

impl Journal {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            now: START,
            position: Position { epoch: 7, seq: 0 },
            jobs: BTreeMap::new(),
            failed_attempts: HashMap::new(),
            queues: BTreeMap::new(),
            producers: BTreeMap::new(),
        }
    }

    pub(crate) fn new_job(&mut self) -> Job {
        let label = |rng: &mut StdRng, key: &str| {
            (key.to_owned(), ["a", "b"].choose(rng).expect("not empty").to_string())
        };
        let mut labels = Vec::new();
        for key in ["region", "shop"] {
            if self.rng.random_bool(0.6) {
                labels.push(label(&mut self.rng, key));
            }
        }
        // Some specs are too large for the row of the job.
        let payload_bytes = if self.rng.random_bool(0.2) { 3_000 } else { 20 };
        let is_unique = self.rng.random_bool(0.2);
        let new = NewJob {
            unique_key: is_unique.then(|| self.jobs.len().to_string()),
            unique_ttl_ms: is_unique.then(|| self.rng.random_range(1_000..3_000)),
            queue: QUEUES.choose(&mut self.rng).expect("not empty").to_string(),
            kind: KINDS.choose(&mut self.rng).expect("not empty").to_string(),
            payload: Bytes::from(vec![b'x'; payload_bytes]),
            labels,
            delay_ms: self.rng.random_bool(0.2).then_some(50),
            max_attempts: 2,
            ..NewJob::default()
        };
        let spec = new.into_spec("spec", "tests", self.now, 1 << 20).expect("a valid job");
        initial_state(JobId::new(self.now, 0, self.rng.random()), Arc::new(spec), &[], self.now)
    }

    fn command(&mut self, job: &Job) -> Command {
        let entropy = self.rng.random();
        let retryable = self.rng.random_bool(0.7);
        let error = JobError::new("broke", "E", retryable);
        let session = SessionId::from_u128(1);
        let cancel = Command::Cancel { reason: "".into(), actor: "tests".into() };
        match (job.status.lease.map(|lease| lease.id), self.rng.random_range(0..8)) {
            (Some(lease), 0..=3) => {
                Command::Succeed { lease, started_at: Some(self.now), result: Bytes::new() }
            }
            (Some(lease), 4..=5) => Command::Fail {
                lease,
                started_at: None,
                failure: Failure { error, next_delay_ms: Some(1), timed_out: false, entropy },
            },
            (Some(_), 6) => Command::MarkLost { session },
            (Some(lease), _) => Command::Release { lease },
            (None, 0) => cancel,
            (None, 1) if self.rng.random_bool(0.3) => Command::Delete,
            (None, 1) => Command::Retry,
            (None, 2) => self.new_values(job),
            (None, 3) => Command::Promote,
            (None, _) => Command::Start { session, worker: "w1".into() },
        }
    }

    fn new_values(&mut self, job: &Job) -> Command {
        let is_large = self.rng.random_bool(0.3);
        let value = ["a", "b"].choose(&mut self.rng).expect("not empty").to_string();
        let values = SpecUpdate {
            payload: Some(vec![b'y'; if is_large { 3_000 } else { 10 }].into()),
            labels: self.rng.random_bool(0.7).then(|| vec![("shop".to_owned(), value)]),
            ..SpecUpdate::default()
        };
        let spec = values.apply(&job.spec, "spec", self.now, 1 << 20).expect("valid values");
        Command::Update { spec: Arc::new(spec) }
    }

    /// Returns an entry with up to `changes` random changes.
    pub(crate) fn random_entry(&mut self, changes: usize) -> Arc<JournalEntry> {
        self.now += self.rng.random_range(1..40);
        self.position.seq += 1;
        let mut events = Vec::new();
        for _ in 0..changes {
            let known: Vec<JobId> = self.jobs.keys().copied().collect();
            match known.choose(&mut self.rng) {
                Some(id) if self.rng.random_bool(0.75) => {
                    let job = self.jobs[id].clone();
                    let command = self.command(&job);
                    if let Ok(Decision { job, attempt_end: end }) = decide(&job, &command, self.now)
                    {
                        let has_spec =
                            job.is_deleted() || matches!(command, Command::Update { .. });
                        let spec = has_spec.then(|| codec::encode_spec(&job.spec));
                        events.push(self.record(job, spec, end));
                    }
                }
                _ => {
                    let job = self.new_job();
                    let spec = codec::encode_spec(&job.spec);
                    events.push(self.record(job, Some(spec), None));
                }
            }
        }
        let queue = Queue::with_defaults(QUEUES[changes % 3].into(), self.now);
        self.queues.insert(queue.name.clone(), queue.clone());
        self.build_entry(events, vec![queue])
    }

    fn record(&mut self, job: Job, new: Option<Bytes>, end: Option<AttemptEnd>) -> JobEvent {
        let event = JobEvent {
            id: job.id,
            status: job.status.clone(),
            spec: new.is_some().then(|| job.spec.clone()),
            encoded_spec: new,
            attempt_end: end.clone(),
        };
        if job.is_deleted() {
            self.failed_attempts.remove(&job.id);
            self.jobs.remove(&job.id);
            return event;
        }
        self.failed_attempts.entry(job.id).or_default().extend(end);
        self.jobs.insert(job.id, job);
        event
    }

    /// Returns a record of an application, which a ledger ignores, and one of a producer.
    fn requests(&mut self) -> Vec<IdempotencyRecord> {
        let seq = self.position.seq;
        let ids = ["request".to_owned(), format!("{PRODUCER_OFFSET_PREFIX}{}", seq % 4)];
        let records = ids.map(|id| {
            let answer = Bytes::from(seq.to_string());
            let until = self.now + 500 * (seq % 7).cast_signed();
            IdempotencyRecord {
                id: id.into(),
                content_hash: content_hash(&answer),
                response: answer,
                expires_at: until,
            }
        });
        let [_, of_producer] = records.clone();
        self.producers.insert(of_producer.id.clone(), of_producer);
        records.into()
    }

    /// Builds the entry, encoded and decoded as a store does it.
    fn build_entry(&mut self, jobs: Vec<JobEvent>, queues: Vec<Queue>) -> Arc<JournalEntry> {
        let requests = self.requests();
        let entry = JournalEntry {
            position: self.position,
            at: self.now,
            jobs,
            queues,
            idempotency_records: requests,
        };
        let bytes = Bytes::from(codec::encode_entry(&entry));
        let mut names = NamePool::default();
        Arc::new(codec::decode_entry(self.position, bytes, &mut names).expect("what was encoded"))
    }

    /// Returns an entry with `count` new jobs.
    pub(crate) fn entry_with_new_jobs(&mut self, count: usize) -> Arc<JournalEntry> {
        self.now += 1;
        let mut events = Vec::new();
        for _ in 0..count {
            let job = self.new_job();
            let spec = codec::encode_spec(&job.spec);
            events.push(self.record(job, Some(spec), None));
        }
        self.position.seq += 1;
        self.build_entry(events, Vec::new())
    }

    /// Returns an entry with a new job that failed with a message.
    pub(crate) fn entry_with_failed_job(
        &mut self,
        new: NewJob,
        message: &str,
    ) -> (JobId, Arc<JournalEntry>) {
        self.now += 1;
        self.position.seq += 1;
        let spec = new.into_spec("spec", "tests", self.now, 16 << 20).expect("a valid job");
        let job =
            initial_state(JobId::new(self.now, 0, self.rng.random()), spec.into(), &[], self.now);
        let start = Command::Start { session: SessionId::from_u128(1), worker: "w1".into() };
        let running = decide(&job, &start, self.now).expect("ready").job;
        let error = JobError::new(message, "E", false);
        let fail = Command::Fail {
            lease: running.status.lease.expect("running").id,
            started_at: None,
            failure: Failure { error, next_delay_ms: None, timed_out: false, entropy: 0 },
        };
        let Decision { job, attempt_end: end } =
            decide(&running, &fail, self.now).expect("running");
        let (id, spec) = (job.id, codec::encode_spec(&job.spec));
        let event = self.record(job, Some(spec), end);
        (id, self.build_entry(vec![event], Vec::new()))
    }
}
