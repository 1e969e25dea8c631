//! Random changes under watchers that join at any time, read slowly, and resume: each
//! sees every version of a job once and in order, or is told of a gap.

use std::collections::HashMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sentinel_domain::{Filter, JobId};
use sentinel_engine::{Cursor, Engine, Selector, Watch, WatchEvent};

use crate::house::{House, PATIENCE, bounded};
use crate::worker::{Worker, crash, hello, success};

/// A watcher with what it knows.
struct Reader {
    watch: Watch,
    selector: Selector,
    versions: HashMap<JobId, u64>,
    /// Ended before a gap was followed by its snapshot: anything may come next.
    is_in_gap: bool,
    /// All of its jobs were final: what a retry makes of them is another watch's.
    has_ended: bool,
    cursor: Option<Cursor>,
    gaps: usize,
    resumes: usize,
}

impl Reader {
    async fn open(engine: &Engine, selector: Selector) -> Self {
        let watch = engine.watch(selector.clone(), None, false).await.expect("opens");
        let versions = HashMap::new();
        let (is_in_gap, has_ended, cursor) = (false, false, None);
        Self { watch, selector, versions, is_in_gap, has_ended, cursor, gaps: 0, resumes: 0 }
    }

    /// Opens the watch again where it was.
    async fn resume(&mut self, engine: &Engine) {
        let Some(cursor) = self.cursor.filter(|_| !self.is_in_gap) else { return };
        // As a client would keep it.
        let cursor = cursor.to_string().parse().expect("a cursor");
        let watch = engine.watch(self.selector.clone(), Some(cursor), false).await;
        self.watch = watch.expect("opens");
        self.resumes += 1;
        self.has_ended = false;
    }

    fn take(&mut self, event: WatchEvent, seed: u64) {
        match event {
            WatchEvent::Snapshot(snapshot, cursor) => {
                // The changes since follow, those that were known before the gap too.
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
                // After a resume from a snapshot's cursor, what the snapshot had comes again.
                let is_again = self.resumes > 0 && version <= before;
                if is_again {
                    self.versions.insert(job.id, before);
                } else {
                    assert_eq!(version, before + 1, "seed {seed}: {} is whole", job.id);
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

    /// Reads at most `count` events that are there.
    async fn read(&mut self, count: usize, seed: u64) {
        for _ in 0..count {
            let moment = std::time::Duration::from_millis(10);
            let Ok(event) = tokio::time::timeout(moment, self.watch.next()).await else { return };
            let Some(event) = event.expect("goes on") else {
                self.has_ended = true;
                return;
            };
            self.take(event, seed);
        }
    }

    /// Jobs of which it does not know the newest version, with what it knows and the truth.
    fn behind(&self, truth: &HashMap<JobId, u64>) -> Vec<(JobId, Option<u64>, u64)> {
        let wants = |id: &JobId| match &self.selector {
            Selector::Jobs(ids) => ids.contains(id),
            Selector::Filter(_) => true,
        };
        let wanted = truth.iter().filter(|(id, _)| wants(id));
        let known = wanted.map(|(id, version)| (*id, self.versions.get(id).copied(), *version));
        known.filter(|(_, known, version)| *known != Some(*version)).collect()
    }
}

async fn change(house: &House, worker: &mut Worker, ids: &mut Vec<JobId>, entropy: &mut StdRng) {
    match entropy.random_range(0..10) {
        0..4 => ids.push(house.enqueue(|new| new.retry_base_ms = Some(1)).await.id),
        4 => {
            let id = ids[entropy.random_range(0..ids.len())];
            house.engine.cancel(id, "", "").await.expect("answers");
        }
        5 => {
            let id = ids[entropy.random_range(0..ids.len())];
            let _ = house.engine.retry(id, None).await;
        }
        _ => {
            worker.credit(1).await;
            let new = house.enqueue(|_| ()).await.id;
            ids.push(new);
            let jobs = worker.assigned(1).await;
            let report =
                if entropy.random_bool(0.7) { success(&jobs[0]) } else { crash(&jobs[0], true) };
            worker.report(vec![report]).await;
        }
    }
}

async fn walk(seed: u64, ring: usize) -> (usize, usize) {
    let house = House::with(|s| s.watch_ring = ring).await;
    let mut entropy = StdRng::seed_from_u64(seed);
    let mut worker = Worker::join(&house.engine, hello(0)).await;
    let mut ids = vec![house.enqueue(|_| ()).await.id];
    let mut readers = Vec::new();
    for _ in 0..150 {
        change(&house, &mut worker, &mut ids, &mut entropy).await;
        if entropy.random_bool(0.08) {
            let all = Selector::Filter(Filter::default());
            let from = entropy.random_range(0..ids.len());
            let some = Selector::Jobs(ids[from..].iter().copied().take(20).collect());
            let selector = if entropy.random_bool(0.5) { all } else { some };
            readers.push(Reader::open(&house.engine, selector).await);
        }
        for reader in &mut readers {
            match entropy.random_range(0..8) {
                0 => reader.resume(&house.engine).await,
                1..4 => reader.read(5, seed).await,
                4 => reader.read(100, seed).await,
                _ => {}
            }
        }
    }
    let truth = house.engine.get_many(&ids).await.expect("answers");
    let truth = truth.iter().flatten().map(|job| (job.id, job.status.version)).collect();
    let until = std::time::Instant::now() + PATIENCE;
    for reader in &mut readers {
        while !reader.has_ended && !reader.behind(&truth).is_empty() {
            let behind = reader.behind(&truth);
            assert!(
                std::time::Instant::now() < until,
                "seed {seed}: behind by {behind:?}, {} resumes",
                reader.resumes
            );
            reader.read(100, seed).await;
        }
    }
    bounded("the end of the worker", worker.bye()).await;
    let sums = readers.iter().fold((0, 0), |(g, r), one| (g + one.gaps, r + one.resumes));
    drop(readers);
    house.close().await;
    sums
}

#[tokio::test]
async fn every_version_once_or_a_gap() {
    let (mut gaps, mut resumes) = (0, 0);
    for seed in 0..2 {
        let sums = walk(seed, 4_096).await;
        assert_eq!(sums.0, 0, "seed {seed}: nobody was slow");
        resumes += sums.1;
        gaps += walk(seed, 8).await.0;
    }
    assert!(gaps > 0 && resumes > 0, "{gaps} gaps, {resumes} resumes");
}
