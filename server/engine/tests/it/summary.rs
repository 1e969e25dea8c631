//! Summaries of queues, with paused time: figures against what the test itself did and when.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sentinel_domain::limits::SUMMARY_SHOWN;
use sentinel_domain::{Job, Millis, Name, Queue, Scopes, State};
use sentinel_engine::{
    Chance, Clock, Engine, EngineError, NoObserver, Parts, Percentiles, QueueSummary, Settings,
    Summaries, Summary, SummarySelection, Tasks,
};
use sentinel_ledger::{Ledger, LedgerOptions};
use sentinel_store::ServerId;
use sentinel_store::oracle::Oracle;
use tokio::time::{Instant, sleep_until};

use crate::house::{PATIENCE, new_job};
use crate::worker::{Worker, crash, hello, success};

const T0: Millis = 1_700_000_000_000;

/// An engine whose time is that of a paused runtime.
struct Paused {
    engine: Engine,
    tasks: Tasks,
    began_at: Instant,
    _dir: tempfile::TempDir,
}

impl Paused {
    async fn new() -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let dir = dir.expect("a directory");
        let options = LedgerOptions { readers: 1, is_inline: true, ..LedgerOptions::default() };
        let ledger = Ledger::open_with(&dir.path().join("ledger.sqlite"), options).await;
        let began_at = Instant::now();
        let settings = Settings {
            auto_create_queues: true,
            project_linger_ms: 5,
            receive_timeout_ms: 60_000,
            ..Settings::default()
        };
        let parts = Parts {
            store: Arc::new(Oracle::default()),
            ledger: ledger.expect("a ledger"),
            clock: Clock::new(move || T0 + began_at.elapsed().as_millis() as Millis),
            chance: Chance::system(),
            observer: Arc::new(NoObserver),
            settings,
            server: ServerId(7),
        };
        let tasks = Tasks::default();
        let engine = Engine::start(parts, &tasks).await.expect("starts");
        Self { engine, tasks, began_at, _dir: dir }
    }

    fn now_ms(&self) -> u64 {
        self.began_at.elapsed().as_millis() as u64
    }

    async fn until_ms(&self, ms: u64) {
        sleep_until(self.began_at + Duration::from_millis(ms)).await;
    }

    async fn enqueue(&self, queue: &str) -> Arc<Job> {
        let new = new_job(|new| new.queue = queue.into());
        self.engine.enqueue(new, "test", None).await.expect("is taken").job
    }

    fn watch(&self, queues: &[&str]) -> Summaries {
        self.watch_within(queues, Scopes::ALL)
    }

    fn watch_within(&self, queues: &[&str], within: Scopes) -> Summaries {
        let queues = queues.iter().map(|&queue| queue.into()).collect();
        self.engine.summaries(SummarySelection { queues, within }, true).expect("opens")
    }

    async fn close(self) {
        assert!(self.tasks.close(PATIENCE).await, "every task ends");
    }
}

async fn next(summaries: &mut Summaries) -> Summary {
    let next = tokio::time::timeout(PATIENCE, summaries.next()).await;
    next.expect("in time").expect("goes on").expect("a summary before a keepalive")
}

fn names(summary: &Summary) -> Vec<&str> {
    summary.queues.iter().map(|one| &*one.queue).collect()
}

fn of<'a>(summary: &'a Summary, queue: &str) -> &'a QueueSummary {
    summary.queues.iter().find(|one| &*one.queue == queue).expect("it is shown")
}

fn states(one: &QueueSummary) -> BTreeMap<State, u64> {
    one.states.iter().map(|count| (count.state, count.count)).collect()
}

/// What the test did in the queue "q", in ms since it began.
#[derive(Default)]
struct Done {
    enqueued: Vec<u64>,
    /// With how long the job had waited.
    started: Vec<(u64, u64)>,
    /// With how long it had run.
    succeeded: Vec<(u64, u64)>,
    failed: Vec<(u64, u64)>,
}

impl Done {
    /// Holds a summary against all that was done after `from_ms`.
    fn check(&self, summary: &Summary, from_ms: u64) {
        let one = of(summary, "q");
        let window_ms = summary.window_ms as f64;
        let per_second = |count: usize| count as f64 * 1_000.0 / window_ms;
        let within = |list: &[(u64, u64)]| -> Vec<u64> {
            list.iter().filter(|(at, _)| *at >= from_ms).map(|(_, took)| *took).collect()
        };
        let (waits, mut runs) = (within(&self.started), within(&self.succeeded));
        let failed = within(&self.failed);
        let flow = &one.flow;
        let enqueued = self.enqueued.iter().filter(|at| **at >= from_ms).count();
        let found = [
            flow.enqueued_per_second,
            flow.started_per_second,
            flow.succeeded_per_second,
            flow.failed_per_second,
        ];
        assert_eq!(found, [enqueued, waits.len(), runs.len(), failed.len()].map(per_second));
        runs.extend(failed);
        check_times(flow.wait, waits);
        check_times(flow.run, runs);
        let final_count =
            |list: &[_], state| (!list.is_empty()).then_some((state, list.len() as u64));
        let expected: BTreeMap<State, u64> = [
            final_count(&self.succeeded, State::Succeeded),
            final_count(&self.failed, State::Failed),
        ]
        .into_iter()
        .flatten()
        .collect();
        assert_eq!(states(one), expected, "everything has ended");
    }
}

