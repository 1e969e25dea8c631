//! Random changes with watches that open at any time, read slowly, and resume: each watch shows
//! every version of a job once and in order, or declares a gap.

use std::collections::HashMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sentinel_domain::{Filter, JobId};
use sentinel_engine::{Cursor, Engine, Selector, Watch, WatchEvent};

use crate::harness::{TIMEOUT, TestEngine, within_timeout};
use crate::worker::{ScriptedWorker, failed_report, hello, succeeded_report};

/// A watch with the versions that it has shown.
struct WatchReader {
    watch: Watch,
    selector: Selector,
    versions: HashMap<JobId, u64>,
    /// A gap was declared and its snapshot has not arrived: any version may come next.
    is_in_gap: bool,
    /// All of its jobs were terminal. Later retries belong to another watch.
    has_ended: bool,
    cursor: Option<Cursor>,
    gaps: usize,
    resumes: usize,
}

impl WatchReader {
    async fn open(engine: &Engine, selector: Selector) -> Self {
        let watch =
            engine.watches().open(selector.clone(), None, false).await.expect("open a watch");
        let versions = HashMap::new();
        let (is_in_gap, has_ended, cursor) = (false, false, None);
        Self { watch, selector, versions, is_in_gap, has_ended, cursor, gaps: 0, resumes: 0 }
    }

    /// Resumes the watch at its cursor.
    async fn resume(&mut self, engine: &Engine) {
        let Some(cursor) = self.cursor.filter(|_| !self.is_in_gap) else { return };
        // A client stores the cursor as text.
        let cursor = cursor.to_string().parse().expect("a cursor");
        let watch = engine.watches().open(self.selector.clone(), Some(cursor), false).await;
        self.watch = watch.expect("open a watch");
        self.resumes += 1;
        self.has_ended = false;
    }

    fn apply(&mut self, event: WatchEvent, seed: u64) {
        match event {
            WatchEvent::Snapshot(snapshot, cursor) => {
                // Later changes follow, including those that were known before the gap.
                self.versions.clear();
                for job in snapshot.jobs {
                    self.versions.insert(job.id, job.status.version);
                }
                self.is_in_gap = false;
                self.cursor = Some(cursor);
            }
            WatchEvent::Change(job, cursor) => {
                let before = self.versions.insert(job.id, job.status.version).unwrap_or(0);
                let version = job.status.version;
                // After a resume from the cursor of a snapshot, changes in the snapshot repeat.
                let is_repeat = self.resumes > 0 && version <= before;
                if is_repeat {
                    self.versions.insert(job.id, before);
                } else {
                    assert_eq!(version, before + 1, "seed {seed}: {} misses a version", job.id);
                }
                self.cursor = Some(cursor);
            }
            WatchEvent::Gap(_) => {
                self.gaps += 1;
                self.is_in_gap = true;
            }
            WatchEvent::Keepalive(cursor) => self.cursor = Some(cursor),
            WatchEvent::Progress { .. } | WatchEvent::Logs { .. } => {}
        }
    }

    /// Reads at most `count` available events.
    async fn read(&mut self, count: usize, seed: u64) {
        for _ in 0..count {
            let limit = std::time::Duration::from_millis(10);
            let Ok(event) = tokio::time::timeout(limit, self.watch.next()).await else { return };
            let Some(event) = event.expect("no error") else {
                self.has_ended = true;
                return;
            };
            self.apply(event, seed);
        }
    }

    /// Returns the jobs whose newest version was not shown, with the shown and the actual version.
    fn behind(&self, actual: &HashMap<JobId, u64>) -> Vec<(JobId, Option<u64>, u64)> {
        let wants = |id: &JobId| match &self.selector {
            Selector::Jobs(ids) => ids.contains(id),
            Selector::Filter(_) => true,
        };
        let wanted = actual.iter().filter(|(id, _)| wants(id));
        let known = wanted.map(|(id, version)| (*id, self.versions.get(id).copied(), *version));
        known.filter(|(_, known, version)| *known != Some(*version)).collect()
    }
}

async fn change(
    test: &TestEngine,
    worker: &mut ScriptedWorker,
    ids: &mut Vec<JobId>,
    entropy: &mut StdRng,
) {
    match entropy.random_range(0..10) {
        0..4 => ids.push(test.enqueue(|new| new.retry_base_ms = Some(1)).await.id),
        4 => {
            let id = ids[entropy.random_range(0..ids.len())];
            test.engine.jobs().cancel(id, "", "").await.expect("a response");
        }
        5 => {
            let id = ids[entropy.random_range(0..ids.len())];
            let _ = test.engine.jobs().retry(id, None).await;
        }
        _ => {
            worker.credit(1).await;
            let new = test.enqueue(|_| ()).await.id;
            ids.push(new);
            let jobs = worker.accept_jobs(1).await;
            let report = if entropy.random_bool(0.7) {
                succeeded_report(&jobs[0])
            } else {
                failed_report(&jobs[0], true)
            };
            worker.report(vec![report]).await;
        }
    }
}

async fn run_random(seed: u64, buffer: usize) -> (usize, usize) {
    let test = TestEngine::with_settings(|s| s.watch_buffer = buffer).await;
    let mut entropy = StdRng::seed_from_u64(seed);
    let mut worker = ScriptedWorker::join(&test.engine, hello(0)).await;
    let mut ids = vec![test.enqueue(|_| ()).await.id];
    let mut readers = Vec::new();
    for _ in 0..150 {
        change(&test, &mut worker, &mut ids, &mut entropy).await;
        if entropy.random_bool(0.08) {
            let all = Selector::Filter(Filter::default());
            let from = entropy.random_range(0..ids.len());
            let some = Selector::Jobs(ids[from..].iter().copied().take(20).collect());
            let selector = if entropy.random_bool(0.5) { all } else { some };
            readers.push(WatchReader::open(&test.engine, selector).await);
        }
        for reader in &mut readers {
            match entropy.random_range(0..8) {
                0 => reader.resume(&test.engine).await,
                1..4 => reader.read(5, seed).await,
                4 => reader.read(100, seed).await,
                _ => {}
            }
        }
    }
    let actual = test.engine.jobs().get_many(&ids).await.expect("a response");
    let actual = actual.iter().flatten().map(|job| (job.id, job.status.version)).collect();
    let deadline = std::time::Instant::now() + TIMEOUT;
    for reader in &mut readers {
        while !reader.has_ended && !reader.behind(&actual).is_empty() {
            let behind = reader.behind(&actual);
            assert!(
                std::time::Instant::now() < deadline,
                "seed {seed}: behind by {behind:?}, {} resumes",
                reader.resumes
            );
            reader.read(100, seed).await;
        }
    }
    within_timeout("the end of the worker", worker.bye()).await;
    let sums = readers.iter().fold((0, 0), |(g, r), one| (g + one.gaps, r + one.resumes));
    drop(readers);
    test.close().await;
    sums
}

#[tokio::test]
async fn every_version_is_shown_once_or_a_gap_is_declared() {
    let (mut gaps, mut resumes) = (0, 0);
    for seed in 0..2 {
        let sums = run_random(seed, 4_096).await;
        assert_eq!(sums.0, 0, "seed {seed}: no reader was slow");
        resumes += sums.1;
        gaps += run_random(seed, 8).await.0;
    }
    assert!(gaps > 0 && resumes > 0, "{gaps} gaps, {resumes} resumes");
}
