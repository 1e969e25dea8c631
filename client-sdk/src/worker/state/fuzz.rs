//! A server that sends anything: the session gives the stream up, or holds to its own bounds.

use std::sync::Arc;

use prost::Message;
use sentinel_fuzz::Target;
use tokio::sync::mpsc;

use super::*;
use crate::proto::codec::check;
use crate::proto::workers::v1::session_response::Frame;
use crate::proto::workers::v1::{
    Assign, Assignment, CancelItem, CancelJobs, CheckpointAck, DrainAck, GoAway, LogAck, Pong,
    ReportAck, ReportVerdict, Revoked, SessionResponse, Welcome,
};

const CONCURRENCY: u32 = 4;

fn state(now: Instant, dirty: Dirty) -> SessionState {
    let identity = Identity {
        instance: "w1".into(),
        build: String::new(),
        queues: vec!["q".to_owned()],
        kinds: Vec::new(),
        labels: Default::default(),
    };
    let room = Room { slots: CONCURRENCY, payload_bytes: 64 };
    SessionState::new(identity, SessionTimings::default(), room, dirty, now)
}

/// Frames with their lengths in front, 50 ms apart. What starts also ends, one frame later.
fn play(mut bytes: &[u8]) -> usize {
    let (dirty, _writes) = mpsc::channel(100);
    let mut now = Instant::now();
    let mut state = state(now, dirty);
    state.hello(now);
    let welcome = Welcome { session: "s".into(), ..Welcome::default() };
    state.welcome(now, &welcome).expect("is welcomed");
    let mut reached = 0;
    let mut running: Vec<Arc<Attempt>> = Vec::new();
    while let Some((len, rest)) = bytes.split_first_chunk::<2>() {
        let len = usize::from(u16::from_be_bytes(*len)).min(rest.len());
        let (frame, rest) = rest.split_at(len);
        bytes = rest;
        let Ok(frame) = check::<SessionResponse>(frame).and_then(|()| {
            SessionResponse::decode(frame)
                .map_err(|error| tonic::Status::internal(error.to_string()))
        }) else {
            continue;
        };
        for attempt in running.drain(..) {
            let outcome = Outcome::Succeed(bytes::Bytes::new());
            state.finished(Finished { no: attempt.no, outcome });
        }
        let Ok(starts) = state.frame(now, frame) else { return reached };
        reached += 1 + starts.len();
        running.extend(starts);
        now += Duration::from_millis(50);
        state.advance(now);
        let _ = state.next_wake(true);
        let frames = std::iter::from_fn(|| state.next_frame(now)).take(10_000).count();
        assert!(frames < 10_000, "there is always another frame");
        assert!(state.running <= CONCURRENCY && running.len() <= CONCURRENCY as usize);
        assert!(state.link.credit_out <= CONCURRENCY, "{} granted", state.link.credit_out);
        assert!(state.running_bytes >= 0 && (state.running > 0 || state.running_bytes == 0));
        let held = state.held.values();
        assert_eq!(held.filter(|held| held.is_running).count(), state.running as usize);
    }
    state.hello(now);
    reached
}

fn frames(all: Vec<Frame>) -> Vec<u8> {
    let mut out = Vec::new();
    for frame in all {
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
        ("a-life", frames(vec![assign(1, 2), pong(0), ack(&[1, 2]), assign(2, 2), pong(9)])),
        ("more-than-granted", frames(vec![assign(1, 50), pong(1), ack(&[4; 50]), pong(2)])),
        (
            "no-lease",
            frames(vec![Frame::Assign(Assign {
                assign_seq: 1,
                items: vec![Assignment::default()],
            })]),
        ),
        (
            "taken-back",
            frames(vec![
                assign(1, 4),
                Frame::Cancel(CancelJobs { items: (0..4).map(cancel).collect() }),
                Frame::Revoked(Revoked { leases: leases(4) }),
                ack(&[3, 3, 3, 99]),
            ]),
        ),
        (
            "acks-of-nothing",
            frames(vec![
                acks(7, 1),
                acks(7, 3),
                Frame::LogAck(LogAck { lease: lease(7), seq: u64::MAX }),
                ack(&[1; 9]),
                assign(u64::MAX, 1),
                assign(1, 1),
            ]),
        ),
        (
            "leaving",
            frames(vec![
                Frame::GoAway(GoAway {
                    reconnect_within: Some(prost_types::Duration { seconds: i64::MAX, nanos: -1 }),
                }),
                Frame::DrainAck(DrainAck { last_assign_seq: u64::MAX }),
                Frame::Welcome(Welcome::default()),
            ]),
        ),
    ]
}

const FRAMES: Target =
    Target { manifest_dir: env!("CARGO_MANIFEST_DIR"), name: "server_frames", check: play, seeds };

#[test]
fn server_frames() {
    FRAMES.test();
}

#[test]
#[ignore = "a long dose; run with cargo xtask soak"]
fn soak_server_frames() {
    FRAMES.soak(1);
}
