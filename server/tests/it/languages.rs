//! Workers of three languages serve one queue together while applications of two enqueue, follow,
//! cancel and retry, and each of these processes is killed and started again.

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

use crate::chaos::seed;
use crate::harness::{PATIENCE, Process, World, probe, until};
use crate::history::{History, Look, check, effects};
use program::{Application, Language, look, note, seen};

/// Deaths of each process.
const ROUNDS: usize = 3;

/// How long a frozen server is left so: reports of finished jobs wait for their answer then. Under
/// the 5 s of silence after which workers look for another one.
const FREEZE: Duration = Duration::from_secs(2);

const CALLERS: [Language; 2] = [Language::Node, Language::Python];

#[derive(Clone, Copy, Debug)]
enum Victim {
    Server,
    /// Index into the fleet.
    Worker(usize),
    /// Index into the producers.
    Producer(usize),
    /// Index into the watches.
    Watch(usize),
}

const VICTIMS: [Victim; 9] = [
    Victim::Server,
    Victim::Server,
    Victim::Worker(0),
    Victim::Worker(1),
    Victim::Worker(2),
    Victim::Producer(0),
    Victim::Producer(1),
    Victim::Watch(0),
    Victim::Watch(1),
];

struct Member {
    language: Language,
    process: Process,
    instance: String,
}

struct Site {
    fleet: Vec<Member>,
    producers: [Application; 2],
    watches: [Application; 2],
    entropy: StdRng,
    world: World,
}

impl Site {
    async fn start(seed: u64) -> Self {
        // A worker that dies while the server is away is noticed after that long.
        let world = World::with(&["--auto-create-queues", "--session-ttl", "6s"]).await;
        let watches = CALLERS.map(|language| Application::watch(&world, language));
        until("both watches have begun", PATIENCE, || async {
            watches.iter().all(|watch| watch.has_told("snapshot")).then_some(())
        })
        .await;
        let mut fleet = vec![];
        for language in Language::ALL {
            let instance = format!("{}-0", language.name());
            let process = language.worker(&world, &instance).await;
            fleet.push(Member { language, process, instance });
        }
        let producers = CALLERS.map(|language| Application::produce(&world, language, seed));
        Self { fleet, producers, watches, entropy: StdRng::seed_from_u64(seed), world }
    }

    fn effects(&self) -> std::path::PathBuf {
        self.world.dir.path().join("effects")
    }

    /// Handlers that a worker began or ended.
    fn lines_of(&self, instance: &str, is_start: bool) -> usize {
        let lines = effects(&self.effects());
        lines.iter().filter(|line| line.instance == instance && line.is_start == is_start).count()
    }

    async fn strike(&mut self, round: usize, victim: Victim) {
        let begun = std::time::Instant::now();
        match victim {
            Victim::Server => self.kill_server().await,
            Victim::Worker(at) => self.kill_worker(at, round).await,
            Victim::Producer(at) => {
                let more = self.entropy.random_range(1..=8);
                kill_application(&mut self.producers[at], more).await;
            }
            Victim::Watch(at) => {
                let more = self.entropy.random_range(1..=20);
                kill_application(&mut self.watches[at], more).await;
            }
        }
        println!("{round}: {victim:?} took {:?}", begun.elapsed());
    }

    /// In the middle of some job.
    async fn kill_worker(&mut self, at: usize, round: usize) {
        let begun = self.entropy.random_range(1..=3);
        let instance = self.fleet[at].instance.clone();
        until(&format!("worker {instance} begins {begun} jobs"), PATIENCE, || async {
            (self.lines_of(&instance, true) >= begun).then_some(())
        })
        .await;
        let member = &mut self.fleet[at];
        member.process.kill().await;
        member.instance = format!("{}-{}", member.language.name(), round + 1);
        member.process = member.language.worker(&self.world, &member.instance).await;
    }

