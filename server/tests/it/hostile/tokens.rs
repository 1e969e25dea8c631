//! Page tokens, cursors, ids and request ids that were modified, truncated or made for another use.

use futures_util::StreamExt;
use sentinel_proto::admin::v1::{GetQueueRequest, ListQueuesRequest};
use sentinel_proto::jobs::v1::watch_request::Selector;
use sentinel_proto::jobs::v1::watch_response::Event;
use sentinel_proto::jobs::v1::{
    EnqueueRequest, GapReason, GetRequest, JobFilter, JobIds, ListRequest, ReadLogsRequest,
    RetryRequest, WatchRequest,
};
use tonic::{Code, Status};

use super::HostileFixture;
use crate::harness::{TIMEOUT, wait_until};
use crate::raw::{RawClients, assert_invalid_field, error_reason, spec};

/// Texts that are not UUIDs, some of them almost.
const INVALID_IDS: &[&str] = &[
    "",
    "x",
    "0190a5c2-0000-7000-8000-00000000000",
    "0190a5c2-0000-7000-8000-0000000000000",
    "0190a5c2-0000-7000-8000-00000000000g",
    "0190a5c2 0000 7000 8000 000000000000",
    "ééééééééééééééééééééééééééééééééééééé",
];

#[tokio::test]
async fn an_error_names_the_field_of_an_invalid_id() {
    let fixture = HostileFixture::start().await;
    let jobs = || fixture.raw.jobs.clone();
    let long = "9".repeat(1 << 20);
    for id in INVALID_IDS.iter().copied().chain([long.as_str()]) {
        let id = id.to_owned();
        let get = jobs().get(GetRequest { id: id.clone(), view: 99 }).await;
        assert_invalid_field(get, "id", "not a UUID");
        let retry = RetryRequest { id: id.clone(), ..RetryRequest::default() };
        assert_invalid_field(jobs().retry(retry).await, "id", "not a UUID");
        let logs = ReadLogsRequest { id: id.clone(), attempt: u32::MAX, follow: true };
        assert_invalid_field(jobs().read_logs(logs).await.map(|_| ()), "id", "not a UUID");
        let ids = JobIds { ids: vec![id.clone()] };
        assert_invalid_field(
            first_event(&fixture.raw, Selector::Jobs(ids), "").await,
            "jobs.ids",
            "not a UUID",
        );
    }
    let queue = fixture.raw.queues.clone().get_queue(GetQueueRequest { name: long }).await;
    let message = queue.as_ref().expect_err("an error").message().len();
    assert!(message < 2_000, "{message} bytes");
    assert_eq!(error_reason(queue), (Code::NotFound, "QUEUE_NOT_FOUND".to_owned()));
    fixture.assert_serving().await;
}

#[tokio::test]
async fn a_page_token_is_a_position_in_the_list() {
    let fixture = HostileFixture::start().await;
    let mut jobs = Vec::new();
    for kind in ["a", "b", "a", "b"] {
        let id = fixture.raw.enqueue(spec(|spec| spec.kind = kind.to_owned())).await;
        jobs.push((id.expect("the server accepts it"), kind));
    }
    // Sorted by id: jobs of the same millisecond have no defined order.
    jobs.sort();
    let of_b = jobs[..3].iter().rfind(|(_, kind)| *kind == "b").expect("a job of kind b");
    let list = async |kind: &str, page_token: &str| -> Result<(Vec<String>, String), Status> {
        let kinds = if kind.is_empty() { Vec::new() } else { vec![kind.to_owned()] };
        let filter = Some(JobFilter { kinds, ..JobFilter::default() });
        let page_token = page_token.to_owned();
        let request = ListRequest { filter, page_size: 1, page_token, ..ListRequest::default() };
        let page = fixture.raw.jobs.clone().list(request).await?.into_inner();
        Ok((page.jobs.into_iter().map(|job| job.id).collect(), page.next_page_token))
    };
    let (newest, token) = wait_until("the ledger has the jobs", TIMEOUT, || async {
        let (newest, token) = list("", "").await.expect("a page");
        (newest == [jobs[3].0.clone()]).then_some((newest, token))
    })
    .await;
    assert_eq!(list("", &token).await.expect("a page").0, [jobs[2].0.clone()]);
    assert_eq!(
        list("b", &token).await.expect("a page for another filter").0,
        std::slice::from_ref(&of_b.0)
    );
    assert_eq!(
        list("none", &token).await.expect("a page for another filter").0,
        Vec::<String>::new()
    );
    // The id of a job that does not exist is also a valid position.
    let before_all = "00000000-0000-0000-0000-000000000000";
    let after_all = "ffffffff-ffff-ffff-ffff-ffffffffffff";
    assert_eq!(list("", before_all).await.expect("a page").0, Vec::<String>::new());
    assert_eq!(list("", after_all).await.expect("a page").0, newest);
    let long = "x".repeat(1 << 20);
    for bad in [&token[..35], &token.replace('-', "_"), "!", &long] {
        assert_invalid_field(list("", bad).await, "page_token", "next_page_token");
    }
    for page_token in ["a b", "é", "\0", &long] {
        let request = ListQueuesRequest { page_size: 1, page_token: page_token.to_owned() };
        let page = fixture.raw.queues.clone().list_queues(request).await;
        assert_invalid_field(page, "page_token", "next_page_token");
    }
    fixture.assert_serving().await;
}

