use bytes::Bytes;
use sentinel_domain::{Command, Job, Reason, decide, start};
use sentinel_store::conformance::fixture::{job, session};

use super::*;

const T0: Millis = 1_700_000_000_000;

/// A job whose every change is a journal entry without a spec.
struct JobHistory {
    job: Job,
    seq: u64,
}

impl JobHistory {
    fn begin(queue: &str, seq: u64) -> (Self, Arc<JournalEntry>) {
        let job = Job::clone(&job(queue, "k", T0, seq));
        let mut this = Self { job, seq };
        let mut created = JournalEntry::clone(&this.entry(None));
        created.jobs[0].spec = Some(this.job.spec.clone());
        (this, Arc::new(created))
    }

    fn entry(&mut self, end: Option<sentinel_domain::AttemptEnd>) -> Arc<JournalEntry> {
        self.seq += 1;
        let event = JobEvent {
            id: self.job.id,
            status: self.job.status.clone(),
            spec: None,
            encoded_spec: None,
            attempt_end: end,
        };
        let position = Position { epoch: 1, seq: self.seq };
        let at = self.job.status.updated_at;
        Arc::new(JournalEntry {
            position,
            at,
            jobs: vec![event],
            queues: vec![],
            idempotency_records: vec![],
        })
    }

    fn start(&mut self, now: Millis) -> Arc<JournalEntry> {
        self.job = start(&self.job, session(1), &"w".into(), now).expect("the job is ready");
        self.entry(None)
    }

    fn apply(&mut self, command: &Command, now: Millis) -> Arc<JournalEntry> {
        let decision = decide(&self.job, command, now).expect("the command is accepted");
        self.job = decision.job;
        self.entry(decision.attempt_end)
    }

    fn lease(&self) -> sentinel_domain::LeaseId {
        self.job.status.lease.expect("the job runs").id
    }
}

fn count(counter: &mut JournalCounter, entry: &Arc<JournalEntry>, now: Millis) {
    let entries = [entry.clone()];
    assert_eq!(counter.jobs_without_queue(&entries), [], "its creation names the queue");
    counter.count(&entries, &HashMap::new(), now);
}

/// Returns the enqueued, started, succeeded and failed jobs of the queue "q" in the window.
fn sums(counter: &JournalCounter, now: Millis) -> [u64; 4] {
    let activity = counter.activities([&"q".into()], now)[0];
    let rates = [
        activity.enqueued_per_second,
        activity.started_per_second,
        activity.succeeded_per_second,
        activity.failed_per_second,
    ];
    rates.map(|rate| (rate * counter.window_ms(now) as f64 / 1_000.0).round() as u64)
}

#[test]
fn each_start_and_end_counts_once() {
    let mut counter = JournalCounter::new(Position { epoch: 1, seq: 0 }, T0);
    let (mut job_history, created) = JobHistory::begin("q", 0);
    count(&mut counter, &created, T0);
    count(&mut counter, &created, T0);
    count(&mut counter, &job_history.start(T0 + 70), T0 + 70);
    let checkpoint =
        Command::Checkpoint { lease: job_history.lease(), data: Bytes::from_static(b"1") };
    count(&mut counter, &job_history.apply(&checkpoint, T0 + 70), T0 + 70);
    let cancel = Command::Cancel { reason: "".into(), actor: "".into() };
    count(&mut counter, &job_history.apply(&cancel, T0 + 70), T0 + 70);
    assert_eq!(sums(&counter, T0 + 1_000), [1, 1, 0, 0]);
    let stop = Command::Stop { lease: job_history.lease(), started_at: None, entropy: 0 };
    count(&mut counter, &job_history.apply(&stop, T0 + 900), T0 + 900);
    assert_eq!(sums(&counter, T0 + 1_000), [1, 1, 0, 1]);
    // A terminal job is no longer known: its queue is looked up when it changes.
    let found = [(job_history.job.id, "q".into())].into_iter().collect();
    counter.count(&[job_history.apply(&Command::Retry, T0 + 950)], &found, T0 + 950);
    count(&mut counter, &job_history.start(T0 + 960), T0 + 960);
    let succeed =
        Command::Succeed { lease: job_history.lease(), started_at: None, result: Bytes::new() };
    count(&mut counter, &job_history.apply(&succeed, T0 + 980), T0 + 980);
    let deleted = job_history.apply(&Command::Delete, T0 + 990);
    assert_eq!(deleted.jobs[0].status.reason, Reason::Deleted);
    counter.count(&[deleted], &found, T0 + 990);
    assert_eq!(
        sums(&counter, T0 + 1_000),
        [1, 2, 1, 1],
        "a retry is no enqueue, and a deletion is no end"
    );
    let activity = counter.activities([&"q".into()], T0 + 1_000)[0];
    let of = |p: Option<Percentiles>| p.map(|p| (p.p50_ms, p.samples)).expect("samples");
    assert_eq!(
        (of(activity.wait).1, of(activity.run)),
        (2, (20, 2)),
        "waits of 70 and 10, runs of 830 and 20"
    );
}

