//! Measures how many jobs per second the ledger projects, by kind of change. Run it with
//! `--release`. The argument is a directory, or the `mysql://` URL of an empty database; the
//! default is a temporary directory.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use sentinel_domain::limits::PAYLOAD_MAX_BYTES;
use sentinel_domain::{
    Command, Failure, Filter, Job, JobError, JobId, Millis, NewJob, SessionId, Spec, decide,
    initial_state, start,
};
use sentinel_ledger::{Ledger, LedgerError, LedgerOptions, MigrationMode, PageRequest};
use sentinel_store::{JobEvent, JournalEntry, Position, codec};

const NOW: Millis = 1_700_000_000_000;
const JOBS: usize = 200_000;
/// The number of jobs per journal entry, and of entries per batch.
const ENTRY: usize = 250;
const BATCH: usize = 40;

fn spec(labels: usize) -> Spec {
    let labels = (0..labels).map(|n| (format!("key{n}"), format!("value{n}"))).collect();
    let new = NewJob {
        queue: "images".into(),
        kind: "render".into(),
        payload: Bytes::from(vec![b'x'; 200]),
        content_type: "application/json".into(),
        labels,
        ..NewJob::default()
    };
    new.into_spec("spec", "bench", NOW, 1 << 20).expect("a valid job")
}

fn finished(job: &Job) -> Job {
    let session = SessionId::from_u128(1);
    let running = start(job, session, &"w1".into(), NOW).expect("ready");
    let lease = running.status.lease.expect("running").id;
    let done = Command::Succeed { lease, started_at: Some(NOW), result: Bytes::new() };
    decide(&running, &done, NOW).expect("accepted").job
}

fn failed_event(job: &Job) -> JobEvent {
    let session = SessionId::from_u128(1);
    let running = start(job, session, &"w1".into(), NOW).expect("ready");
    let lease = running.status.lease.expect("running").id;
    let error = JobError::new("it broke", "E", false);
    let failure = Failure { error, next_delay_ms: None, timed_out: false, entropy: 0 };
    let fail = Command::Fail { lease, started_at: Some(NOW), failure };
    let done = decide(&running, &fail, NOW).expect("accepted");
    JobEvent { attempt_end: done.attempt_end, ..event(&done.job, true) }
}

fn event(job: &Job, is_new: bool) -> JobEvent {
    JobEvent {
        id: job.id,
        status: job.status.clone(),
        spec: is_new.then(|| job.spec.clone()),
        encoded_spec: is_new.then(|| codec::encode_spec(&job.spec)),
        attempt_end: None,
    }
}

/// Returns the events as journal entries after `seq`.
fn entries(events: Vec<JobEvent>, seq: u64) -> Vec<Arc<JournalEntry>> {
    let mut entries = Vec::new();
    for (jobs, seq) in events.chunks(ENTRY).zip(seq + 1..) {
        let position = Position { epoch: 1, seq };
        let jobs = jobs.to_vec();
        entries.push(
            JournalEntry { position, at: NOW, jobs, queues: vec![], idempotency_records: vec![] }
                .into(),
        );
    }
    entries
}

async fn measure(ledger: &Ledger, what: &str, events: Vec<JobEvent>) -> Result<(), LedgerError> {
    let rows = events.len();
    let mut from = ledger.checkpoint().await?;
    let entries = entries(events, from.seq);
    let begin = Instant::now();
    for batch in entries.chunks(BATCH) {
        from = ledger.project(from, batch.to_vec()).await?;
    }
    let rate = rows as f64 / begin.elapsed().as_secs_f64();
    println!("{what:<44} {rate:>9.0} rows/s");
    Ok(())
}

/// Runs all measurements. `round` makes the job ids of several runs distinct.
async fn run(ledger: &Ledger, labels: usize, round: u64) -> Result<(), LedgerError> {
    println!("{labels} labels, {JOBS} jobs, {} per batch", ENTRY * BATCH);
    let spec = Arc::new(spec(labels));
    let new_jobs = |from: usize| -> Vec<Job> {
        (from..from + JOBS)
            .map(|n| {
                let random = (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let at = NOW + (n / 50) as Millis + 1_000_000 * round as Millis;
                let id = JobId::new(at, 0, random);
                initial_state(id, spec.clone(), &[], NOW)
            })
            .collect()
    };
    let created = new_jobs(0);
    let terminal: Vec<Job> = created.iter().map(finished).collect();
    measure(ledger, "new jobs", created.iter().map(|job| event(job, true)).collect()).await?;
    measure(
        ledger,
        "existing jobs become terminal",
        terminal.iter().map(|job| event(job, false)).collect(),
    )
    .await?;
    let both: Vec<Job> = new_jobs(JOBS).iter().map(finished).collect();
    measure(ledger, "new and terminal in one batch", both.iter().map(|j| event(j, true)).collect())
        .await?;
    let failed: Vec<JobEvent> = new_jobs(2 * JOBS).iter().map(failed_event).collect();
    measure(ledger, "new and failed, with an attempt", failed).await?;
    let begin = Instant::now();
    ledger.count_by_state(vec![]).await?;
    println!("{:<44} {:>9.1?}", "counts by queue and state", begin.elapsed());
    let begin = Instant::now();
    let filter = Filter { queues: vec!["images".into()], ..Filter::default() };
    ledger.list(filter, PageRequest { size: 50, before: None }).await?;
    println!("{:<44} {:>9.1?}", "a page of 50 by queue", begin.elapsed());
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), LedgerError> {
    let target = std::env::args().nth(1);
    if let Some(url) = target.as_deref().filter(|target| target.starts_with("mysql://")) {
        Ledger::migrate(url, MigrationMode::Apply).await?;
        let ledger = Ledger::connect(url, LedgerOptions::new(PAYLOAD_MAX_BYTES)).await?;
        run(&ledger, 0, 0).await?;
        return run(&ledger, 2, 1).await;
    }
    let temporary = tempfile::tempdir().expect("a temporary directory");
    let directory = target.map(PathBuf::from);
    let directory = directory.as_deref().unwrap_or(temporary.path());
    for labels in [0, 2] {
        let ledger = Ledger::open(&directory.join(format!("rate-{labels}.db"))).await?;
        run(&ledger, labels, 0).await?;
    }
    Ok(())
}
