//! Limits of batches, filters, pages, watches and queues.

use futures_util::StreamExt;
use prost_types::Duration;
use sentinel_domain::limits::{BATCH_BYTES, Limit, PAYLOAD_BYTES};
use sentinel_proto::admin::v1::{CreateQueueRequest, ListQueuesRequest, Queue};
use sentinel_proto::jobs::v1::watch_request::Selector;
use sentinel_proto::jobs::v1::watch_response::Event;
use sentinel_proto::jobs::v1::{
    BatchGetRequest, BulkAction, BulkRequest, CancelRequest, CountsRequest, EnqueueBatchRequest,
    EnqueueBatchResult, JobFilter, JobIds, JobSpec, ListRequest, SummarySelection, WatchRequest,
    enqueue_batch_result,
};
use tonic::{Code, Status};

use super::{NAME_RANGE, invalid_names, text};
use crate::harness::{TIMEOUT, wait_until};
use crate::raw::{RawClients, assert_invalid_field, error_reason, spec};

/// Tests a limit; returns false when the limit is not tested here.
pub(super) async fn check(raw: &RawClients, limit: &Limit) -> bool {
    let max = limit.value;
    match limit.name {
        "FILTER_NAMES" => {
            let names = |n: u64| (0..n).map(|at| format!("n{at}")).collect::<Vec<_>>();
            let range = format!("at most {max}");
            let queues = |n| JobFilter { queues: names(n), ..JobFilter::default() };
            let kinds = |n| JobFilter { kinds: names(n), ..JobFilter::default() };
            filter_edge(raw, ("filter.queues", &range), queues, max).await;
            filter_edge(raw, ("filter.kinds", &range), kinds, max).await;
            let counted = |n| {
                let request = CountsRequest { queues: names(n) };
                let mut jobs = raw.jobs.clone();
                async move { jobs.counts(request).await }
            };
            assert!(counted(5 * max).await.is_ok());
            assert_invalid_field(counted(5 * max + 1).await, "queues", "at most 100");
        }
        "FILTER_LABELS" => {
            let labels = |n: u64| (0..n).map(|at| (format!("k{at}"), text(1))).collect();
            let filter = |n| JobFilter { labels: labels(n), ..JobFilter::default() };
            filter_edge(raw, ("filter.labels", &format!("at most {max}")), filter, max).await;
        }
        "BATCH_JOBS" => batch_jobs(raw, max).await,
        "BATCH_BYTES" => batch_bytes(raw, max).await,
        "WATCH_JOBS" => watch_jobs(raw, max).await,
        "SUMMARY_QUEUES" => {
            let summed = |queues| {
                let summary = Some(SummarySelection { queues });
                let request = WatchRequest { summary, ..WatchRequest::default() };
                let mut jobs = raw.jobs.clone();
                async move { jobs.watch(request).await.map(|_| ()) }
            };
            let names = |n: u64| (0..n).map(|at| format!("n{at}")).collect::<Vec<_>>();
            assert!(summed(names(max)).await.is_ok());
            assert_invalid_field(
                summed(names(max + 1)).await,
                "summary.queues",
                &format!("at most {max}"),
            );
            for name in invalid_names() {
                assert_invalid_field(summed(vec![name]).await, "summary.queues", NAME_RANGE);
            }
        }
        "WATCH_SNAPSHOT_JOBS" => watch_snapshot(raw, max).await,
        "BULK_DEFAULT" => {
            let filter = many(raw, "bulk", max + 1).await;
            let cancel = BulkAction::Cancel.into();
            let request = BulkRequest { action: cancel, filter, ..BulkRequest::default() };
            let step = raw.jobs.clone().bulk(request).await.expect("a bulk step").into_inner();
            assert_eq!(step.counts.iter().map(|one| one.count).sum::<u64>(), max);
            assert!(!step.next_page_token.is_empty());
        }
        "PAGE_MAX" => page_max(raw, max).await,
        "PAGE_DEFAULT" => {
            let filter = many(raw, "pages", max + 1).await;
            let page = listed(raw, ListRequest { filter, ..ListRequest::default() }).await;
            assert_eq!(page.expect("a page").0 as u64, max);
        }
        _ => return check_queue_limit(raw, limit).await,
    }
    true
}

