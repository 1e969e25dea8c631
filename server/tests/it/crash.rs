//! Servers and workers die again and again under load, and the history keeps every promise.

pub(crate) mod load;

use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt};
use rustix::process::Signal;
use sentinel_client::proto::jobs::v1::{JobFilter, JobState, JobView};
use sentinel_client::{Client, Watch, WatchEvent, is_final};
use serde_json::json;

use crate::harness::{PATIENCE, Worker, World, demo, end_of, enqueue, until};
use crate::history::{Effect, History, Look, check};
use load::Load;

/// Deaths of each kind in one dose.
const DEATHS: usize = 5;

fn seed() -> u64 {
    let seed = std::env::var("SENTINEL_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    seed.unwrap_or(1)
}

/// What the handlers wrote; a line that is being written is not one yet.
pub(crate) fn effects(file: &std::path::Path) -> Vec<Effect> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| Effect::parse(line).expect("a line of demo.effect")).collect()
}

/// Every change of every job, until told to stop by the drop of the receiver.
async fn record(client: Client, into: tokio::sync::mpsc::UnboundedSender<(String, Look)>) {
    let filter = JobFilter { queues: vec!["default".to_owned()], ..JobFilter::default() };
    let mut events = client.watch(Watch::filter(filter).view(JobView::Full));
    let mut gaps = 0;
    while let Some(event) = events.next().await {
        match event.expect("a watch goes on") {
            WatchEvent::Change(change) => {
                let job = change.job.expect("the job of a change");
                if into.send((job.id.clone(), Look::from(&job))).is_err() {
                    return;
                }
            }
            WatchEvent::Gap(gap) => {
                gaps += 1;
                panic!("gap {gaps} of the watch: {:?}", gap.reason());
            }
            _ => {}
        }
    }
}

/// One dose: a load, deaths of the server, deaths of workers, and the check of it all.
async fn dose(seed: u64) {
    println!("SENTINEL_TEST_SEED={seed}");
    // A worker that dies before it has found the new server is missed when its leases end.
    let flags = ["--auto-create-queues", "--session-ttl", "4s", "--ping", "1s"];
    let mut world = World::with(&flags).await;
    let file = world.dir.path().join("effects");
    let (into, mut changes) = tokio::sync::mpsc::unbounded_channel();
    let watching = tokio::spawn(record(world.client(), into));
    let flags = ["--concurrency", "16"];
    let mut fleet = [world.worker("w0", &flags).await, world.worker("w1", &flags).await];
    let load = Load::start(&world, seed, &file);
    for _ in 0..DEATHS {
        load.acknowledges(80).await;
        world.server.kill().await;
        world.server.restart().await;
    }
    for n in 0..DEATHS {
        load.acknowledges(80).await;
        let at = n % fleet.len();
        fleet[at].kill().await;
        fleet[at] = world.idle_worker(&format!("w{}", n + 2), &flags);
    }
    load.acknowledges(80).await;
    let mut history = load.stop().await;
    settle(&world.client(), &mut history).await;
    history.effects = effects(&file);
    watching.abort();
    let _ = watching.await;
    while let Ok((id, look)) = changes.try_recv() {
        let looks = history.changes.entry(id).or_default();
        // After a resume the last version may come again.
        if looks.last().is_none_or(|last| last.version != look.version) {
            looks.push(look);
        }
    }
    println!("{}", summary(&history));
    let violations = check(&history);
    assert!(violations.is_empty(), "seed {seed}: {violations:#?}");
}

/// Waits until nothing moves any more, then reads all records.
async fn settle(client: &Client, history: &mut History) {
    for id in &history.acknowledged {
        let what = format!("job {id} is final");
        let job = until(&what, PATIENCE, || async {
            client.get(id).await.ok().filter(|job| is_final(job.state()))
        });
        history.got.insert(id.clone(), Look::from(&job.await));
    }
    // The ledger follows; what calls without an answer stored must end too.
    history.listed = until("the list has all ends", PATIENCE, || async {
        let jobs = client.list_all(JobFilter::default(), 1_000, JobView::Basic);
        let jobs: Vec<_> =
            jobs.map_ok(|job| (job.id.clone(), Look::from(&job))).try_collect().await.ok()?;
        jobs.iter().all(|(_, look)| is_final(look.state)).then_some(jobs)
    })
    .await;
}

fn summary(history: &History) -> String {
    let of = |state| history.got.values().filter(|look| look.state == state).count();
    format!(
        "{} jobs: {} succeeded, {} cancelled, {} failed; {} handlers began; {} cancels of waiting \
         jobs, {} retries, {} jobs of calls without an answer",
        history.acknowledged.len(),
        of(JobState::Succeeded),
        of(JobState::Cancelled),
        of(JobState::Failed),
        history.effects.iter().filter(|line| line.is_start).count(),
        history.cancels.len(),
        history.retries.len(),
        history.unknown_jobs,
    )
}

