use bytes::Bytes;
use sentinel_domain::{Command, Job, Reason, decide, start};
use sentinel_store::conformance::make::{job, session};

use super::*;

const T0: Millis = 1_700_000_000_000;

/// A job that is led through its life, each change an entry without its spec.
struct Life {
    job: Job,
    seq: u64,
}

impl Life {
    fn begin(queue: &str, seq: u64) -> (Self, Arc<Entry>) {
        let job = Job::clone(&job(queue, "k", T0, seq));
        let mut life = Self { job, seq };
        let mut born = Entry::clone(&life.entry(None));
        born.jobs[0].spec = Some(life.job.spec.clone());
        (life, Arc::new(born))
    }

    fn entry(&mut self, end: Option<sentinel_domain::AttemptEnd>) -> Arc<Entry> {
        self.seq += 1;
        let event = JobEvent {
            id: self.job.id,
            status: self.job.status.clone(),
            spec: None,
            new: None,
            end,
        };
        let position = Position { epoch: 1, seq: self.seq };
        let at = self.job.status.updated_at;
        Arc::new(Entry { position, at, jobs: vec![event], queues: vec![], requests: vec![] })
    }

    fn start(&mut self, now: Millis) -> Arc<Entry> {
        self.job = start(&self.job, session(1), &"w".into(), now).expect("it is ready");
        self.entry(None)
    }

    fn does(&mut self, command: &Command, now: Millis) -> Arc<Entry> {
        let decision = decide(&self.job, command, now).expect("it may");
        self.job = decision.job;
        self.entry(decision.end)
    }

    fn lease(&self) -> sentinel_domain::Lease {
        self.job.status.lease.expect("it runs")
    }
}

fn count(tally: &mut Tally, entry: &Arc<Entry>, now: Millis) {
    let entries = [entry.clone()];
    assert_eq!(tally.lacking(&entries), [], "its initial_state said the queue");
    tally.count(&entries, &HashMap::new(), now);
}

/// Enqueued, started, succeeded and otherwise ended in the window of the queue "q".
fn sums(tally: &Tally, now: Millis) -> [u64; 4] {
    let flow = tally.flows([&"q".into()], now)[0];
    let rates = [
        flow.enqueued_per_second,
        flow.started_per_second,
        flow.succeeded_per_second,
        flow.failed_per_second,
    ];
    rates.map(|rate| (rate * tally.window_ms(now) as f64 / 1_000.0).round() as u64)
}

#[test]
fn each_start_and_end_counts_once() {
    let mut tally = Tally::new(Position { epoch: 1, seq: 0 }, T0);
    let (mut life, born) = Life::begin("q", 0);
    count(&mut tally, &born, T0);
    count(&mut tally, &born, T0);
    count(&mut tally, &life.start(T0 + 70), T0 + 70);
    let checkpoint = Command::Checkpoint { lease: life.lease(), data: Bytes::from_static(b"1") };
    count(&mut tally, &life.does(&checkpoint, T0 + 70), T0 + 70);
    let cancel = Command::Cancel { reason: "".into(), actor: "".into() };
    count(&mut tally, &life.does(&cancel, T0 + 70), T0 + 70);
    assert_eq!(sums(&tally, T0 + 1_000), [1, 1, 0, 0]);
    let stop = Command::Stop { lease: life.lease(), started_at: None, entropy: 0 };
    count(&mut tally, &life.does(&stop, T0 + 900), T0 + 900);
    assert_eq!(sums(&tally, T0 + 1_000), [1, 1, 0, 1]);
    // What was final was forgotten, and is looked up when it is back.
    let found = [(life.job.id, "q".into())].into_iter().collect();
    tally.count(&[life.does(&Command::Retry, T0 + 950)], &found, T0 + 950);
    count(&mut tally, &life.start(T0 + 960), T0 + 960);
    let succeed = Command::Succeed { lease: life.lease(), started_at: None, result: Bytes::new() };
    count(&mut tally, &life.does(&succeed, T0 + 980), T0 + 980);
    let deleted = life.does(&Command::Delete, T0 + 990);
    assert_eq!(deleted.jobs[0].status.reason, Reason::Deleted);
    tally.count(&[deleted], &found, T0 + 990);
    assert_eq!(
        sums(&tally, T0 + 1_000),
        [1, 2, 1, 1],
        "a retry is not enqueued, a deletion no end"
    );
    let flow = tally.flows([&"q".into()], T0 + 1_000)[0];
    let of = |p: Option<Percentiles>| p.map(|p| (p.p50_ms, p.samples)).expect("samples");
    assert_eq!(
        (of(flow.wait).1, of(flow.run)),
        (2, (20, 2)),
        "waits of 70 and 10, runs of 830 and 20"
    );
}

