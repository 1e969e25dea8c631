//! Round trips of stored records, and decoding of invalid bytes.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use sentinel_domain::{
    Ack, AttemptOutcome, Backoff, DependencyFailure, Jitter, OnLost, QueueMode, QueueOrder, Reason,
    State, UniqueMode, UniqueScope,
};

use super::*;

fn text() -> impl Strategy<Value = Box<str>> {
    "[a-z.é]{1,12}".prop_map(Box::from)
}

fn name() -> impl Strategy<Value = Name> {
    "[a-z.]{1,12}".prop_map(Name::from)
}

fn blob() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

fn job_id() -> impl Strategy<Value = JobId> {
    any::<u128>().prop_map(JobId::from_u128)
}

fn session_id() -> impl Strategy<Value = SessionId> {
    any::<u128>().prop_map(SessionId::from_u128)
}

prop_compose! {
    fn retry()(
        max_attempts in any::<u32>(),
        backoff in prop_oneof![Just(Backoff::Fixed), Just(Backoff::Exponential)],
        base_ms in any::<u64>(),
        cap_ms in any::<u64>(),
        jitter in prop_oneof![Just(Jitter::None), Just(Jitter::Full)],
    ) -> RetryPolicy {
        RetryPolicy { max_attempts, backoff, base_ms, cap_ms, jitter }
    }
}

prop_compose! {
    fn unique()(
        key in text(),
        scope in prop_oneof![Just(UniqueScope::Kind), Just(UniqueScope::Queue)],
        mode in prop::sample::select(UniqueMode::ALL.to_vec()),
        ttl_ms in of(any::<u64>()),
    ) -> Box<Unique> {
        Box::new(Unique { key, scope, mode, ttl_ms })
    }
}

prop_compose! {
    fn spec()(
        (queue, kind, content_type) in (name(), name(), name()),
        payload in blob(),
        priority in any::<u8>(),
        (created_at, run_at) in any::<(i64, i64)>(),
        start_deadline in of(any::<i64>()),
        run_timeout_ms in of(any::<u64>()),
        retry in retry(),
        labels in vec((name(), name()), 0..4),
        unique in of(unique()),
        depends_on in vec(job_id(), 0..4),
        (cancels, retries) in any::<(bool, bool)>(),
        (traceparent, actor) in (of(text()), of(text())),
        cancel_grace_ms in any::<u64>(),
        ack in of(prop::sample::select(vec![Ack::Store, Ack::Replicated, Ack::Ledger])),
    ) -> Spec {
        Spec {
            queue, kind, payload, content_type, priority, created_at, run_at, start_deadline,
            run_timeout_ms, retry, unique, traceparent, cancel_grace_ms, actor, ack,
            unknown_fields: None,
            labels: labels.into_iter().map(|(key, value)| Label { key, value }).collect(),
            depends_on: depends_on.into(),
            on_dependency_failure:
                if cancels { DependencyFailure::Cancel } else { DependencyFailure::Run },
            on_lost: if retries { OnLost::Retry } else { OnLost::Fail },
        }
    }
}

const REASONS: [Reason; 13] = [
    Reason::None,
    Reason::HandlerError,
    Reason::NotRetryable,
    Reason::Timeout,
    Reason::WorkerLost,
    Reason::Poisoned,
    Reason::CancelledByCaller,
    Reason::Replaced,
    Reason::DependencyFailed,
    Reason::StartDeadline,
    Reason::Snoozed,
    Reason::Released,
    Reason::Deleted,
];

const OUTCOMES: [AttemptOutcome; 8] = [
    AttemptOutcome::Failed,
    AttemptOutcome::TimedOut,
    AttemptOutcome::Lost,
    AttemptOutcome::Snoozed,
    AttemptOutcome::Released,
    AttemptOutcome::NotReceived,
    AttemptOutcome::Cancelled,
    AttemptOutcome::Revoked,
];

prop_compose! {
    fn error()(message in text(), code in text(), retryable in any::<bool>(), detail in text()) -> Box<JobError> {
        Box::new(JobError { message, code, retryable, detail })
    }
}

