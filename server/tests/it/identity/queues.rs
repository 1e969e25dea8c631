//! Keys with a queue scope: calls about other queues are refused, and their jobs are hidden or
//! omitted.

use prost::Message;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sentinel_client::proto::admin::v1 as admin;
use sentinel_client::proto::admin::v1::Role;
use sentinel_client::proto::jobs::v1 as jobs;
use sentinel_client::proto::jobs::v1::batch_get_result::Outcome;
use sentinel_client::proto::jobs::v1::watch_request::Selector;
use sentinel_client::proto::jobs::v1::watch_response::Event;
use sentinel_client::proto::workers::v1 as workers;
use sentinel_client::{Client, NewJob};
use tonic::Code;

use super::AuthServer;
use super::raw_call::{call, code_and_reason, connect, paths};
use crate::chaos::seed;
use crate::harness::{TIMEOUT, wait_until};
use crate::raw::session::hello;
use crate::raw::spec;

const OURS: &str = "ours.a";
const THEIRS: &str = "theirs";

/// The expected result of a call about another queue.
enum Expected {
    QueueNotAllowed,
    NoSuchJob,
    /// The call succeeds without the other queue: see [`other_queues_are_omitted`].
    Omitted,
    /// The call is not about a queue.
    NotScoped,
}

/// Returns a request about the other queue or a job in it, and the expected result.
fn request_for(path: &str, id: &str) -> (Vec<u8>, Expected) {
    let (service, method) = path.rsplit_once('/').expect("a path");
    let service = service.rsplit_once('.').expect("a package").1;
    let found = match service {
        "JobService" => job_request(method, id.to_owned()).or_else(|| queue_request(method)),
        _ => other_request(service, method),
    };
    found.unwrap_or_else(|| panic!("add the expected result of {path} for another queue"))
}

/// Requests that name a job.
fn job_request(method: &str, id: String) -> Option<(Vec<u8>, Expected)> {
    Some(match method {
        "Get" => (jobs::GetRequest { id, view: 0 }.encode_to_vec(), Expected::NoSuchJob),
        "Watch" => {
            let selector = Some(Selector::Jobs(jobs::JobIds { ids: vec![id] }));
            let message = jobs::WatchRequest { selector, ..Default::default() };
            (message.encode_to_vec(), Expected::NoSuchJob)
        }
        "Cancel" => {
            let message = jobs::CancelRequest { id, ..Default::default() };
            (message.encode_to_vec(), Expected::NoSuchJob)
        }
        "Retry" => {
            let message = jobs::RetryRequest { id, ..Default::default() };
            (message.encode_to_vec(), Expected::NoSuchJob)
        }
        "BatchGet" => {
            (jobs::BatchGetRequest { ids: vec![id], view: 0 }.encode_to_vec(), Expected::Omitted)
        }
        "ListAttempts" => {
            let message = jobs::ListAttemptsRequest { id, ..Default::default() };
            (message.encode_to_vec(), Expected::NoSuchJob)
        }
        "Update" => {
            let message = jobs::UpdateRequest { id, ..Default::default() };
            (message.encode_to_vec(), Expected::NoSuchJob)
        }
        "RunNow" => {
            let message = jobs::RunNowRequest { id, ..Default::default() };
            (message.encode_to_vec(), Expected::NoSuchJob)
        }
        "Delete" => {
            let message = jobs::DeleteRequest { id, ..Default::default() };
            (message.encode_to_vec(), Expected::NoSuchJob)
        }
        "ReadLogs" => {
            let message = jobs::ReadLogsRequest { id, ..Default::default() };
            (message.encode_to_vec(), Expected::NoSuchJob)
        }
        "ReadOutput" => {
            let message = jobs::ReadOutputRequest { id, ..Default::default() };
            (message.encode_to_vec(), Expected::NoSuchJob)
        }
        _ => return None,
    })
}

