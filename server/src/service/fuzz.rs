//! Fuzz tests of requests. Arbitrary bytes either decode into a job that satisfies all invariants
//! or are rejected with the name of the field and a status that fits into headers.

use std::sync::Arc;

use prost::{Message, Name};
use sentinel_domain::limits::{KEY_BYTES, NAME_BYTES, PAYLOAD_BYTES, TIME_RANGE_MS};
use sentinel_domain::{JobId, initial_state, invariant, next_deadline};
use sentinel_engine::session::FromWorker;
use sentinel_fuzz::{Target, within};
use sentinel_proto::bounds::Bounds;
use sentinel_proto::jobs::v1 as jobs;
use sentinel_proto::workers::v1 as workers;
use sentinel_proto::workers::v1::session_request::Frame;
use sentinel_store::codec::{NamePool, decode_spec, encode_spec};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::{from_wire, worker::from_any_frame};

const DIR: &str = env!("CARGO_MANIFEST_DIR");
const NOW: i64 = 1_800_000_000_000;

/// Maximum ratio of a decoded message's memory to its encoded size, after the number of its items
/// was checked. It is high because inputs are short: 4 KiB of empty items pass every check.
const MAX_EXPANSION: usize = 2_048;

fn decode<M: Name + Default>(bytes: &[u8]) -> Option<M> {
    Bounds::of(&M::full_name())?.check(bytes).ok()?;
    within(16_384 + MAX_EXPANSION * bytes.len(), || M::decode(bytes)).ok()
}

/// Checks the status of a rejected request.
fn assert_rejection(status: &Status) {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let info = status.get_details_error_info().expect("every error has an ErrorInfo");
    if info.reason == "INVALID_FIELD" {
        let found = status.get_details_bad_request().expect("a BadRequest").field_violations;
        assert!(!found.is_empty() && found.iter().all(|v| !v.description.is_empty()));
    }
    let bytes = 3 * status.message().len() + status.details().len() * 4 / 3;
    assert!(bytes < 8_000, "{bytes} bytes of headers");
}

fn checked<T>(result: Result<T, Status>) -> Option<T> {
    result.inspect_err(assert_rejection).ok()
}

fn check_spec(path: &str, spec: Option<jobs::JobSpec>) -> usize {
    let Some(new) = checked(from_wire::new_job(path, spec)) else { return 1 };
    let spec = match new.into_spec(path, "me", NOW, PAYLOAD_BYTES) {
        Ok(spec) => spec,
        Err(found) => {
            assert_rejection(&super::status::invalid(found));
            return 2;
        }
    };
    let stored = encode_spec(&spec);
    assert_eq!(decode_spec(stored, &mut NamePool::default()).as_ref(), Ok(&spec));
    assert!((1..=NAME_BYTES).contains(&(spec.queue.len() as u64)));
    let job = initial_state(JobId::from_u128(1), Arc::new(spec), &[], NOW);
    assert_eq!(invariant::violated(&job), Vec::<&str>::new());
    next_deadline(&job);
    let shown = super::to_wire::job(&job, super::to_wire::JobDetail::Full);
    assert!(shown.created_at.is_some_and(|at| at.nanos >= 0));
    3
}

fn valid_spec() -> jobs::JobSpec {
    let second = Some(prost_types::Duration { seconds: 1, nanos: 0 });
    jobs::JobSpec {
        queue: "mail".into(),
        kind: "mail.send".into(),
        payload: "{}".into(),
        priority: 9,
        delay: second,
        start_deadline: Some(prost_types::Timestamp { seconds: NOW / 1_000 + 99, nanos: 1 }),
        run_timeout: second,
        retry: Some(jobs::RetryPolicy { max_attempts: 2, base: second, ..Default::default() }),
        labels: [("team".to_owned(), "blue".to_owned())].into(),
        unique: Some(jobs::Unique { key: "k".into(), mode: 4, ttl: second, ..Default::default() }),
        depends_on: vec![JobId::from_u128(7).to_string()],
        traceparent: "00-1-2-01".into(),
        cancel_grace: second,
        ..jobs::JobSpec::default()
    }
}

