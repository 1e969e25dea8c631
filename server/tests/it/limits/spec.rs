//! Limits of the fields of a job spec.

use prost_types::{Duration, Timestamp};
use sentinel_domain::limits::{self as l, Limit};
use sentinel_proto::jobs::v1::{CancelRequest, EnqueueRequest, GetRequest, Job};
use sentinel_proto::jobs::v1::{JobSpec, JobView, RetryPolicy, Unique, UniqueMode};

use super::{NAME_RANGE, invalid_names, text};
use crate::raw::{RawClients, assert_invalid_field, spec};

/// Tests a limit; returns false when the limit is not tested here.
pub(super) async fn check(raw: &RawClients, limit: &Limit) -> bool {
    let max = limit.value;
    match limit.name {
        "PAYLOAD_BYTES" => {
            let set = |spec: &mut JobSpec, len: u64| spec.payload = vec![7; len as usize].into();
            let edge = Edge { field: "payload", range: &format!("at most {max} bytes") };
            edge.check(raw, set, &[0, 1, max - 1, max], &[max + 1, 5 << 20]).await;
        }
        "PAYLOAD_MAX_BYTES" => payload_max(max).await,
        "NAME_BYTES" => names(raw, max).await,
        "KEY_BYTES" => keys(raw, max).await,
        "CONTENT_TYPE_BYTES" => {
            let set = |spec: &mut JobSpec, len| spec.content_type = text(len);
            let edge = Edge { field: "content_type", range: &format!("at most {max} bytes") };
            edge.check(raw, set, &[0, 1, max - 1, max], &[max + 1, 1 << 20]).await;
        }
        "LABELS" => {
            let set = |spec: &mut JobSpec, n: u64| {
                spec.labels = (0..n).map(|at| (format!("k{at}"), text(at % 3))).collect();
            };
            let edge = Edge { field: "labels", range: &format!("at most {max}") };
            edge.check(raw, set, &[0, 1, max - 1, max], &[max + 1, 50_000]).await;
        }
        "DEPENDENCIES" => dependencies(raw, max).await,
        "PRIORITY_MAX" => {
            let set = |spec: &mut JobSpec, v: u64| spec.priority = v as u32;
            let edge = Edge { field: "priority", range: &format!("0..={max}") };
            edge.check(raw, set, &[0, max - 1, max], &[max + 1, u64::from(u32::MAX)]).await;
        }
        "ATTEMPTS_MAX" => {
            let set = |spec: &mut JobSpec, v: u64| {
                spec.retry.get_or_insert_default().max_attempts = v as u32;
            };
            let edge = Edge { field: "retry.max_attempts", range: &format!("1..={max}") };
            edge.check(raw, set, &[0, 1, max - 1, max], &[max + 1, u64::from(u32::MAX)]).await;
        }
        "RETRY_BASE_MAX_MS" => {
            let set = |spec: &mut JobSpec, v| spec.retry.get_or_insert_default().base = Some(v);
            check_duration("retry.base", (1, max), raw, set).await;
        }
        "RETRY_CAP_MAX_MS" => {
            let base = Some(Duration { seconds: 0, nanos: 7_000_000 });
            let set = |spec: &mut JobSpec, v| {
                spec.retry = Some(RetryPolicy { base, cap: Some(v), ..RetryPolicy::default() });
            };
            check_duration("retry.cap", (7, max), raw, set).await;
        }
        "DELAY_MAX_MS" => {
            check_duration("delay", (0, max), raw, |spec, v| spec.delay = Some(v)).await;
            check_times(raw).await;
        }
        "RUN_TIMEOUT_MAX_MS" => {
            check_duration("run_timeout", (1, max), raw, |spec, v| spec.run_timeout = Some(v))
                .await;
        }
        "CANCEL_GRACE_MAX_MS" => {
            check_duration("cancel_grace", (0, max), raw, |spec, v| spec.cancel_grace = Some(v))
                .await;
        }
        "UNIQUE_TTL_MIN_MS" | "UNIQUE_TTL_MAX_MS" => {
            let range = (l::UNIQUE_TTL_MIN_MS, l::UNIQUE_TTL_MAX_MS);
            let set = |spec: &mut JobSpec, v| {
                spec.unique = Some(Unique { ttl: Some(v), key: text(1), ..Unique::default() });
            };
            check_duration("unique.ttl", range, raw, set).await;
        }
        _ => return defaults(raw, limit).await,
    }
    true
}