#[test]
fn a_job_that_was_not_seen_before_is_looked_up() {
    let (mut life, _) = Life::begin("q", 0);
    let mut tally = Tally::new(Position { epoch: 1, seq: 1 }, T0);
    let started = life.start(T0 + 50);
    assert_eq!(tally.lacking(&[started.clone(), started.clone()]), [life.job.id]);
    tally.count(&[started], &[(life.job.id, "q".into())].into_iter().collect(), T0 + 50);
    assert_eq!(sums(&tally, T0 + 1_000), [0, 1, 0, 0]);
    let snooze = Command::Snooze { lease: life.lease(), started_at: None, delay_ms: 0 };
    count(&mut tally, &life.does(&snooze, T0 + 90), T0 + 90);
    assert_eq!(sums(&tally, T0 + 1_000), [0, 1, 0, 0]);
    let (mut other, _) = Life::begin("q", 10);
    let mut late = Tally::new(Position { epoch: 1, seq: 11 }, T0);
    other.start(T0);
    let lease = other.lease();
    let checkpoint = other.does(&Command::Checkpoint { lease, data: Bytes::new() }, T0 + 10);
    late.count(&[checkpoint], &[(other.job.id, "q".into())].into_iter().collect(), T0 + 10);
    assert_eq!(sums(&late, T0 + 1_000), [0; 4], "what started before is no start");
}

#[test]
fn a_window_is_a_minute_at_the_most() {
    let mut tally = Tally::new(Position { epoch: 1, seq: 0 }, T0);
    assert_eq!((tally.window_ms(T0), tally.window_ms(T0 + 700)), (0, 700));
    assert_eq!(tally.flows([&"q".into()], T0)[0], Flow::default());
    let mut seq = 0;
    for second in 0..200 {
        let now = T0 + second * 1_000 + 500;
        let (life, born) = Life::begin("q", seq);
        seq = life.seq;
        count(&mut tally, &born, now);
        let window_ms = tally.window_ms(now + 499);
        assert_eq!(window_ms, (second.min(59) * 1_000 + 999) as u64);
        assert_eq!(sums(&tally, now + 499)[0], second.min(59) as u64 + 1);
        assert!(tally.queues["q"].len() <= 60);
        tally.forget(now);
    }
    tally.forget(T0 + 258_000);
    assert_eq!(sums(&tally, T0 + 258_000)[0], 1, "the last");
    tally.forget(T0 + 259_000);
    assert!(tally.queues.is_empty(), "nothing is kept of a queue where nothing happens");
}

#[test]
fn what_is_known_of_jobs_is_bounded() {
    let mut tally = Tally::new(Position { epoch: 1, seq: 0 }, T0);
    let mut seq = 0;
    for _ in 0..KNOWN_MAX + 10 {
        let (life, born) = Life::begin("q", seq);
        seq = life.seq;
        tally.count(&[born], &HashMap::new(), T0);
    }
    assert_eq!(tally.known.len(), 10);
    assert_eq!(sums(&tally, T0 + 1_000)[0], KNOWN_MAX as u64 + 10);
}