const ENQUEUE: Target = Target {
    manifest_dir: DIR,
    name: "enqueue_request",
    check: |bytes| {
        let Some(request) = decode::<jobs::EnqueueRequest>(bytes) else { return 0 };
        checked(from_wire::actor(&request.actor));
        if let Some(Some(key)) = checked(from_wire::request_key(&request.request_id, &())) {
            assert!((1..=KEY_BYTES).contains(&(key.id.len() as u64)));
        }
        check_spec("spec", request.spec)
    },
    seeds: || {
        let request =
            |spec| jobs::EnqueueRequest { spec, request_id: "r1".into(), actor: "me".into() };
        let odd = jobs::JobSpec {
            run_at: Some(prost_types::Timestamp { seconds: i64::MAX, nanos: -1 }),
            delay: Some(prost_types::Duration { seconds: i64::MIN, nanos: i32::MAX }),
            priority: u32::MAX,
            on_lost: -1,
            ..valid_spec()
        };
        vec![
            ("sound", request(Some(valid_spec())).encode_to_vec()),
            ("odd-numbers", request(Some(odd)).encode_to_vec()),
            ("no-spec", request(None).encode_to_vec()),
        ]
    },
};

const BATCH: Target = Target {
    manifest_dir: DIR,
    name: "enqueue_batch_request",
    check: |bytes| {
        let Some(request) = decode::<jobs::EnqueueBatchRequest>(bytes) else { return 0 };
        let specs = request.specs.into_iter().enumerate();
        specs.map(|(at, spec)| check_spec(&format!("specs[{at}]"), Some(spec))).max().unwrap_or(1)
    },
    seeds: || {
        let of = |specs| jobs::EnqueueBatchRequest { specs, ..Default::default() }.encode_to_vec();
        let empty = vec![jobs::JobSpec::default(); 500];
        vec![("two", of(vec![valid_spec(), valid_spec()])), ("five-hundred-empty", of(empty))]
    },
};

/// List and Watch have a filter, with different field numbers.
const FILTER: Target = Target {
    manifest_dir: DIR,
    name: "list_request",
    check: |bytes| {
        if let Some(watch) = decode::<jobs::WatchRequest>(bytes)
            && let Some(jobs::watch_request::Selector::Jobs(ids)) = watch.selector
        {
            for id in &ids.ids {
                checked(from_wire::job_id("jobs.ids", id));
            }
        }
        let Some(request) = decode::<jobs::ListRequest>(bytes) else { return 0 };
        checked(from_wire::page_size(request.page_size, 50)).inspect(|size| {
            assert!((1..=1_000).contains(size));
        });
        let Some(filter) = checked(from_wire::filter(request.filter)) else { return 1 };
        let times = [filter.created_after, filter.created_before];
        for at in times.into_iter().flatten() {
            assert!((TIME_RANGE_MS.0..=TIME_RANGE_MS.1).contains(&at));
        }
        let found = filter.violations("filter");
        if found.is_empty() {
            return 3;
        }
        assert_rejection(&super::status::invalid(found));
        2
    },
    seeds: || {
        let filter = jobs::JobFilter {
            queues: vec!["mail".into()],
            kinds: vec!["mail.send".into()],
            states: vec![1, 8],
            labels: [("team".to_owned(), "blue".to_owned())].into(),
            created_after: Some(prost_types::Timestamp { seconds: 1, nanos: 2 }),
            created_before: Some(prost_types::Timestamp { seconds: 9, nanos: 999_999_999 }),
        };
        let list = jobs::ListRequest {
            filter: Some(filter.clone()),
            page_size: 9,
            page_token: JobId::from_u128(7).to_string(),
            ..jobs::ListRequest::default()
        };
        let ids = vec![JobId::from_u128(7).to_string(), "x".into()];
        let watch = |selector| jobs::WatchRequest {
            selector: Some(selector),
            cursor: "7-42.3".into(),
            ..jobs::WatchRequest::default()
        };
        let by_ids = watch(jobs::watch_request::Selector::Jobs(jobs::JobIds { ids }));
        let by_filter = watch(jobs::watch_request::Selector::Filter(filter));
        vec![
            ("list", list.encode_to_vec()),
            ("watch-by-ids", by_ids.encode_to_vec()),
            ("watch-by-filter", by_filter.encode_to_vec()),
        ]
    },
};

fn check_frame(frame: &FromWorker) -> usize {
    match frame {
        FromWorker::Credit { jobs, bytes } => {
            assert!(*jobs <= 100_000 && bytes.is_none_or(|bytes| bytes > 0));
        }
        FromWorker::Report(items) => assert!(items.len() <= 1_000),
        FromWorker::Progress(items) => {
            assert!(items.len() <= 1_000 && items.iter().all(|(_, p)| p.message.len() <= 4 << 10));
        }
        FromWorker::Log { lines, .. } => {
            let times = TIME_RANGE_MS.0..=TIME_RANGE_MS.1;
            assert!(lines.len() <= 1_000 && lines.iter().all(|line| times.contains(&line.at)));
        }
        FromWorker::CancelAck(held) => assert!(held.len() <= 1_000),
        _ => {}
    }
    3
}