/// Tests the default values of a job.
async fn defaults(raw: &RawClients, limit: &Limit) -> bool {
    let ms = |span: Option<Duration>| {
        let span = span.expect("a default of the server");
        span.seconds as u64 * 1_000 + span.nanos as u64 / 1_000_000
    };
    let spec = stored(raw, spec(|_| {})).await.spec.expect("a spec");
    let retry = spec.retry.expect("a default of the server");
    let found = match limit.name {
        "ATTEMPTS_DEFAULT" => u64::from(retry.max_attempts),
        "RETRY_BASE_MS" => ms(retry.base),
        "RETRY_CAP_MS" => ms(retry.cap),
        "CANCEL_GRACE_MS" => ms(spec.cancel_grace),
        _ => return false,
    };
    assert_eq!(found, limit.value, "{}", limit.name);
    true
}

/// Enqueues a job and returns it.
async fn stored(raw: &RawClients, spec: JobSpec) -> Job {
    let id = raw.enqueue(spec).await.expect("the server accepts it");
    let request = GetRequest { id, view: JobView::Full.into() };
    let response = raw.jobs.clone().get(request).await.expect("an existing job").into_inner();
    response.job.expect("a job")
}

/// A field of a job spec and the range in its errors.
struct Edge<'a> {
    field: &'a str,
    range: &'a str,
}

impl Edge<'_> {
    async fn check<T: Clone>(
        &self,
        raw: &RawClients,
        set: impl Fn(&mut JobSpec, T),
        good: &[T],
        bad: &[T],
    ) {
        for value in good {
            let response = raw.enqueue(spec(|spec| set(spec, value.clone()))).await;
            assert!(response.is_ok(), "{}: {response:?}", self.field);
        }
        for value in bad {
            let response = raw.enqueue(spec(|spec| set(spec, value.clone()))).await;
            assert_invalid_field(response, &format!("spec.{}", self.field), self.range);
        }
    }
}

/// Tests a duration field below, within and above its range, and with invalid durations.
async fn check_duration(
    field: &str,
    (min, max): (u64, u64),
    raw: &RawClients,
    set: impl Fn(&mut JobSpec, Duration),
) {
    let ms = |ms: i64| Duration { seconds: ms / 1_000, nanos: (ms % 1_000 * 1_000_000) as i32 };
    let (low, high) = (min as i64, max as i64);
    let good = [ms(low), ms(low + 1), ms(high - 1), ms(high)];
    let bad = [
        ms(low - 1),
        ms(high + 1),
        Duration { seconds: i64::MAX, nanos: 999_999_999 },
        Duration { seconds: i64::MIN, nanos: -999_999_999 },
        Duration { seconds: -1, nanos: 0 },
    ];
    let range = format!("{min}..={max} ms");
    Edge { field, range: &range }.check(raw, &set, &good, &bad).await;
    let valid = max as i64 / 2_000;
    let invalid = [
        Duration { seconds: valid, nanos: 1_000_000_000 },
        Duration { seconds: valid, nanos: i32::MAX },
        Duration { seconds: valid + 1, nanos: -1 },
        Duration { seconds: -1, nanos: 1 },
        Duration { seconds: 0, nanos: i32::MIN },
    ];
    Edge { field, range: "nanos" }.check(raw, &set, &[], &invalid).await;
}