/// Opens a watch at a cursor and returns its first event.
async fn first_event(raw: &RawClients, selector: Selector, cursor: &str) -> Result<Event, Status> {
    let selector = Some(selector);
    let request = WatchRequest { selector, cursor: cursor.to_owned(), ..WatchRequest::default() };
    let mut events = raw.jobs.clone().watch(request).await?.into_inner();
    let first = tokio::time::timeout(TIMEOUT, events.next()).await.expect("an event");
    Ok(first.expect("an event")?.event.expect("an event"))
}

#[tokio::test]
async fn a_cursor_is_resumed_answered_with_a_gap_or_refused() {
    let fixture = HostileFixture::start().await;
    let id = fixture.raw.enqueue(spec(|_| {})).await.expect("the server accepts it");
    let by_id = || Selector::Jobs(JobIds { ids: vec![id.clone()] });
    let by_queue =
        || Selector::Filter(JobFilter { queues: vec!["default".into()], ..JobFilter::default() });
    let request = WatchRequest { selector: Some(by_id()), ..WatchRequest::default() };
    let mut watch =
        fixture.raw.jobs.clone().watch(request).await.expect("open a watch").into_inner();
    let cursor = watch.next().await.expect("a snapshot").expect("a snapshot").cursor;
    let (epoch, seq) = cursor.split_once('-').expect("epoch and sequence");
    let gap = i32::from(GapReason::Epoch);
    for foreign in [
        format!("{}-{seq}", epoch.parse::<u64>().expect("a number") ^ 1),
        format!("{epoch}-{}", u64::MAX),
        format!("{epoch}-999999.7"),
        "0-0".to_owned(),
        format!("{}-{}.{}", u64::MAX, u64::MAX, u64::MAX),
    ] {
        for selector in [by_id(), by_queue()] {
            match first_event(&fixture.raw, selector, &foreign).await {
                Ok(Event::Gap(found)) => assert_eq!(found.reason, gap, "{foreign}"),
                other => panic!("{foreign}: {other:?}"),
            }
        }
    }
    let long = "1".repeat(1 << 20);
    let truncated = &cursor[..epoch.len() + 1];
    for bad in ["x", "-", "1", "1-", "-1", "1-2.", "1-2.x", "1-2.3.4", "1-2 ", truncated, &long] {
        assert_invalid_field(
            first_event(&fixture.raw, by_id(), bad).await,
            "cursor",
            "is not a cursor of a watch",
        );
        assert_invalid_field(
            first_event(&fixture.raw, by_queue(), bad).await,
            "cursor",
            "is not a cursor of a watch",
        );
    }
    // A cursor is a position in the journal, so the cursor of one watch resumes another.
    let more = fixture.raw.enqueue(spec(|_| {})).await.expect("the server accepts it");
    match first_event(&fixture.raw, by_queue(), &cursor).await {
        Ok(Event::Change(change)) => assert_eq!(change.job.expect("a job").id, more),
        other => panic!("{other:?}"),
    }
    fixture.assert_serving().await;
}

#[tokio::test]
async fn a_request_id_cannot_be_reused_for_another_request() {
    let fixture = HostileFixture::start().await;
    let enqueue = async |request_id: &str, kind: &str, actor: &str| {
        let request = EnqueueRequest {
            spec: Some(spec(|spec| spec.kind = kind.to_owned())),
            request_id: request_id.to_owned(),
            actor: actor.to_owned(),
        };
        fixture.raw.enqueue_request(request).await
    };
    let odd = "é\0\u{202e} \n🦀";
    let id = enqueue(odd, "a", "").await.expect("the server accepts it");
    assert_eq!(enqueue(odd, "a", "").await.expect("a repeated response"), id);
    let reused = (Code::FailedPrecondition, "REQUEST_ID_REUSED".to_owned());
    assert_eq!(error_reason(enqueue(odd, "b", "").await), reused);
    assert_eq!(error_reason(enqueue(odd, "a", "me").await), reused);
    let retry = RetryRequest { id, request_id: odd.to_owned(), ..RetryRequest::default() };
    let retried = fixture.raw.jobs.clone().retry(retry).await;
    assert!([Code::FailedPrecondition].contains(&error_reason(retried).0));
    fixture.assert_serving().await;
}

#[tokio::test]
async fn an_oversized_message_is_refused_before_it_is_decoded() {
    let fixture = HostileFixture::start().await;
    let before = fixture.resident_mib();
    let large = fixture.raw.enqueue(spec(|spec| spec.payload = vec![7; 21 << 20].into())).await;
    assert_eq!(large.expect_err("an error for a large message").code(), Code::OutOfRange);
    let specs = vec![Default::default(); 500_000];
    let request = sentinel_proto::jobs::v1::EnqueueBatchRequest { specs, ..Default::default() };
    let many = fixture
        .raw
        .jobs
        .clone()
        .enqueue_batch(request)
        .await
        .expect_err("an error for too many items");
    // Counting ends at the first item beyond the bound.
    assert_invalid_field::<()>(Err(many), "specs", "at most 10000");
    let grown = fixture.resident_mib().saturating_sub(before);
    assert!(grown < 150, "the server has grown by {grown} MiB");
    fixture.assert_serving().await;
}