prop_compose! {
    fn status()(
        state in prop::sample::select(State::ALL.to_vec()),
        reason in prop::sample::select(REASONS.to_vec()),
        (version, epoch) in any::<(u64, u64)>(),
        (run, attempt, crashes, was_snoozed, revision) in any::<(u32, u32, u32, bool, u32)>(),
        (ready_at, updated_at) in any::<(i64, i64)>(),
        (started_at, finished_at) in (of(any::<i64>()), of(any::<i64>())),
        lease in of((session_id(), any::<i64>())),
        cancel in of((any::<i64>(), text(), text())),
        error in of(error()),
        (result, checkpoint) in (of(blob()), of(blob())),
        progress in of((any::<[u64; 3]>(), text())),
        (waiting_for, worker) in (vec(job_id(), 0..3), of(name())),
    ) -> Status {
        Status {
            state, reason, version, run, attempt, crashes, epoch, was_snoozed, revision, ready_at,
            updated_at, started_at, finished_at, error, result, checkpoint, worker,
            lease: lease.map(|(session, granted_at)| {
                Lease { id: LeaseId { run, attempt, epoch, session }, granted_at }
            }),
            cancel: cancel.map(|(at, reason, actor)| Box::new(Cancel { at, reason, actor })),
            progress: progress.map(|([seq, done, total], message)| {
                Box::new(Progress { seq, done, total, message })
            }),
            waiting_for: waiting_for.into(),
            recorded_lease: lease.map(|(session, _)| (epoch, session)),
            unknown_fields: None,
        }
    }
}

prop_compose! {
    fn attempt_end()(
        (run, attempt, epoch) in any::<(u32, u32, u64)>(),
        outcome in prop::sample::select(OUTCOMES.to_vec()),
        (started_at, ended_at) in (of(any::<i64>()), any::<i64>()),
        worker in of(name()),
        error in of(error()),
    ) -> AttemptEnd {
        AttemptEnd { run, attempt, epoch, outcome, started_at, ended_at, worker, error }
    }
}

prop_compose! {
    fn queue()(
        name in name(),
        order in prop_oneof![Just(QueueOrder::Aging), Just(QueueOrder::Strict)],
        priority_boost_ms in any::<u64>(),
        description in text(),
        mode in prop::sample::select(vec![QueueMode::Open, QueueMode::Paused, QueueMode::Draining]),
        created_at in any::<i64>(),
        paths in prop::collection::vec(text(), 0..3),
    ) -> Queue {
        let index_paths = paths.into();
        Queue { name, order, priority_boost_ms, description, mode, created_at, index_paths }
    }
}

prop_compose! {
    fn event()(
        id in job_id(), status in status(), spec in of(spec()), attempt_end in of(attempt_end()),
    ) -> JobEvent {
        let encoded_spec = spec.as_ref().map(encode_spec);
        JobEvent { id, status, spec: spec.map(Arc::new), encoded_spec, attempt_end }
    }
}

prop_compose! {
    fn idempotency_record()(
        id in text(), content_hash in any::<u64>(), response in blob(), expires_at in any::<i64>(),
    ) -> IdempotencyRecord {
        IdempotencyRecord { id, content_hash, response, expires_at }
    }
}

prop_compose! {
    fn entry()(
        at in any::<i64>(),
        jobs in vec(event(), 0..4),
        queues in vec(queue(), 0..2),
        idempotency_records in vec(idempotency_record(), 0..2),
    ) -> JournalEntry {
        let position = Position { epoch: 1, seq: 2 };
        JournalEntry { position, at, jobs, queues, idempotency_records }
    }
}

/// The unknown fields 98 (bytes) and 99 (a number).
const NEWER: [u8; 8] = [0x92, 0x06, 2, 7, 7, 0x98, 0x06, 5];