/// Tests points in time.
async fn check_times(raw: &RawClients) {
    // The time of the server's clock.
    let now = stored(raw, spec(|_| {})).await.created_at.expect("a time").seconds;
    let at = |seconds| Timestamp { seconds, nanos: 0 };
    let day = 86_400;
    let run_at = |spec: &mut JobSpec, at| spec.run_at = Some(at);
    let (first, last) = (at(-62_135_596_800), at(253_402_300_799));
    let past = [first, at(-1), at(0), at(now - day), at(now + 365 * day)];
    let ahead = [at(now + 367 * day), last];
    Edge { field: "run_at", range: "366 days" }.check(raw, run_at, &past, &ahead).await;
    let beyond = [at(-62_135_596_801), at(253_402_300_800), at(i64::MAX), at(i64::MIN)];
    let years = "0001-01-01 to 9999-12-31";
    Edge { field: "run_at", range: years }.check(raw, run_at, &[], &beyond).await;
    let deadline = |spec: &mut JobSpec, at| spec.start_deadline = Some(at);
    let edge = Edge { field: "start_deadline", range: "after now" };
    edge.check(raw, deadline, &[at(now + day), last], &[at(now - day), first, at(0)]).await;
    Edge { field: "start_deadline", range: years }.check(raw, deadline, &[], &beyond).await;
    let invalid = [-1, 1_000_000_000, i32::MAX, i32::MIN];
    let invalid = invalid.map(|nanos| Timestamp { seconds: now, nanos });
    Edge { field: "run_at", range: "nanos" }.check(raw, run_at, &[], &invalid).await;
    Edge { field: "start_deadline", range: "nanos" }.check(raw, deadline, &[], &invalid).await;
    let both = |spec: &mut JobSpec, at| {
        (spec.run_at, spec.delay) = (Some(at), Some(Duration::default()));
    };
    Edge { field: "delay", range: "one of them" }.check(raw, both, &[], &[at(now)]).await;
}

async fn names(raw: &RawClients, max: u64) {
    let good = [text(1), text(max - 1), text(max), "aZ09._-".into()];
    let queue = Edge { field: "queue", range: NAME_RANGE };
    queue.check(raw, |spec, v| spec.queue = v, &good, &invalid_names()).await;
    let kind = Edge { field: "kind", range: NAME_RANGE };
    kind.check(raw, |spec, v| spec.kind = v, &good, &invalid_names()).await;
    for name in invalid_names() {
        let shown: String = name.chars().take(32).collect();
        let spec = spec(|spec| spec.labels = [(name, String::new())].into());
        assert_invalid_field(
            raw.enqueue(spec).await,
            &format!("spec.labels[{shown:?}]"),
            NAME_RANGE,
        );
    }
}