/// Tests limits of the settings of queues.
async fn check_queue_limit(raw: &RawClients, limit: &Limit) -> bool {
    let max = limit.value;
    match limit.name {
        "DESCRIPTION_BYTES" => {
            let set = |queue: &mut Queue, len| queue.description = text(len);
            let range = format!("at most {max} bytes");
            queue_edge(raw, ("queue.description", &range), set, &[0, max - 1, max], &[max + 1])
                .await;
            queue_names(raw).await;
        }
        "PRIORITY_BOOST_MAX_MS" => {
            let set = |queue: &mut Queue, ms: i64| {
                let (seconds, nanos) = (ms / 1_000, (ms % 1_000 * 1_000_000) as i32);
                queue.priority_boost = Some(Duration { seconds, nanos });
            };
            let (high, range) = (max as i64, format!("1..={max} ms"));
            let bad = [0, -1, high + 1, i64::MAX, i64::MIN];
            queue_edge(raw, ("queue.priority_boost", &range), set, &[1, high - 1, high], &bad)
                .await;
        }
        "PRIORITY_BOOST_MS" => {
            let queue = create(raw, Queue { name: "with-defaults".into(), ..Queue::default() });
            let boost = queue
                .await
                .expect("the server accepts it")
                .priority_boost
                .expect("a default of the server");
            assert_eq!(boost.seconds as u64 * 1_000, max);
        }
        "INDEX_PATHS" => {
            let set = |queue: &mut Queue, count| {
                queue.index_paths = (0..count).map(|n| format!("path.n{n}")).collect();
            };
            let range = format!("at most {max}");
            queue_edge(raw, ("queue.index_paths", &range), set, &[0, max - 1, max], &[max + 1])
                .await;
        }
        "INDEX_PATH_BYTES" => {
            let set = |queue: &mut Queue, len| queue.index_paths = vec!["ok".into(), text(len)];
            let range = format!("at most {max} bytes");
            let field = "queue.index_paths[1]";
            for (at, len) in [1, max - 1, max].into_iter().enumerate() {
                let mut queue = Queue { name: format!("path{at}"), ..Queue::default() };
                set(&mut queue, len);
                create(raw, queue).await.expect("the server accepts it");
            }
            let mut queue = Queue { name: "path".into(), ..Queue::default() };
            set(&mut queue, max + 1);
            assert_invalid_field(create(raw, queue).await, field, &range);
        }
        "KINDS_PER_QUEUE" => classes(raw, max).await,
        "QUEUES_MAX" => queues_max(max).await,
        _ => return false,
    }
    true
}

async fn create(raw: &RawClients, queue: Queue) -> Result<Queue, Status> {
    let request = CreateQueueRequest { queue: Some(queue), actor: String::new() };
    let response = raw.queues.clone().create_queue(request).await?.into_inner();
    Ok(response.queue.expect("a queue"))
}

async fn queue_edge<T: Copy + std::fmt::Debug>(
    raw: &RawClients,
    (field, range): (&str, &str),
    set: impl Fn(&mut Queue, T),
    good: &[T],
    bad: &[T],
) {
    let queue = |at: usize, value: T| {
        let mut queue = Queue { name: format!("{field}{at}"), ..Queue::default() };
        set(&mut queue, value);
        queue
    };
    for (at, value) in good.iter().enumerate() {
        create(raw, queue(at, *value)).await.expect("the server accepts it");
    }
    for value in bad {
        assert_invalid_field(create(raw, queue(99, *value)).await, field, range);
    }
}

async fn queue_names(raw: &RawClients) {
    for name in invalid_names() {
        let queue = Queue { name, ..Queue::default() };
        assert_invalid_field(create(raw, queue).await, "queue.name", NAME_RANGE);
    }
    let nothing = CreateQueueRequest { queue: None, actor: String::new() };
    assert_invalid_field(raw.queues.clone().create_queue(nothing).await, "queue", "is required");
    let actor = CreateQueueRequest { queue: Some(Queue::default()), actor: text(257) };
    assert_invalid_field(
        raw.queues.clone().create_queue(actor).await,
        "actor",
        "at most 256 bytes",
    );
    let order = Queue { name: text(3), order: 99, ..Queue::default() };
    assert_invalid_field(create(raw, order).await, "queue.order", "99");
}

/// Tests the limit of a filter for List and for Watch.
async fn filter_edge(
    raw: &RawClients,
    (field, range): (&str, &str),
    filter: impl Fn(u64) -> JobFilter,
    max: u64,
) {
    for count in [0, 1, max - 1, max, max + 1, 9_000] {
        let filter = filter(count);
        let request = ListRequest { filter: Some(filter.clone()), ..ListRequest::default() };
        let page = listed(raw, request).await;
        let watch = watched(raw, Selector::Filter(filter)).await;
        if count <= max {
            assert!(page.is_ok() && watch.is_ok(), "{field} {count}: {page:?} {watch:?}");
        } else {
            assert_invalid_field(page, field, range);
            assert_invalid_field(watch, field, range);
        }
    }
}

