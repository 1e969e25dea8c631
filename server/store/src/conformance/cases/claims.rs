//! The selection of jobs for claims.

use sentinel_domain::{Queue, QueueMode, QueueOrder, State, limits::PRIORITY_BOOST_MS};

use super::{Case, T0};
use crate::conformance::fixture;

pub(super) async fn older_jobs_start_first(mut case: Case) {
    case.put_session(1).await;
    let jobs = [3, 1, 2].map(|n| fixture::job("q", "k", T0 + n, n as u64));
    case.must_apply(T0 + 5, jobs.iter().map(fixture::create).collect()).await;
    let order = case.claim(T0 + 5, &["q"], &["k"], 2).await;
    assert_eq!(order, [jobs[1].id, jobs[2].id]);
    assert_eq!(case.claim(T0 + 5, &["q"], &["k"], 9).await, [jobs[0].id]);
    assert_eq!(case.claim(T0 + 5, &["q"], &["k"], 9).await, []);
}

pub(super) async fn a_priority_level_equals_its_boost_in_waiting_time(mut case: Case) {
    case.put_session(1).await;
    let boost = PRIORITY_BOOST_MS as i64;
    let at = |n, at, priority| {
        fixture::job_from_spec(fixture::spec("q", "k", at, |new| new.priority = priority), at, n)
    };
    let old = at(1, T0, 0);
    let urgent = at(2, T0 + boost - 1, 1);
    let late = at(3, T0 + boost + 1, 1);
    let jobs = [&late, &old, &urgent];
    case.must_apply(T0 + 2 * boost, jobs.into_iter().map(fixture::create).collect()).await;
    let order = case.claim(T0 + 2 * boost, &["q"], &["k"], 9).await;
    assert_eq!(
        order,
        [urgent.id, old.id, late.id],
        "a priority level is worth its boost in waiting time"
    );
}

pub(super) async fn strict_order_ignores_age_across_priorities(mut case: Case) {
    case.put_session(1).await;
    let mut queue = Queue::with_defaults("q".into(), T0);
    queue.order = QueueOrder::Strict;
    case.must_apply(T0, vec![fixture::put_queue(queue)]).await;
    let year = 365 * 86_400_000;
    let at = |n, at, priority| {
        fixture::job_from_spec(fixture::spec("q", "k", at, |new| new.priority = priority), at, n)
    };
    let jobs = [at(1, T0, 0), at(2, T0 + year, 9), at(3, T0 + year - 1, 9)];
    case.must_apply(T0, jobs.iter().map(fixture::create).collect()).await;
    let row = fixture::put_session(fixture::session(1), 1, T0 + 2 * year);
    case.must_apply(T0, vec![row]).await;
    let order = case.claim(T0 + year, &["q"], &["k"], 9).await;
    assert_eq!(order, [jobs[2].id, jobs[1].id, jobs[0].id], "priority precedes age");
}

pub(super) async fn a_paused_queue_starts_no_jobs(mut case: Case) {
    case.put_session(1).await;
    let jobs =
        [("q", 1), ("other", 2), ("q", 3)].map(|(q, n)| fixture::job(q, "k", T0 + n, n as u64));
    case.must_apply(T0 + 5, jobs.iter().map(fixture::create).collect()).await;
    for order in [QueueOrder::Aging, QueueOrder::Strict] {
        let declared = |mode| Queue { order, mode, ..Queue::with_defaults("q".into(), T0) };
        case.must_apply(T0 + 5, vec![fixture::put_queue(declared(QueueMode::Paused))]).await;
        let first = case.claim(T0 + 5, &["q", "other"], &["k"], 9).await;
        assert!(first == [jobs[1].id] || order == QueueOrder::Strict && first.is_empty());
        case.must_apply(T0 + 5, vec![fixture::put_queue(declared(QueueMode::Draining))]).await;
        let next = if order == QueueOrder::Aging { jobs[0].id } else { jobs[2].id };
        assert_eq!(case.claim(T0 + 5, &["q", "other"], &["k"], 1).await, [next]);
    }
}

