//! Payload bytes are granted as a soft bound, and never lifted by the way.

use std::sync::Arc;

use sentinel_client::proto::workers::v1::session_request::Frame as Up;
use sentinel_client::proto::workers::v1::{Assignment, Verdict};
use sentinel_client::worker::{JobContext, Outcome};
use tokio::sync::Semaphore;

use crate::peer::{Peer, Running, job, lease_of};

fn of_bytes(id: &str, bytes: usize) -> Assignment {
    Assignment { payload: vec![7; bytes].into(), ..job(id, "wait") }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_are_free_again_when_their_handler_ends() {
    let mut peer = Peer::listen().await;
    let end = Arc::new(Semaphore::new(0));
    let ends = end.clone();
    let waits = move |_: JobContext| {
        let ends = ends.clone();
        async move {
            ends.acquire().await.unwrap().forget();
            Outcome::Succeed(Default::default())
        }
    };
    let builder =
        peer.worker().handler("wait", waits).concurrency(8).max_running_payload_bytes(100);
    let _worker = Running::start(builder);
    let (mut stream, hello) = peer.greet().await;
    let credit = hello.credit.unwrap();
    assert_eq!((credit.jobs, credit.bytes), (8, 100));
    // Of 100 bytes 60 are used, then 150: one job beyond.
    stream.assign(vec![of_bytes("a", 60)]).await;
    stream.assign(vec![of_bytes("b", 90)]).await;
    let mut granted = (8 - 2, 100 - 150);
    for (left, freed) in [(1, 1), (0, 1)] {
        end.add_permits(freed);
        let item = stream.report_item().await;
        stream.ack(&lease_of(&item), Verdict::Recorded).await;
        let credit = stream.until(|frame| match frame {
            Up::Credit(credit) => Some(credit),
            _ => None,
        });
        let credit = credit.await;
        assert!(credit.bytes > 0, "0 would lift the bound");
        granted = (granted.0 + credit.jobs, granted.1 + i64::try_from(credit.bytes).unwrap());
        assert_eq!(granted.0, 8 - left);
    }
    // A grant of slots alone has a byte with it: the bound is soft.
    assert!((100..=101).contains(&granted.1), "{granted:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_of_nothing_is_no_bound() {
    let mut peer = Peer::listen().await;
    let quick = async |_: JobContext| Outcome::Succeed(Default::default());
    let _worker = Running::start(peer.worker().handler("wait", quick).max_running_payload_bytes(0));
    let (mut stream, hello) = peer.greet().await;
    assert_eq!(hello.credit.unwrap().bytes, 0);
    stream.assign(vec![of_bytes("a", 60)]).await;
    let credit =
        stream.until(|frame| if let Up::Credit(credit) = frame { Some(credit) } else { None });
    assert_eq!(credit.await.bytes, 0);
}
