//! Property tests: random commands to a job. They are independent of the golden file.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use sentinel_domain::{
    Command, CommandError, Decision, Failure, Job, LeaseId, Millis, NewJob, OnLost, State, decide,
    invariant, limits,
};

use crate::fixture::{ALICE, BOB, PARENTS, T0, cancel, enqueue, failure, new_job};

/// Returns a runner with a fixed seed, or with that of SENTINEL_TEST_SEED.
pub(crate) fn runner(cases: u32) -> TestRunner {
    let seed = std::env::var("SENTINEL_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let rng_seed = RngSeed::Fixed(seed.unwrap_or(7));
    TestRunner::new(Config { cases, rng_seed, failure_persistence: None, ..Config::default() })
}

/// A job with its observed history.
#[derive(Clone, Debug)]
pub(crate) struct JobHistory {
    pub(crate) job: Job,
    /// All granted leases, oldest first.
    pub(crate) leases: Vec<LeaseId>,
    /// Epochs whose report was accepted.
    reported: BTreeSet<u64>,
    /// Runs that reached a terminal state.
    terminal_runs: BTreeSet<u32>,
    /// Attempts of the current run.
    started: u32,
    /// Attempts of the current run that do not count.
    returned: u32,
}

impl JobHistory {
    pub(crate) fn new(job: Job) -> Self {
        let mut terminal_runs = BTreeSet::new();
        if job.status.state.is_terminal() {
            terminal_runs.insert(1);
        }
        let (started, returned) = (0, 0);
        let (leases, reported) = (Vec::new(), BTreeSet::new());
        Self { job, leases, reported, terminal_runs, started, returned }
    }

    /// Applies a command and checks the result. Returns whether it was accepted.
    pub(crate) fn apply(&mut self, command: &Command, now: Millis) -> bool {
        match decide(&self.job, command, now) {
            Err(error) => {
                self.check_error(command, error);
                false
            }
            Ok(decision) => {
                self.check_decision(command, &decision, now);
                self.record(command, &decision);
                assert_eq!(self.job.status.attempt, self.started - self.returned, "{self:?}");
                assert!(self.started - self.returned <= self.job.spec.retry.max_attempts);
                crate::deadline::check(&self.job);
                true
            }
        }
    }

    fn check_error(&self, command: &Command, error: CommandError) {
        let state = self.job.status.state;
        if let Some(lease) = lease_of(command) {
            let live = self.job.status.lease.is_some_and(|live| live.id == lease);
            assert!(
                !live || error == CommandError::CheckpointTooLarge,
                "the current lease is refused: {command:?} {error:?} {self:?}"
            );
            if error == CommandError::Duplicate {
                assert!(self.reported.contains(&lease.epoch), "{lease:?} never reported: {self:?}");
            }
        }
        match command {
            Command::Cancel { .. } => {
                assert!(state.is_terminal() || self.job.status.cancel.is_some())
            }
            Command::Retry => assert!(!state.is_terminal() || self.job.is_deleted()),
            Command::Delete => assert!(state == State::Running || self.job.is_deleted()),
            Command::RunNow => assert!(state != State::Scheduled),
            Command::Replace => assert!(!state.is_waiting()),
            _ => {}
        }
    }

    fn check_decision(&self, command: &Command, decision: &Decision, now: Millis) {
        let (before, after) = (&self.job.status, &decision.job.status);
        let context = || format!("{command:?} at {now}: {self:?} became {after:?}");
        assert_eq!(invariant::violated(&decision.job), [""; 0], "{}", context());
        assert_eq!(
            invariant::violated_transition(&self.job, &decision.job),
            [""; 0],
            "{}",
            context()
        );
        if let Some(lease) = lease_of(command) {
            assert_eq!(
                before.lease.map(|live| live.id),
                Some(lease),
                "a stale lease changed the job: {}",
                context()
            );
        }
        if before.state.is_terminal() {
            assert!(matches!(command, Command::Retry | Command::Delete), "{}", context());
            assert!(!self.job.is_deleted(), "{}", context());
        } else if before.cancel.is_some() {
            let ends = after.state.is_terminal() || after.lease == before.lease;
            assert!(ends, "an attempt after a cancel: {}", context());
        }
        if let Command::Succeed { result, .. } = command {
            let kept = result.len() as u64 <= limits::RESULT_BYTES;
            assert_eq!(after.state == State::Succeeded, kept, "{}", context());
        } else if !decision.job.is_deleted() {
            assert_ne!(after.state, State::Succeeded, "{}", context());
        }
        self.check_end(command, decision, now);
    }

    fn check_end(&self, command: &Command, decision: &Decision, now: Millis) {
        let (before, after) = (&self.job.status, &decision.job.status);
        let over = before.lease.is_some() && after.lease.is_none();
        let row = over && after.state != State::Succeeded;
        assert_eq!(decision.attempt_end.is_some(), row, "{command:?}: {self:?} became {after:?}");
        if let Some(end) = &decision.attempt_end {
            assert_eq!(Some(end.epoch), before.lease.map(|lease| lease.id.epoch));
            assert_eq!((end.run, end.attempt), (before.run, before.attempt));
            assert!(end.started_at.is_none_or(|at| at <= end.ended_at) && end.ended_at == now);
        }
        if over && after.state == State::Scheduled {
            let longest_ms = match command {
                Command::Snooze { .. } => limits::DELAY_MAX_MS,
                Command::Fail { failure: Failure { next_delay_ms: Some(_), .. }, .. } => {
                    limits::RETRY_CAP_MAX_MS
                }
                _ => self.job.spec.retry.cap_ms,
            };
            let backoff_ms =
                u64::try_from(after.ready_at - now).expect("a backoff is not negative");
            assert!((1..=longest_ms).contains(&backoff_ms), "{command:?} waits {backoff_ms} ms");
        }
    }

    fn record(&mut self, command: &Command, decision: &Decision) {
        let (before, after) = (&self.job.status, &decision.job.status);
        if after.run != before.run {
            (self.started, self.returned) = (0, 0);
        }
        if let (None, Some(lease)) = (before.lease, after.lease) {
            self.started += 1;
            self.leases.push(lease.id);
        }
        let returns_job = matches!(
            command,
            Command::NotReceived { .. } | Command::Release { .. } | Command::Snooze { .. }
        );
        if returns_job && !after.state.is_terminal() {
            self.returned += 1;
        }
        if let (Some(lease), true) = (before.lease, after.lease.is_none()) {
            let by_report = lease_of(command).is_some();
            if by_report && !matches!(command, Command::NotReceived { .. }) {
                self.reported.insert(lease.id.epoch);
            }
        }
        if after.state.is_terminal() && !before.state.is_terminal() {
            assert!(
                self.terminal_runs.insert(after.run),
                "run {} reached a terminal state twice",
                after.run
            );
        }
        self.job = decision.job.clone();
    }
}

fn lease_of(command: &Command) -> Option<LeaseId> {
    match command {
        Command::NotReceived { lease }
        | Command::Release { lease }
        | Command::Succeed { lease, .. }
        | Command::Fail { lease, .. }
        | Command::Snooze { lease, .. }
        | Command::Stop { lease, .. }
        | Command::Checkpoint { lease, .. } => Some(*lease),
        _ => None,
    }
}

/// Random numbers from which [`command`] creates a command.
type Input = (u8, u8, u32, Option<u64>, Option<Millis>);

/// Returns a command, mostly under the current lease, otherwise under an old or an unknown one.
fn command(history: &JobHistory, (kind, which, entropy, delay_ms, started_at): Input) -> Command {
    let unknown_lease = LeaseId { run: 1, attempt: 1, epoch: 1, session: BOB };
    let lease = match which % 8 {
        0 => unknown_lease,
        1 => history.leases.first().copied().unwrap_or(unknown_lease),
        2 => LeaseId { session: BOB, ..history.leases.last().copied().unwrap_or(unknown_lease) },
        _ => history.leases.last().copied().unwrap_or(unknown_lease),
    };
    let session = if which % 3 == 0 { BOB } else { ALICE };
    let failed = |retryable, timed_out| Command::Fail {
        lease,
        started_at,
        failure: Failure { entropy, timed_out, ..failure(retryable, delay_ms) },
    };
    let outcome = State::ALL[usize::from(which) % State::ALL.len()];
    match kind % 24 {
        0 => Command::Promote,
        1 => Command::Expire,
        2..=5 => Command::Start { session, worker: "w".into() },
        6 => Command::NotReceived { lease },
        7 => Command::Succeed { lease, started_at, result: "r".into() },
        8..=10 => failed(true, which % 4 == 0),
        11 => failed(false, false),
        12 => Command::Snooze { lease, started_at, delay_ms: delay_ms.unwrap_or(0) },
        13 => Command::Release { lease },
        14 => Command::Stop { lease, started_at, entropy },
        15 => Command::Checkpoint { lease, data: "half".into() },
        16 => cancel(),
        17 => Command::Revoke,
        18 => Command::MarkLost { session },
        19 => Command::TimeOut { entropy },
        20 => Command::Unblock { parent: PARENTS[usize::from(which) % 2], outcome },
        21 => Command::Replace,
        _ => Command::Retry,
    }
}

fn input() -> impl Strategy<Value = Input> {
    let delay_ms = proptest::option::of(prop_oneof![0..1_000_u64, any::<u64>()]);
    let started_at = proptest::option::of(prop_oneof![T0..T0 + 100_000, any::<i64>()]);
    (any::<u8>(), any::<u8>(), any::<u32>(), delay_ms, started_at)
}

fn spec() -> impl Strategy<Value = NewJob> {
    let deadline = proptest::option::of(2_000..60_000_i64);
    (1..5_u32, 0..3_usize, any::<[bool; 4]>(), deadline).prop_map(
        |(max_attempts, parents, [later, timeout, fail, grace], deadline)| NewJob {
            max_attempts,
            delay_ms: later.then_some(1_000),
            start_deadline: deadline.map(|at| T0 + at),
            run_timeout_ms: timeout.then_some(500),
            cancel_grace_ms: grace.then_some(300),
            on_lost: fail.then_some(OnLost::Fail),
            jitter: None,
            depends_on: PARENTS[..parents].iter().map(ToString::to_string).collect(),
            ..new_job()
        },
    )
}

#[test]
fn random_commands_violate_no_invariant() {
    let steps = proptest::collection::vec((input(), 0..3_000_i64), 1..80);
    let run = |(new, steps): (NewJob, Vec<(Input, Millis)>)| {
        let mut history = JobHistory::new(enqueue(new));
        let mut now = T0;
        for (input, elapsed_ms) in steps {
            now += elapsed_ms;
            let command = command(&history, input);
            history.apply(&command, now);
            // Promote often, so that the run does not get stuck in SCHEDULED.
            if input.1 % 2 == 0 {
                history.apply(&Command::Promote, now);
            }
        }
        Ok(())
    };
    runner(2_000).run(&(spec(), steps), run).expect("no invariant is violated");
}

#[test]
fn a_success_under_the_current_lease_is_always_accepted() {
    let steps = proptest::collection::vec((input(), 0..500_i64), 1..20);
    let wins = std::cell::Cell::new(0);
    runner(5_000)
        .run(&(spec(), steps), |(new, steps)| {
            let mut history = JobHistory::new(enqueue(new));
            let mut now = T0;
            for (input, elapsed_ms) in steps {
                now += elapsed_ms;
                let command = command(&history, input);
                history.apply(&command, now);
            }
            if let Some(lease) = history.job.status.lease.map(|lease| lease.id) {
                let succeed = Command::Succeed { lease, started_at: None, result: "r".into() };
                prop_assert!(history.apply(&succeed, now));
                prop_assert_eq!(history.job.status.state, State::Succeeded);
                wins.set(wins.get() + 1);
            }
            Ok(())
        })
        .expect("every success is accepted");
    assert!(wins.get() > 20, "only {} runs ended with a running job", wins.get());
}