const SESSION: Target = Target {
    manifest_dir: DIR,
    name: "session_frame",
    check: |bytes| {
        let Some(request) = decode::<workers::SessionRequest>(bytes) else { return 0 };
        match checked(from_any_frame(request)) {
            None => 1,
            Some(None) => 2,
            Some(Some(frame)) => check_frame(&frame),
        }
    },
    seeds: session_seeds,
};

/// Returns one report per outcome.
fn report_items(lease: &Option<workers::Lease>) -> Vec<workers::ReportItem> {
    use workers::report_item::Outcome;
    let failed = workers::Failed {
        error: Some(jobs::JobError {
            message: "m".into(),
            code: "C".into(),
            retryable: true,
            detail: "at main".into(),
        }),
        next_delay: Some(prost_types::Duration { seconds: -1, nanos: 0 }),
        timeout: true,
    };
    let outcomes = [
        Outcome::Succeeded(workers::Succeeded { result: "42".into() }),
        Outcome::Failed(failed),
        Outcome::Snoozed(workers::Snoozed { delay: Some(Default::default()) }),
        Outcome::Released(workers::Released {}),
        Outcome::Cancelled(workers::Cancelled {}),
    ];
    let item = |outcome| workers::ReportItem {
        lease: lease.clone(),
        started_at: Some(prost_types::Timestamp { seconds: i64::MIN, nanos: -1 }),
        outcome: Some(outcome),
    };
    outcomes.map(item).to_vec()
}

fn session_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let id = JobId::from_u128(7).to_string();
    let lease = Some(workers::Lease {
        job_id: id.clone(),
        run: 1,
        attempt: 1,
        epoch: 1,
        session: id.clone(),
    });
    let hello = workers::Hello {
        instance: "w1".into(),
        queues: vec!["mail".into()],
        kinds: vec![workers::Kind {
            name: "mail.send".into(),
            description: "d".into(),
            input_schema: r#"{"type":"object"}"#.into(),
        }],
        labels: [("zone".to_owned(), "a".to_owned())].into(),
        session: id,
        held: lease.iter().cloned().collect(),
        credit: Some(workers::Credit { jobs: 7, bytes: 9 }),
        ..workers::Hello::default()
    };
    let progress = Some(jobs::Progress { seq: 1, done: 2, total: 3, message: "half".into() });
    let line = jobs::LogLine {
        seq: 1,
        time: Some(prost_types::Timestamp { seconds: i64::MAX, nanos: i32::MAX }),
        level: 9,
        text: "line".into(),
        ..jobs::LogLine::default()
    };
    let frames = [
        ("hello", Frame::Hello(hello)),
        ("credit", Frame::Credit(workers::Credit { jobs: u32::MAX, bytes: u64::MAX })),
        ("received", Frame::Received(workers::Received { assign_seq: u64::MAX })),
        ("report", Frame::Report(workers::Report { items: report_items(&lease) })),
        (
            "progress",
            Frame::Progress(workers::ProgressReport {
                items: vec![workers::ProgressItem { lease: lease.clone(), progress }],
            }),
        ),
        (
            "checkpoint",
            Frame::Checkpoint(workers::Checkpoint {
                lease: lease.clone(),
                data: "state".into(),
                seq: 1,
            }),
        ),
        ("log", Frame::Log(workers::LogBatch { lease: lease.clone(), lines: vec![line] })),
        (
            "cancel-ack",
            Frame::CancelAck(workers::CancelAck { leases: lease.iter().cloned().collect() }),
        ),
        ("ping", Frame::Ping(workers::Ping { nonce: 1 })),
        ("bye", Frame::Bye(workers::Bye { reason: "r".into() })),
    ];
    let encode = |frame| workers::SessionRequest { frame: Some(frame) }.encode_to_vec();
    frames.map(|(name, frame)| (name, encode(frame))).to_vec()
}

#[test]
fn enqueue_requests() {
    ENQUEUE.test();
}

#[test]
fn enqueue_batch_requests() {
    BATCH.test();
}

#[test]
fn list_and_watch_requests() {
    FILTER.test();
}

#[test]
fn session_frames() {
    SESSION.test();
}

#[test]
#[ignore = "runs for minutes: cargo xtask soak"]
fn soak_messages() {
    let all = [&ENQUEUE, &BATCH, &FILTER, &SESSION];
    all.iter().for_each(|target| target.soak(all.len()));
}
