//! A handler that finishes while its worker reconnects.

use std::sync::Arc;

use sentinel_client::proto::workers::v1::HeldVerdict;
use sentinel_client::proto::workers::v1::session_request::Frame as RequestFrame;
use sentinel_client::worker::{JobContext, Outcome};
use tokio::sync::Notify;

use crate::scripted_server::{RunningWorker, ScriptedServer, is_success, job, lease};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_success_between_hello_and_welcome_is_reported() {
    let mut server = ScriptedServer::start().await;
    let finish = Arc::new(Notify::new());
    let may_finish = finish.clone();
    let handler = move |_: JobContext| {
        let may_finish = may_finish.clone();
        async move {
            may_finish.notified().await;
            Outcome::Succeed("done".into())
        }
    };
    let _worker = RunningWorker::start(server.worker().handler("wait", handler));
    let (mut stream, _) = server.accept_session().await;
    stream.assign(vec![job("j1", "wait")]).await;
    stream.next_matching(|frame| matches!(frame, RequestFrame::Received(_)).then_some(())).await;
    stream.disconnect().await;
    let mut stream = server.accept().await;
    assert_eq!(stream.hello().await.held, [lease("j1")]);
    finish.notify_one();
    stream.welcome("s1", &[HeldVerdict::Keep]).await;
    assert!(is_success(&stream.report_item().await));
}
