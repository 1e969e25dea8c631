//! Fuzzes the frames of a server: the session either rejects the stream or stays within its limits.

use std::sync::Arc;

use prost::{Message, Name};
use sentinel_fuzz::Target;
use tokio::sync::mpsc;

use super::*;
use crate::proto::bounds::Bounds;
use crate::proto::workers::v1::session_response::Frame;
use crate::proto::workers::v1::{
    Assign, Assignment, CancelItem, CancelJobs, CheckpointAck, DrainAck, GoAway, LogAck, Pong,
    ReportAck, ReportVerdict, Revoked, SessionResponse, Welcome,
};

const CONCURRENCY: u32 = 4;

fn session_state(now: Instant, dirty: DirtySender) -> SessionState {
    let info = WorkerInfo {
        instance: "w1".into(),
        build: String::new(),
        queues: vec!["q".to_owned()],
        kinds: Vec::new(),
        labels: Default::default(),
    };
    let capacity = Capacity { slots: CONCURRENCY, payload_bytes: 64 };
    SessionState::new(info, SessionTimings::default(), capacity, dirty, now)
}

/// Feeds length-prefixed frames to a session, 50 ms apart. Each handler finishes one frame after it
/// started. Returns how many frames and starts the session accepted.
fn check_frames(mut bytes: &[u8]) -> usize {
    let (dirty, _writes) = mpsc::channel(100);
    let mut now = Instant::now();
    let mut state = session_state(now, dirty);
    state.hello(now);
    let welcome = Welcome { session: "s".into(), ..Welcome::default() };
    state.welcome(now, &welcome).expect("a valid Welcome");
    let mut accepted = 0;
    let mut running: Vec<Arc<ActiveAttempt>> = Vec::new();
    while let Some((len, rest)) = bytes.split_first_chunk::<2>() {
        let len = usize::from(u16::from_be_bytes(*len)).min(rest.len());
        let (frame, rest) = rest.split_at(len);
        bytes = rest;
        let bounds = Bounds::of(&SessionResponse::full_name()).expect("a message of the contract");
        let is_bounded = bounds.check(frame).is_ok();
        let Some(frame) = SessionResponse::decode(frame).ok().filter(|_| is_bounded) else {
            continue;
        };
        for attempt in running.drain(..) {
            let outcome = Outcome::Succeed(bytes::Bytes::new());
            state.handler_finished(HandlerFinished { local_id: attempt.local_id, outcome });
        }
        let Ok(started) = state.frame(now, frame) else { return accepted };
        accepted += 1 + started.len();
        running.extend(started);
        now += Duration::from_millis(50);
        state.advance(now);
        let _ = state.next_wake(true);
        let frames = std::iter::from_fn(|| state.next_frame(now)).take(10_000).count();
        assert!(frames < 10_000, "next_frame never returns None");
        assert!(state.running <= CONCURRENCY && running.len() <= CONCURRENCY as usize);
        assert!(state.stream.granted_slots <= CONCURRENCY, "{}", state.stream.granted_slots);
        assert!(state.running_bytes >= 0 && (state.running > 0 || state.running_bytes == 0));
        let held = state.held.values();
        assert_eq!(held.filter(|held| held.is_running).count(), state.running as usize);
    }
    state.hello(now);
    accepted
}

fn encode(frames: Vec<Frame>) -> Vec<u8> {
    let mut out = Vec::new();
    for frame in frames {
        let bytes = SessionResponse { frame: Some(frame) }.encode_to_vec();
        out.extend((bytes.len() as u16).to_be_bytes());
        out.extend(bytes);
    }
    out
}

fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let lease = |n: u64| {
        Some(Lease { job_id: format!("job{n}"), run: 1, attempt: 1, epoch: n, session: "s".into() })
    };
    let leases = |n: u64| (0..n).filter_map(lease).collect::<Vec<_>>();
    let assign = |assign_seq, n| {
        let item = |at| Assignment { lease: lease(at), kind: "k".into(), ..Assignment::default() };
        Frame::Assign(Assign { assign_seq, items: (0..n).map(item).collect() })
    };
    let verdict = |n, verdict| ReportVerdict { lease: lease(n), verdict };
    let ack = |verdicts: &[i32]| {
        let items = verdicts.iter().zip(0..).map(|(v, n)| verdict(n, *v)).collect();
        Frame::ReportAck(ReportAck { items })
    };
    let cancel = |n| CancelItem { lease: lease(n), ..CancelItem::default() };
    let pong = |n| Frame::Pong(Pong { nonce: n, cancels: vec![cancel(n)] });
    let acks = |n, v| Frame::CheckpointAck(CheckpointAck { lease: lease(n), seq: 1, verdict: v });
    vec![
        (
            "assign-and-report-ack",
            encode(vec![assign(1, 2), pong(0), ack(&[1, 2]), assign(2, 2), pong(9)]),
        ),
        ("assign-exceeds-credit", encode(vec![assign(1, 50), pong(1), ack(&[4; 50]), pong(2)])),
        (
            "missing-lease",
            encode(vec![Frame::Assign(Assign {
                assign_seq: 1,
                items: vec![Assignment::default()],
            })]),
        ),
        (
            "revoked",
            encode(vec![
                assign(1, 4),
                Frame::Cancel(CancelJobs { items: (0..4).map(cancel).collect() }),
                Frame::Revoked(Revoked { leases: leases(4) }),
                ack(&[3, 3, 3, 99]),
            ]),
        ),
        (
            "acks-of-unknown-leases",
            encode(vec![
                acks(7, 1),
                acks(7, 3),
                Frame::LogAck(LogAck { lease: lease(7), seq: u64::MAX }),
                ack(&[1; 9]),
                assign(u64::MAX, 1),
                assign(1, 1),
            ]),
        ),
        (
            "go-away",
            encode(vec![
                Frame::GoAway(GoAway {
                    reconnect_within: Some(prost_types::Duration { seconds: i64::MAX, nanos: -1 }),
                }),
                Frame::DrainAck(DrainAck { last_assign_seq: u64::MAX }),
                Frame::Welcome(Welcome::default()),
            ]),
        ),
    ]
}

const FRAMES: Target = Target {
    manifest_dir: env!("CARGO_MANIFEST_DIR"),
    name: "server_frames",
    check: check_frames,
    seeds,
};

#[test]
fn any_server_frames_keep_the_session_within_its_limits() {
    FRAMES.test();
}

#[test]
#[ignore = "runs for minutes: cargo xtask soak"]
fn soak_server_frames() {
    FRAMES.soak(1);
}
