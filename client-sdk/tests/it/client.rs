//! Unary calls: what is repeated, and under which request id.

use futures_util::TryStreamExt;
use sentinel_client::proto::jobs::v1::*;
use sentinel_client::{Error, NewJob};
use tonic::{Code, Status};

use crate::job_peer::{Call, JobPeer, job};

#[tokio::test]
async fn an_enqueue_without_an_answer_is_repeated_under_one_request_id() {
    let mut peer = JobPeer::listen().await;
    let client = peer.client.clone();
    let enqueue = tokio::spawn(async move {
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let job = NewJob::new("default", "echo").json(&[1, 2])?.traceparent(trace);
        client.enqueue(job).await
    });
    let mut ids = Vec::new();
    for n in 0..3 {
        let Call::Enqueue(metadata, request, answer) = peer.call().await else { panic!() };
        assert!(metadata.get("traceparent").is_some());
        let spec = request.spec.unwrap();
        assert_eq!((spec.payload.as_ref(), spec.kind.as_str()), (&b"[1,2]"[..], "echo"));
        ids.push(request.request_id);
        let reply = match n {
            2 => {
                let job = Some(job("j1", JobState::Ready));
                Ok(EnqueueResponse { job, deduplicated: true })
            }
            _ => Err(Status::unavailable("not now")),
        };
        answer.send(reply).unwrap();
    }
    assert!(!ids[0].is_empty() && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let enqueued = enqueue.await.unwrap().unwrap();
    assert_eq!(enqueued.job.id, "j1");
    assert!(enqueued.deduplicated);
}

#[tokio::test]
async fn the_tries_are_bounded_and_the_callers_request_id_is_kept() {
    let mut peer = JobPeer::listen().await;
    let client = peer.client.clone();
    let enqueue = tokio::spawn(async move {
        client.enqueue(NewJob::new("default", "echo").request_id("mine")).await
    });
    for _ in 0..4 {
        let Call::Enqueue(metadata, request, answer) = peer.call().await else { panic!() };
        assert!(metadata.get("traceparent").is_none());
        assert_eq!(request.request_id, "mine");
        answer.send(Err(Status::unavailable("not now"))).unwrap();
    }
    assert_eq!(enqueue.await.unwrap().unwrap_err().code(), Some(Code::Unavailable));
}

#[tokio::test]
async fn a_refusal_is_not_repeated() {
    let mut peer = JobPeer::listen().await;
    let client = peer.client.clone();
    let get = tokio::spawn(async move { client.get("j1").await });
    let Call::Get(request, answer) = peer.call().await else { panic!() };
    assert_eq!((request.id.as_str(), request.view()), ("j1", JobView::Full));
    answer.send(Err(Status::resource_exhausted("too much"))).unwrap();
    assert_eq!(get.await.unwrap().unwrap_err().code(), Some(Code::ResourceExhausted));
}

#[tokio::test]
async fn all_pages_are_read() {
    let mut peer = JobPeer::listen().await;
    let client = peer.client.clone();
    let list = tokio::spawn(async move {
        let jobs = client.list_all(JobFilter::default(), 2, JobView::Basic);
        jobs.map_ok(|job| job.id).try_collect::<Vec<_>>().await
    });
    for (token, ids, next) in [("", ["a", "b"], "t1"), ("t1", ["c", "d"], "")] {
        let Call::List(request, answer) = peer.call().await else { panic!() };
        assert_eq!((request.page_token.as_str(), request.page_size), (token, 2));
        let jobs = ids.map(|id| job(id, JobState::Ready)).to_vec();
        let page = ListResponse { jobs, next_page_token: next.to_owned(), as_of: None };
        answer.send(Ok(page)).unwrap();
    }
    assert_eq!(list.await.unwrap().unwrap(), ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn nobody_listens() {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = sentinel_client::Client::connect(address.to_string()).await.unwrap_err();
    assert!(matches!(error, Error::Transport { .. }), "{error:?}");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn a_call_without_an_answer_ends_at_the_timeout() {
    let mut peer = JobPeer::listen().await;
    let client = peer.client.clone().with_timeout(std::time::Duration::from_millis(50));
    let get = tokio::spawn(async move { client.get("j1").await });
    let _unanswered = peer.call().await;
    assert!(matches!(get.await.unwrap(), Err(Error::Timeout)));
}
