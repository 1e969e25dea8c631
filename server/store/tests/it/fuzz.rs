//! Fuzz tests of the codec: any bytes are refused, or decode to a value that survives a round trip.
//! A wrong length does not cause a large allocation.

use std::sync::Arc;

use bytes::Bytes;
use sentinel_domain::{
    AttemptEnd, AttemptOutcome, Cancel, JobError, JobId, Lease, LeaseId, NewJob, Progress, Queue,
    SessionId, Spec, State, Status, initial_state,
};
use sentinel_fuzz::{Target, within};
use sentinel_store::codec::{self, CodecError, NamePool};
use sentinel_store::{IdempotencyRecord, JobEvent, JournalEntry, Position};

const DIR: &str = env!("CARGO_MANIFEST_DIR");

/// The maximum ratio of memory to encoded bytes. An empty job change has 2 bytes, and hundreds as a
/// struct in a vector that doubles.
const MEMORY_RATIO: usize = 2_048;

fn spec() -> Spec {
    let new = NewJob {
        queue: "mail".into(),
        kind: "mail.send".into(),
        payload: Bytes::from_static(b"{}"),
        labels: vec![("team".into(), "blue".into())],
        unique_key: Some("k".into()),
        unique_ttl_ms: Some(1_000),
        depends_on: vec![JobId::from_u128(7).to_string()],
        delay_ms: Some(5),
        run_timeout_ms: Some(9),
        traceparent: "00-1-2-01".into(),
        ..NewJob::default()
    };
    new.into_spec("spec", "me", 1_000, 10).expect("a valid job")
}

fn status() -> Status {
    let mut status = initial_state(JobId::from_u128(1), Arc::new(spec()), &[], 1_000).status;
    let session = SessionId::from_u128(9);
    status.state = State::Running;
    status.lease =
        Some(Lease { id: LeaseId { run: 1, attempt: 0, epoch: 0, session }, granted_at: 3 });
    status.cancel = Some(Box::new(Cancel { at: 4, reason: "r".into(), actor: "a".into() }));
    status.progress =
        Some(Box::new(Progress { seq: 1, done: 2, total: 3, message: "half".into() }));
    status.checkpoint = Some(Bytes::from_static(b"state"));
    status.result = Some(Bytes::from_static(b"42"));
    status.worker = Some("w1".into());
    status.recorded_lease = Some((1, session));
    status.error = Some(Box::new(JobError::new("m", "C", true)));
    status
}

fn entry() -> JournalEntry {
    let end = AttemptEnd {
        run: 1,
        attempt: 1,
        epoch: 1,
        outcome: AttemptOutcome::Failed,
        started_at: Some(1),
        ended_at: 2,
        worker: Some("w1".into()),
        error: None,
    };
    let new = codec::encode_spec(&spec());
    let id = JobId::from_u128(1);
    let event = JobEvent {
        id,
        status: status(),
        spec: Some(Arc::new(spec())),
        encoded_spec: Some(new),
        attempt_end: Some(end),
    };
    let again = JobEvent { spec: None, encoded_spec: None, attempt_end: None, ..event.clone() };
    let request = IdempotencyRecord {
        id: "r1".into(),
        content_hash: 1,
        response: Bytes::from_static(b"a"),
        expires_at: 9,
    };
    JournalEntry {
        position: Position::default(),
        at: 5,
        jobs: vec![event, again],
        queues: vec![Queue::with_defaults("mail".into(), 1)],
        idempotency_records: vec![request],
    }
}

/// Decodes within a memory limit, and checks that a round trip changes nothing.
fn check_round_trip<T: PartialEq + std::fmt::Debug>(
    bytes: &[u8],
    decode: impl Fn(Bytes, &mut NamePool) -> Result<T, CodecError>,
    encode: impl Fn(&T) -> Vec<u8>,
) -> usize {
    let input = Bytes::copy_from_slice(bytes);
    let memory_limit = 16_384 + MEMORY_RATIO * bytes.len();
    let read = within(memory_limit, || decode(input, &mut NamePool::default()));
    let read = match read {
        Ok(read) => read,
        Err(CodecError::Malformed(_)) => return 0,
        Err(CodecError::UnknownCode { .. } | CodecError::Missing(_)) => return 1,
    };
    let written = encode(&read);
    let again = decode(written.into(), &mut NamePool::default());
    assert_eq!(again.as_ref(), Ok(&read), "the round trip changed the value");
    2
}

const SPEC: Target = Target {
    manifest_dir: DIR,
    name: "stored_spec",
    check: |bytes| {
        check_round_trip(bytes, codec::decode_spec, |spec| codec::encode_spec(spec).to_vec())
    },
    seeds: || vec![("full", codec::encode_spec(&spec()).to_vec()), ("empty", Vec::new())],
};

const STATUS: Target = Target {
    manifest_dir: DIR,
    name: "stored_status",
    check: |bytes| check_round_trip(bytes, codec::decode_status, codec::encode_status),
    seeds: || vec![("full", codec::encode_status(&status())), ("empty", Vec::new())],
};

const QUEUE: Target = Target {
    manifest_dir: DIR,
    name: "stored_queue",
    check: |bytes| check_round_trip(bytes, codec::decode_queue, codec::encode_queue),
    seeds: || {
        let queue = Queue::with_defaults("mail".into(), 1);
        vec![("defaults", codec::encode_queue(&queue))]
    },
};

const ENTRY: Target = Target {
    manifest_dir: DIR,
    name: "stored_entry",
    check: |bytes| {
        let at = Position { epoch: 1, seq: 1 };
        check_round_trip(
            bytes,
            |bytes, names| codec::decode_entry(at, bytes, names),
            codec::encode_entry,
        )
    },
    seeds: || {
        let wrong_length = vec![0x12, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x00];
        let many = [0x12, 0x00].repeat(512);
        vec![
            ("full", codec::encode_entry(&entry())),
            ("wrong-length", wrong_length),
            ("empty-jobs", many),
        ]
    },
};

const POSITION: Target = Target {
    manifest_dir: DIR,
    name: "position",
    check: |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return 0 };
        let Ok(position) = text.parse::<Position>() else { return 1 };
        assert_eq!(position.to_string().parse(), Ok(position));
        2
    },
    seeds: || {
        let texts = ["7-42", "0-0", "18446744073709551615-18446744073709551615", "-", "1-2-3"];
        let names = ["valid", "zero", "largest", "no-numbers", "three-numbers"];
        names.into_iter().zip(texts.map(|text| text.as_bytes().to_vec())).collect()
    },
};

#[test]
fn stored_specs() {
    SPEC.test();
}

#[test]
fn stored_statuses() {
    STATUS.test();
}

#[test]
fn stored_queues() {
    QUEUE.test();
}

#[test]
fn stored_entries() {
    ENTRY.test();
}

#[test]
fn positions() {
    POSITION.test();
}

#[test]
#[ignore = "runs for minutes: cargo xtask soak"]
fn soak_stored_records() {
    let all = [&SPEC, &STATUS, &QUEUE, &ENTRY, &POSITION];
    all.iter().for_each(|target| target.soak(all.len()));
}
