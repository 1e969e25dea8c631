//! Summaries of queues under paused time: the numbers must match what the test did and when.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sentinel_domain::limits::PAYLOAD_MAX_BYTES;
use sentinel_domain::limits::SUMMARY_QUEUES_DEFAULT;
use sentinel_domain::{Job, Millis, Name, Queue, Scopes, State};
use sentinel_engine::{
    Clock, Engine, EngineDeps, EngineError, NoObserver, Percentiles, QueueSummary, Rng, Settings,
    Submitter, Summary, SummarySelection, SummaryStream, Tasks,
};
use sentinel_ledger::{Ledger, LedgerOptions};
use sentinel_store::ServerId;
use sentinel_store::oracle::Oracle;
use tokio::time::{Instant, sleep_until};

use crate::harness::{TIMEOUT, new_job};
use crate::worker::{ScriptedWorker, failed_report, hello, succeeded_report};

const T0: Millis = 1_700_000_000_000;

/// An engine whose clock is the paused clock of the runtime.
struct PausedEngine {
    engine: Engine,
    tasks: Tasks,
    started_at: Instant,
    _dir: tempfile::TempDir,
}

impl PausedEngine {
    async fn start() -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let dir = dir.expect("a directory");
        let options =
            LedgerOptions { readers: 1, run_inline: true, ..LedgerOptions::new(PAYLOAD_MAX_BYTES) };
        let ledger = Ledger::open_with(&dir.path().join("ledger.sqlite"), options).await;
        let started_at = Instant::now();
        let settings = Settings {
            auto_create_queues: true,
            project_linger_ms: 5,
            receive_timeout_ms: 60_000,
            ..Settings::default()
        };
        let deps = EngineDeps {
            store: Arc::new(Oracle::default()),
            ledger: ledger.expect("a ledger"),
            clock: Clock::new(move || T0 + started_at.elapsed().as_millis() as Millis),
            rng: Rng::system(),
            observer: Arc::new(NoObserver),
            settings,
            server: ServerId(7),
        };
        let tasks = Tasks::default();
        let engine = Engine::start(deps, &tasks).await.expect("start an engine");
        Self { engine, tasks, started_at, _dir: dir }
    }

    fn now_ms(&self) -> u64 {
        self.started_at.elapsed().as_millis() as u64
    }

    async fn sleep_until_ms(&self, ms: u64) {
        sleep_until(self.started_at + Duration::from_millis(ms)).await;
    }

    async fn enqueue(&self, queue: &str) -> Arc<Job> {
        let new = new_job(|new| new.queue = queue.into());
        self.engine
            .jobs()
            .enqueue(new, Submitter::unrestricted("test"), None)
            .await
            .expect("the engine accepts it")
            .job
    }

    fn watch(&self, queues: &[&str]) -> SummaryStream {
        self.watch_scoped(queues, Scopes::ALL)
    }

    fn watch_scoped(&self, queues: &[&str], within: Scopes) -> SummaryStream {
        let queues = queues.iter().map(|&queue| queue.into()).collect();
        self.engine
            .summaries()
            .open(SummarySelection { queues, within }, true)
            .expect("open a watch")
    }

    async fn close(self) {
        assert!(self.tasks.close(TIMEOUT).await, "every task must stop");
    }
}

async fn next(summaries: &mut SummaryStream) -> Summary {
    let next = tokio::time::timeout(TIMEOUT, summaries.next()).await;
    next.expect("a result in time").expect("no error").expect("a summary before a keepalive")
}

fn queue_names(summary: &Summary) -> Vec<&str> {
    summary.queues.iter().map(|one| &*one.queue).collect()
}

fn of_queue<'a>(summary: &'a Summary, queue: &str) -> &'a QueueSummary {
    summary.queues.iter().find(|one| &*one.queue == queue).expect("the summary has the queue")
}

fn states(one: &QueueSummary) -> BTreeMap<State, u64> {
    one.states.iter().map(|count| (count.state, count.count)).collect()
}

/// What the test did in the queue `q`, in milliseconds since the start.
#[derive(Default)]
struct Activity {
    enqueued: Vec<u64>,
    /// Time, and how long the job waited.
    started: Vec<(u64, u64)>,
    /// Time, and how long the job ran.
    succeeded: Vec<(u64, u64)>,
    failed: Vec<(u64, u64)>,
}

