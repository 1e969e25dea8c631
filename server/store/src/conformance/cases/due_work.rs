//! Due work for the sweeper.

use sentinel_domain::{Job, NewJob, deadline_command};

use super::{Case, T0};
use crate::conformance::fixture;
use crate::{Mutation, ServerId, SessionRow, Transaction};

pub(super) async fn deadlines_are_reported_when_they_pass(mut case: Case) {
    case.put_session(1).await;
    let with_deadline = |new: &mut NewJob| new.start_deadline = Some(T0 + 10);
    let slow = |new: &mut NewJob| new.run_timeout_ms = Some(100);
    let late = fixture::job_from_spec(fixture::spec("q", "k", T0, with_deadline), T0, 1);
    let long = fixture::job_from_spec(fixture::spec("q", "run", T0, slow), T0, 2);
    case.must_apply(T0, vec![fixture::create(&late), fixture::create(&long)]).await;
    case.claim(T0, &["q"], &["run"], 1).await;
    assert!(
        case.store.due_work(T0 + 9, 9).await.expect("the store answers").past_deadline.is_empty()
    );
    let due = case.store.due_work(T0 + 10, 9).await.expect("the store answers").past_deadline;
    assert_eq!(due.iter().map(|job| job.id).collect::<Vec<_>>(), [late.id]);
    let all = case.store.due_work(T0 + 60_000, 9).await.expect("the store answers").past_deadline;
    assert_eq!(all.len(), 2);
    let one = case.store.due_work(T0 + 60_000, 1).await.expect("the store answers").past_deadline;
    assert_eq!(one.len(), 1, "at most the limit");
    for id in [late.id, long.id] {
        let command =
            |job: &Job| deadline_command(job, T0 + 60_000, 0).expect("the deadline has passed");
        case.execute(id, command, T0 + 60_000).await;
    }
    assert!(
        case.store
            .due_work(T0 + 60_000, 9)
            .await
            .expect("the store answers")
            .past_deadline
            .is_empty()
    );
}

pub(super) async fn lost_jobs_and_expired_sessions_are_reported(mut case: Case) {
    let job = fixture::job("q", "k", T0, 1);
    let (busy, idle) = (fixture::session(1), fixture::session(2));
    let transactions = vec![
        fixture::create(&job),
        fixture::put_session(busy, 1, T0 + 10),
        fixture::put_session(idle, 1, T0 + 20),
    ];
    case.must_apply(T0, transactions).await;
    case.claim(T0, &["q"], &["k"], 1).await;
    let found = case.store.due_work(T0 + 20, 9).await.expect("the store answers");
    assert_eq!(found.lost.iter().map(|job| job.id).collect::<Vec<_>>(), [job.id]);
    let row = SessionRow { id: idle, owner: ServerId(1), expires_at: T0 + 20 };
    assert_eq!(found.expired_sessions, [row]);
    let drop =
        |id| Transaction { mutations: vec![Mutation::DropSession(id)], ..Transaction::default() };
    case.must_apply(T0 + 20, vec![drop(busy), drop(idle)]).await;
    let found = case.store.due_work(T0, 9).await.expect("the store answers");
    assert_eq!(found.lost.len(), 1, "a job of a missing session is lost at any time");
    assert!(found.expired_sessions.is_empty());
    let lose = |job: &Job| sentinel_domain::Command::MarkLost {
        session: job.status.lease.expect("the job is running").id.session,
    };
    case.execute(job.id, lose, T0 + 20).await;
    assert!(case.store.due_work(T0 + 20, 9).await.expect("the store answers").lost.is_empty());
}

pub(super) async fn next_due_at_is_the_earliest_deadline(mut case: Case) {
    let request = case.writer.request(T0).build();
    let none = case.commit(request).await;
    assert_eq!(none.next_due_at, None);
    let session =
        case.writer.request(T0).transaction(fixture::put_session(fixture::session(1), 1, T0 + 70));
    assert_eq!(case.commit(session.build()).await.next_due_at, Some(T0 + 70));
    let edit = |new: &mut NewJob| new.delay_ms = Some(50);
    let later = fixture::job_from_spec(fixture::spec("q", "k", T0, edit), T0, 1);
    let later = case.writer.request(T0).transaction(fixture::create(&later)).build();
    assert_eq!(case.commit(later).await.next_due_at, Some(T0 + 50));
    let with_deadline = |new: &mut NewJob| new.start_deadline = Some(T0 + 30);
    let with_deadline = fixture::job_from_spec(fixture::spec("q", "k", T0, with_deadline), T0, 2);
    let with_deadline =
        case.writer.request(T0).transaction(fixture::create(&with_deadline)).build();
    assert_eq!(case.commit(with_deadline).await.next_due_at, Some(T0 + 30));
    let request = case.writer.request(T0 + 99).build();
    let now = case.commit(request).await;
    assert_eq!(now.next_due_at, Some(T0 + 99), "never before now");
}

pub(super) async fn a_dropped_session_is_due_until_its_jobs_are_settled(mut case: Case) {
    let job = fixture::job("q", "k", T0, 1);
    let session = fixture::session(1);
    case.must_apply(T0, vec![fixture::create(&job), fixture::put_session(session, 1, T0 + 90)])
        .await;
    case.claim(T0, &["q"], &["k"], 1).await;
    let drop =
        Transaction { mutations: vec![Mutation::DropSession(session)], ..Transaction::default() };
    let request = case.writer.request(T0 + 1).transaction(drop).build();
    assert_eq!(
        case.commit(request).await.next_due_at,
        Some(T0 + 1),
        "the job of the dropped session is lost"
    );
    let lose = |_: &Job| sentinel_domain::Command::MarkLost { session };
    case.execute(job.id, lose, T0 + 2).await;
    let request = case.writer.request(T0 + 2).build();
    assert_eq!(case.commit(request).await.next_due_at, None, "no work is due");
}

pub(super) async fn idle_expired_sessions_do_not_hide_lost_jobs(mut case: Case) {
    let jobs = [1, 2].map(|n| fixture::job("q", "k", T0, n));
    case.must_apply(T0, jobs.iter().map(fixture::create).collect()).await;
    for number in 1..=4 {
        case.must_apply(
            T0,
            vec![fixture::put_session(fixture::session(number), 1, T0 + number as i64)],
        )
        .await;
    }
    for number in [3, 4] {
        let claim = fixture::claim(fixture::session(number), &["q"], &["k"], 1);
        let request = case.writer.request(T0).claim(claim).build();
        assert_eq!(case.commit(request).await.claimed[0].len(), 1);
    }
    let found = case.store.due_work(T0 + 9, 3).await.expect("the store answers");
    assert_eq!(
        (found.expired_sessions.len(), found.lost.len()),
        (2, 2),
        "neither jobs nor sessions reached the limit"
    );
}