/// Opens a watch and returns its first event.
async fn watched(raw: &RawClients, selector: Selector) -> Result<Event, Status> {
    let request = WatchRequest { selector: Some(selector), ..WatchRequest::default() };
    let mut events = raw.jobs.clone().watch(request).await?.into_inner();
    let first = tokio::time::timeout(TIMEOUT, events.next()).await.expect("a first event");
    Ok(first.expect("a first event")?.event.expect("an event"))
}

/// Returns the number of jobs of a page and the token of the next page.
async fn listed(raw: &RawClients, request: ListRequest) -> Result<(usize, String), Status> {
    let page = raw.jobs.clone().list(request).await?.into_inner();
    Ok((page.jobs.len(), page.next_page_token))
}

async fn batch(
    raw: &RawClients,
    specs: Vec<JobSpec>,
    atomic: bool,
) -> Result<Vec<EnqueueBatchResult>, Status> {
    let request = EnqueueBatchRequest { specs, atomic, ..EnqueueBatchRequest::default() };
    Ok(raw.jobs.clone().enqueue_batch(request).await?.into_inner().results)
}

fn is_taken(result: &EnqueueBatchResult) -> bool {
    matches!(result.outcome, Some(enqueue_batch_result::Outcome::Job(_)))
}

async fn batch_jobs(raw: &RawClients, max: u64) {
    for atomic in [true, false] {
        for count in [1, max - 1, max] {
            let results = batch(raw, vec![spec(|_| {}); count as usize], atomic).await;
            let results = results.expect("the server accepts it");
            assert!(results.len() as u64 == count && results.iter().all(is_taken));
        }
        for count in [0, max + 1, 9_999] {
            let response = batch(raw, vec![spec(|_| {}); count as usize], atomic).await;
            assert_invalid_field(response, "specs", &format!("1..={max}"));
        }
    }
    let id = raw.enqueue(spec(|_| {})).await.expect("the server accepts it");
    let found = |count: u64| {
        let request = BatchGetRequest { ids: vec![id.clone(); count as usize], view: 0 };
        let mut jobs = raw.jobs.clone();
        async move { jobs.batch_get(request).await.map(|response| response.into_inner().results.len()) }
    };
    for count in [1, max - 1, max] {
        assert_eq!(found(count).await.expect("a response") as u64, count);
    }
    for count in [0, max + 1, 9_999] {
        assert_invalid_field(found(count).await, "ids", &format!("1..={max}"));
    }
    // The error has as many violations as fit into the headers of a response.
    let wrong = vec![spec(|spec| spec.priority = 10); max as usize];
    let status = batch(raw, wrong, true).await.expect_err("an error");
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let details = tonic_types::StatusExt::get_details_bad_request(&status);
    let found = details.expect("a BadRequest").field_violations;
    assert_eq!(found[0].field, "specs[0].priority");
    assert!(found.len() > 10 && status.message().contains(" more"), "{status:?}");
}

async fn batch_bytes(raw: &RawClients, max: u64) {
    let parts = max / PAYLOAD_BYTES;
    let of = |last: u64| {
        let part = |len: u64| spec(|spec| spec.payload = vec![1; len as usize].into());
        let mut specs = vec![part(PAYLOAD_BYTES); parts as usize - 1];
        specs.push(part(last));
        specs
    };
    for last in [PAYLOAD_BYTES - 1, PAYLOAD_BYTES] {
        assert!(
            batch(raw, of(last), true).await.expect("the server accepts it").iter().all(is_taken)
        );
    }
    let mut over = of(PAYLOAD_BYTES);
    over.push(spec(|spec| spec.payload = vec![1].into()));
    let range = format!("at most {BATCH_BYTES} in all");
    for atomic in [true, false] {
        assert_invalid_field(batch(raw, over.clone(), atomic).await, "specs", &range);
    }
}

async fn watch_jobs(raw: &RawClients, max: u64) {
    let id = raw.enqueue(spec(|_| {})).await.expect("the server accepts it");
    let range = format!("1..={max}");
    for count in [1, max - 1, max, 0, max + 1, 9_000] {
        let ids = vec![id.clone(); count as usize];
        let watch = watched(raw, Selector::Jobs(JobIds { ids })).await;
        match count {
            1.. if count <= max => assert!(watch.is_ok(), "{count}: {watch:?}"),
            _ => assert_invalid_field(watch, "jobs.ids", &range),
        }
    }
    let nothing = raw.jobs.clone().watch(WatchRequest::default()).await;
    assert_invalid_field(nothing.map(|_| ()), "selector", "jobs or filter");
    let garbage = watched(raw, Selector::Jobs(JobIds { ids: vec![text(1 << 20)] })).await;
    assert_invalid_field(garbage, "jobs.ids", "UUID");
}

