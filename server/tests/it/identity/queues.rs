//! Keys that reach some queues: what is of another queue is refused, hidden or left out.

use prost::Message;
use sentinel_client::proto::admin::v1 as admin;
use sentinel_client::proto::admin::v1::Role;
use sentinel_client::proto::jobs::v1 as jobs;
use sentinel_client::proto::jobs::v1::watch_request::Selector;
use sentinel_client::proto::jobs::v1::watch_response::Event;
use sentinel_client::proto::workers::v1 as workers;
use sentinel_client::{Client, NewJob};
use tonic::Code;

use super::Guarded;
use super::call::{call, connect, paths, told};
use crate::harness::{PATIENCE, until};
use crate::raw::session::hello;
use crate::raw::spec;

const OURS: &str = "ours.a";
const THEIRS: &str = "theirs";

/// What a call about another queue is told.
enum Told {
    QueueNotAllowed,
    NoSuchJob,
    /// It names nothing: see [`what_is_of_others_is_left_out`].
    LeftOut,
    /// It concerns no queue, or all of them.
    Elsewhere,
}

/// A message about the other queue, or about a job in it.
fn about(path: &str, id: &str) -> (Vec<u8>, Told) {
    let (service, method) = path.rsplit_once('/').expect("a path");
    let service = service.rsplit_once('.').expect("a package").1;
    let found = match service {
        "JobService" => about_job(method, id.to_owned()).or_else(|| about_jobs(method)),
        _ => about_others(service, method),
    };
    found.unwrap_or_else(|| panic!("say here what {path} is told about another queue"))
}

/// Calls that name a job.
fn about_job(method: &str, id: String) -> Option<(Vec<u8>, Told)> {
    Some(match method {
        "Get" => (jobs::GetRequest { id, view: 0 }.encode_to_vec(), Told::NoSuchJob),
        "Watch" => {
            let selector = Some(Selector::Jobs(jobs::JobIds { ids: vec![id] }));
            let message = jobs::WatchRequest { selector, ..Default::default() };
            (message.encode_to_vec(), Told::NoSuchJob)
        }
        "Cancel" => {
            let message = jobs::CancelRequest { id, ..Default::default() };
            (message.encode_to_vec(), Told::NoSuchJob)
        }
        "Retry" => {
            let message = jobs::RetryRequest { id, ..Default::default() };
            (message.encode_to_vec(), Told::NoSuchJob)
        }
        "BatchGet" => {
            (jobs::BatchGetRequest { ids: vec![id], view: 0 }.encode_to_vec(), Told::LeftOut)
        }
        "ListAttempts" => {
            let message = jobs::ListAttemptsRequest { id, ..Default::default() };
            (message.encode_to_vec(), Told::NoSuchJob)
        }
        "Update" => {
            let message = jobs::UpdateRequest { id, ..Default::default() };
            (message.encode_to_vec(), Told::NoSuchJob)
        }
        "RunNow" => {
            let message = jobs::RunNowRequest { id, ..Default::default() };
            (message.encode_to_vec(), Told::NoSuchJob)
        }
        "Delete" => {
            let message = jobs::DeleteRequest { id, ..Default::default() };
            (message.encode_to_vec(), Told::NoSuchJob)
        }
        "ReadLogs" => {
            let message = jobs::ReadLogsRequest { id, ..Default::default() };
            (message.encode_to_vec(), Told::NoSuchJob)
        }
        "ReadOutput" => {
            let message = jobs::ReadOutputRequest { id, ..Default::default() };
            (message.encode_to_vec(), Told::NoSuchJob)
        }
        _ => return None,
    })
}

/// Calls that name a queue.
fn about_jobs(method: &str) -> Option<(Vec<u8>, Told)> {
    let queue = || THEIRS.to_owned();
    let theirs = || Some(spec(|spec| spec.queue = queue()));
    let filter = || Some(jobs::JobFilter { queues: vec![queue()], ..Default::default() });
    Some(match method {
        "Enqueue" => {
            let message = jobs::EnqueueRequest { spec: theirs(), ..Default::default() };
            (message.encode_to_vec(), Told::QueueNotAllowed)
        }
        "EnqueueBatch" => {
            let ours = spec(|spec| spec.queue = OURS.into());
            let specs = vec![ours, theirs().expect("a spec")];
            let message = jobs::EnqueueBatchRequest { specs, ..Default::default() };
            (message.encode_to_vec(), Told::QueueNotAllowed)
        }
        "List" => {
            let message = jobs::ListRequest { filter: filter(), ..Default::default() };
            (message.encode_to_vec(), Told::QueueNotAllowed)
        }
        "Counts" => {
            let message = jobs::CountsRequest { queues: vec![queue()] };
            (message.encode_to_vec(), Told::QueueNotAllowed)
        }
        "Bulk" => {
            let action = jobs::BulkAction::Delete.into();
            let message = jobs::BulkRequest { action, filter: filter(), ..Default::default() };
            (message.encode_to_vec(), Told::QueueNotAllowed)
        }
        _ => return None,
    })
}

