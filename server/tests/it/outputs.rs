//! What a handler hands out before its job ends: read while it comes, through the death of the
//! server and of the worker, and afterwards.

use futures_util::StreamExt;
use sentinel_client::Client;
use sentinel_client::proto::jobs::v1::{JobState, ReadOutputRequest};
use serde_json::json;

use crate::harness::{PATIENCE, World, demo, end_of, enqueue, in_state, sentinel, until};

fn lines(count: u64) -> String {
    (1..=count).map(|n| format!("{n}\n")).collect()
}

/// What there is of the newest attempt.
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
async fn a_reader_follows_the_output_through_the_death_of_the_server() {
    let mut world = World::start().await;
    let client = world.client();
    let _worker = world.worker("w1", &[]).await;
    let id = enqueue(&client, demo("output", json!({"lines": 60, "line_ms": 20}))).await;
    let (mut read, mut offset, mut kills) = (Vec::new(), 0, 0);
    loop {
        let request =
            ReadOutputRequest { id: id.clone(), offset, follow: true, ..Default::default() };
        let mut pieces = client.read_output(request).await.expect("is open");
        let mut is_whole = true;
        while let Some(piece) = pieces.next().await {
            let Ok(piece) = piece else {
                is_whole = false;
                break;
            };
            assert_eq!((piece.run, piece.attempt, piece.offset), (1, 1, offset));
            offset += piece.data.len() as u64;
            read.extend_from_slice(&piece.data);
            if kills < 2 && offset > 30 * (kills + 1) {
                kills += 1;
                world.server.kill().await;
                world.server.restart().await;
            }
        }
        if is_whole {
            break;
        }
    }
    assert_eq!(kills, 2);
    assert_eq!(String::from_utf8(read).expect("lines"), lines(60));
    let job = end_of(&client, &id).await;
    assert_eq!((job.state(), job.attempt, job.crashes), (JobState::Succeeded, 1, 0));
    let server = world.server.url();
    let written = sentinel(["job", "output", &id, "--server", &server]).await.ok();
    assert_eq!(written, lines(60));
    let rest = sentinel(["job", "output", &id, "--server", &server, "--offset", "18"]).await.ok();
    assert_eq!(rest, lines(60)[18..]);
    let pieces = sentinel(["job", "output", &id, "--server", &server, "--json"]).await.json();
    assert_eq!(pieces[0], json!({"run": 1, "attempt": 1, "offset": 0, "dataBase64": "MQo="}));
    client.delete(&id).await.expect("is deleted");
    until("its output is gone", PATIENCE, || async {
        let request = ReadOutputRequest { id: id.clone(), ..ReadOutputRequest::default() };
        client.read_output(request).await.is_err().then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_next_attempt_hands_out_its_own() {
    let world = World::start().await;
    let client = world.client();
    let mut first = world.worker("w1", &[]).await;
    let id = enqueue(&client, demo("output", json!({"lines": 30, "line_ms": 50}))).await;
    in_state(&client, &id, JobState::Running).await;
    until("a second line", PATIENCE, || async {
        (output(&client, &id).await.len() >= 4).then_some(())
    })
    .await;
    first.kill().await;
    let _second = world.worker("w2", &[]).await;
    let job = end_of(&client, &id).await;
    assert_eq!((job.state(), job.attempt, job.crashes), (JobState::Succeeded, 2, 1));
    assert_eq!(output(&client, &id).await, lines(30));
    let of_first = ReadOutputRequest { id: id.clone(), attempt: 1, ..ReadOutputRequest::default() };
    let mut pieces = client.read_output(of_first).await.expect("output");
    let first = pieces.next().await.expect("a piece").expect("a piece");
    assert_eq!((first.attempt, first.offset, first.data.as_ref()), (1, 0, b"1\n".as_slice()));
}