#[test]
fn an_unknown_job_is_looked_up() {
    let (mut job_history, _) = JobHistory::begin("q", 0);
    let mut counter = JournalCounter::new(Position { epoch: 1, seq: 1 }, T0);
    let started = job_history.start(T0 + 50);
    assert_eq!(
        counter.jobs_without_queue(&[started.clone(), started.clone()]),
        [job_history.job.id]
    );
    counter.count(&[started], &[(job_history.job.id, "q".into())].into_iter().collect(), T0 + 50);
    assert_eq!(sums(&counter, T0 + 1_000), [0, 1, 0, 0]);
    let snooze = Command::Snooze { lease: job_history.lease(), started_at: None, delay_ms: 0 };
    count(&mut counter, &job_history.apply(&snooze, T0 + 90), T0 + 90);
    assert_eq!(sums(&counter, T0 + 1_000), [0, 1, 0, 0]);
    let (mut other_history, _) = JobHistory::begin("q", 10);
    let mut late = JournalCounter::new(Position { epoch: 1, seq: 11 }, T0);
    other_history.start(T0);
    let lease = other_history.lease();
    let checkpoint =
        other_history.apply(&Command::Checkpoint { lease, data: Bytes::new() }, T0 + 10);
    late.count(&[checkpoint], &[(other_history.job.id, "q".into())].into_iter().collect(), T0 + 10);
    assert_eq!(sums(&late, T0 + 1_000), [0; 4], "a start before the counter is not counted");
}

#[test]
fn the_window_is_at_most_a_minute() {
    let mut counter = JournalCounter::new(Position { epoch: 1, seq: 0 }, T0);
    assert_eq!((counter.window_ms(T0), counter.window_ms(T0 + 700)), (0, 700));
    assert_eq!(counter.activities([&"q".into()], T0)[0], QueueActivity::default());
    let mut seq = 0;
    for second in 0..200 {
        let now = T0 + second * 1_000 + 500;
        let (job_history, created) = JobHistory::begin("q", seq);
        seq = job_history.seq;
        count(&mut counter, &created, now);
        let window_ms = counter.window_ms(now + 499);
        assert_eq!(window_ms, (second.min(59) * 1_000 + 999) as u64);
        assert_eq!(sums(&counter, now + 499)[0], second.min(59) as u64 + 1);
        assert!(counter.queues["q"].len() <= 60);
        counter.evict_before_window(now);
    }
    counter.evict_before_window(T0 + 258_000);
    assert_eq!(sums(&counter, T0 + 258_000)[0], 1, "the last second");
    counter.evict_before_window(T0 + 259_000);
    assert!(counter.queues.is_empty(), "an idle queue is evicted");
}

#[test]
fn the_number_of_known_jobs_is_limited() {
    let mut counter = JournalCounter::new(Position { epoch: 1, seq: 0 }, T0);
    let mut seq = 0;
    for _ in 0..JOBS_MAX + 10 {
        let (job_history, created) = JobHistory::begin("q", seq);
        seq = job_history.seq;
        counter.count(&[created], &HashMap::new(), T0);
    }
    assert_eq!(counter.jobs.len(), 10);
    assert_eq!(sums(&counter, T0 + 1_000)[0], JOBS_MAX as u64 + 10);
}
