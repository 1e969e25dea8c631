//! How many jobs a second a Redis on this machine takes from enqueue to report, and what of
//! it is time in scripts.
//!
//! `cargo run --release -p sentinel-store-redis --example redis_rate [DIR [BATCH [JOBS]]]`
//!
//! Starts a redis-server of its own in DIR, with `appendonly yes` and `appendfsync always`.

use std::sync::Arc;
use std::time::Instant;

use sentinel_domain::{Command, Job, decide};
use sentinel_faults::RedisServer;
use sentinel_store::conformance::make;
use sentinel_store::{Store, TrimRequest};
use sentinel_store_redis::{OpenOptions, RedisStore};

const NOW: i64 = 1_700_000_000_000;

/// When the jobs of the second half of the figures are all due.
const DUE: i64 = NOW + 3_600_000;

/// Claimed of those that are due, so that as good as all of them wait all the time.
const CLAIMED: usize = 8_000;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let parent = std::env::args().nth(1).unwrap_or_else(|| ".".into());
    let batch = std::env::args().nth(2).and_then(|n| n.parse().ok()).unwrap_or(256);
    let jobs = std::env::args().nth(3).and_then(|n| n.parse().ok()).unwrap_or(100_000);
    let dir = tempfile::tempdir_in(parent).expect("a directory");
    // A rewrite of the log would run beside a part of the figures only.
    let server = RedisServer::start(dir.path(), &["--auto-aof-rewrite-percentage", "0"]);
    let store = RedisStore::open(OpenOptions::new(server.url(), NOW)).await.expect("opens");
    let mut writer = make::Writer::new(1);
    let row = make::put_session(make::session(1), 1, i64::MAX);
    store.commit(writer.call(NOW).group(row).done()).await.expect("commits");
    let ready = (0..jobs).map(|n| make::job("q", "k", NOW, n as u64)).collect();
    enqueue("enqueue", ready, (&store, &server, &mut writer), batch).await;
    let memory = server.ask("INFO memory").expect("answers");
    let used = memory.lines().find(|line| line.starts_with("used_memory_human"));
    println!("{} with {jobs} waiting jobs and the journal of them", used.unwrap_or_default());
    let begun = Begin::new(&server);
    burn_down(&store, &mut writer, (NOW, jobs), batch).await;
    report("burn-down, claim and report", jobs, &begun, &server);
    trim(&store, &server, jobs).await;
    let later = |n: usize| {
        let spec = make::spec("q", "k", NOW, |new| new.run_at = Some(DUE));
        make::job_with(spec, NOW, (jobs + n) as u64)
    };
    let due = (0..jobs).map(later).collect();
    enqueue("enqueue for one moment", due, (&store, &server, &mut writer), batch).await;
    let begun = Begin::new(&server);
    burn_down(&store, &mut writer, (DUE, CLAIMED), batch).await;
    let what = format!("promote, claim and report {CLAIMED} of {jobs} due at once");
    report(&what, CLAIMED, &begun, &server);
}

/// Microseconds in scripts since the last call of this.
fn script_us(server: &RedisServer) -> f64 {
    let stats = server.ask("INFO commandstats").expect("answers");
    server.ask("CONFIG RESETSTAT").expect("answers");
    let of = |name: &str| {
        let line = stats.lines().find_map(|line| line.strip_prefix(name));
        let usec =
            line.and_then(|line| line.split("usec=").nth(1)?.split(',').next()?.parse().ok());
        usec.unwrap_or(0.0)
    };
    of("cmdstat_evalsha:") + of("cmdstat_eval:")
}

/// Seconds of processor time that the server used.
fn cpu(server: &RedisServer) -> f64 {
    let info = server.ask("INFO cpu").expect("answers");
    let of = |name: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.trim().parse::<f64>().ok()).unwrap_or(0.0)
    };
    of("used_cpu_user:") + of("used_cpu_sys:")
}

/// Where a figure begins.
struct Begin(Instant, f64);

impl Begin {
    fn new(server: &RedisServer) -> Self {
        script_us(server);
        Self(Instant::now(), cpu(server))
    }
}

fn report(what: &str, jobs: usize, begin: &Begin, server: &RedisServer) {
    let (seconds, script) = (begin.0.elapsed().as_secs_f64(), script_us(server));
    println!(
        "{what}: {:.0} jobs/s; us a job: {:.1}, in scripts {:.1}, processor of Redis {:.1}",
        jobs as f64 / seconds,
        seconds * 1e6 / jobs as f64,
        script / jobs as f64,
        (cpu(server) - begin.1) * 1e6 / jobs as f64
    );
}

async fn enqueue(
    what: &str,
    jobs: Vec<Arc<Job>>,
    (store, server, writer): (&RedisStore, &RedisServer, &mut make::Writer),
    batch: usize,
) {
    let begun = Begin::new(server);
    for some in jobs.chunks(batch) {
        let call = some.iter().fold(writer.call(NOW), |call, job| call.group(make::create(job)));
        store.commit(call.done()).await.expect("commits");
    }
    report(what, jobs.len(), &begun, server);
}

/// Claims and reports so many jobs from a moment on.
async fn burn_down(
    store: &RedisStore,
    writer: &mut make::Writer,
    (from, jobs): (i64, usize),
    batch: usize,
) {
    let session = make::session(1);
    let mut running: Vec<Arc<Job>> = Vec::new();
    let (mut done, mut now) = (0, from);
    while done < jobs {
        now += 1;
        let mut call = writer.call(now);
        done += running.len();
        for job in running.drain(..) {
            let lease = job.status.lease.expect("it runs");
            let command = Command::Succeed { lease, started_at: None, result: "{}".into() };
            call = call.group(make::update(&job, decide(&job, &command, now).expect("its lease")));
        }
        let call = call.promote(batch).claim(make::claim(session, &["q"], &["k"], batch)).done();
        running = store.commit(call).await.expect("commits").claimed.remove(0);
    }
}

async fn trim(store: &RedisStore, server: &RedisServer, jobs: usize) {
    let projected = *store.head().borrow();
    let trim = TrimRequest { projected, terminal_before: i64::MAX, journal_before: NOW, limit: 1_000 };
    let begun = Begin::new(server);
    while store.trim(trim).await.expect("trims").more {}
    report("eviction", jobs, &begun, server);
}
