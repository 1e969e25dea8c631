//! Page tokens, cursors, ids and request ids that were changed, cut or made for another use.

use futures_util::StreamExt;
use sentinel_proto::admin::v1::{GetQueueRequest, ListQueuesRequest};
use sentinel_proto::jobs::v1::watch_request::Selector;
use sentinel_proto::jobs::v1::watch_response::Event;
use sentinel_proto::jobs::v1::{
    EnqueueRequest, GapReason, GetRequest, JobFilter, JobIds, ListRequest, ReadLogsRequest,
    RetryRequest, WatchRequest,
};
use tonic::{Code, Status};

use super::Town;
use crate::harness::{PATIENCE, until};
use crate::raw::{Raw, reason, refuses, spec};

/// Almost a UUID, or nothing like one.
const NOT_IDS: &[&str] = &[
    "",
    "x",
    "0190a5c2-0000-7000-8000-00000000000",
    "0190a5c2-0000-7000-8000-0000000000000",
    "0190a5c2-0000-7000-8000-00000000000g",
    "0190a5c2 0000 7000 8000 000000000000",
    "ééééééééééééééééééééééééééééééééééééé",
];

#[tokio::test]
async fn an_id_that_is_none_is_named() {
    let town = Town::start().await;
    let jobs = || town.raw.jobs.clone();
    let long = "9".repeat(1 << 20);
    for id in NOT_IDS.iter().copied().chain([long.as_str()]) {
        let id = id.to_owned();
        let get = jobs().get(GetRequest { id: id.clone(), view: 99 }).await;
        refuses(get, "id", "not a UUID");
        let retry = RetryRequest { id: id.clone(), ..RetryRequest::default() };
        refuses(jobs().retry(retry).await, "id", "not a UUID");
        let logs = ReadLogsRequest { id: id.clone(), attempt: u32::MAX, follow: true };
        refuses(jobs().read_logs(logs).await.map(|_| ()), "id", "not a UUID");
        let ids = JobIds { ids: vec![id.clone()] };
        refuses(first(&town.raw, Selector::Jobs(ids), "").await, "jobs.ids", "not a UUID");
    }
    let queue = town.raw.queues.clone().get_queue(GetQueueRequest { name: long }).await;
    let message = queue.as_ref().expect_err("a refusal").message().len();
    assert!(message < 2_000, "{message} bytes");
    assert_eq!(reason(queue), (Code::NotFound, "QUEUE_NOT_FOUND".to_owned()));
    town.is_serving().await;
}

#[tokio::test]
async fn a_page_token_is_a_place_and_nothing_else() {
    let town = Town::start().await;
    let mut jobs = Vec::new();
    for kind in ["a", "b", "a", "b"] {
        let id = town.raw.enqueue(spec(|spec| spec.kind = kind.to_owned())).await;
        jobs.push((id.expect("is taken"), kind));
    }
    // By rising id: jobs of one millisecond come in any order.
    jobs.sort();
    let of_b = jobs[..3].iter().rfind(|(_, kind)| *kind == "b").expect("there are two");
    let list = async |kind: &str, page_token: &str| -> Result<(Vec<String>, String), Status> {
        let kinds = if kind.is_empty() { Vec::new() } else { vec![kind.to_owned()] };
        let filter = Some(JobFilter { kinds, ..JobFilter::default() });
        let page_token = page_token.to_owned();
        let request = ListRequest { filter, page_size: 1, page_token, ..ListRequest::default() };
        let page = town.raw.jobs.clone().list(request).await?.into_inner();
        Ok((page.jobs.into_iter().map(|job| job.id).collect(), page.next_page_token))
    };
    let (newest, token) = until("the ledger has the jobs", PATIENCE, || async {
        let (newest, token) = list("", "").await.expect("a page");
        (newest == [jobs[3].0.clone()]).then_some((newest, token))
    })
    .await;
    assert_eq!(list("", &token).await.expect("a page").0, [jobs[2].0.clone()]);
    assert_eq!(
        list("b", &token).await.expect("of another filter").0,
        std::slice::from_ref(&of_b.0)
    );
    assert_eq!(list("none", &token).await.expect("of another filter").0, Vec::<String>::new());
    // A job that does not exist is a place as well, as is one long gone.
    let before_all = "00000000-0000-0000-0000-000000000000";
    let after_all = "ffffffff-ffff-ffff-ffff-ffffffffffff";
    assert_eq!(list("", before_all).await.expect("a page").0, Vec::<String>::new());
    assert_eq!(list("", after_all).await.expect("a page").0, newest);
    let long = "x".repeat(1 << 20);
    for bad in [&token[..35], &token.replace('-', "_"), "!", &long] {
        refuses(list("", bad).await, "page_token", "next_page_token");
    }
    for page_token in ["a b", "é", "\0", &long] {
        let request = ListQueuesRequest { page_size: 1, page_token: page_token.to_owned() };
        let page = town.raw.queues.clone().list_queues(request).await;
        refuses(page, "page_token", "next_page_token");
    }
    town.is_serving().await;
}

