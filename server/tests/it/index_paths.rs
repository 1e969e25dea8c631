//! Index paths: jobs are found by values in their payloads.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt;
use sentinel_client::{Client, NewJob, WatchEvent, WatchOptions};
use sentinel_proto::jobs::v1::enqueue_batch_result::Outcome;
use sentinel_proto::jobs::v1::{
    BulkAction, BulkRequest, EnqueueBatchRequest, EnqueueBatchResult, GetRequest, Job, JobFilter,
    JobSpec, ListRequest, UpdateRequest,
};
use serde_json::{Value, json};

use crate::harness::{TIMEOUT, TestServer, enqueue, sentinel, wait_until};
use crate::raw::{RawClients, assert_invalid_field, spec};

/// More jobs than a page, a scan step or a batch has.
const JOBS: usize = 11_000;

async fn queue(server: &TestServer, args: &[&str]) -> Value {
    let url = server.url();
    let all = ["queue"].iter().chain(args).copied().chain(["--json", "--server", &url]);
    sentinel(all).await.json().remove(0)
}

/// Returns the payload of the nth job. Some payloads have no value or no indexable value at a path.
fn payload(nth: usize) -> Value {
    let mut payload = json!({
        "noise": { "customer_id": 7, "list": [1, 2, { "customer_id": 7 }] },
        "customer_id": nth % 7,
        "order": { "country": (["de", "fr", "it"][nth % 3]), "express": nth.is_multiple_of(2) },
    });
    match nth % 11 {
        0 => payload["customer_id"] = Value::Null,
        1 => payload["order"] = json!("none"),
        2 => payload["order"]["country"] = json!("x".repeat(257)),
        3 => payload["customer_id"] = json!([nth % 7]),
        _ => {}
    }
    payload
}

/// Returns whether a payload matches, implemented independently of the server.
fn matches(payload: &Value, labels: &[(&str, &str)]) -> bool {
    labels.iter().all(|(path, wanted)| {
        let found = payload.pointer(&format!("/{}", path.replace('.', "/")));
        let text = match found {
            Some(Value::String(text)) => text.clone(),
            Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
            _ => return false,
        };
        text.len() <= 256 && text == *wanted
    })
}

fn filter(labels: &[(&str, &str)]) -> JobFilter {
    let labels = labels.iter().map(|(k, v)| (format!("payload.{k}"), (*v).to_owned())).collect();
    JobFilter { queues: vec!["orders".into()], labels, ..JobFilter::default() }
}

async fn listed(raw: &RawClients, filter: &JobFilter) -> BTreeSet<String> {
    let (mut found, mut page_token) = (BTreeSet::new(), String::new());
    loop {
        let filter = Some(filter.clone());
        let request = ListRequest { filter, page_size: 400, page_token, ..ListRequest::default() };
        let page = raw.jobs.clone().list(request).await.expect("a response").into_inner();
        let before = found.len();
        let count = page.jobs.len();
        found.extend(page.jobs.into_iter().map(|job| job.id));
        assert_eq!(found.len(), before + count, "no job is listed twice");
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return found;
        }
    }
}

async fn enqueued(raw: &RawClients, specs: Vec<JobSpec>) -> Vec<String> {
    let request = EnqueueBatchRequest { specs, ..EnqueueBatchRequest::default() };
    let response = raw.jobs.clone().enqueue_batch(request).await.expect("a response").into_inner();
    let id = |result: EnqueueBatchResult| match result.outcome {
        Some(Outcome::Job(job)) => job.id,
        refused => panic!("{refused:?}"),
    };
    response.results.into_iter().map(id).collect()
}

fn order(payload: &Value) -> JobSpec {
    spec(|spec| {
        spec.queue = "orders".into();
        spec.payload = payload.to_string().into();
    })
}