fn check_times(found: Option<Percentiles>, mut times: Vec<u64>) {
    times.sort_unstable();
    let Some(found) = found else { return assert!(times.is_empty(), "{times:?}") };
    assert_eq!(found.samples, times.len() as u64);
    for (found, percent) in [(found.p50_ms, 50), (found.p95_ms, 95), (found.p99_ms, 99)] {
        let exact = times[(times.len() * percent).div_ceil(100) - 1];
        let is_near = found.abs_diff(exact) as f64 <= exact as f64 * 0.04;
        assert!(is_near, "p{percent} is {found} ms, not {exact}");
    }
}

#[tokio::test(start_paused = true)]
async fn figures_are_those_of_what_was_done() {
    let house = Paused::new().await;
    let mut worker = Worker::join(&house.engine, hello(0)).await;
    let mut summaries = house.watch(&["q"]);
    let begun_ms = house.now_ms();
    let first = next(&mut summaries).await;
    assert_eq!((first.window_ms, names(&first)), (0, vec![]), "at once, and there is no queue yet");
    let mut done = Done::default();
    for second in 0..130_u64 {
        let at_ms = begun_ms + second * 1_000 + 100;
        house.until_ms(at_ms).await;
        let count = if second < 80 { 1 + second % 5 } else { 0 };
        let (wait_ms, run_ms) = (second * 37 % 290, 1 + second * 53 % 410);
        for _ in 0..count {
            house.enqueue("q").await;
            done.enqueued.push(house.now_ms());
        }
        house.until_ms(at_ms + wait_ms).await;
        worker.credit(count as usize).await;
        let jobs = worker.assigned(count as usize).await;
        done.started.extend(jobs.iter().map(|_| (at_ms + wait_ms, wait_ms)));
        house.until_ms(at_ms + wait_ms + run_ms).await;
        for (nth, job) in (second..).zip(&jobs) {
            let (item, list) = match nth % 4 {
                0 => (crash(job, false), &mut done.failed),
                _ => (success(job), &mut done.succeeded),
            };
            worker.report(vec![item]).await;
            list.push((at_ms + wait_ms + run_ms, run_ms));
        }
        let summary = next(&mut summaries).await;
        let now_ms = house.now_ms();
        assert_eq!(now_ms, begun_ms + (second + 1) * 1_000, "each second");
        assert_eq!(summary.as_of, T0 + now_ms as Millis);
        // At a full second, the second that begins is part of the minute.
        assert_eq!(summary.window_ms, ((second + 1) * 1_000).min(59_000));
        done.check(&summary, now_ms - summary.window_ms);
    }
    assert!(done.started.len() > 200 && done.failed.len() > 50);
    worker.bye().await;
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_and_runs_is_counted() {
    let house = Paused::new().await;
    let mut worker = Worker::join(&house.engine, hello(2)).await;
    let mut summaries = house.watch(&["q", "other"]);
    next(&mut summaries).await;
    let mut ready_at = Vec::new();
    for _ in 0..5 {
        house.enqueue("q").await;
        ready_at.push(house.enqueue("other").await.status.ready_at);
    }
    let age = |summary: &Summary| Some((summary.as_of - ready_at[0]).cast_unsigned());
    let running = worker.assigned(2).await;
    let summary = next(&mut summaries).await;
    assert_eq!(names(&summary), ["other", "q"]);
    assert_eq!(states(of(&summary, "other")), [(State::Ready, 5)].into());
    assert_eq!(states(of(&summary, "q")), [(State::Ready, 3), (State::Running, 2)].into());
    assert_eq!(of(&summary, "other").flow.enqueued_per_second, 5.0);
    assert_eq!(of(&summary, "other").oldest_ready_ms, age(&summary));
    worker.report(vec![success(&running[0])]).await;
    let summary = next(&mut summaries).await;
    let expected = [(State::Ready, 3), (State::Running, 1), (State::Succeeded, 1)];
    assert_eq!(states(of(&summary, "q")), expected.into());
    worker.credit(4).await;
    worker.assigned(3).await;
    let summary = next(&mut summaries).await;
    let oldest = |queue| of(&summary, queue).oldest_ready_ms;
    assert_eq!((oldest("q"), oldest("other")), (None, age(&summary)), "what runs is not ready");
    worker.bye().await;
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn readers_share_what_is_computed() {
    let house = Paused::new().await;
    for queue in ["a", "b"] {
        house.enqueue(queue).await;
    }
    let (mut one, mut other) = (house.watch(&[]), house.watch(&["b"]));
    let mut late = house.watch(&["a", "b"]);
    for second in 0..5 {
        let (of_one, of_other) = (next(&mut one).await, next(&mut other).await);
        assert_eq!((names(&of_one), names(&of_other)), (vec!["a", "b"], vec!["b"]));
        assert_eq!(of_one.as_of, of_other.as_of, "in second {second}");
        assert!(Arc::ptr_eq(&of_one.queues[1], &of_other.queues[0]), "in second {second}");
    }
    let before = next(&mut one).await;
    // Nobody waits a second for the first one.
    let mut same = house.watch(&[]);
    assert!(Arc::ptr_eq(&next(&mut same).await.queues[0], &before.queues[0]));
    let asked_ms = house.now_ms();
    let mut new = house.watch(&["a"]);
    assert_eq!(names(&next(&mut new).await), ["a"]);
    assert!(house.now_ms() - asked_ms <= 200, "a moment");
    // Who was slow gets the newest, and then the next.
    for _ in 0..4 {
        next(&mut one).await;
    }
    let newest = next(&mut late).await;
    assert_eq!(newest.as_of, T0 + house.now_ms() as Millis);
    assert!(next(&mut late).await.as_of - newest.as_of >= 900, "not one of those before");
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_reader_sees_what_it_may() {
    let house = Paused::new().await;
    for queue in ["a", "mail", "mail-bulk", "zoo"] {
        house.enqueue(queue).await;
    }
    let scopes = |of: &[&str]| Scopes::of(of.iter().map(|&one| Name::from(one)));
    let mut scoped = house.watch_within(&[], scopes(&["mail*", "zoo"]));
    assert_eq!(names(&next(&mut scoped).await), ["mail", "mail-bulk", "zoo"]);
    let mut named = house.watch_within(&["zoo", "a", "mail"], scopes(&["mail"]));
    assert_eq!(names(&next(&mut named).await), ["mail"]);
    let mut unknown = house.watch(&["nowhere", "zoo"]);
    assert_eq!(names(&next(&mut unknown).await), ["zoo"]);
    for (queues, fault) in
        [(vec!["a b".to_owned()], "' '"), (vec!["a".to_owned(); 101], "at most 100")]
    {
        let queues = queues.iter().map(|queue| Name::from(queue.as_str())).collect();
        let selection = SummarySelection { queues, within: Scopes::ALL };
        let Err(EngineError::Invalid(found)) = house.engine.summaries(selection, true) else {
            panic!("it is refused")
        };
        assert_eq!(found[0].field, "summary.queues");
        assert!(found[0].description.contains(fault), "{found:?}");
    }
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn counting_goes_on_for_a_while_and_ends() {
    let house = Paused::new().await;
    let mut summaries = house.watch(&["q"]);
    next(&mut summaries).await;
    house.enqueue("q").await;
    next(&mut summaries).await;
    drop(summaries);
    let left_ms = house.now_ms();
    house.until_ms(left_ms + 10_000).await;
    let mut again = house.watch(&["q"]);
    let summary = next(&mut again).await;
    assert!(summary.window_ms >= 11_000, "a page that is loaded anew: {}", summary.window_ms);
    assert!(of(&summary, "q").flow.enqueued_per_second > 0.0);
    drop(again);
    house.until_ms(house.now_ms() + 20_000).await;
    house.enqueue("q").await;
    let mut after = house.watch(&["q"]);
    let summary = next(&mut after).await;
    assert_eq!((summary.window_ms, of(&summary, "q").flow.enqueued_per_second), (0, 0.0));
    assert_eq!(states(of(&summary, "q")), [(State::Ready, 2)].into());
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn of_all_queues_the_first_are_shown() {
    let house = Paused::new().await;
    let max = SUMMARY_SHOWN as usize;
    for nth in (0..max + 2).rev() {
        let queue = Queue::with_defaults(format!("n{nth:04}").into(), 0);
        house.engine.create_queue(queue).await.expect("is new");
    }
    let summary = next(&mut house.watch(&[])).await;
    assert_eq!(summary.queues.len(), max);
    assert_eq!((&*summary.queues[0].queue, &*summary.queues[max - 1].queue), ("n0000", "n0999"));
    // One behind them is found by its name.
    assert_eq!(names(&next(&mut house.watch(&["n1001"])).await), ["n1001"]);
    house.close().await;
}
