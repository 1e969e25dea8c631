//! The output of running jobs: it can be read while it is written, across the death of the server
//! and of the worker, and afterwards.

use futures_util::StreamExt;
use sentinel_client::Client;
use sentinel_client::proto::jobs::v1::{JobState, ReadOutputRequest};
use serde_json::json;

use crate::harness::{
    TIMEOUT, TestServer, demo_job, enqueue, sentinel, wait_state, wait_terminal, wait_until,
};

fn lines(count: u64) -> String {
    (1..=count).map(|n| format!("{n}\n")).collect()
}

/// Returns the output of the newest attempt so far.
async fn output(client: &Client, id: &str) -> String {
    let request = ReadOutputRequest { id: id.to_owned(), ..ReadOutputRequest::default() };
    let mut pieces = client.read_output(request).await.expect("output");
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next().await {
        bytes.extend_from_slice(&piece.expect("a piece").data);
    }
    String::from_utf8(bytes).expect("lines")
}

#[tokio::test]
async fn a_reader_follows_the_output_across_server_restarts() {
    let mut server = TestServer::start().await;
    let client = server.client();
    let _worker = server.start_worker("w1", &[]).await;
    let id = enqueue(&client, demo_job("output", json!({"lines": 60, "line_ms": 20}))).await;
    let (mut read, mut offset, mut kills) = (Vec::new(), 0, 0);
    loop {
        let request =
            ReadOutputRequest { id: id.clone(), offset, follow: true, ..Default::default() };
        let mut pieces = client.read_output(request).await.expect("an open stream");
        let mut is_complete = true;
        while let Some(piece) = pieces.next().await {
            let Ok(piece) = piece else {
                is_complete = false;
                break;
            };
            assert_eq!((piece.run, piece.attempt, piece.offset), (1, 1, offset));
            offset += piece.data.len() as u64;
            read.extend_from_slice(&piece.data);
            if kills < 2 && offset > 30 * (kills + 1) {
                kills += 1;
                server.kill().await;
                server.restart().await;
            }
        }
        if is_complete {
            break;
        }
    }
    assert_eq!(kills, 2);
    assert_eq!(String::from_utf8(read).expect("lines"), lines(60));
    let job = wait_terminal(&client, &id).await;
    assert_eq!((job.state(), job.attempt, job.crashes), (JobState::Succeeded, 1, 0));
    let url = server.url();
    let printed = sentinel(["job", "output", &id, "--server", &url]).await.ok();
    assert_eq!(printed, lines(60));
    let rest = sentinel(["job", "output", &id, "--server", &url, "--offset", "18"]).await.ok();
    assert_eq!(rest, lines(60)[18..]);
    let pieces = sentinel(["job", "output", &id, "--server", &url, "--json"]).await.json();
    assert_eq!(pieces[0], json!({"run": 1, "attempt": 1, "offset": 0, "dataBase64": "MQo="}));
    client.delete(&id).await.expect("delete the job");
    wait_until("the output is deleted", TIMEOUT, || async {
        let request = ReadOutputRequest { id: id.clone(), ..ReadOutputRequest::default() };
        client.read_output(request).await.is_err().then_some(())
    })
    .await;
}

#[tokio::test]
async fn each_attempt_has_its_own_output() {
    let server = TestServer::start().await;
    let client = server.client();
    let mut first = server.start_worker("w1", &[]).await;
    let id = enqueue(&client, demo_job("output", json!({"lines": 30, "line_ms": 50}))).await;
    wait_state(&client, &id, JobState::Running).await;
    wait_until("a second line", TIMEOUT, || async {
        (output(&client, &id).await.len() >= 4).then_some(())
    })
    .await;
    first.kill().await;
    let _second = server.start_worker("w2", &[]).await;
    let job = wait_terminal(&client, &id).await;
    assert_eq!((job.state(), job.attempt, job.crashes), (JobState::Succeeded, 2, 1));
    assert_eq!(output(&client, &id).await, lines(30));
    let of_first = ReadOutputRequest { id: id.clone(), attempt: 1, ..ReadOutputRequest::default() };
    let mut pieces = client.read_output(of_first).await.expect("output");
    let first = pieces.next().await.expect("a piece").expect("a piece");
    assert_eq!((first.attempt, first.offset, first.data.as_ref()), (1, 0, b"1\n".as_slice()));
}