async fn job(raw: &RawClients, id: &str) -> Job {
    let request = GetRequest { id: id.to_owned(), ..GetRequest::default() };
    raw.jobs.clone().get(request).await.expect("a response").into_inner().job.expect("a job")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_are_found_by_values_in_their_payloads() {
    let server = TestServer::start().await;
    let raw = RawClients::connect(&server).await;
    let paths = ["--index-path", "customer_id", "--index-path", "order.country"];
    let created = queue(&server, &[&["create", "orders"][..], &paths].concat()).await;
    assert_eq!(created["queue"]["indexPaths"], json!(["customer_id", "order.country"]));
    let payloads: Vec<Value> = (0..JOBS).map(payload).collect();
    let mut ids = Vec::with_capacity(JOBS);
    for some in payloads.chunks(1_000) {
        ids.extend(enqueued(&raw, some.iter().map(order).collect()).await);
    }
    wait_until("the ledger has all jobs", TIMEOUT, || async {
        (listed(&raw, &filter(&[])).await.len() == JOBS).then_some(())
    })
    .await;
    let filters: [&[(&str, &str)]; 6] = [
        &[("customer_id", "3")],
        &[("order.country", "fr")],
        &[("customer_id", "3"), ("order.country", "fr")],
        &[("customer_id", "9")],
        &[("order.country", "none")],
        // Not a declared index path.
        &[("order.express", "true")],
    ];
    for (nth, labels) in filters.into_iter().enumerate() {
        let is_match = |payload: &Value| nth < 5 && matches(payload, labels);
        let expected: BTreeSet<String> = ids
            .iter()
            .zip(&payloads)
            .filter(|(_, p)| is_match(p))
            .map(|(id, _)| id.clone())
            .collect();
        assert_eq!(expected.is_empty(), nth >= 3, "the filter must match as expected: {labels:?}");
        assert_eq!(listed(&raw, &filter(labels)).await, expected, "{labels:?}");
        let request = BulkRequest {
            action: BulkAction::Cancel.into(),
            filter: Some(filter(labels)),
            dry_run: true,
            ..BulkRequest::default()
        };
        let preview = raw.jobs.clone().bulk(request).await.expect("a response").into_inner();
        assert_eq!(preview.matched, expected.len() as u64, "{labels:?}");
    }
    check_index_labels(&server, &raw).await;
}

/// Checks the labels of single jobs: values that cannot be indexed do not fail a call, and labels
/// of callers are kept.
async fn check_index_labels(server: &TestServer, raw: &RawClients) {
    let labels_of = async |change: &dyn Fn(&mut JobSpec)| {
        let mut spec = order(&json!({ "customer_id": "c7", "order": { "country": "de" } }));
        change(&mut spec);
        let id = raw.enqueue(spec).await.expect("the server accepts it");
        job(raw, &id).await.spec.expect("a spec").labels.into_iter().collect::<Vec<_>>()
    };
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let both = [pair("payload.customer_id", "c7"), pair("payload.order.country", "de")];
    assert_eq!(labels_of(&|_| {}).await, both);
    assert_eq!(labels_of(&|spec| spec.content_type = "application/x+json".into()).await, both);
    assert_eq!(labels_of(&|spec| spec.content_type = "text/plain".into()).await, []);
    assert_eq!(labels_of(&|spec| spec.payload = b"{\"customer_id\":1".to_vec().into()).await, []);
    assert_eq!(labels_of(&|spec| spec.queue = "default".into()).await, []);
    // The maximum number of labels of a caller, in addition to those of the payload.
    let sixteen = |spec: &mut JobSpec| {
        spec.labels = (0..16).map(|n| (format!("l{n}"), "v".to_owned())).collect();
    };
    assert_eq!(labels_of(&sixteen).await.len(), 18);
    for queue in ["orders", "default"] {
        let mut reserved = spec(|spec| spec.queue = queue.into());
        reserved.labels = [("payload.x".to_owned(), "v".to_owned())].into();
        assert_invalid_field(
            raw.enqueue(reserved).await,
            "spec.labels[\"payload.x\"]",
            "index_paths",
        );
    }
    // A change applies to later jobs only.
    let changed = queue(server, &["update", "orders", "--index-path", "order.express"]).await;
    assert_eq!(changed["indexPaths"], json!(["order.express"]));
    assert_eq!(labels_of(&|_| {}).await, []);
    let express = json!({ "order": { "express": true } }).to_string();
    let labels = labels_of(&|spec| spec.payload = express.clone().into()).await;
    assert_eq!(labels, [pair("payload.order.express", "true")]);
    let none = queue(server, &["update", "orders", "--no-index-paths"]).await;
    assert!(none.get("indexPaths").is_none(), "{none}");
    let named = queue(server, &["update", "orders", "--description", "x"]).await;
    assert_eq!(named["description"], "x");
}

async fn updated(
    client: &Client,
    id: &str,
    spec: JobSpec,
    paths: &[&str],
) -> Vec<(String, String)> {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    let request = UpdateRequest {
        id: id.to_owned(),
        spec: Some(spec),
        update_mask: Some(prost_types::FieldMask { paths }),
        ..UpdateRequest::default()
    };
    let job = client.update(request).await.expect("update the job");
    job.spec.expect("a spec").labels.into_iter().collect()
}

#[tokio::test]
async fn an_update_of_a_payload_updates_only_its_index_labels() {
    let mut server = TestServer::start().await;
    let client = server.client();
    queue(&server, &["create", "orders", "--index-path", "customer_id"]).await;
    let orders = |customer: &str| {
        let labels = [("payload.customer_id".to_owned(), customer.to_owned())].into();
        JobFilter { labels, ..JobFilter::default() }
    };
    let mut events = client.watch(WatchOptions::filter(orders("9")));
    assert!(matches!(events.next().await, Some(Ok(WatchEvent::Snapshot(_)))));
    let job = NewJob::new("orders", "mail").delay(Duration::from_secs(3_600));
    let job = job.payload(br#"{"customer_id": 1, "order_id": 5}"#.to_vec()).label("shop", "a");
    let id = enqueue(&client, job).await;

    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let payload = |text: &str| JobSpec {
        payload: text.as_bytes().to_vec().into(),
        content_type: "application/json".into(),
        ..JobSpec::default()
    };
    let second = payload(r#"{"customer_id": 2, "order_id": 6}"#);
    let labels = updated(&client, &id, second.clone(), &["payload"]).await;
    assert_eq!(labels, [pair("payload.customer_id", "2"), pair("shop", "a")]);
    let other = JobSpec { labels: [pair("shop", "b")].into(), ..JobSpec::default() };
    let labels = updated(&client, &id, other.clone(), &["labels"]).await;
    assert_eq!(labels, [pair("payload.customer_id", "2"), pair("shop", "b")]);
    let text = JobSpec { content_type: "text/plain".into(), ..JobSpec::default() };
    assert_eq!(updated(&client, &id, text, &["content_type"]).await, [pair("shop", "b")]);
    let labels = updated(&client, &id, second, &["content_type"]).await;
    assert_eq!(labels, [pair("payload.customer_id", "2"), pair("shop", "b")]);

    // Changed paths apply to later updates, also in a draining queue.
    queue(&server, &["update", "orders", "--index-path", "order_id"]).await;
    sentinel(["queue", "drain", "orders", "--server", &server.url()]).await.ok();
    let raised = JobSpec { priority: 7, ..other };
    let labels = updated(&client, &id, raised, &["priority", "labels"]).await;
    assert_eq!(labels, [pair("payload.customer_id", "2"), pair("shop", "b")]);
    let third = payload(r#"{"customer_id": 3, "order_id": 7}"#);
    let labels = updated(&client, &id, third, &["payload"]).await;
    assert_eq!(labels, [pair("payload.order_id", "7"), pair("shop", "b")]);
    queue(&server, &["update", "orders", "--index-path", "customer_id"]).await;
    let last = payload(r#"{"customer_id": 9}"#);
    let labels = updated(&client, &id, last, &["payload"]).await;
    assert_eq!(labels, [pair("payload.customer_id", "9"), pair("shop", "b")]);
    let event = tokio::time::timeout(TIMEOUT, events.next()).await.expect("an event in time");
    match event {
        Some(Ok(WatchEvent::Change(change))) => assert_eq!(change.job.expect("a job").id, id),
        other => panic!("the watch must match the new payload: {other:?}"),
    }

    server.kill().await;
    server.restart().await;
    let raw = RawClients::connect(&server).await;
    wait_until("the list matches the last payload", TIMEOUT, || async {
        (listed(&raw, &orders("9")).await == [id.clone()].into()).then_some(())
    })
    .await;
    for former in ["1", "2", "3"] {
        assert_eq!(listed(&raw, &orders(former)).await, BTreeSet::new(), "{former}");
    }
}
