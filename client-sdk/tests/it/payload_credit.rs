//! Payload bytes are granted as a soft limit, which never becomes unlimited by accident.

use std::sync::Arc;

use sentinel_client::proto::workers::v1::session_request::Frame as RequestFrame;
use sentinel_client::proto::workers::v1::{Assignment, Credit, Verdict};
use sentinel_client::worker::{JobContext, Outcome};
use tokio::sync::Semaphore;

use crate::scripted_server::{RunningWorker, ScriptedServer, SessionStream, job, lease_of};

fn job_with_payload(id: &str, bytes: usize) -> Assignment {
    Assignment { payload: vec![7; bytes].into(), ..job(id, "wait") }
}

async fn next_credit(stream: &mut SessionStream) -> Credit {
    stream
        .next_matching(|frame| match frame {
            RequestFrame::Credit(credit) => Some(credit),
            _ => None,
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payload_bytes_are_granted_again_when_their_handlers_finish() {
    let mut server = ScriptedServer::start().await;
    let finish = Arc::new(Semaphore::new(0));
    let may_finish = finish.clone();
    let handler = move |_: JobContext| {
        let may_finish = may_finish.clone();
        async move {
            may_finish.acquire().await.unwrap().forget();
            Outcome::Succeed(Default::default())
        }
    };
    let builder = server.worker().handler("wait", handler).concurrency(8);
    let _worker = RunningWorker::start(builder.max_running_payload_bytes(100));
    let (mut stream, hello) = server.accept_session().await;
    let credit = hello.credit.unwrap();
    assert_eq!((credit.jobs, credit.bytes), (8, 100));
    // Uses 60 of 100 bytes, then 150: the second job exceeds the limit.
    stream.assign(vec![job_with_payload("a", 60)]).await;
    stream.assign(vec![job_with_payload("b", 90)]).await;
    let mut granted = (8 - 2, 100 - 150);
    for running in [1, 0] {
        finish.add_permits(1);
        let item = stream.report_item().await;
        stream.ack(&lease_of(&item), Verdict::Recorded).await;
        let credit = next_credit(&mut stream).await;
        assert!(credit.bytes > 0, "0 would mean unlimited");
        granted = (granted.0 + credit.jobs, granted.1 + i64::try_from(credit.bytes).unwrap());
        assert_eq!(granted.0, 8 - running);
    }
    // A grant has at least one byte, so the sum may exceed the limit by one.
    assert!((100..=101).contains(&granted.1), "{granted:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_of_zero_means_unlimited() {
    let mut server = ScriptedServer::start().await;
    let handler = async |_: JobContext| Outcome::Succeed(Default::default());
    let builder = server.worker().handler("wait", handler).max_running_payload_bytes(0);
    let _worker = RunningWorker::start(builder);
    let (mut stream, hello) = server.accept_session().await;
    assert_eq!(hello.credit.unwrap().bytes, 0);
    stream.assign(vec![job_with_payload("a", 60)]).await;
    assert_eq!(next_credit(&mut stream).await.bytes, 0);
}