/// Requests that name a queue.
fn queue_request(method: &str) -> Option<(Vec<u8>, Expected)> {
    let queue = || THEIRS.to_owned();
    let theirs = || Some(spec(|spec| spec.queue = queue()));
    let filter = || Some(jobs::JobFilter { queues: vec![queue()], ..Default::default() });
    Some(match method {
        "Enqueue" => {
            let message = jobs::EnqueueRequest { spec: theirs(), ..Default::default() };
            (message.encode_to_vec(), Expected::QueueNotAllowed)
        }
        "EnqueueBatch" => {
            let ours = spec(|spec| spec.queue = OURS.into());
            let specs = vec![ours, theirs().expect("a spec")];
            let message = jobs::EnqueueBatchRequest { specs, ..Default::default() };
            (message.encode_to_vec(), Expected::QueueNotAllowed)
        }
        "List" => {
            let message = jobs::ListRequest { filter: filter(), ..Default::default() };
            (message.encode_to_vec(), Expected::QueueNotAllowed)
        }
        "Counts" => {
            let message = jobs::CountsRequest { queues: vec![queue()] };
            (message.encode_to_vec(), Expected::QueueNotAllowed)
        }
        "Bulk" => {
            let action = jobs::BulkAction::Delete.into();
            let message = jobs::BulkRequest { action, filter: filter(), ..Default::default() };
            (message.encode_to_vec(), Expected::QueueNotAllowed)
        }
        _ => return None,
    })
}

/// Requests of the other services.
fn other_request(service: &str, method: &str) -> Option<(Vec<u8>, Expected)> {
    let queue = || THEIRS.to_owned();
    Some(match (service, method) {
        ("WorkerService", "Session") => {
            let hello = hello(|hello| hello.queues = vec![OURS.into(), queue()]);
            let frame = Some(workers::session_request::Frame::Hello(hello));
            (workers::SessionRequest { frame }.encode_to_vec(), Expected::QueueNotAllowed)
        }
        ("QueueService", "CreateQueue") => {
            let queue = Some(admin::Queue { name: queue(), ..Default::default() });
            let message = admin::CreateQueueRequest { queue, ..Default::default() };
            (message.encode_to_vec(), Expected::QueueNotAllowed)
        }
        ("QueueService", "UpdateQueue") => {
            let queue = Some(admin::Queue { name: queue(), ..Default::default() });
            let message = admin::UpdateQueueRequest { queue, ..Default::default() };
            (message.encode_to_vec(), Expected::QueueNotAllowed)
        }
        ("QueueService", "PauseQueue" | "ResumeQueue" | "DrainQueue") => {
            // The three requests have the same fields.
            let message = admin::PauseQueueRequest { name: queue(), ..Default::default() };
            (message.encode_to_vec(), Expected::QueueNotAllowed)
        }
        ("QueueService", "GetQueue") => {
            let message = admin::GetQueueRequest { name: queue() };
            (message.encode_to_vec(), Expected::QueueNotAllowed)
        }
        ("QueueService", "ListQueues") => (Vec::new(), Expected::Omitted),
        ("KeyService", "CreateKey" | "ListKeys" | "RevokeKey")
        | ("WorkerRegistryService", "ListWorkers" | "DrainWorker")
        | ("AuditService", "ListAuditEntries") => (Vec::new(), Expected::QueueNotAllowed),
        // Each item names its queue: see `items_for_another_queue_are_refused`.
        ("IngestService", "Ingest") => (Vec::new(), Expected::NotScoped),
        ("KindService", "ListKinds" | "GetKind") => (Vec::new(), Expected::NotScoped),
        ("Health" | "ServerReflection", _) => (Vec::new(), Expected::NotScoped),
        _ => return None,
    })
}

async fn enqueued(client: &Client, queue: &str) -> String {
    client.enqueue(NewJob::new(queue, "raw")).await.expect("enqueue a job").job.id
}

