//! Unary calls: which are retried, and with which idempotency key.

use futures_util::TryStreamExt;
use sentinel_client::proto::jobs::v1::*;
use sentinel_client::{Error, NewJob};
use tonic::{Code, Status};

use crate::scripted_job_service::{Call, ScriptedJobService, job};

#[tokio::test]
async fn an_unavailable_enqueue_is_retried_with_the_same_request_id() {
    let mut service = ScriptedJobService::start().await;
    let client = service.client.clone();
    let enqueue = tokio::spawn(async move {
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let job = NewJob::new("default", "echo").json(&[1, 2])?.traceparent(trace);
        client.enqueue(job).await
    });
    let mut ids = Vec::new();
    for n in 0..3 {
        let Call::Enqueue(metadata, request, response) = service.next_call().await else {
            panic!()
        };
        assert!(metadata.get("traceparent").is_some());
        let spec = request.spec.unwrap();
        assert_eq!((spec.payload.as_ref(), spec.kind.as_str()), (&b"[1,2]"[..], "echo"));
        ids.push(request.request_id);
        let result = match n {
            2 => {
                let job = Some(job("j1", JobState::Ready));
                Ok(EnqueueResponse { job, deduplicated: true })
            }
            _ => Err(Status::unavailable("unavailable")),
        };
        response.send(result).unwrap();
    }
    assert!(!ids[0].is_empty() && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let enqueued = enqueue.await.unwrap().unwrap();
    assert_eq!(enqueued.job.id, "j1");
    assert!(enqueued.deduplicated);
}

#[tokio::test]
async fn a_call_is_repeated_until_its_deadline_with_the_request_id_of_the_caller() {
    let mut service = ScriptedJobService::start().await;
    let client = service.client.clone().with_deadline(std::time::Duration::from_secs(1));
    let enqueue = tokio::spawn(async move {
        client.enqueue(NewJob::new("default", "echo").request_id("caller-key")).await
    });
    let start = std::time::Instant::now();
    let answer_all = async {
        loop {
            let Call::Enqueue(metadata, request, response) = service.next_call().await else {
                panic!()
            };
            assert!(metadata.get("traceparent").is_none());
            assert_eq!(request.request_id, "caller-key");
            let _ = response.send(Err(Status::unavailable("unavailable")));
        }
    };
    let result = tokio::select! {
        result = enqueue => result.unwrap(),
        () = answer_all => unreachable!(),
    };
    assert_eq!(result.unwrap_err().code(), Some(Code::Unavailable));
    assert!(start.elapsed().as_millis() >= 900, "gave up after {:?}", start.elapsed());
}

#[tokio::test]
async fn other_errors_are_not_retried() {
    let mut service = ScriptedJobService::start().await;
    let client = service.client.clone();
    let get = tokio::spawn(async move { client.get("j1").await });
    let Call::Get(request, response) = service.next_call().await else { panic!() };
    assert_eq!((request.id.as_str(), request.view()), ("j1", JobView::Full));
    response.send(Err(Status::resource_exhausted("exhausted"))).unwrap();
    assert_eq!(get.await.unwrap().unwrap_err().code(), Some(Code::ResourceExhausted));
}

#[tokio::test]
async fn list_all_reads_all_pages() {
    let mut service = ScriptedJobService::start().await;
    let client = service.client.clone();
    let list = tokio::spawn(async move {
        let jobs = client.list_all(JobFilter::default(), 2, JobView::Basic);
        jobs.map_ok(|job| job.id).try_collect::<Vec<_>>().await
    });
    for (token, ids, next) in [("", ["a", "b"], "t1"), ("t1", ["c", "d"], "")] {
        let Call::List(request, response) = service.next_call().await else { panic!() };
        assert_eq!((request.page_token.as_str(), request.page_size), (token, 2));
        let jobs = ids.map(|id| job(id, JobState::Ready)).to_vec();
        let page = ListResponse { jobs, next_page_token: next.to_owned(), as_of: None };
        response.send(Ok(page)).unwrap();
    }
    assert_eq!(list.await.unwrap().unwrap(), ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn connecting_to_a_closed_port_is_a_transport_error() {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = sentinel_client::Client::connect(address.to_string()).await.unwrap_err();
    assert!(matches!(error, Error::Transport { .. }), "{error:?}");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn a_call_without_a_response_times_out() {
    let mut service = ScriptedJobService::start().await;
    let client = service.client.clone().with_timeout(std::time::Duration::from_millis(50));
    let get = tokio::spawn(async move { client.get("j1").await });
    let _pending_call = service.next_call().await;
    assert!(matches!(get.await.unwrap(), Err(Error::Timeout)));
}