/// Enqueues this many jobs into a new queue and waits until the ledger has them.
async fn many(raw: &RawClients, queue: &str, count: u64) -> Option<JobFilter> {
    let mut left = count as usize;
    while left > 0 {
        let now = left.min(1_000);
        let of_queue = spec(|spec| spec.queue = queue.to_owned());
        batch(raw, vec![of_queue; now], true).await.expect("the server accepts it");
        left -= now;
    }
    wait_until("the ledger has the jobs", TIMEOUT, || async {
        let request = CountsRequest { queues: vec![queue.to_owned()] };
        let counts = raw.jobs.clone().counts(request).await.expect("counts").into_inner();
        let counted = counts.queues.iter().flat_map(|queue| &queue.states).map(|state| state.count);
        (counted.sum::<u64>() == count).then_some(())
    })
    .await;
    Some(JobFilter { queues: vec![queue.to_owned()], ..JobFilter::default() })
}

async fn watch_snapshot(raw: &RawClients, max: u64) {
    for (queue, count) in [("snapshot", max), ("snapshot-more", max + 1)] {
        let filter = many(raw, queue, count).await.expect("a filter");
        let selector = Some(Selector::Filter(filter));
        let request = WatchRequest { selector, ..WatchRequest::default() };
        let mut events = raw.jobs.clone().watch(request).await.expect("open a watch").into_inner();
        let mut jobs = 0;
        let is_truncated = loop {
            let event = events.next().await.expect("a part").expect("a part").event;
            let Some(Event::Snapshot(part)) = event else { panic!("{event:?}") };
            jobs += part.jobs.len() as u64;
            if !part.continues {
                break part.truncated;
            }
        };
        assert_eq!((jobs, is_truncated), (max, count > max));
    }
}

async fn page_max(raw: &RawClients, max: u64) {
    let filter = many(raw, "full-pages", max + 1).await;
    let sized = |page_size: i32| ListRequest {
        filter: filter.clone(),
        page_size,
        ..ListRequest::default()
    };
    let max = max as i32;
    for size in [1, max - 1, max] {
        let (jobs, next) = listed(raw, sized(size)).await.expect("a page");
        assert!(jobs == size as usize && !next.is_empty());
    }
    let range = format!("0..={max}");
    for size in [-1, max + 1, i32::MIN, i32::MAX] {
        assert_invalid_field(listed(raw, sized(size)).await, "page_size", &range);
        let queues = ListQueuesRequest { page_size: size, page_token: String::new() };
        assert_invalid_field(raw.queues.clone().list_queues(queues).await, "page_size", &range);
    }
    let cancel = CancelRequest { reason: text(257), id: text(1), ..CancelRequest::default() };
    assert_invalid_field(raw.jobs.clone().cancel(cancel).await, "id", "UUID");
}

async fn classes(raw: &RawClients, max: u64) {
    let of = |n: u64| spec(|spec| (spec.queue, spec.kind) = ("classes".into(), format!("kind{n}")));
    batch(raw, (0..max).map(of).collect(), true).await.expect("the server accepts it");
    assert!(raw.enqueue(of(max - 1)).await.is_ok());
    let too_many = (Code::ResourceExhausted, "TOO_MANY_KINDS".to_owned());
    assert_eq!(error_reason(raw.enqueue(of(max)).await), too_many);
    assert_eq!(error_reason(batch(raw, vec![of(0), of(max)], true).await), too_many);
    let loose = batch(raw, vec![of(0), of(max), of(1), of(max + 1)], false).await;
    let taken: Vec<bool> = loose.expect("a response").iter().map(is_taken).collect();
    assert_eq!(taken, [true, false, true, false], "only new kinds beyond the limit are refused");
}

async fn queues_max(max: u64) {
    let server = crate::harness::TestServer::start().await;
    let raw = &RawClients::connect(&server).await;
    let named = |n: u64| create(raw, Queue { name: format!("q{n}"), ..Queue::default() });
    let made = futures_util::stream::iter((0..max).map(named)).buffer_unordered(64);
    made.for_each(|made| async move { drop(made.expect("the server accepts it")) }).await;
    let too_many = (Code::ResourceExhausted, "TOO_MANY_QUEUES".to_owned());
    assert_eq!(error_reason(named(max).await), too_many);
    let unknown = spec(|spec| spec.queue = "one-more".into());
    assert_eq!(error_reason(raw.enqueue(unknown).await), too_many);
    assert!(named(0).await.is_ok(), "an existing queue is accepted");
}