/// The first event of a watch with a cursor.
async fn first(raw: &Raw, selector: Selector, cursor: &str) -> Result<Event, Status> {
    let selector = Some(selector);
    let request = WatchRequest { selector, cursor: cursor.to_owned(), ..WatchRequest::default() };
    let mut events = raw.jobs.clone().watch(request).await?.into_inner();
    let first = tokio::time::timeout(PATIENCE, events.next()).await.expect("an event");
    Ok(first.expect("an event")?.event.expect("an event"))
}

#[tokio::test]
async fn a_cursor_is_resumed_or_answered_by_a_gap_or_refused() {
    let town = Town::start().await;
    let id = town.raw.enqueue(spec(|_| {})).await.expect("is taken");
    let by_id = || Selector::Jobs(JobIds { ids: vec![id.clone()] });
    let by_queue =
        || Selector::Filter(JobFilter { queues: vec!["default".into()], ..JobFilter::default() });
    let request = WatchRequest { selector: Some(by_id()), ..WatchRequest::default() };
    let mut watch = town.raw.jobs.clone().watch(request).await.expect("a watch").into_inner();
    let cursor = watch.next().await.expect("a snapshot").expect("a snapshot").cursor;
    let (epoch, seq) = cursor.split_once('-').expect("epoch and sequence");
    let gap = i32::from(GapReason::Epoch);
    for elsewhere in [
        format!("{}-{seq}", epoch.parse::<u64>().expect("a number") ^ 1),
        format!("{epoch}-{}", u64::MAX),
        format!("{epoch}-999999.7"),
        "0-0".to_owned(),
        format!("{}-{}.{}", u64::MAX, u64::MAX, u64::MAX),
    ] {
        for selector in [by_id(), by_queue()] {
            match first(&town.raw, selector, &elsewhere).await {
                Ok(Event::Gap(found)) => assert_eq!(found.reason, gap, "{elsewhere}"),
                other => panic!("{elsewhere}: {other:?}"),
            }
        }
    }
    let long = "1".repeat(1 << 20);
    let cut = &cursor[..epoch.len() + 1];
    for bad in ["x", "-", "1", "1-", "-1", "1-2.", "1-2.x", "1-2.3.4", "1-2 ", cut, &long] {
        refuses(first(&town.raw, by_id(), bad).await, "cursor", "a watch has sent");
        refuses(first(&town.raw, by_queue(), bad).await, "cursor", "a watch has sent");
    }
    // The cursor of one watch resumes another: it is a place in the journal.
    let more = town.raw.enqueue(spec(|_| {})).await.expect("is taken");
    match first(&town.raw, by_queue(), &cursor).await {
        Ok(Event::Change(change)) => assert_eq!(change.job.expect("a job").id, more),
        other => panic!("{other:?}"),
    }
    town.is_serving().await;
}

#[tokio::test]
async fn a_request_id_belongs_to_one_content() {
    let town = Town::start().await;
    let ask = async |request_id: &str, kind: &str, actor: &str| {
        let request = EnqueueRequest {
            spec: Some(spec(|spec| spec.kind = kind.to_owned())),
            request_id: request_id.to_owned(),
            actor: actor.to_owned(),
        };
        town.raw.ask(request).await
    };
    let odd = "é\0\u{202e} \n🦀";
    let id = ask(odd, "a", "").await.expect("is taken");
    assert_eq!(ask(odd, "a", "").await.expect("is repeated"), id);
    let reused = (Code::FailedPrecondition, "REQUEST_ID_REUSED".to_owned());
    assert_eq!(reason(ask(odd, "b", "").await), reused);
    assert_eq!(reason(ask(odd, "a", "me").await), reused);
    let retry = RetryRequest { id, request_id: odd.to_owned(), ..RetryRequest::default() };
    let retried = town.raw.jobs.clone().retry(retry).await;
    assert!([Code::FailedPrecondition].contains(&reason(retried).0));
    town.is_serving().await;
}

#[tokio::test]
async fn a_message_that_can_not_be_read_is_refused_before_it_is_made() {
    let town = Town::start().await;
    let before = town.resident_mib();
    let large = town.raw.enqueue(spec(|spec| spec.payload = vec![7; 21 << 20].into())).await;
    assert_eq!(large.expect_err("too large").code(), Code::OutOfRange);
    let specs = vec![Default::default(); 500_000];
    let request = sentinel_proto::jobs::v1::EnqueueBatchRequest { specs, ..Default::default() };
    let many = town.raw.jobs.clone().enqueue_batch(request).await.expect_err("too many");
    assert_eq!(many.code(), Code::InvalidArgument);
    assert!(many.message().contains("500000 items"), "{many:?}");
    let grown = town.resident_mib().saturating_sub(before);
    assert!(grown < 150, "grown by {grown} MiB");
    town.is_serving().await;
}