pub(super) async fn a_claim_merges_all_queues_and_kinds(mut case: Case) {
    case.put_session(1).await;
    let places = [("b", "y"), ("a", "x"), ("b", "x"), ("a", "y"), ("c", "x"), ("a", "z")];
    let mut jobs = Vec::new();
    for (n, (queue, kind)) in (0..).zip(places.into_iter().cycle().take(30)) {
        jobs.push(fixture::job(queue, kind, T0 + n, n as u64));
    }
    case.must_apply(T0 + 99, jobs.iter().rev().map(fixture::create).collect()).await;
    let mine: Vec<_> = jobs
        .iter()
        .filter(|job| &*job.spec.queue != "c" && &*job.spec.kind != "z")
        .map(|job| job.id)
        .collect();
    let first = case.claim(T0 + 99, &["a", "b"], &["x", "y"], 7).await;
    assert_eq!(first, mine[..7], "the oldest jobs of all queues and kinds");
    assert_eq!(case.claim(T0 + 99, &["a", "b"], &["x", "y"], 99).await, mine[7..]);
}

pub(super) async fn jobs_of_other_kinds_stay_ready(mut case: Case) {
    case.put_session(1).await;
    let (other_kind, known) =
        (fixture::job("q", "strange", T0, 1), fixture::job("q", "known", T0, 2));
    case.must_apply(T0, vec![fixture::create(&other_kind), fixture::create(&known)]).await;
    assert_eq!(
        case.claim(T0, &["q"], &["known"], 9).await,
        [known.id],
        "a job of another kind does not block the queue"
    );
    let current = case.read(other_kind.id).await.expect("the job is stored");
    assert_eq!(current.status.state, State::Ready);
}

pub(super) async fn a_claim_exceeds_its_bytes_by_at_most_one_job(mut case: Case) {
    case.put_session(1).await;
    let heavy = |new: &mut sentinel_domain::NewJob| new.payload = vec![b'x'; 100].into();
    let jobs =
        [1, 2, 3, 4].map(|n| fixture::job_from_spec(fixture::spec("q", "k", T0, heavy), T0, n));
    case.must_apply(T0, jobs.iter().map(fixture::create).collect()).await;
    let claim = |max_bytes| crate::Claim {
        max_bytes,
        ..fixture::claim(fixture::session(1), &["q"], &["k"], 9)
    };
    for (max_bytes, expected) in [(0, 0), (1, 1), (101, 2), (9_999, 1)] {
        let request = case.writer.request(T0).claim(claim(max_bytes)).build();
        let got = case.commit(request).await.claimed[0].len();
        assert_eq!(got, expected, "at most one job over {max_bytes} bytes");
    }
}

pub(super) async fn jobs_past_their_start_deadline_are_skipped(mut case: Case) {
    case.put_session(1).await;
    let with_deadline = |new: &mut sentinel_domain::NewJob| new.start_deadline = Some(T0 + 10);
    let late = fixture::job_from_spec(fixture::spec("q", "k", T0, with_deadline), T0, 1);
    let other = fixture::job("q", "k", T0, 2);
    case.must_apply(T0, vec![fixture::create(&late), fixture::create(&other)]).await;
    assert_eq!(case.claim(T0 + 10, &["q"], &["k"], 1).await, [other.id]);
    let current = case.read(late.id).await.expect("the sweeper expires the job later");
    assert_eq!(current.status.state, State::Ready);
}

pub(super) async fn one_commit_enqueues_and_assigns(mut case: Case) {
    let job = fixture::job("q", "k", T0, 1);
    let spare = fixture::job("q", "other", T0, 2);
    let request = case
        .writer
        .request(T0)
        .transaction(fixture::create(&job))
        .transaction(fixture::create(&spare))
        .transaction(fixture::put_session(fixture::session(1), 1, T0 + 1_000))
        .claim(fixture::claim(fixture::session(1), &["q"], &["k"], 9));
    let result = case.commit(request.build()).await;
    let running = &result.claimed[0][0];
    let lease = running.status.lease.expect("the job is running");
    assert_eq!((lease.id.run, lease.id.attempt, lease.id.epoch, lease.granted_at), (1, 1, 1, T0));
    assert_eq!((running.id, lease.id.session), (job.id, fixture::session(1)));
    assert_eq!(case.read(job.id).await.as_ref(), Some(running));
    assert_eq!(result.ready, [("q".into(), "other".into())], "only unclaimed jobs are reported");
}
