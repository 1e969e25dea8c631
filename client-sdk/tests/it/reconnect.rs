//! Lost streams: what the worker still holds, what it sends again, and what it forgets.

use std::sync::Arc;
use std::time::Duration;

use sentinel_client::proto::workers::v1::session_request::Frame as Up;
use sentinel_client::proto::workers::v1::session_response::Frame as Down;
use sentinel_client::proto::workers::v1::{Assign, GoAway, HeldVerdict, Revoked, Verdict};
use sentinel_client::worker::{JobContext, Outcome, SessionTimings, Worker};
use tokio::sync::{Notify, mpsc};
use tonic::Code;

use crate::peer::{Peer, Running, is_success, job, lease, lease_of, tuning};

async fn noop(_: JobContext) {}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unacknowledged_report_is_held_and_sent_again() {
    let mut peer = Peer::listen().await;
    let _worker = Running::start(peer.worker().handler("noop", noop).concurrency(4));
    let (mut stream, _) = peer.greet().await;
    stream.assign(vec![job("j1", "noop")]).await;
    let first = stream.report_item().await;
    stream.cut().await;

    let mut stream = peer.accept().await;
    let hello = stream.hello().await;
    assert_eq!(hello.session, "s1");
    assert_eq!(hello.held, [lease("j1")]);
    assert_eq!(hello.credit.unwrap().jobs, 4, "a reported job uses no slot");
    stream.welcome("s1", &[HeldVerdict::Keep]).await;
    let second = stream.report_item().await;
    assert_eq!(first, second);
    stream.ack(&lease("j1"), Verdict::Duplicate).await;
    // A verdict that comes twice, and one about nothing, change nothing.
    stream.ack(&lease("j1"), Verdict::Recorded).await;
    stream.ack(&lease("never"), Verdict::Fenced).await;
    stream.assign(vec![job("j2", "noop")]).await;
    let item = stream.report_item().await;
    stream.ack(&lease_of(&item), Verdict::Recorded).await;
    stream.assign(vec![job("j3", "noop")]).await;
    stream.report_item().await;
    stream.cut().await;
    assert_eq!(peer.accept().await.hello().await.held, [lease("j3")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verdicts_of_welcome_are_obeyed() {
    let mut peer = Peer::listen().await;
    let (stopped_tx, mut stopped) = mpsc::channel(4);
    let waits = move |job: JobContext| {
        let stopped = stopped_tx.clone();
        async move {
            job.cancelled().await;
            stopped.send(job.job_id().to_owned()).await.unwrap();
        }
    };
    let builder = peer.worker().handler("noop", noop).handler("wait", waits).concurrency(4);
    let _worker = Running::start(builder);
    let (mut stream, _) = peer.greet().await;
    stream.assign(vec![job("running", "wait"), job("reported", "noop")]).await;
    stream.report_item().await;
    stream.cut().await;

    let mut stream = peer.accept().await;
    let hello = stream.hello().await;
    assert_eq!(hello.held, [lease("running"), lease("reported")]);
    assert_eq!(hello.credit.unwrap().jobs, 3);
    stream.welcome("s2", &[HeldVerdict::Revoked, HeldVerdict::AlreadyRecorded]).await;
    assert_eq!(stopped.recv().await.unwrap(), "running");
    // Neither is ever reported: the next report is about the next job.
    let mut third = job("next", "noop");
    third.lease.as_mut().unwrap().session = "s2".to_owned();
    stream.assign(vec![third]).await;
    assert_eq!(lease_of(&stream.report_item().await).job_id, "next");
    stream.cut().await;
    let hello = peer.accept().await.hello().await;
    assert_eq!(hello.session, "s2");
    assert_eq!(hello.held.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_frame_stops_the_handler_without_a_report() {
    let mut peer = Peer::listen().await;
    let waits = async |job: JobContext| job.cancelled().await;
    let builder = peer.worker().handler("noop", noop).handler("wait", waits).concurrency(1);
    let _worker = Running::start(builder);
    let (mut stream, _) = peer.greet().await;
    stream.assign(vec![job("j1", "wait")]).await;
    stream.send(Down::Revoked(Revoked { leases: vec![lease("j1"), lease("unknown")] })).await;
    let frame = stream.until(|frame| match frame {
        Up::Received(_) => None,
        frame => Some(frame),
    });
    assert!(matches!(frame.await, Up::Credit(credit) if credit.jobs == 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retry_later_sends_the_same_report_again() {
    let mut peer = Peer::listen().await;
    let _worker = Running::start(peer.worker().handler("noop", noop));
    let (mut stream, _) = peer.greet().await;
    stream.assign(vec![job("j1", "noop")]).await;
    let first = stream.report_item().await;
    for _ in 0..3 {
        stream.ack(&lease("j1"), Verdict::RetryLater).await;
        assert_eq!(stream.report_item().await, first);
    }
    stream.ack(&lease("j1"), Verdict::Recorded).await;
    stream.cut().await;
    assert!(peer.accept().await.hello().await.held.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_assignment_runs_once() {
    let mut peer = Peer::listen().await;
    let go = Arc::new(Notify::new());
    let gate = go.clone();
    let gated = move |_: JobContext| {
        let gate = gate.clone();
        async move { gate.notified().await }
    };
    let _worker = Running::start(peer.worker().handler("gated", gated).handler("noop", noop));
    let (mut stream, _) = peer.greet().await;
    stream.assign(vec![job("j1", "gated")]).await;
    // The same frame, then the same lease under a new number.
    let again = Assign { assign_seq: 1, items: vec![job("j1", "gated")] };
    stream.send(Down::Assign(again)).await;
    stream.assign(vec![job("j1", "gated"), job("j2", "noop")]).await;
    assert_eq!(lease_of(&stream.report_item().await).job_id, "j2");
    go.notify_one();
    assert_eq!(lease_of(&stream.report_item().await).job_id, "j1");
    // No permit is left for a second run of j1, and none waits for one.
    stream.assign(vec![job("j3", "noop")]).await;
    assert_eq!(lease_of(&stream.report_item().await).job_id, "j3");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_is_a_dead_stream() {
    let mut peer = Peer::listen().await;
    let tuning = SessionTimings { silence: Duration::from_millis(200), ..tuning() };
    let waits = async |job: JobContext| job.cancelled().await;
    let _worker = Running::start(peer.worker().handler("wait", waits).timings(tuning));
    let (mut silent, _) = peer.greet().await;
    silent.assign(vec![job("j1", "wait")]).await;
    // The old stream stays open and says nothing; the worker does not wait for its end.
    let mut stream = peer.accept().await;
    let hello = stream.hello().await;
    assert_eq!((hello.session.as_str(), hello.held), ("s1", vec![lease("j1")]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn go_away_opens_the_new_stream_before_leaving_the_old_one() {
    let mut peer = Peer::listen().await;
    let waits = async |job: JobContext| job.cancelled().await;
    let builder = peer.worker().handler("noop", noop).handler("wait", waits).concurrency(3);
    let _worker = Running::start(builder);
    let (mut old, _) = peer.greet().await;
    old.assign(vec![job("running", "wait"), job("reported", "noop")]).await;
    old.report_item().await;
    let within = prost_types::Duration { seconds: 0, nanos: 20_000_000 };
    old.send(Down::GoAway(GoAway { reconnect_within: Some(within) })).await;

    let mut new = peer.accept().await;
    let hello = new.hello().await;
    assert_eq!(hello.session, "s1");
    assert_eq!(hello.held, [lease("running"), lease("reported")]);
    // A verdict on the old stream still counts while the new one is not yet welcomed.
    old.ack(&lease("reported"), Verdict::Recorded).await;
    new.welcome("s1", &[HeldVerdict::Keep, HeldVerdict::Keep]).await;
    old.until(|frame| matches!(frame, Up::Bye(_)).then_some(())).await;
    assert!(old.next().await.is_none());
    let mut next = job("next", "noop");
    next.lease.as_mut().unwrap().epoch = 9;
    new.assign(vec![next]).await;
    loop {
        let item = new.report_item().await;
        assert!(is_success(&item));
        match lease_of(&item).job_id.as_str() {
            // The verdict and the Welcome came by two ways; either may be first.
            "reported" => {}
            id => break assert_eq!(id, "next"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_server_is_tried_when_one_is_down() {
    let mut peer = Peer::listen().await;
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let builder = Worker::builder(format!("http://{closed}"))
        .endpoint(peer.url())
        .queue("default")
        .timings(tuning())
        .handler("noop", noop);
    let _worker = Running::start(builder);
    peer.greet().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_first_hello_ends_the_worker() {
    let mut peer = Peer::listen().await;
    let worker = Running::start(peer.worker().handler("noop", noop));
    let mut stream = peer.accept().await;
    stream.hello().await;
    stream.refuse(Code::NotFound, "queue default does not exist").await;
    let error = worker.ended().await.unwrap_err();
    assert_eq!(error.code(), Some(Code::NotFound));
    assert!(error.to_string().contains("queue default"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_success_of_a_handler_survives_the_loss_of_its_stream() {
    let mut peer = Peer::listen().await;
    let go = Arc::new(Notify::new());
    let gate = go.clone();
    let gated = move |_: JobContext| {
        let gate = gate.clone();
        async move {
            gate.notified().await;
            Outcome::Succeed("done".into())
        }
    };
    let _worker = Running::start(peer.worker().handler("gated", gated));
    let (mut stream, _) = peer.greet().await;
    stream.assign(vec![job("j1", "gated")]).await;
    stream.until(|frame| matches!(frame, Up::Received(_)).then_some(())).await;
    stream.cut().await;
    let mut stream = peer.accept().await;
    assert_eq!(stream.hello().await.held, [lease("j1")]);
    // It ends between Hello and Welcome.
    go.notify_one();
    stream.welcome("s1", &[HeldVerdict::Keep]).await;
    assert!(is_success(&stream.report_item().await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_leaves_before_its_welcome_is_dialled_again() {
    let mut peer = Peer::listen().await;
    let _worker = Running::start(peer.worker().handler("noop", noop));
    for code in [Code::Unavailable, Code::Internal, Code::ResourceExhausted] {
        let mut stream = peer.accept().await;
        stream.hello().await;
        stream.refuse(code, "not now").await;
    }
    // Without any status, as a proxy does.
    drop(peer.accept().await);
    peer.greet().await;
}