impl Activity {
    /// Compares a summary with everything that the test did after `from_ms`.
    fn check(&self, summary: &Summary, from_ms: u64) {
        let one = of_queue(summary, "q");
        let window_ms = summary.window_ms as f64;
        let per_second = |count: usize| count as f64 * 1_000.0 / window_ms;
        let within = |list: &[(u64, u64)]| -> Vec<u64> {
            list.iter().filter(|(at, _)| *at >= from_ms).map(|(_, took)| *took).collect()
        };
        let (waits, mut runs) = (within(&self.started), within(&self.succeeded));
        let failed = within(&self.failed);
        let rates = &one.activity;
        let enqueued = self.enqueued.iter().filter(|at| **at >= from_ms).count();
        let found = [
            rates.enqueued_per_second,
            rates.started_per_second,
            rates.succeeded_per_second,
            rates.failed_per_second,
        ];
        assert_eq!(found, [enqueued, waits.len(), runs.len(), failed.len()].map(per_second));
        runs.extend(failed);
        check_times(rates.wait, waits);
        check_times(rates.run, runs);
        let terminal_count =
            |list: &[_], state| (!list.is_empty()).then_some((state, list.len() as u64));
        let expected: BTreeMap<State, u64> = [
            terminal_count(&self.succeeded, State::Succeeded),
            terminal_count(&self.failed, State::Failed),
        ]
        .into_iter()
        .flatten()
        .collect();
        assert_eq!(states(one), expected, "all jobs are in a terminal state");
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
async fn rates_and_percentiles_match_the_activity() {
    let test = PausedEngine::start().await;
    let mut worker = ScriptedWorker::join(&test.engine, hello(0)).await;
    let mut summaries = test.watch(&["q"]);
    let start_ms = test.now_ms();
    let first = next(&mut summaries).await;
    assert_eq!(
        (first.window_ms, queue_names(&first)),
        (0, vec![]),
        "the first summary comes at once, before the queue exists"
    );
    let mut activity = Activity::default();
    for second in 0..130_u64 {
        let at_ms = start_ms + second * 1_000 + 100;
        test.sleep_until_ms(at_ms).await;
        let count = if second < 80 { 1 + second % 5 } else { 0 };
        let (wait_ms, run_ms) = (second * 37 % 290, 1 + second * 53 % 410);
        for _ in 0..count {
            test.enqueue("q").await;
            activity.enqueued.push(test.now_ms());
        }
        test.sleep_until_ms(at_ms + wait_ms).await;
        worker.credit(count as usize).await;
        let jobs = worker.accept_jobs(count as usize).await;
        activity.started.extend(jobs.iter().map(|_| (at_ms + wait_ms, wait_ms)));
        test.sleep_until_ms(at_ms + wait_ms + run_ms).await;
        for (nth, job) in (second..).zip(&jobs) {
            let (item, list) = match nth % 4 {
                0 => (failed_report(job, false), &mut activity.failed),
                _ => (succeeded_report(job), &mut activity.succeeded),
            };
            worker.report(vec![item]).await;
            list.push((at_ms + wait_ms + run_ms, run_ms));
        }
        let summary = next(&mut summaries).await;
        let now_ms = test.now_ms();
        assert_eq!(now_ms, start_ms + (second + 1) * 1_000, "one summary each second");
        assert_eq!(summary.as_of, T0 + now_ms as Millis);
        // At a full second the window includes the second that starts.
        assert_eq!(summary.window_ms, ((second + 1) * 1_000).min(59_000));
        activity.check(&summary, now_ms - summary.window_ms);
    }
    assert!(activity.started.len() > 200 && activity.failed.len() > 50);
    worker.bye().await;
    test.close().await;
}

#[tokio::test(start_paused = true)]
async fn ready_and_running_jobs_are_counted() {
    let test = PausedEngine::start().await;
    let mut worker = ScriptedWorker::join(&test.engine, hello(2)).await;
    let mut summaries = test.watch(&["q", "other"]);
    next(&mut summaries).await;
    let mut ready_at = Vec::new();
    for _ in 0..5 {
        test.enqueue("q").await;
        ready_at.push(test.enqueue("other").await.status.ready_at);
    }
    let age = |summary: &Summary| Some((summary.as_of - ready_at[0]).cast_unsigned());
    let running = worker.accept_jobs(2).await;
    let summary = next(&mut summaries).await;
    assert_eq!(queue_names(&summary), ["other", "q"]);
    assert_eq!(states(of_queue(&summary, "other")), [(State::Ready, 5)].into());
    assert_eq!(states(of_queue(&summary, "q")), [(State::Ready, 3), (State::Running, 2)].into());
    assert_eq!(of_queue(&summary, "other").activity.enqueued_per_second, 5.0);
    assert_eq!(of_queue(&summary, "other").oldest_ready_ms, age(&summary));
    worker.report(vec![succeeded_report(&running[0])]).await;
    let summary = next(&mut summaries).await;
    let expected = [(State::Ready, 3), (State::Running, 1), (State::Succeeded, 1)];
    assert_eq!(states(of_queue(&summary, "q")), expected.into());
    worker.credit(4).await;
    worker.accept_jobs(3).await;
    let summary = next(&mut summaries).await;
    let oldest = |queue| of_queue(&summary, queue).oldest_ready_ms;
    assert_eq!((oldest("q"), oldest("other")), (None, age(&summary)), "running jobs are not ready");
    worker.bye().await;
    test.close().await;
}

#[tokio::test(start_paused = true)]
async fn summaries_are_computed_once_for_all_readers() {
    let test = PausedEngine::start().await;
    for queue in ["a", "b"] {
        test.enqueue(queue).await;
    }
    let (mut one, mut other) = (test.watch(&[]), test.watch(&["b"]));
    let mut late = test.watch(&["a", "b"]);
    for second in 0..5 {
        let (of_one, of_other) = (next(&mut one).await, next(&mut other).await);
        assert_eq!((queue_names(&of_one), queue_names(&of_other)), (vec!["a", "b"], vec!["b"]));
        assert_eq!(of_one.as_of, of_other.as_of, "in second {second}");
        assert!(Arc::ptr_eq(&of_one.queues[1], &of_other.queues[0]), "in second {second}");
    }
    let before = next(&mut one).await;
    // The first summary of a new stream comes at once.
    let mut same = test.watch(&[]);
    assert!(Arc::ptr_eq(&next(&mut same).await.queues[0], &before.queues[0]));
    let opened_ms = test.now_ms();
    let mut new = test.watch(&["a"]);
    assert_eq!(queue_names(&next(&mut new).await), ["a"]);
    assert!(test.now_ms() - opened_ms <= 200, "the first summary must come within 200 ms");
    // A slow reader gets the newest summary and then the next one.
    for _ in 0..4 {
        next(&mut one).await;
    }
    let newest = next(&mut late).await;
    assert_eq!(newest.as_of, T0 + test.now_ms() as Millis);
    assert!(next(&mut late).await.as_of - newest.as_of >= 900, "older summaries are skipped");
    test.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_reader_sees_only_queues_of_its_scopes() {
    let test = PausedEngine::start().await;
    for queue in ["a", "mail", "mail-bulk", "zoo"] {
        test.enqueue(queue).await;
    }
    let scopes = |patterns: &[&str]| Scopes::new(patterns.iter().map(|&one| Name::from(one)));
    let mut scoped = test.watch_scoped(&[], scopes(&["mail*", "zoo"]));
    assert_eq!(queue_names(&next(&mut scoped).await), ["mail", "mail-bulk", "zoo"]);
    let mut named = test.watch_scoped(&["zoo", "a", "mail"], scopes(&["mail"]));
    assert_eq!(queue_names(&next(&mut named).await), ["mail"]);
    let mut unknown = test.watch(&["nowhere", "zoo"]);
    assert_eq!(queue_names(&next(&mut unknown).await), ["zoo"]);
    for (queues, fault) in
        [(vec!["a b".to_owned()], "' '"), (vec!["a".to_owned(); 101], "at most 100")]
    {
        let queues = queues.iter().map(|queue| Name::from(queue.as_str())).collect();
        let selection = SummarySelection { queues, within: Scopes::ALL };
        let Err(EngineError::Invalid(errors)) = test.engine.summaries().open(selection, true)
        else {
            panic!("the selection was accepted")
        };
        assert_eq!(errors[0].field, "summary.queues");
        assert!(errors[0].description.contains(fault), "{errors:?}");
    }
    test.close().await;
}

#[tokio::test(start_paused = true)]
async fn counting_continues_for_a_while_after_the_last_reader() {
    let test = PausedEngine::start().await;
    let mut summaries = test.watch(&["q"]);
    next(&mut summaries).await;
    test.enqueue("q").await;
    next(&mut summaries).await;
    drop(summaries);
    let closed_ms = test.now_ms();
    test.sleep_until_ms(closed_ms + 10_000).await;
    let mut again = test.watch(&["q"]);
    let summary = next(&mut again).await;
    assert!(summary.window_ms >= 11_000, "a reloaded page keeps its window: {}", summary.window_ms);
    assert!(of_queue(&summary, "q").activity.enqueued_per_second > 0.0);
    drop(again);
    test.sleep_until_ms(test.now_ms() + 20_000).await;
    test.enqueue("q").await;
    let mut after = test.watch(&["q"]);
    let summary = next(&mut after).await;
    assert_eq!((summary.window_ms, of_queue(&summary, "q").activity.enqueued_per_second), (0, 0.0));
    assert_eq!(states(of_queue(&summary, "q")), [(State::Ready, 2)].into());
    test.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_summary_of_all_queues_has_the_first_ones() {
    let test = PausedEngine::start().await;
    let max = SUMMARY_QUEUES_DEFAULT as usize;
    for nth in (0..max + 2).rev() {
        let queue = Queue::with_defaults(format!("n{nth:04}").into(), 0);
        test.engine.queues().create(queue).await.expect("create a queue");
    }
    let summary = next(&mut test.watch(&[])).await;
    assert_eq!(summary.queues.len(), max);
    assert_eq!((&*summary.queues[0].queue, &*summary.queues[max - 1].queue), ("n0000", "n0999"));
    // A later queue can be selected by name.
    assert_eq!(queue_names(&next(&mut test.watch(&["n1001"])).await), ["n1001"]);
    test.close().await;
}
