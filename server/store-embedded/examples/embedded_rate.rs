//! How many jobs a second live from enqueue to report, and what a waiting job takes.
//!
//! `cargo run --release -p sentinel-store-embedded --example embedded_rate [DIR]`

use std::sync::Arc;
use std::time::Instant;

use sentinel_domain::{Command, Job, JobId, Name, Spec, decide};
use sentinel_store::Store;
use sentinel_store::conformance::make;
use sentinel_store_embedded::{DirLock, Embedded, OpenOptions, Seed};

const BATCH: usize = 500;
const BATCHES: usize = 400;
const WAITING: usize = 1_000_000;

fn main() {
    let parent = std::env::args().nth(1).unwrap_or_else(|| ".".into());
    let dir = tempfile::tempdir_in(parent).expect("a directory");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(lives(dir.path()));
    waiting(&dir.path().join("other"));
}

fn open(dir: &std::path::Path, seed: Seed) -> Embedded {
    let lock = Arc::new(DirLock::acquire(dir).expect("nobody else has it"));
    let options = OpenOptions { ballast_bytes: 0, ..OpenOptions::new(lock, 1_000) };
    Embedded::open(options, seed).expect("opens")
}

async fn lives(dir: &std::path::Path) {
    let store = open(dir, Seed::default());
    let mut writer = make::Writer::new(1);
    let session = make::session(1);
    let call = writer.call(1_000).group(make::put_session(session, 1, i64::MAX)).done();
    store.commit(call).await.expect("commits");
    let jobs: Vec<Arc<Job>> =
        (0..BATCH * BATCHES).map(|n| make::job("q", "k", 1_000, n as u64)).collect();
    let mut claimed: Vec<Arc<Job>> = Vec::new();
    let mut calls = std::time::Duration::ZERO;
    let start = Instant::now();
    for batch in jobs.chunks(BATCH) {
        let mut call = writer.call(2_000);
        for job in claimed.drain(..) {
            let lease = job.status.lease.expect("it runs");
            let command = Command::Succeed { lease, started_at: None, result: "{}".into() };
            call =
                call.group(make::update(&job, decide(&job, &command, 2_000).expect("its lease")));
        }
        for job in batch {
            call = call.group(make::create(job));
        }
        let call = call.claim(make::claim(session, &["q"], &["k"], BATCH)).done();
        let begun = Instant::now();
        let mut outcome = store.commit(call).await.expect("commits");
        calls += begun.elapsed();
        claimed = std::mem::take(&mut outcome.claimed[0]);
        assert_eq!(claimed.len(), BATCH);
    }
    let count = (BATCH * BATCHES) as f64;
    println!(
        "{:.0} jobs/s in calls of {BATCH}, {:.0} jobs/s with what the caller does",
        count / calls.as_secs_f64(),
        count / start.elapsed().as_secs_f64()
    );
}

fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: u64 = statm.split(' ').nth(1).and_then(|n| n.parse().ok()).expect("a number");
    pages * 4_096
}

fn waiting(dir: &std::path::Path) {
    let model: Spec = make::spec("q", "k", 1_000, |_| {});
    let (queue, kind): (Name, Name) = (model.queue.clone(), model.kind.clone());
    let before = resident();
    let jobs: Vec<Job> = (0..WAITING as u64)
        .map(|n| {
            let spec = Spec { queue: queue.clone(), kind: kind.clone(), ..model.clone() };
            sentinel_domain::initial_state(JobId::new(1_000, 0, n << 2), Arc::new(spec), &[], 1_000)
        })
        .collect();
    let status_bytes = size_of::<Job>() * WAITING;
    let store = open(dir, Seed { jobs, ..Seed::default() });
    let per_job = (resident() - before) as usize / WAITING;
    println!(
        "{per_job} B resident for a waiting job (Job {} B, Spec {} B; the seed's {} MB are freed)",
        size_of::<Job>(),
        size_of::<Spec>(),
        status_bytes >> 20
    );
    drop(store);
}
