//! Jobs from assignment to report, and the room for them.

use std::time::Duration;

use sentinel_client::proto::workers::v1::session_request::Frame as Up;
use sentinel_client::proto::workers::v1::{Verdict, report_item};
use sentinel_client::worker::{HandlerError, JobContext, Outcome};

use crate::peer::{Peer, Running, failure, is_success, job, lease, lease_of};

async fn echo(job: JobContext) -> Outcome {
    Outcome::Succeed(job.payload().clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_received_run_and_reported() {
    let mut peer = Peer::listen().await;
    let worker = peer.worker().handler("echo", echo).input_schema("echo", r#"{"type":"string"}"#);
    let _worker = Running::start(worker.concurrency(2).label("zone", "a"));
    let (mut stream, hello) = peer.greet().await;
    assert_eq!(hello.queues, ["default"]);
    assert_eq!(hello.kinds[0].name, "echo");
    assert_eq!(hello.kinds[0].input_schema, r#"{"type":"string"}"#);
    assert_eq!(hello.labels["zone"], "a");
    assert_eq!(hello.instance, "w1");
    assert_eq!(hello.credit.unwrap().jobs, 2);
    assert!(hello.session.is_empty() && hello.held.is_empty());

    let mut assignment = job("j1", "echo");
    assignment.payload = "hi".into();
    stream.assign(vec![assignment]).await;
    match stream.next().await {
        Some(Up::Received(received)) => assert_eq!(received.assign_seq, 1),
        other => panic!("expected Received, got {other:?}"),
    }
    let item = stream.report_item().await;
    assert_eq!(item.lease, Some(lease("j1")));
    assert!(item.started_at.is_some());
    match item.outcome {
        Some(report_item::Outcome::Succeeded(done)) => assert_eq!(done.result, "hi"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn granted_room_is_conserved() {
    const CONCURRENCY: u32 = 50;
    let mut peer = Peer::listen().await;
    let _worker = Running::start(peer.worker().handler("echo", echo).concurrency(CONCURRENCY));
    let (mut stream, hello) = peer.greet().await;
    let mut room = hello.credit.unwrap().jobs;
    let (mut assigned, mut reported) = (0u32, 0u32);
    while reported < 2000 || room < CONCURRENCY {
        // Odd sizes, never above what was granted.
        let batch = room.min(1 + assigned % 7).min(2000 - assigned.min(2000));
        if batch > 0 {
            let ids = (assigned..assigned + batch).map(|n| format!("j{n}"));
            stream.assign(ids.map(|id| job(&id, "echo")).collect()).await;
            room -= batch;
            assigned += batch;
        }
        match stream.next().await.unwrap() {
            Up::Credit(credit) => room += credit.jobs,
            Up::Report(report) => {
                for item in &report.items {
                    assert!(is_success(item));
                    stream.ack(&lease_of(item), Verdict::Recorded).await;
                }
                reported += u32::try_from(report.items.len()).unwrap();
            }
            _ => {}
        }
        let running = assigned - reported;
        assert!(room + running <= CONCURRENCY + 1000, "granted more than there is room for");
        assert!(room <= CONCURRENCY, "{room} granted");
    }
    assert_eq!((assigned, reported, room), (2000, 2000, CONCURRENCY));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_granted_is_handed_back() {
    let mut peer = Peer::listen().await;
    let waits = async |job: JobContext| job.cancelled().await;
    let _worker = Running::start(peer.worker().handler("wait", waits).concurrency(1));
    let (mut stream, _) = peer.greet().await;
    stream.assign(vec![job("j1", "wait"), job("j2", "wait")]).await;
    let item = stream.report_item().await;
    assert_eq!(item.lease, Some(lease("j2")));
    assert!(matches!(item.outcome, Some(report_item::Outcome::Released(_))), "{item:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_panics_and_snoozes_are_reported() {
    let mut peer = Peer::listen().await;
    let builder = peer
        .worker()
        .handler("fatal", async |_: JobContext| -> Result<(), HandlerError> {
            Err(HandlerError::non_retryable("no").with_code("E1"))
        })
        .handler("panic", async |job: JobContext| {
            assert!(job.job_id().is_empty(), "on purpose");
        })
        .handler("snooze", async |_: JobContext| Outcome::Snooze(Duration::from_secs(3)));
    let _worker = Running::start(builder);
    let (mut stream, _) = peer.greet().await;

    stream.assign(vec![job("j1", "fatal")]).await;
    let (_, error) = failure(&stream.report_item().await);
    assert_eq!((error.message.as_str(), error.code.as_str(), error.retryable), ("no", "E1", false));

    stream.assign(vec![job("j2", "panic")]).await;
    let (_, error) = failure(&stream.report_item().await);
    assert_eq!((error.code.as_str(), error.retryable), ("PANIC", true));
    assert!(error.message.contains("on purpose"), "{}", error.message);

    stream.assign(vec![job("j3", "snooze")]).await;
    match stream.report_item().await.outcome {
        Some(report_item::Outcome::Snoozed(snoozed)) => {
            assert_eq!(snoozed.delay.unwrap().seconds, 3);
        }
        other => panic!("{other:?}"),
    }

    stream.assign(vec![job("j4", "unknown")]).await;
    let (_, error) = failure(&stream.report_item().await);
    assert_eq!((error.code.as_str(), error.retryable), ("NO_HANDLER", true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_timeout_is_reported_and_frees_the_slot() {
    let mut peer = Peer::listen().await;
    let hangs = async |_: JobContext| std::future::pending::<()>().await;
    let _worker = Running::start(peer.worker().handler("hang", hangs).concurrency(1));
    let (mut stream, _) = peer.greet().await;
    let mut assignment = job("j1", "hang");
    assignment.run_timeout = Some(prost_types::Duration { seconds: 0, nanos: 20_000_000 });
    stream.assign(vec![assignment]).await;
    let item = stream.report_item().await;
    let (failed, error) = failure(&item);
    assert!(failed.timeout && error.retryable);
    stream.ack(&lease_of(&item), Verdict::Recorded).await;
    // The handler never returns; its future is dropped after the grace and the slot is free.
    let credit =
        stream.until(|frame| if let Up::Credit(credit) = frame { Some(credit) } else { None });
    assert_eq!(credit.await.jobs, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_that_never_yield_delay_no_ping() {
    let mut peer = Peer::listen().await;
    let spins = async |_: JobContext| {
        let start = std::time::Instant::now();
        while start.elapsed() < Duration::from_millis(600) {
            std::hint::spin_loop();
        }
    };
    // The worker's own runtime has one thread, and the handler takes all of it.
    let worker = peer.worker().handler("spin", spins).build().unwrap();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            tokio::select! {
                result = worker.run(std::future::pending()) => result,
                () = tokio::time::sleep(Duration::from_millis(900)) => Ok(()),
            }
        })
    });
    let (mut stream, _) = peer.greet().await;
    stream.assign(vec![job("j1", "spin")]).await;
    let pings = stream.pings_until_report().await;
    assert!(pings >= 4, "{pings} pings in 600 ms at one each 50 ms");
    thread.join().unwrap().unwrap();
}