#[tokio::test]
async fn every_promise_is_kept_when_servers_and_workers_die() {
    dose(seed()).await;
}

/// Doses with rising seeds for SENTINEL_SOAK_MINUTES, 10 unless set.
#[tokio::test]
#[ignore = "runs for minutes; the profile soak runs it"]
async fn soak_every_promise_is_kept_when_servers_and_workers_die() {
    let minutes = std::env::var("SENTINEL_SOAK_MINUTES").ok().and_then(|text| text.parse().ok());
    let length = Duration::from_secs(60 * minutes.unwrap_or(10));
    let start = Instant::now();
    let mut next = seed();
    while start.elapsed() < length {
        dose(next).await;
        next += 1;
    }
}

/// How long after the kill of a worker the last of its jobs began elsewhere.
async fn takeover(world: &World, round: usize, fleet: &mut [Worker; 2]) -> Duration {
    let client = world.client();
    let file = world.dir.path().join(format!("effects-{round}"));
    let mut ids = Vec::new();
    for _ in 0..12 {
        ids.push(enqueue(&client, demo("effect", json!({"file": file, "ms": 60_000}))).await);
    }
    let begun = until("all jobs have begun", PATIENCE, || async {
        let lines = effects(&file);
        (lines.len() == ids.len()).then_some(lines)
    })
    .await;
    let at = usize::from(begun.iter().filter(|line| line.instance.ends_with('b')).count() > 6);
    let victim = &begun.iter().find(|l| l.instance.ends_with(['a', 'b'][at])).unwrap().instance;
    let orphans = begun.iter().filter(|line| line.instance == *victim).count();
    let killed = Instant::now();
    fleet[at].kill().await;
    until("the jobs run elsewhere", PATIENCE, || async {
        (effects(&file).len() == ids.len() + orphans).then_some(())
    })
    .await;
    let took = killed.elapsed();
    let again = effects(&file).split_off(ids.len());
    assert!(again.iter().all(|line| line.instance != *victim && line.attempt == 2), "{again:?}");
    for id in &ids {
        client.cancel(id, "").await.unwrap();
    }
    for id in &ids {
        end_of(&client, id).await;
    }
    let name = format!("{}{}", round + 1, ['a', 'b'][at]);
    fleet[at] = world.worker(&name, &[]).await;
    took
}

#[tokio::test]
async fn the_jobs_of_a_killed_worker_run_elsewhere_soon() {
    let world = World::start().await;
    let mut fleet = [world.worker("0a", &[]).await, world.worker("0b", &[]).await];
    let mut took = Vec::new();
    for round in 0..DEATHS {
        took.push(takeover(&world, round, &mut fleet).await);
    }
    took.sort();
    println!("from the kill to the last start elsewhere: {took:?}");
    assert!(took[DEATHS / 2] < Duration::from_millis(1_500), "{took:?}");
    // A machine that does other work may be late once.
    assert!(took[DEATHS - 1] < Duration::from_secs(4), "{took:?}");
}

/// The worker can not say a word for longer than the server takes to look for lost leases.
#[tokio::test]
async fn an_outage_of_the_server_is_not_taken_for_the_death_of_a_worker() {
    let mut world = World::start().await;
    let client = world.client();
    let silent = world.worker("w1", &[]).await;
    let id = enqueue(&client, demo("sleep", json!({"ms": 2_500}))).await;
    until("the job runs", PATIENCE, || async {
        let job = client.get(&id).await.ok()?;
        (job.state() == JobState::Running).then_some(())
    })
    .await;
    silent.signal(Signal::STOP);
    world.server.kill().await;
    world.server.restart().await;
    let _other = world.worker("w2", &[]).await;
    let clock = demo("noop", json!({})).delay(Duration::from_millis(1_500));
    end_of(&client, &enqueue(&client, clock).await).await;
    silent.signal(Signal::CONT);
    let job = end_of(&client, &id).await;
    assert_eq!((job.state(), job.attempt, job.crashes), (JobState::Succeeded, 1, 0));
    assert_eq!(job.worker, "w1");
}

#[tokio::test]
async fn a_running_job_does_not_notice_that_its_server_died() {
    let mut world = World::start().await;
    let client = world.client();
    let _worker = world.worker("w1", &[]).await;
    let file = world.dir.path().join("effects");
    let job = demo("effect", json!({"file": file, "ms": 4_000}));
    let id = enqueue(&client, job).await;
    until("the job has begun", PATIENCE, || async { effects(&file).pop() }).await;
    for _ in 0..2 {
        world.server.kill().await;
        world.server.restart().await;
    }
    let job = end_of(&client, &id).await;
    assert_eq!((job.state(), job.attempt, job.crashes), (JobState::Succeeded, 1, 0));
    let lines = effects(&file);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[0].fence(), lines[1].fence());
    assert_eq!(job.result, lines[0].fence());
}