async fn wait_both_listed(root: &Client) {
    wait_until("the ledger has both", TIMEOUT, || async {
        let page = root.raw_jobs().list(jobs::ListRequest::default()).await.expect("a page");
        (page.into_inner().jobs.len() == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn no_call_reaches_another_queue() {
    let auth = AuthServer::start(&[]).await;
    let channel = connect(&auth.server).await;
    let root = auth.client(&auth.root_key);
    let id = enqueued(&root, THEIRS).await;
    enqueued(&root, OURS).await;
    for role in [Role::Viewer, Role::Operator, Role::Producer, Role::Worker, Role::Admin] {
        let bearer = format!("Bearer {}", auth.create_key(role, &["ours.*"]).await);
        for path in paths() {
            let (message, expected) = request_for(&path, &id);
            let found = code_and_reason(&call(&channel, &path, message, Some(&bearer)).await);
            if found.1 == "ROLE_NOT_ALLOWED" {
                continue;
            }
            let no_queue = (Code::PermissionDenied, "QUEUE_NOT_ALLOWED".to_owned());
            match expected {
                Expected::QueueNotAllowed => assert_eq!(found, no_queue, "{role:?} {path}"),
                Expected::NoSuchJob => {
                    let no_job = (Code::NotFound, "JOB_NOT_FOUND".to_owned());
                    assert_eq!(found, no_job, "{role:?} {path}");
                }
                Expected::Omitted => assert_eq!(found.0, Code::Ok, "{role:?} {path}"),
                Expected::NotScoped => {
                    assert_ne!(found.0, Code::PermissionDenied, "{role:?} {path}")
                }
            }
        }
    }
    let job = root.get(&id).await.expect("an existing job");
    assert_eq!(job.state(), jobs::JobState::Ready, "the job must be unchanged");
    let log = auth.server.log();
    assert!(!log.contains("skipped the scope check"), "a handler did not check the scope");
}

/// Messages for a method: an empty one, one about a job that does not exist, and random bytes.
fn messages_for(path: &str, entropy: &mut StdRng) -> Vec<Vec<u8>> {
    let unknown = "01890a5d-ac96-774b-bcce-b302099a8057";
    let mut messages = vec![Vec::new(), request_for(path, unknown).0];
    for _ in 0..50 {
        let len = entropy.random_range(1..24);
        messages.push((0..len).map(|_| entropy.random()).collect());
    }
    messages
}

#[tokio::test]
async fn no_call_on_an_empty_installation_is_an_internal_error() {
    let auth = AuthServer::start(&[]).await;
    let channel = connect(&auth.server).await;
    let seed = seed();
    println!("SENTINEL_TEST_SEED={seed}");
    let mut entropy = StdRng::seed_from_u64(seed);
    for role in [Role::Producer, Role::Admin] {
        let bearer = format!("Bearer {}", auth.create_key(role, &["ours.*"]).await);
        // The services of gRPC itself decode with the codec of tonic.
        for path in paths().into_iter().filter(|path| path.starts_with("/sentinel.")) {
            for message in messages_for(&path, &mut entropy) {
                let found = call(&channel, &path, message.clone(), Some(&bearer)).await;
                if let Err(status) = found {
                    assert_ne!(status.code(), Code::Internal, "{role:?} {path} {message:?}");
                }
            }
        }
    }
    let log = auth.server.log();
    assert!(!log.contains("skipped the scope check"), "a handler did not check the scope");
}

#[tokio::test]
async fn a_job_of_another_queue_looks_like_one_that_does_not_exist() {
    let auth = AuthServer::start(&[]).await;
    let id = enqueued(&auth.client(&auth.root_key), THEIRS).await;
    let unknown = "01890a5d-ac96-774b-bcce-b302099a8057".to_owned();
    let scoped = auth.client(&auth.create_key(Role::Producer, &["ours.*"]).await);
    for ids in [vec![id.clone()], vec![unknown.clone()], vec![id, unknown]] {
        let request = jobs::BatchGetRequest { ids: ids.clone(), ..Default::default() };
        let response = scoped.raw_jobs().batch_get(request).await.expect("results").into_inner();
        let missing = ids.into_iter().map(|id| Some(Outcome::MissingId(id)));
        let outcomes = response.results.into_iter().map(|one| one.outcome);
        assert_eq!(outcomes.collect::<Vec<_>>(), missing.collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn other_queues_are_omitted() {
    let auth = AuthServer::start(&[]).await;
    let root = auth.client(&auth.root_key);
    enqueued(&root, THEIRS).await;
    let ours = enqueued(&root, OURS).await;
    wait_both_listed(&root).await;
    let scoped = auth.client(&auth.create_key(Role::Producer, &["ours.*"]).await);
    let mut raw = scoped.raw_jobs();
    let by_kind = jobs::JobFilter { kinds: vec!["raw".into()], ..Default::default() };
    for filter in [None, Some(by_kind)] {
        let request = jobs::ListRequest { filter, ..Default::default() };
        let page = raw.list(request).await.expect("a page").into_inner();
        let ids: Vec<&str> = page.jobs.iter().map(|job| job.id.as_str()).collect();
        assert_eq!(ids, [&ours]);
    }
    let counts = raw.counts(jobs::CountsRequest::default()).await.expect("counts").into_inner();
    let queues: Vec<&str> = counts.queues.iter().map(|one| one.queue.as_str()).collect();
    assert_eq!(queues, [OURS]);
    let queues = scoped.list_queues().await.expect("list queues");
    assert_eq!(queues.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), [OURS]);
}

#[tokio::test]
async fn a_watch_shows_only_the_queues_in_scope() {
    let auth = AuthServer::start(&[]).await;
    let root = auth.client(&auth.root_key);
    let theirs = enqueued(&root, THEIRS).await;
    let ours = enqueued(&root, OURS).await;
    wait_both_listed(&root).await;
    let mut raw = auth.client(&auth.create_key(Role::Producer, &["ours.*"]).await).raw_jobs();

    // A watch of all jobs, then one of both ids.
    let selector = Some(Selector::Filter(jobs::JobFilter::default()));
    let request = jobs::WatchRequest { selector, ..Default::default() };
    let mut events = raw.watch(request).await.expect("open a watch").into_inner();
    let Some(Event::Snapshot(snapshot)) =
        events.message().await.expect("no error").and_then(|e| e.event)
    else {
        panic!("a watch begins with a snapshot")
    };
    assert_eq!(snapshot.jobs.len(), 1);
    assert!(snapshot.counts.iter().all(|one| one.queue == OURS), "{:?}", snapshot.counts);
    enqueued(&root, THEIRS).await;
    let next = enqueued(&root, OURS).await;
    loop {
        match events.message().await.expect("no error").and_then(|response| response.event) {
            Some(Event::Change(change)) => {
                assert_eq!(change.job.expect("a job").id, next);
                break;
            }
            Some(_) => {}
            None => panic!("the watch closed"),
        }
    }
    let ids = jobs::JobIds { ids: vec![theirs.clone(), ours.clone()] };
    let request = jobs::WatchRequest { selector: Some(Selector::Jobs(ids)), ..Default::default() };
    let mut events = raw.watch(request).await.expect("open a watch").into_inner();
    let Some(Event::Snapshot(snapshot)) =
        events.message().await.expect("no error").and_then(|e| e.event)
    else {
        panic!("a watch begins with a snapshot")
    };
    assert_eq!(snapshot.unknown_ids, std::slice::from_ref(&theirs));
}

#[tokio::test]
async fn a_new_job_cannot_depend_on_another_queue() {
    let auth = AuthServer::start(&[]).await;
    let root = auth.client(&auth.root_key);
    let theirs = enqueued(&root, THEIRS).await;
    let mut raw = auth.client(&auth.create_key(Role::Producer, &["ours.*"]).await).raw_jobs();

    // A dependency on a job of another queue would reveal its end, so the job counts as missing.
    let missing = "00000000-0000-7000-8000-000000000000".to_owned();
    for parent in [theirs, missing] {
        let waiting = spec(|spec| {
            spec.queue = OURS.into();
            spec.depends_on = vec![parent.clone()];
        });
        let request = jobs::EnqueueRequest { spec: Some(waiting), ..Default::default() };
        let refused = raw.enqueue(request).await.expect_err("an error");
        assert!(refused.message().contains(&format!("no job has the id {parent}")), "{refused:?}");
    }

    // The holder of a unique key of the kind could be a job of another queue.
    let unique = |scope: jobs::UniqueScope| {
        let unique = jobs::Unique { key: "k".into(), scope: scope.into(), ..Default::default() };
        let spec = spec(|spec| {
            spec.queue = OURS.into();
            spec.unique = Some(unique);
        });
        jobs::EnqueueRequest { spec: Some(spec), ..Default::default() }
    };
    let refused = raw.enqueue(unique(jobs::UniqueScope::Unspecified)).await.expect_err("an error");
    assert!(refused.message().contains("UNIQUE_SCOPE_QUEUE"), "{refused:?}");
    raw.enqueue(unique(jobs::UniqueScope::Queue)).await.expect("enqueue a job");
}

#[tokio::test]
async fn batch_and_bulk_calls_affect_only_the_queues_in_scope() {
    let auth = AuthServer::start(&[]).await;
    let root = auth.client(&auth.root_key);
    let theirs = enqueued(&root, THEIRS).await;
    let ours = enqueued(&root, OURS).await;
    let mut raw = auth.client(&auth.create_key(Role::Operator, &["ours.*"]).await).raw_jobs();

    let request = jobs::BatchGetRequest { ids: vec![theirs.clone(), ours.clone()], view: 0 };
    let response = raw.batch_get(request).await.expect("a response").into_inner();
    let found: Vec<_> = response
        .results
        .into_iter()
        .map(|one| match one.outcome {
            Some(jobs::batch_get_result::Outcome::Job(job)) => (true, job.id),
            Some(jobs::batch_get_result::Outcome::MissingId(id)) => (false, id),
            None => panic!("a result without an outcome"),
        })
        .collect();
    assert_eq!(found, [(false, theirs.clone()), (true, ours.clone())]);

    let by_kind = jobs::JobFilter { kinds: vec!["raw".into()], ..Default::default() };
    let action = jobs::BulkAction::Delete.into();
    let request = jobs::BulkRequest { action, filter: Some(by_kind), ..Default::default() };
    let counted = jobs::BulkRequest { dry_run: true, ..request.clone() };
    assert_eq!(raw.bulk(counted).await.expect("a count").into_inner().matched, 1);
    let step = raw.bulk(request).await.expect("a bulk step").into_inner();
    assert_eq!(step.counts.iter().map(|one| one.count).sum::<u64>(), 1, "{step:?}");
    let error = root.get(&ours).await.expect_err("the job is deleted");
    assert_eq!(error.reason(), Some("JOB_NOT_FOUND"));
    assert_eq!(root.get(&theirs).await.expect("an existing job").state(), jobs::JobState::Ready);

    // A repeated delete returns the same response.
    let ours = enqueued(&root, OURS).await;
    let request = jobs::DeleteRequest { id: ours, request_id: "once".into(), ..Default::default() };
    for _ in 0..2 {
        raw.delete(request.clone()).await.expect("delete the job");
    }
}

#[tokio::test]
async fn items_for_another_queue_are_refused() {
    let auth = AuthServer::start(&[]).await;
    let root = auth.client(&auth.root_key);
    let ours = auth.client(&auth.create_key(Role::Producer, &["ours.*"]).await);
    let ingest = ours.ingest("orders").await.expect("open a stream");
    let with_unique_key = |queue: &str| NewJob::new(queue, "raw").unique_key("k");
    for job in [NewJob::new(OURS, "raw"), NewJob::new(THEIRS, "raw"), with_unique_key(OURS)] {
        ingest.send(job).await.expect("send an item");
    }
    let report = ingest.finish().await.expect("commit all items");
    let refused = report.refused.iter().map(|one| (one.offset, one.reason.as_str()));
    // A unique key across all queues may belong to a job that the caller cannot see.
    let expected = [(2, "QUEUE_NOT_ALLOWED"), (3, "INVALID_FIELD")];
    assert_eq!((report.committed_offset, refused.collect::<Vec<_>>()), (3, expected.to_vec()));
    // The same producer id under a key with another scope is another producer with its own offset.
    for (key, expected_offset) in [
        (auth.create_key(Role::Producer, &["ours.*"]).await, 3),
        (auth.create_key(Role::Producer, &[THEIRS]).await, 0),
        (auth.create_key(Role::Producer, &[]).await, 0),
    ] {
        let ingest = auth.client(&key).ingest("orders").await.expect("open a stream");
        assert_eq!(ingest.committed_offset(), expected_offset);
    }
    wait_until("the ledger has the one job", TIMEOUT, || async {
        let page = root.raw_jobs().list(jobs::ListRequest::default()).await.expect("a page");
        (page.into_inner().jobs.len() == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn keys_with_different_scopes_have_separate_request_ids() {
    let auth = AuthServer::start(&[]).await;
    let ours = auth.client(&auth.create_key(Role::Producer, &["ours.*"]).await);
    let theirs = auth.client(&auth.create_key(Role::Producer, &[THEIRS]).await);
    let job = |queue: &str| NewJob::new(queue, "raw").request_id("order-7");
    let first = ours.enqueue(job(OURS)).await.expect("enqueue a job");
    let other = theirs.enqueue(job(THEIRS)).await.expect("a separate request");
    assert!(!other.deduplicated && other.job.id != first.job.id);
    let again = ours.enqueue(job(OURS)).await.expect("a response");
    assert!(again.deduplicated && again.job.id == first.job.id);
}
