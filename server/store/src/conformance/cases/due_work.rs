//! What a sweeper is told.

use sentinel_domain::{Job, NewJob, on_deadline};

use super::{Case, T0};
use crate::conformance::make;
use crate::{Mutation, ServerId, SessionRow, Transaction};

pub(super) async fn deadlines(mut case: Case) {
    case.session(1).await;
    let hurry = |new: &mut NewJob| new.start_deadline = Some(T0 + 10);
    let slow = |new: &mut NewJob| new.run_timeout_ms = Some(100);
    let late = make::job_with(make::spec("q", "k", T0, hurry), T0, 1);
    let long = make::job_with(make::spec("q", "run", T0, slow), T0, 2);
    case.must(T0, vec![make::create(&late), make::create(&long)]).await;
    case.claim(T0, &["q"], &["run"], 1).await;
    assert!(case.store.due_work(T0 + 9, 9).await.expect("answers").deadlines.is_empty());
    let due = case.store.due_work(T0 + 10, 9).await.expect("answers").deadlines;
    assert_eq!(due.iter().map(|job| job.id).collect::<Vec<_>>(), [late.id]);
    let all = case.store.due_work(T0 + 60_000, 9).await.expect("answers").deadlines;
    assert_eq!(all.len(), 2);
    let one = case.store.due_work(T0 + 60_000, 1).await.expect("answers").deadlines;
    assert_eq!(one.len(), 1, "at most what was asked");
    for id in [late.id, long.id] {
        let command = |job: &Job| on_deadline(job, T0 + 60_000, 0).expect("its alarm went off");
        case.does(id, command, T0 + 60_000).await;
    }
    assert!(case.store.due_work(T0 + 60_000, 9).await.expect("answers").deadlines.is_empty());
}

pub(super) async fn lost_jobs_and_expired_sessions(mut case: Case) {
    let job = make::job("q", "k", T0, 1);
    let (busy, idle) = (make::session(1), make::session(2));
    let groups = vec![
        make::create(&job),
        make::put_session(busy, 1, T0 + 10),
        make::put_session(idle, 1, T0 + 20),
    ];
    case.must(T0, groups).await;
    case.claim(T0, &["q"], &["k"], 1).await;
    let found = case.store.due_work(T0 + 20, 9).await.expect("answers");
    assert_eq!(found.lost.iter().map(|job| job.id).collect::<Vec<_>>(), [job.id]);
    let row = SessionRow { id: idle, owner: ServerId(1), expires_at: T0 + 20 };
    assert_eq!(found.expired, [row]);
    let drop =
        |id| Transaction { changes: vec![Mutation::DropSession(id)], ..Transaction::default() };
    case.must(T0 + 20, vec![drop(busy), drop(idle)]).await;
    let found = case.store.due_work(T0, 9).await.expect("answers");
    assert_eq!(found.lost.len(), 1, "an orphan is seen, whatever the time");
    assert!(found.expired.is_empty());
    let lose = |job: &Job| sentinel_domain::Command::Lose {
        session: job.status.lease.expect("it runs").session,
    };
    case.does(job.id, lose, T0 + 20).await;
    assert!(case.store.due_work(T0 + 20, 9).await.expect("answers").lost.is_empty());
}

pub(super) async fn wake_at_says_when(mut case: Case) {
    let call = case.writer.call(T0).done();
    let none = case.commit(call).await;
    assert_eq!(none.wake_at, None);
    let session = case.writer.call(T0).group(make::put_session(make::session(1), 1, T0 + 70));
    assert_eq!(case.commit(session.done()).await.wake_at, Some(T0 + 70));
    let set = |new: &mut NewJob| new.delay_ms = Some(50);
    let later = make::job_with(make::spec("q", "k", T0, set), T0, 1);
    let later = case.writer.call(T0).group(make::create(&later)).done();
    assert_eq!(case.commit(later).await.wake_at, Some(T0 + 50));
    let hurry = |new: &mut NewJob| new.start_deadline = Some(T0 + 30);
    let hurry = make::job_with(make::spec("q", "k", T0, hurry), T0, 2);
    let hurry = case.writer.call(T0).group(make::create(&hurry)).done();
    assert_eq!(case.commit(hurry).await.wake_at, Some(T0 + 30));
    let call = case.writer.call(T0 + 99).done();
    let now = case.commit(call).await;
    assert_eq!(now.wake_at, Some(T0 + 99), "never before now");
}

pub(super) async fn orphans_wake_nobody_twice(mut case: Case) {
    let job = make::job("q", "k", T0, 1);
    let session = make::session(1);
    case.must(T0, vec![make::create(&job), make::put_session(session, 1, T0 + 90)]).await;
    case.claim(T0, &["q"], &["k"], 1).await;
    let drop =
        Transaction { changes: vec![Mutation::DropSession(session)], ..Transaction::default() };
    let call = case.writer.call(T0 + 1).group(drop).done();
    assert_eq!(case.commit(call).await.wake_at, Some(T0 + 1), "its job is lost");
    let lose = |_: &Job| sentinel_domain::Command::Lose { session };
    case.does(job.id, lose, T0 + 2).await;
    let call = case.writer.call(T0 + 2).done();
    assert_eq!(case.commit(call).await.wake_at, None, "nothing is left to do");
}

pub(super) async fn lost_jobs_behind_idle_sessions(mut case: Case) {
    let jobs = [1, 2].map(|n| make::job("q", "k", T0, n));
    case.must(T0, jobs.iter().map(make::create).collect()).await;
    for number in 1..=4 {
        case.must(T0, vec![make::put_session(make::session(number), 1, T0 + number as i64)]).await;
    }
    for number in [3, 4] {
        let claim = make::claim(make::session(number), &["q"], &["k"], 1);
        let call = case.writer.call(T0).claim(claim).done();
        assert_eq!(case.commit(call).await.claimed[0].len(), 1);
    }
    let found = case.store.due_work(T0 + 9, 3).await.expect("answers");
    assert_eq!((found.expired.len(), found.lost.len()), (2, 2), "neither reached its limit");
}
