//! Workers in three languages serve one queue while applications in two languages enqueue, watch,
//! cancel and retry jobs. Each of these processes is killed and restarted.

pub(crate) mod program;

use std::path::Path;
use std::time::Duration;

use futures_util::TryStreamExt;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::{RngExt, seq::SliceRandom};
use rustix::process::Signal;
use sentinel_client::proto::jobs::v1::{JobFilter, JobView};
use sentinel_client::{Client, is_terminal};

use crate::chaos::{seed, soak};
use crate::harness::{Process, TIMEOUT, TestServer, poll, wait_until};
use crate::history::{History, ObservedJob, check, side_effects};
use program::{Application, Language, parse_observed, record, watch_events};

/// How long the server is frozen, so that reports of finished jobs wait for acknowledgement.
/// Shorter than the 5 s of silence after which workers reconnect.
const FREEZE: Duration = Duration::from_secs(2);

const CALLERS: [Language; 2] = [Language::Node, Language::Python];

#[derive(Clone, Copy, Debug)]
enum KillTarget {
    Server,
    /// Index into the workers.
    Worker(usize),
    /// Index into the producers.
    Producer(usize),
    /// Index into the watches.
    Watch(usize),
}

const KILL_TARGETS: [KillTarget; 9] = [
    KillTarget::Server,
    KillTarget::Server,
    KillTarget::Worker(0),
    KillTarget::Worker(1),
    KillTarget::Worker(2),
    KillTarget::Producer(0),
    KillTarget::Producer(1),
    KillTarget::Watch(0),
    KillTarget::Watch(1),
];

struct RunningWorker {
    language: Language,
    process: Process,
    instance: String,
}

struct LanguagesFixture {
    workers: Vec<RunningWorker>,
    producers: [Application; 2],
    watches: [Application; 2],
    entropy: StdRng,
    server: TestServer,
}

impl LanguagesFixture {
    async fn start(seed: u64) -> Self {
        // The time after which the server detects a worker that died during its restart.
        let server = TestServer::with_flags(&["--auto-create-queues", "--session-ttl", "6s"]).await;
        let watches = CALLERS.map(|language| Application::watch(&server, language));
        wait_until("both watches start", TIMEOUT, || async {
            watches.iter().all(|watch| watch.has_printed("snapshot")).then_some(())
        })
        .await;
        let mut workers = vec![];
        for language in Language::ALL {
            let instance = format!("{}-0", language.name());
            let process = language.start_worker(&server, &instance).await;
            workers.push(RunningWorker { language, process, instance });
        }
        let producers = CALLERS.map(|language| Application::produce(&server, language, seed));
        Self { workers, producers, watches, entropy: StdRng::seed_from_u64(seed), server }
    }

    fn side_effects_file(&self) -> std::path::PathBuf {
        self.server.dir.path().join("effects")
    }

    /// Counts the handlers that a worker started or finished.
    fn count_lines(&self, instance: &str, is_start: bool) -> usize {
        let lines = side_effects(&self.side_effects_file());
        lines.iter().filter(|line| line.instance == instance && line.is_start == is_start).count()
    }

    /// Kills a process and starts it again.
    async fn kill_and_restart(&mut self, round: usize, target: KillTarget) {
        let start = std::time::Instant::now();
        match target {
            KillTarget::Server => self.kill_server().await,
            KillTarget::Worker(at) => self.kill_worker(at, round).await,
            KillTarget::Producer(at) => {
                let more = self.entropy.random_range(1..=8);
                kill_application(&mut self.producers[at], more).await;
            }
            KillTarget::Watch(at) => {
                let more = self.entropy.random_range(1..=20);
                kill_application(&mut self.watches[at], more).await;
            }
        }
        println!("{round}: {target:?} took {:?}", start.elapsed());
    }

    /// Kills a worker while it runs jobs, and starts another one.
    async fn kill_worker(&mut self, at: usize, round: usize) {
        let count = self.entropy.random_range(1..=3);
        let instance = self.workers[at].instance.clone();
        wait_until(&format!("worker {instance} starts {count} jobs"), TIMEOUT, || async {
            (self.count_lines(&instance, true) >= count).then_some(())
        })
        .await;
        let worker = &mut self.workers[at];
        worker.process.kill().await;
        worker.instance = format!("{}-{}", worker.language.name(), round + 1);
        worker.process = worker.language.start_worker(&self.server, &worker.instance).await;
    }