async fn keys(raw: &RawClients, max: u64) {
    let range = format!("at most {max} bytes");
    let (good, bad) = ([1, max - 1, max], [max + 1, 1 << 20]);
    let unique = |spec: &mut JobSpec, len| {
        spec.unique = Some(Unique { key: text(len), ..Unique::default() });
    };
    Edge { field: "unique.key", range: "256 bytes" }.check(raw, unique, &good, &[0]).await;
    Edge { field: "unique.key", range: &range }.check(raw, unique, &[], &bad).await;
    let debounce = |spec: &mut JobSpec, mode: UniqueMode| {
        spec.unique = Some(Unique { key: text(2), mode: mode.into(), ..Unique::default() });
    };
    let edge = Edge { field: "unique.mode", range: "run_at or delay" };
    edge.check(raw, debounce, &[], &[UniqueMode::Debounce]).await;
    let traceparent = |spec: &mut JobSpec, len| spec.traceparent = text(len);
    let edge = Edge { field: "traceparent", range: &range };
    edge.check(raw, traceparent, &good, &bad).await;
    let label = |spec: &mut JobSpec, len| spec.labels = [("k".to_owned(), text(len))].into();
    let edge = Edge { field: "labels[\"k\"]", range: &range };
    edge.check(raw, label, &[0, max], &bad).await;
    for (len, is_good) in [(0, true), (max, true), (max + 1, false), (1 << 20, false)] {
        let request = || EnqueueRequest { spec: Some(spec(|_| {})), ..EnqueueRequest::default() };
        let actor = raw.enqueue_request(EnqueueRequest { actor: text(len), ..request() }).await;
        let request_id =
            raw.enqueue_request(EnqueueRequest { request_id: text(len), ..request() }).await;
        let id = raw.enqueue(spec(|_| {})).await.expect("the server accepts it");
        let with = CancelRequest { id, ..CancelRequest::default() };
        let cancel = async |request| raw.jobs.clone().cancel(request).await.map(|_| ());
        let reason = cancel(CancelRequest { reason: text(len), ..with.clone() }).await;
        let cancel_id = cancel(CancelRequest { request_id: text(len), ..with }).await;
        if is_good {
            assert!(reason.is_ok() && cancel_id.is_ok(), "{reason:?} {cancel_id:?}");
            assert!(actor.is_ok() && request_id.is_ok(), "{actor:?} {request_id:?}");
        } else {
            assert_invalid_field(reason, "reason", &range[..range.len() - 6]);
            assert_invalid_field(cancel_id, "request_id", &range);
            assert_invalid_field(actor, "actor", &range);
            assert_invalid_field(request_id, "request_id", &range);
        }
    }
}

async fn dependencies(raw: &RawClients, max: u64) {
    let mut parents = Vec::new();
    for _ in 0..=max {
        parents.push(raw.enqueue(spec(|_| {})).await.expect("the server accepts it"));
    }
    let set = |spec: &mut JobSpec, n: u64| spec.depends_on = parents[..n as usize].to_vec();
    let edge = Edge { field: "depends_on", range: &format!("at most {max}") };
    edge.check(raw, set, &[0, 1, max - 1, max], &[max + 1]).await;
    let id = |spec: &mut JobSpec, id: &str| spec.depends_on = vec![id.to_owned()];
    let missing = "0190a5c2-0000-7000-8000-000000000000";
    let edge = Edge { field: "depends_on[0]", range: "UUID" };
    edge.check(raw, id, &[], &["", "x", "0190a5c2-0000-7000-8000-00000000000g"]).await;
    let unknown = raw.enqueue(spec(|spec| id(spec, missing))).await;
    assert!(unknown.is_err(), "a dependency on a missing job must fail");
}

/// A payload of the largest configurable size can be enqueued, read and assigned.
async fn payload_max(max: u64) {
    use crate::harness::{TestServer, sentinel};
    use crate::raw::session::{RawSession, hello, succeeded_report};
    let too_much = format!("{}", max + 1);
    let output = sentinel(["serve", "--payload-max-bytes", &too_much]).await;
    assert!(output.code != 0 && output.stderr.contains("payload"), "{output:?}");
    let limit = max.to_string();
    let server =
        TestServer::with_flags(&["--auto-create-queues", "--payload-max-bytes", &limit]).await;
    let raw = RawClients::connect(&server).await;
    let large = |len: u64| spec(|spec| spec.payload = vec![b'p'; len as usize].into());
    let range = format!("at most {max} bytes");
    assert_invalid_field(raw.enqueue(large(max + 1)).await, "spec.payload", &range);
    let job = stored(&raw, large(max)).await;
    assert_eq!(job.spec.expect("a spec").payload.len() as u64, max);
    let (mut session, _) = RawSession::join(&raw, hello(|_| {})).await.expect("a session");
    let assignment = session.accept_job().await;
    assert_eq!(assignment.payload.len() as u64, max);
    let verdicts = session.report(vec![succeeded_report(assignment.lease, vec![1; 1 << 20])]).await;
    assert_eq!(verdicts, [sentinel_proto::workers::v1::Verdict::Recorded]);
}
