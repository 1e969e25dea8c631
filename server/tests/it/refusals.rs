//! Bad input: each refusal names its reason, and the field at fault with what is allowed.

use std::time::Duration;

use sentinel_client::proto::jobs::v1::{JobSpec, ListRequest, Unique};
use sentinel_client::{BatchOptions, Client, Error, NewJob, Watch};
use serde_json::json;
use tonic::Code;

use crate::harness::{World, demo};

/// The fields that the server named.
async fn fields_of(client: &Client, job: impl Into<NewJob>) -> Vec<String> {
    match client.enqueue(job).await {
        Err(Error::Api { code, reason, field_violations, message, .. }) => {
            assert_eq!((code, reason.as_str()), (Code::InvalidArgument, "INVALID_FIELD"));
            for violation in &field_violations {
                assert!(message.contains(&violation.field), "{message}");
                assert!(!violation.description.is_empty());
            }
            field_violations.into_iter().map(|violation| violation.field).collect()
        }
        other => panic!("expected a refusal, got {other:?}"),
    }
}

fn spec(change: impl FnOnce(&mut JobSpec)) -> JobSpec {
    let mut spec: JobSpec = demo("noop", json!({})).into();
    change(&mut spec);
    spec
}

#[tokio::test]
async fn each_field_out_of_its_range_is_named() {
    let world = World::start().await;
    let client = world.client();
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
        let mut found = fields_of(&client, spec).await;
        found.sort();
        assert_eq!(found, wanted);
    }
    let long = demo("noop", json!({})).delay(Duration::from_secs(367 * 86_400));
    assert_eq!(fields_of(&client, long).await, ["spec.delay"]);
    let nothing_stored = client.counts(vec![]).await.unwrap();
    assert!(nothing_stored.queues.is_empty(), "{nothing_stored:?}");
}

#[tokio::test]
async fn a_payload_at_the_limit_passes() {
    let world = World::start().await;
    let client = world.client();
    let payload = vec![7_u8; 1 << 20];
    let job = NewJob::new("default", "demo.echo").payload(payload.clone());
    let id = client.enqueue(job).await.unwrap().job.id;
    let _worker = world.worker("w1", &[]).await;
    let job = crate::harness::end_of(&client, &id).await;
    assert!(job.result == payload, "the echo has {} bytes", job.result.len());
}

fn reason_of<T: std::fmt::Debug>(answer: Result<T, Error>) -> (Option<Code>, String) {
    let error = answer.expect_err("a refusal");
    (error.code(), error.reason().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let world = World::with(&[]).await;
    let client = world.client();
    let not_found = |reason: &str| (Some(Code::NotFound), reason.to_owned());
    let enqueued = client.enqueue(demo("noop", json!({}))).await;
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
    let id = client.enqueue(demo("noop", json!({}))).await.unwrap().job.id;
    let other =
        sentinel_client::proto::admin::v1::Queue { description: "other".to_owned(), ..queue };
    let exists = reason_of(client.create_queue(other).await);
    assert_eq!(exists, (Some(Code::AlreadyExists), "QUEUE_EXISTS".to_owned()));
    let early = reason_of(client.retry(&id).await);
    assert_eq!(early, (Some(Code::FailedPrecondition), "JOB_NOT_FINAL".to_owned()));
}

#[tokio::test]
async fn lists_and_watches_refuse_what_they_can_not_read() {
    let world = World::start().await;
    let client = world.client();
    let invalid = (Some(Code::InvalidArgument), "INVALID_FIELD".to_owned());
    let page = ListRequest { page_size: 1_001, ..ListRequest::default() };
    assert_eq!(reason_of(client.list(page).await), invalid);
    let token = ListRequest { page_token: "!".to_owned(), ..ListRequest::default() };
    assert_eq!(reason_of(client.list(token).await), invalid);
    let none = client.watch(Watch::jobs(Vec::<String>::new()));
    let first = futures_util::StreamExt::into_future(none).await.0.unwrap();
    assert_eq!(reason_of(first), invalid);
    assert_eq!(reason_of(client.get("nonsense").await), invalid);
}

#[tokio::test]
async fn one_bad_item_spoils_an_atomic_batch_and_no_other() {
    let world = World::start().await;
    let client = world.client();
    let specs = || vec![spec(|_| {}), spec(|s| s.priority = 10), spec(|_| {})];
    let atomic = BatchOptions { atomic: true, ..BatchOptions::default() };
    let refused = client.enqueue_batch(specs(), atomic).await;
    let Err(Error::Api { code: Code::InvalidArgument, field_violations, .. }) = refused else {
        panic!("expected a refusal, got {refused:?}");
    };
    assert_eq!(field_violations[0].field, "specs[1].priority");
    let loose = client.enqueue_batch(specs(), BatchOptions::default()).await.unwrap();
    assert!(loose[0].is_ok() && loose[2].is_ok());
    let error = loose[1].as_ref().unwrap_err();
    assert_eq!(
        (error.reason.as_str(), error.field.as_str()),
        ("INVALID_FIELD", "specs[1].priority")
    );
    let too_many = vec![spec(|_| {}); 1_001];
    let refused = client.enqueue_batch(too_many, BatchOptions::default()).await;
    assert_eq!(reason_of(refused).1, "INVALID_FIELD");
}
