//! Which jobs a claim gets.

use sentinel_domain::{Queue, QueueMode, QueueOrder, State, limits::PRIORITY_BOOST_MS};

use super::{Case, T0};
use crate::conformance::make;

pub(super) async fn by_age(mut case: Case) {
    case.session(1).await;
    let jobs = [3, 1, 2].map(|n| make::job("q", "k", T0 + n, n as u64));
    case.must(T0 + 5, jobs.iter().map(make::create).collect()).await;
    let order = case.claim(T0 + 5, &["q"], &["k"], 2).await;
    assert_eq!(order, [jobs[1].id, jobs[2].id]);
    assert_eq!(case.claim(T0 + 5, &["q"], &["k"], 9).await, [jobs[0].id]);
    assert_eq!(case.claim(T0 + 5, &["q"], &["k"], 9).await, []);
}

pub(super) async fn by_priority(mut case: Case) {
    case.session(1).await;
    let boost = PRIORITY_BOOST_MS as i64;
    let at = |n, at, priority| {
        make::job_with(make::spec("q", "k", at, |new| new.priority = priority), at, n)
    };
    let old = at(1, T0, 0);
    let urgent = at(2, T0 + boost - 1, 1);
    let late = at(3, T0 + boost + 1, 1);
    let jobs = [&late, &old, &urgent];
    case.must(T0 + 2 * boost, jobs.into_iter().map(make::create).collect()).await;
    let order = case.claim(T0 + 2 * boost, &["q"], &["k"], 9).await;
    assert_eq!(order, [urgent.id, old.id, late.id], "a level is worth so much waiting");
}

pub(super) async fn strict_order(mut case: Case) {
    case.session(1).await;
    let mut queue = Queue::with_defaults("q".into(), T0);
    queue.order = QueueOrder::Strict;
    case.must(T0, vec![make::put_queue(queue)]).await;
    let year = 365 * 86_400_000;
    let at = |n, at, priority| {
        make::job_with(make::spec("q", "k", at, |new| new.priority = priority), at, n)
    };
    let jobs = [at(1, T0, 0), at(2, T0 + year, 9), at(3, T0 + year - 1, 9)];
    case.must(T0, jobs.iter().map(make::create).collect()).await;
    let row = make::put_session(make::session(1), 1, T0 + 2 * year);
    case.must(T0, vec![row]).await;
    let order = case.claim(T0 + year, &["q"], &["k"], 9).await;
    assert_eq!(order, [jobs[2].id, jobs[1].id, jobs[0].id], "age never beats priority");
}

pub(super) async fn a_paused_queue_starts_nothing(mut case: Case) {
    case.session(1).await;
    let jobs = [("q", 1), ("other", 2), ("q", 3)].map(|(q, n)| make::job(q, "k", T0 + n, n as u64));
    case.must(T0 + 5, jobs.iter().map(make::create).collect()).await;
    for order in [QueueOrder::Aging, QueueOrder::Strict] {
        let declared = |mode| Queue { order, mode, ..Queue::with_defaults("q".into(), T0) };
        case.must(T0 + 5, vec![make::put_queue(declared(QueueMode::Paused))]).await;
        let first = case.claim(T0 + 5, &["q", "other"], &["k"], 9).await;
        assert!(first == [jobs[1].id] || order == QueueOrder::Strict && first.is_empty());
        case.must(T0 + 5, vec![make::put_queue(declared(QueueMode::Draining))]).await;
        let next = if order == QueueOrder::Aging { jobs[0].id } else { jobs[2].id };
        assert_eq!(case.claim(T0 + 5, &["q", "other"], &["k"], 1).await, [next]);
    }
}

pub(super) async fn across_classes(mut case: Case) {
    case.session(1).await;
    let places = [("b", "y"), ("a", "x"), ("b", "x"), ("a", "y"), ("c", "x"), ("a", "z")];
    let mut jobs = Vec::new();
    for (n, (queue, kind)) in (0..).zip(places.into_iter().cycle().take(30)) {
        jobs.push(make::job(queue, kind, T0 + n, n as u64));
    }
    case.must(T0 + 99, jobs.iter().rev().map(make::create).collect()).await;
    let mine: Vec<_> = jobs
        .iter()
        .filter(|job| &*job.spec.queue != "c" && &*job.spec.kind != "z")
        .map(|job| job.id)
        .collect();
    let first = case.claim(T0 + 99, &["a", "b"], &["x", "y"], 7).await;
    assert_eq!(first, mine[..7], "the lowest of all classes");
    assert_eq!(case.claim(T0 + 99, &["a", "b"], &["x", "y"], 99).await, mine[7..]);
}

pub(super) async fn unknown_kinds_stay(mut case: Case) {
    case.session(1).await;
    let (strange, known) = (make::job("q", "strange", T0, 1), make::job("q", "known", T0, 2));
    case.must(T0, vec![make::create(&strange), make::create(&known)]).await;
    assert_eq!(case.claim(T0, &["q"], &["known"], 9).await, [known.id], "not blocked by it");
    let there = case.read(strange.id).await.expect("is not thrown away");
    assert_eq!(there.status.state, State::Ready);
}

pub(super) async fn bounded_by_bytes(mut case: Case) {
    case.session(1).await;
    let heavy = |new: &mut sentinel_domain::NewJob| new.payload = vec![b'x'; 100].into();
    let jobs = [1, 2, 3, 4].map(|n| make::job_with(make::spec("q", "k", T0, heavy), T0, n));
    case.must(T0, jobs.iter().map(make::create).collect()).await;
    let claim =
        |max_bytes| crate::Claim { max_bytes, ..make::claim(make::session(1), &["q"], &["k"], 9) };
    for (max_bytes, expected) in [(0, 0), (1, 1), (101, 2), (9_999, 1)] {
        let call = case.writer.call(T0).claim(claim(max_bytes)).done();
        let got = case.commit(call).await.claimed[0].len();
        assert_eq!(got, expected, "at most one job over {max_bytes} bytes");
    }
}

pub(super) async fn past_deadlines_are_skipped(mut case: Case) {
    case.session(1).await;
    let hurry = |new: &mut sentinel_domain::NewJob| new.start_deadline = Some(T0 + 10);
    let late = make::job_with(make::spec("q", "k", T0, hurry), T0, 1);
    let other = make::job("q", "k", T0, 2);
    case.must(T0, vec![make::create(&late), make::create(&other)]).await;
    assert_eq!(case.claim(T0 + 10, &["q"], &["k"], 1).await, [other.id]);
    let there = case.read(late.id).await.expect("is left to the sweeper");
    assert_eq!(there.status.state, State::Ready);
}

pub(super) async fn one_commit_from_enqueue_to_assignment(mut case: Case) {
    let job = make::job("q", "k", T0, 1);
    let spare = make::job("q", "other", T0, 2);
    let call = case
        .writer
        .call(T0)
        .group(make::create(&job))
        .group(make::create(&spare))
        .group(make::put_session(make::session(1), 1, T0 + 1_000))
        .claim(make::claim(make::session(1), &["q"], &["k"], 9));
    let outcome = case.commit(call.done()).await;
    let running = &outcome.claimed[0][0];
    let lease = running.status.lease.expect("it runs");
    assert_eq!((lease.run, lease.attempt, lease.epoch, lease.granted_at), (1, 1, 1, T0));
    assert_eq!((running.id, lease.session), (job.id, make::session(1)));
    assert_eq!(case.read(job.id).await.as_ref(), Some(running));
    assert_eq!(outcome.ready, [("q".into(), "other".into())], "what nobody took");
}
