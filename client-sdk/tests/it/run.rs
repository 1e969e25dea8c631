//! How the Rust worker runs handlers: panics, dropped futures, handlers that block their runtime.

use std::time::Duration;

use sentinel_client::proto::workers::v1::Verdict;
use sentinel_client::proto::workers::v1::session_request::Frame as RequestFrame;
use sentinel_client::worker::JobContext;

use crate::scripted_server::{RunningWorker, ScriptedServer, failure, job, lease_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_is_reported_as_a_retryable_failure() {
    let mut server = ScriptedServer::start().await;
    let panics = async |job: JobContext| assert!(job.job_id().is_empty(), "intended panic");
    let _worker = RunningWorker::start(server.worker().handler("panic", panics));
    let (mut stream, _) = server.accept_session().await;
    stream.assign(vec![job("j1", "panic")]).await;
    let (_, error) = failure(&stream.report_item().await);
    assert_eq!((error.code.as_str(), error.retryable), ("PANIC", true));
    assert!(error.message.contains("intended panic"), "{}", error.message);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_ignores_its_run_timeout_is_dropped_and_its_slot_is_free() {
    let mut server = ScriptedServer::start().await;
    let hangs = async |_: JobContext| std::future::pending::<()>().await;
    let _worker = RunningWorker::start(server.worker().handler("hang", hangs).concurrency(1));
    let (mut stream, _) = server.accept_session().await;
    let mut assignment = job("j1", "hang");
    assignment.run_timeout = Some(prost_types::Duration { seconds: 0, nanos: 20_000_000 });
    stream.assign(vec![assignment]).await;
    let item = stream.report_item().await;
    let (failed, error) = failure(&item);
    assert!(failed.timeout && error.retryable);
    stream.ack(&lease_of(&item), Verdict::Recorded).await;
    let credit = stream.next_matching(|frame| match frame {
        RequestFrame::Credit(credit) => Some(credit),
        _ => None,
    });
    assert_eq!(credit.await.jobs, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_never_yields_does_not_delay_pings() {
    let mut server = ScriptedServer::start().await;
    let spins = async |_: JobContext| {
        let start = std::time::Instant::now();
        while start.elapsed() < Duration::from_millis(600) {
            std::hint::spin_loop();
        }
    };
    // A runtime with a single thread, which the handler blocks.
    let worker = server.worker().handler("spin", spins).build().unwrap();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            tokio::select! {
                result = worker.run(std::future::pending()) => result,
                () = tokio::time::sleep(Duration::from_millis(900)) => Ok(()),
            }
        })
    });
    let (mut stream, _) = server.accept_session().await;
    stream.assign(vec![job("j1", "spin")]).await;
    let pings = stream.pings_until_report().await;
    assert!(pings >= 4, "{pings} pings in 600 ms at an interval of 50 ms");
    thread.join().unwrap().unwrap();
}