    /// Frozen first, so that workers have reports that nobody acknowledged when it dies.
    async fn kill_server(&mut self) {
        let ended = || {
            let count = |member: &Member| self.lines_of(&member.instance, false);
            self.fleet.iter().map(count).collect::<Vec<_>>()
        };
        // As far as there is work for all of them at once.
        probe(FREEZE, || async {
            let runs = |member: &Member| {
                self.lines_of(&member.instance, true) > self.lines_of(&member.instance, false)
            };
            self.fleet.iter().all(runs).then_some(())
        })
        .await;
        let before = ended();
        self.world.server.signal(Signal::STOP);
        probe(FREEZE, || async {
            let now = ended();
            before.iter().zip(now).all(|(before, now)| now > *before).then_some(())
        })
        .await;
        self.world.server.kill().await;
        self.world.server.restart().await;
    }

    /// Lets the producers come to their end, after all of their verbs were had.
    async fn stop(&mut self) {
        for verb in ["cancelled", "ended", "retried"] {
            until(&format!("each producer has told: {verb}"), PATIENCE, || async {
                self.producers.iter().all(|producer| producer.has_told(verb)).then_some(())
            })
            .await;
        }
        until("all go on after their last death", PATIENCE, || async {
            let serves = |member: &Member| self.lines_of(&member.instance, true) > 0;
            let goes_on = self.producers.iter().all(Application::has_caught_up);
            (goes_on && self.fleet.iter().all(serves)).then_some(())
        })
        .await;
        std::fs::write(self.world.dir.path().join("stop"), "").expect("a file");
        for producer in &mut self.producers {
            let status = producer.process.end(PATIENCE).await;
            assert!(status.success(), "{status}");
        }
    }

    /// Everything as it is at the end.
    async fn history(&self) -> History {
        let client = self.world.client();
        let mut history = History::default();
        for producer in &self.producers {
            note(producer, &mut history);
        }
        for id in history.acknowledged.clone() {
            let what = format!("job {id} is final");
            let job = until(&what, PATIENCE, || async {
                client.get(&id).await.ok().filter(|job| is_terminal(job.state()))
            })
            .await;
            history.got.insert(id, Look::from(&job));
        }
        // The ledger and the watches are a moment behind.
        let settled = probe(PATIENCE, || async {
            let now = self.now(&history, &client, &self.effects()).await;
            check(&now).is_empty().then_some(now)
        });
        match settled.await {
            Some(history) => history,
            None => self.now(&history, &client, &self.effects()).await,
        }
    }

    async fn now(&self, history: &History, client: &Client, file: &Path) -> History {
        let jobs = client.list_all(JobFilter::default(), 1000, JobView::Basic);
        let listed = jobs.map_ok(|job| (job.id.clone(), Look::from(&job))).try_collect();
        History {
            listed: listed.await.expect("a list"),
            watches: self.watches.iter().map(seen).collect(),
            effects: effects(file),
            ..history.clone()
        }
    }
}

/// After it told something more; it goes on at once.
async fn kill_application(application: &mut Application, more: usize) {
    let wanted = application.told().len() + more;
    until(&format!("an application tells {more} things more"), PATIENCE, || async {
        (application.told().len() >= wanted).then_some(())
    })
    .await;
    application.process.kill().await;
    application.restart();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_and_callers_of_three_languages_are_killed_around_one_queue() {
    let seed = seed();
    println!("SENTINEL_TEST_SEED={seed}");
    let mut site = Site::start(seed).await;
    for round in 0..ROUNDS {
        let mut victims = VICTIMS;
        victims.shuffle(&mut site.entropy);
        for victim in victims {
            site.strike(round, victim).await;
        }
    }
    // Nobody dies after it, who would take a report that was not sent again for his own.
    site.strike(ROUNDS, Victim::Server).await;
    site.stop().await;
    let history = site.history().await;
    let found = check(&history);
    assert!(found.is_empty(), "seed {seed}: {found:#?}");
    // What a call that waited for the end answered is what the record says.
    for ended in site.producers.iter().flat_map(Application::told) {
        let Some(ended) = ended.get("ended") else { continue };
        let (id, told) = look(ended);
        let got = &history.got[&id];
        assert!(is_terminal(told.state) && told.version <= got.version, "{told:?}, {got:?}");
        assert!(told.version < got.version || told == *got, "{told:?}, {got:?}");
    }
    println!("{} jobs, {} effects", history.got.len(), history.effects.len());
}
