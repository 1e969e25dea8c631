//! Invalid input: each error has a reason, and names the field and the allowed range.

use std::time::Duration;

use sentinel_client::proto::jobs::v1::{JobSpec, ListRequest, Unique};
use sentinel_client::{BatchOptions, Client, Error, NewJob, WatchOptions};
use serde_json::json;
use tonic::Code;

use crate::harness::{TestServer, demo_job};

/// Enqueues an invalid job and returns the fields that the error names.
async fn invalid_fields(client: &Client, job: impl Into<NewJob>) -> Vec<String> {
    match client.enqueue(job).await {
        Err(Error::Api { code, reason, field_violations, message, .. }) => {
            assert_eq!((code, reason.as_str()), (Code::InvalidArgument, "INVALID_FIELD"));
            for violation in &field_violations {
                assert!(message.contains(&violation.field), "{message}");
                assert!(!violation.description.is_empty());
            }
            field_violations.into_iter().map(|violation| violation.field).collect()
        }
        other => panic!("expected an error, got {other:?}"),
    }
}

fn spec(change: impl FnOnce(&mut JobSpec)) -> JobSpec {
    let mut spec: JobSpec = demo_job("noop", json!({})).into();
    change(&mut spec);
    spec
}

#[tokio::test]
async fn an_error_names_each_field_out_of_range() {
    let server = TestServer::start().await;
    let client = server.client();
    let cases: Vec<(JobSpec, &[&str])> = vec![
        (spec(|s| s.queue = String::new()), &["spec.queue"]),
        (spec(|s| s.queue = "a b".to_owned()), &["spec.queue"]),
        (spec(|s| s.kind = "x".repeat(129)), &["spec.kind"]),
        (spec(|s| s.payload = vec![b' '; (1 << 20) + 1].into()), &["spec.payload"]),
        (spec(|s| s.priority = 10), &["spec.priority"]),
        (
            spec(|s| s.retry.get_or_insert_default().max_attempts = 1_001),
            &["spec.retry.max_attempts"],
        ),
        (spec(|s| s.unique = Some(Unique::default())), &["spec.unique.key"]),
        (spec(|s| s.depends_on = vec!["nonsense".to_owned()]), &["spec.depends_on[0]"]),
        (
            spec(|s| {
                s.priority = 10;
                s.kind = String::new();
            }),
            &["spec.kind", "spec.priority"],
        ),
    ];
    for (spec, wanted) in cases {
        let mut found = invalid_fields(&client, spec).await;
        found.sort();
        assert_eq!(found, wanted);
    }
    let long = demo_job("noop", json!({})).delay(Duration::from_secs(367 * 86_400));
    assert_eq!(invalid_fields(&client, long).await, ["spec.delay"]);
    let counts = client.counts(vec![]).await.unwrap();
    assert!(counts.queues.is_empty(), "{counts:?}");
}

#[tokio::test]
async fn a_payload_at_the_limit_is_accepted() {
    let server = TestServer::start().await;
    let client = server.client();
    let payload = vec![7_u8; 1 << 20];
    let job = NewJob::new("default", "demo.echo").payload(payload.clone());
    let id = client.enqueue(job).await.unwrap().job.id;
    let _worker = server.start_worker("w1", &[]).await;
    let job = crate::harness::wait_terminal(&client, &id).await;
    assert!(job.result == payload, "the result has {} bytes", job.result.len());
}

fn reason_of<T: std::fmt::Debug>(result: Result<T, Error>) -> (Option<Code>, String) {
    let error = result.expect_err("an error");
    (error.code(), error.reason().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn missing_resources_are_not_found() {
    let server = TestServer::with_flags(&[]).await;
    let client = server.client();
    let not_found = |reason: &str| (Some(Code::NotFound), reason.to_owned());
    let enqueued = client.enqueue(demo_job("noop", json!({}))).await;
    assert_eq!(reason_of(enqueued), not_found("QUEUE_NOT_FOUND"));
    let id = "0190a5c2-0000-7000-8000-000000000000";
    assert_eq!(reason_of(client.get(id).await), not_found("JOB_NOT_FOUND"));
    assert_eq!(reason_of(client.cancel(id, "").await), not_found("JOB_NOT_FOUND"));
    assert_eq!(reason_of(client.retry(id).await), not_found("JOB_NOT_FOUND"));
    let queue = sentinel_client::proto::admin::v1::Queue {
        name: "default".to_owned(),
        ..Default::default()
    };
    client.create_queue(queue.clone()).await.unwrap();
    assert!(client.create_queue(queue.clone()).await.unwrap().existed);
    let id = client.enqueue(demo_job("noop", json!({}))).await.unwrap().job.id;
    let other =
        sentinel_client::proto::admin::v1::Queue { description: "other".to_owned(), ..queue };
    let exists = reason_of(client.create_queue(other).await);
    assert_eq!(exists, (Some(Code::AlreadyExists), "QUEUE_EXISTS".to_owned()));
    let early = reason_of(client.retry(&id).await);
    assert_eq!(early, (Some(Code::FailedPrecondition), "JOB_NOT_TERMINAL".to_owned()));
}

#[tokio::test]
async fn list_and_watch_refuse_invalid_requests() {
    let server = TestServer::start().await;
    let client = server.client();
    let invalid = (Some(Code::InvalidArgument), "INVALID_FIELD".to_owned());
    let page = ListRequest { page_size: 1_001, ..ListRequest::default() };
    assert_eq!(reason_of(client.list_page(page).await), invalid);
    let token = ListRequest { page_token: "!".to_owned(), ..ListRequest::default() };
    assert_eq!(reason_of(client.list_page(token).await), invalid);
    let none = client.watch(WatchOptions::jobs(Vec::<String>::new()));
    let first = futures_util::StreamExt::into_future(none).await.0.unwrap();
    assert_eq!(reason_of(first), invalid);
    assert_eq!(reason_of(client.get("nonsense").await), invalid);
}

#[tokio::test]
async fn an_invalid_item_fails_an_atomic_batch_but_not_other_items() {
    let server = TestServer::start().await;
    let client = server.client();
    let specs = || vec![spec(|_| {}), spec(|s| s.priority = 10), spec(|_| {})];
    let atomic = BatchOptions { atomic: true, ..BatchOptions::default() };
    let refused = client.enqueue_batch(specs(), atomic).await;
    let Err(Error::Api { code: Code::InvalidArgument, field_violations, .. }) = refused else {
        panic!("expected an error, got {refused:?}");
    };
    assert_eq!(field_violations[0].field, "specs[1].priority");
    let partial = client.enqueue_batch(specs(), BatchOptions::default()).await.unwrap();
    assert!(partial[0].is_ok() && partial[2].is_ok());
    let error = partial[1].as_ref().unwrap_err();
    assert_eq!(
        (error.reason.as_str(), error.field.as_str()),
        ("INVALID_FIELD", "specs[1].priority")
    );
    let too_many = vec![spec(|_| {}); 1_001];
    let refused = client.enqueue_batch(too_many, BatchOptions::default()).await;
    assert_eq!(reason_of(refused).1, "INVALID_FIELD");
}