proptest! {
    #[test]
    fn fields_of_a_newer_version_are_preserved(
        spec in spec(), status in status(), worker in name(),
    ) {
        let names = &mut NamePool::default();
        let with_newer_fields = |bytes: &[u8]| Bytes::from([bytes, &NEWER[..]].concat());
        let stored = with_newer_fields(&encode_status(&status));
        let mut decoded = decode_status(stored, names).expect("a valid status");
        prop_assert_eq!(decoded.unknown_fields.as_deref(), Some(&NEWER[..]));
        // A change by this version keeps the fields.
        decoded.worker = Some(worker);
        prop_assert!(encode_status(&decoded).ends_with(&NEWER));
        prop_assert_eq!(decode_status(encode_status(&decoded).into(), names), Ok(decoded));
        let stored = with_newer_fields(&encode_spec(&spec));
        let decoded = decode_spec(stored.clone(), names).expect("a valid spec");
        prop_assert_eq!(encode_spec(&decoded), stored);
    }

    #[test]
    fn a_spec_survives_a_round_trip(spec in spec()) {
        let decoded = decode_spec(encode_spec(&spec), &mut NamePool::default());
        prop_assert_eq!(decoded, Ok(spec));
    }

    #[test]
    fn a_status_survives_a_round_trip(status in status()) {
        let decoded = decode_status(encode_status(&status).into(), &mut NamePool::default());
        prop_assert_eq!(decoded, Ok(status));
    }

    #[test]
    fn an_entry_survives_a_round_trip(entry in entry()) {
        let bytes = encode_entry(&entry).into();
        let decoded = decode_entry(entry.position, bytes, &mut NamePool::default());
        prop_assert_eq!(decoded, Ok(entry));
    }

    #[test]
    fn a_queue_survives_a_round_trip(queue in queue()) {
        let decoded = decode_queue(encode_queue(&queue).into(), &mut NamePool::default());
        prop_assert_eq!(decoded, Ok(queue));
    }

    #[test]
    fn decoding_any_bytes_does_not_panic(bytes in vec(any::<u8>(), 0..200)) {
        let (bytes, names) = (Bytes::from(bytes), &mut NamePool::default());
        let _ = decode_spec(bytes.clone(), names);
        let _ = decode_status(bytes.clone(), names);
        let _ = decode_queue(bytes.clone(), names);
        let _ = decode_entry(Position::default(), bytes, names);
    }

    #[test]
    fn decoding_a_corrupt_entry_does_not_panic(
        entry in entry(), at in any::<prop::sample::Index>(), bit in 0..8_u8,
    ) {
        let mut bytes = encode_entry(&entry);
        let at = at.index(bytes.len().max(1));
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1 << bit;
        }
        let _ = decode_entry(entry.position, bytes.into(), &mut NamePool::default());
    }
}

#[test]
fn an_unknown_code_is_reported_with_its_field() {
    let newer = s::Status { state: 200, ..s::Status::default() };
    let error = decode_status(newer.encode_to_vec().into(), &mut NamePool::default());
    assert_eq!(error, Err(CodecError::UnknownCode { what: "state", code: 200 }));
    let text = error.expect_err("compared above").to_string();
    assert!(text.contains("newer version"), "{text}");
    assert!(matches!(
        code::to_reason(99),
        Err(CodecError::UnknownCode { what: "reason", code: 99 })
    ));
    assert!(matches!(code::to_unique_mode(0), Err(CodecError::UnknownCode { .. })));
    assert!(matches!(code::to_queue_order(9), Err(CodecError::UnknownCode { .. })));
}

#[test]
fn equal_names_share_one_allocation() {
    let mut names = NamePool::default();
    assert!(Arc::ptr_eq(&names.intern("queue"), &names.intern("queue")));
}

/// A new field above these numbers would be stored twice: as itself and as an unknown field.
#[test]
fn the_highest_known_fields_match_the_messages() {
    let text = include_str!("../../proto/sentinel/store/v1/store.proto");
    let highest = |message: &str| {
        let begin = text.find(&format!("message {message} {{")).expect("the message");
        let body = text[begin..].split("\n}").next().expect("its fields");
        let numbers = body.lines().filter_map(|line| {
            line.split("= ").nth(1)?.split(';').next()?.trim().parse::<u32>().ok()
        });
        numbers.max().expect("a field")
    };
    assert_eq!(highest("Spec"), super::unknown_fields::SPEC);
    assert_eq!(highest("Status"), super::unknown_fields::STATUS);
}