/// Calls of the other services.
fn about_others(service: &str, method: &str) -> Option<(Vec<u8>, Told)> {
    let queue = || THEIRS.to_owned();
    Some(match (service, method) {
        ("WorkerService", "Session") => {
            let hello = hello(|hello| hello.queues = vec![OURS.into(), queue()]);
            let frame = Some(workers::session_request::Frame::Hello(hello));
            (workers::SessionRequest { frame }.encode_to_vec(), Told::QueueNotAllowed)
        }
        ("QueueService", "CreateQueue") => {
            let queue = Some(admin::Queue { name: queue(), ..Default::default() });
            let message = admin::CreateQueueRequest { queue, ..Default::default() };
            (message.encode_to_vec(), Told::QueueNotAllowed)
        }
        ("QueueService", "UpdateQueue") => {
            let queue = Some(admin::Queue { name: queue(), ..Default::default() });
            let message = admin::UpdateQueueRequest { queue, ..Default::default() };
            (message.encode_to_vec(), Told::QueueNotAllowed)
        }
        ("QueueService", "PauseQueue" | "ResumeQueue" | "DrainQueue") => {
            // The three have the same fields.
            let message = admin::PauseQueueRequest { name: queue(), ..Default::default() };
            (message.encode_to_vec(), Told::QueueNotAllowed)
        }
        ("QueueService", "GetQueue") => {
            let message = admin::GetQueueRequest { name: queue() };
            (message.encode_to_vec(), Told::QueueNotAllowed)
        }
        ("QueueService", "ListQueues") => (Vec::new(), Told::LeftOut),
        ("KeyService", "CreateKey" | "ListKeys" | "RevokeKey")
        | ("WorkerRegistryService", "ListWorkers" | "DrainWorker")
        | ("AuditService", "ListAuditEntries") => (Vec::new(), Told::QueueNotAllowed),
        // It names its queues item by item: see `items_for_another_queue_are_refused`.
        ("IngestService", "Ingest") => (Vec::new(), Told::Elsewhere),
        ("KindService", "ListKinds" | "GetKind") => (Vec::new(), Told::Elsewhere),
        ("Health" | "ServerReflection", _) => (Vec::new(), Told::Elsewhere),
        _ => return None,
    })
}

async fn enqueued(client: &Client, queue: &str) -> String {
    client.enqueue(NewJob::new(queue, "raw")).await.expect("enqueued").job.id
}