    /// Freezes the server before the kill, so that workers hold unacknowledged reports.
    async fn kill_server(&mut self) {
        let finished = || {
            let count = |worker: &RunningWorker| self.count_lines(&worker.instance, false);
            self.workers.iter().map(count).collect::<Vec<_>>()
        };
        // If possible, every worker runs a job at the same time.
        poll(FREEZE, || async {
            let runs = |worker: &RunningWorker| {
                self.count_lines(&worker.instance, true) > self.count_lines(&worker.instance, false)
            };
            self.workers.iter().all(runs).then_some(())
        })
        .await;
        let before = finished();
        self.server.signal(Signal::STOP);
        poll(FREEZE, || async {
            let now = finished();
            before.iter().zip(now).all(|(before, now)| now > *before).then_some(())
        })
        .await;
        self.server.kill().await;
        self.server.restart().await;
    }

    /// Stops the producers after they have made every kind of call.
    async fn stop(&mut self) {
        for call in ["cancelled", "finished", "retried"] {
            wait_until(&format!("each producer has printed {call}"), TIMEOUT, || async {
                self.producers.iter().all(|producer| producer.has_printed(call)).then_some(())
            })
            .await;
        }
        wait_until("all processes continue after their last restart", TIMEOUT, || async {
            let serves = |worker: &RunningWorker| self.count_lines(&worker.instance, true) > 0;
            let caught_up = self.producers.iter().all(Application::has_caught_up);
            (caught_up && self.workers.iter().all(serves)).then_some(())
        })
        .await;
        std::fs::write(self.server.dir.path().join("stop"), "").expect("a file");
        for producer in &mut self.producers {
            let status = producer.process.wait_exit(TIMEOUT).await;
            assert!(status.success(), "{status}");
        }
    }

    /// Collects the observations at the end.
    async fn history(&self) -> History {
        let client = self.server.client();
        let mut history = History::default();
        for producer in &self.producers {
            record(producer, &mut history);
        }
        for id in history.acknowledged.clone() {
            let what = format!("job {id} is terminal");
            let job = wait_until(&what, TIMEOUT, || async {
                client.get(&id).await.ok().filter(|job| is_terminal(job.state()))
            })
            .await;
            history.got.insert(id, ObservedJob::from(&job));
        }
        // The ledger and the watches lag behind the store.
        let settled = poll(TIMEOUT, || async {
            let history = self.snapshot(&history, &client, &self.side_effects_file()).await;
            check(&history).is_empty().then_some(history)
        });
        match settled.await {
            Some(history) => history,
            None => self.snapshot(&history, &client, &self.side_effects_file()).await,
        }
    }

    async fn snapshot(&self, history: &History, client: &Client, file: &Path) -> History {
        let jobs = client.list_all(JobFilter::default(), 1000, JobView::Basic);
        let listed = jobs.map_ok(|job| (job.id.clone(), ObservedJob::from(&job))).try_collect();
        History {
            listed: listed.await.expect("list jobs"),
            watches: self.watches.iter().map(watch_events).collect(),
            side_effects: side_effects(file),
            ..history.clone()
        }
    }
}

/// Kills an application after it has printed `more` further lines, and restarts it.
async fn kill_application(application: &mut Application, more: usize) {
    let wanted = application.printed().len() + more;
    wait_until(&format!("the application prints {more} more lines"), TIMEOUT, || async {
        (application.printed().len() >= wanted).then_some(())
    })
    .await;
    application.process.kill().await;
    application.restart();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guarantees_hold_when_workers_and_clients_in_three_languages_are_killed() {
    kills(seed(), 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs for minutes: cargo xtask soak"]
async fn soak_guarantees_hold_when_workers_and_clients_in_three_languages_are_killed() {
    soak(|seed| kills(seed, 3)).await;
}

/// Kills each process once per round, in an order chosen by the seed.
async fn kills(seed: u64, rounds: usize) {
    println!("SENTINEL_TEST_SEED={seed}");
    let mut fixture = LanguagesFixture::start(seed).await;
    for round in 0..rounds {
        let mut targets = KILL_TARGETS;
        targets.shuffle(&mut fixture.entropy);
        for target in targets {
            fixture.kill_and_restart(round, target).await;
        }
    }
    // The server is killed last: the death of a worker afterwards would hide a report that was not
    // resent.
    fixture.kill_and_restart(rounds, KillTarget::Server).await;
    fixture.stop().await;
    let history = fixture.history().await;
    let found = check(&history);
    assert!(found.is_empty(), "seed {seed}: {found:#?}");
    // A call that waited for a job returned the state that the job has now.
    for ended in fixture.producers.iter().flat_map(Application::printed) {
        let Some(ended) = ended.get("finished") else { continue };
        let (id, waited) = parse_observed(ended);
        let got = &history.got[&id];
        assert!(is_terminal(waited.state) && waited.version <= got.version, "{waited:?}, {got:?}");
        assert!(waited.version < got.version || waited == *got, "{waited:?}, {got:?}");
    }
    println!("{} jobs, {} effects", history.got.len(), history.side_effects.len());
}