async fn both_listed(root: &Client) {
    until("the ledger has both", PATIENCE, || async {
        let page = root.raw_jobs().list(jobs::ListRequest::default()).await.expect("a page");
        (page.into_inner().jobs.len() == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn no_call_reaches_another_queue() {
    let guarded = Guarded::start(&[]).await;
    let channel = connect(&guarded.world).await;
    let root = guarded.client(&guarded.root);
    let id = enqueued(&root, THEIRS).await;
    enqueued(&root, OURS).await;
    for role in [Role::Viewer, Role::Operator, Role::Producer, Role::Worker, Role::Admin] {
        let bearer = format!("Bearer {}", guarded.key(role, &["ours.*"]).await);
        for path in paths() {
            let (message, expected) = about(&path, &id);
            let found = told(&call(&channel, &path, message, Some(&bearer)).await);
            if found.1 == "ROLE_NOT_ALLOWED" {
                continue;
            }
            let no_queue = (Code::PermissionDenied, "QUEUE_NOT_ALLOWED".to_owned());
            match expected {
                Told::QueueNotAllowed => assert_eq!(found, no_queue, "{role:?} {path}"),
                Told::NoSuchJob => {
                    let no_job = (Code::NotFound, "JOB_NOT_FOUND".to_owned());
                    assert_eq!(found, no_job, "{role:?} {path}");
                }
                Told::LeftOut => assert_eq!(found.0, Code::Ok, "{role:?} {path}"),
                Told::Elsewhere => assert_ne!(found.0, Code::PermissionDenied, "{role:?} {path}"),
            }
        }
    }
    let job = root.get(&id).await.expect("the job");
    assert_eq!(job.state(), jobs::JobState::Ready, "nobody has changed it");
    let log = guarded.world.server.log();
    assert!(!log.contains("did not ask for the queues"), "a handler forgot to ask");
}

#[tokio::test]
async fn what_is_of_others_is_left_out() {
    let guarded = Guarded::start(&[]).await;
    let root = guarded.client(&guarded.root);
    enqueued(&root, THEIRS).await;
    let ours = enqueued(&root, OURS).await;
    both_listed(&root).await;
    let scoped = guarded.client(&guarded.key(Role::Producer, &["ours.*"]).await);
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
    let queues = scoped.list_queues().await.expect("queues");
    assert_eq!(queues.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), [OURS]);
}

#[tokio::test]
async fn a_watch_shows_the_own_queues_alone() {
    let guarded = Guarded::start(&[]).await;
    let root = guarded.client(&guarded.root);
    let theirs = enqueued(&root, THEIRS).await;
    let ours = enqueued(&root, OURS).await;
    both_listed(&root).await;
    let mut raw = guarded.client(&guarded.key(Role::Producer, &["ours.*"]).await).raw_jobs();

    // A watch of everything, and one of both ids.
    let selector = Some(Selector::Filter(jobs::JobFilter::default()));
    let request = jobs::WatchRequest { selector, ..Default::default() };
    let mut events = raw.watch(request).await.expect("a watch").into_inner();
    let Some(Event::Snapshot(snapshot)) =
        events.message().await.expect("open").and_then(|e| e.event)
    else {
        panic!("a watch begins with a snapshot")
    };
    assert_eq!(snapshot.jobs.len(), 1);
    assert!(snapshot.counts.iter().all(|one| one.queue == OURS), "{:?}", snapshot.counts);
    enqueued(&root, THEIRS).await;
    let next = enqueued(&root, OURS).await;
    loop {
        match events.message().await.expect("open").and_then(|response| response.event) {
            Some(Event::Change(change)) => {
                assert_eq!(change.job.expect("a job").id, next);
                break;
            }
            Some(_) => {}
            None => panic!("the watch ended"),
        }
    }
    let ids = jobs::JobIds { ids: vec![theirs.clone(), ours.clone()] };
    let request = jobs::WatchRequest { selector: Some(Selector::Jobs(ids)), ..Default::default() };
    let mut events = raw.watch(request).await.expect("a watch").into_inner();
    let Some(Event::Snapshot(snapshot)) =
        events.message().await.expect("open").and_then(|e| e.event)
    else {
        panic!("a watch begins with a snapshot")
    };
    assert_eq!(snapshot.unknown_ids, std::slice::from_ref(&theirs));
}

#[tokio::test]
async fn no_new_job_is_tied_to_one_of_another_queue() {
    let guarded = Guarded::start(&[]).await;
    let root = guarded.client(&guarded.root);
    let theirs = enqueued(&root, THEIRS).await;
    let mut raw = guarded.client(&guarded.key(Role::Producer, &["ours.*"]).await).raw_jobs();

    // A job that waits for one of theirs would tell when that ends: it is as if there was none.
    let nobody = "00000000-0000-7000-8000-000000000000".to_owned();
    for parent in [theirs, nobody] {
        let waiting = spec(|spec| {
            spec.queue = OURS.into();
            spec.depends_on = vec![parent.clone()];
        });
        let request = jobs::EnqueueRequest { spec: Some(waiting), ..Default::default() };
        let refused = raw.enqueue(request).await.expect_err("refused");
        assert!(refused.message().contains(&format!("no job has the id {parent}")), "{refused:?}");
    }

    // The holder of a key of the kind could be one of theirs.
    let unique = |scope: jobs::UniqueScope| {
        let unique = jobs::Unique { key: "k".into(), scope: scope.into(), ..Default::default() };
        let spec = spec(|spec| {
            spec.queue = OURS.into();
            spec.unique = Some(unique);
        });
        jobs::EnqueueRequest { spec: Some(spec), ..Default::default() }
    };
    let refused = raw.enqueue(unique(jobs::UniqueScope::Unspecified)).await.expect_err("refused");
    assert!(refused.message().contains("UNIQUE_SCOPE_QUEUE"), "{refused:?}");
    raw.enqueue(unique(jobs::UniqueScope::Queue)).await.expect("enqueued");
}

#[tokio::test]
async fn many_jobs_are_met_in_the_own_queues_alone() {
    let guarded = Guarded::start(&[]).await;
    let root = guarded.client(&guarded.root);
    let theirs = enqueued(&root, THEIRS).await;
    let ours = enqueued(&root, OURS).await;
    let mut raw = guarded.client(&guarded.key(Role::Operator, &["ours.*"]).await).raw_jobs();

    let request = jobs::BatchGetRequest { ids: vec![theirs.clone(), ours.clone()], view: 0 };
    let answer = raw.batch_get(request).await.expect("answers").into_inner();
    let found: Vec<_> = answer
        .results
        .into_iter()
        .map(|one| match one.outcome {
            Some(jobs::batch_get_result::Outcome::Job(job)) => (true, job.id),
            Some(jobs::batch_get_result::Outcome::MissingId(id)) => (false, id),
            None => panic!("a result says something"),
        })
        .collect();
    assert_eq!(found, [(false, theirs.clone()), (true, ours.clone())]);

    let by_kind = jobs::JobFilter { kinds: vec!["raw".into()], ..Default::default() };
    let action = jobs::BulkAction::Delete.into();
    let request = jobs::BulkRequest { action, filter: Some(by_kind), ..Default::default() };
    let counted = jobs::BulkRequest { dry_run: true, ..request.clone() };
    assert_eq!(raw.bulk(counted).await.expect("a count").into_inner().matched, 1);
    let step = raw.bulk(request).await.expect("a step").into_inner();
    assert_eq!(step.counts.iter().map(|one| one.count).sum::<u64>(), 1, "{step:?}");
    let gone = root.get(&ours).await.expect_err("deleted");
    assert_eq!(gone.reason(), Some("JOB_NOT_FOUND"));
    assert_eq!(root.get(&theirs).await.expect("the job").state(), jobs::JobState::Ready);

    // A deletion that is asked for once more is answered as the first time.
    let ours = enqueued(&root, OURS).await;
    let request = jobs::DeleteRequest { id: ours, request_id: "once".into(), ..Default::default() };
    for _ in 0..2 {
        raw.delete(request.clone()).await.expect("deleted");
    }
}

#[tokio::test]
async fn items_for_another_queue_are_refused() {
    let guarded = Guarded::start(&[]).await;
    let root = guarded.client(&guarded.root);
    let ours = guarded.client(&guarded.key(Role::Producer, &["ours.*"]).await);
    let ingest = ours.ingest("orders").await.expect("a stream");
    let kept_key = |queue: &str| NewJob::new(queue, "raw").unique_key("k");
    for job in [NewJob::new(OURS, "raw"), NewJob::new(THEIRS, "raw"), kept_key(OURS)] {
        ingest.send(job).await.expect("handed over");
    }
    let report = ingest.finish().await.expect("committed");
    let refused = report.refused.iter().map(|one| (one.offset, one.reason.as_str()));
    // A key of a kind in all queues may be that of a job which the caller does not see.
    let expected = [(2, "QUEUE_NOT_ALLOWED"), (3, "INVALID_FIELD")];
    assert_eq!((report.committed_offset, refused.collect::<Vec<_>>()), (3, expected.to_vec()));
    // The same name under a key of other queues is another producer: nobody moves its position.
    for (key, stands_at) in [
        (guarded.key(Role::Producer, &["ours.*"]).await, 3),
        (guarded.key(Role::Producer, &[THEIRS]).await, 0),
        (guarded.key(Role::Producer, &[]).await, 0),
    ] {
        let ingest = guarded.client(&key).ingest("orders").await.expect("a stream");
        assert_eq!(ingest.committed(), stands_at);
    }
    until("the ledger has the one job", PATIENCE, || async {
        let page = root.raw_jobs().list(jobs::ListRequest::default()).await.expect("a page");
        (page.into_inner().jobs.len() == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn keys_of_other_queues_have_request_ids_of_their_own() {
    let guarded = Guarded::start(&[]).await;
    let ours = guarded.client(&guarded.key(Role::Producer, &["ours.*"]).await);
    let theirs = guarded.client(&guarded.key(Role::Producer, &[THEIRS]).await);
    let job = |queue: &str| NewJob::new(queue, "raw").request_id("order-7");
    let first = ours.enqueue(job(OURS)).await.expect("enqueued");
    let other = theirs.enqueue(job(THEIRS)).await.expect("is another request");
    assert!(!other.deduplicated && other.job.id != first.job.id);
    let again = ours.enqueue(job(OURS)).await.expect("is answered");
    assert!(again.deduplicated && again.job.id == first.job.id);
}
