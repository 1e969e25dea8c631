//! The rules of a session on a clock that the tests move.

use tokio::sync::mpsc;

use super::*;
use crate::proto::workers::v1::{
    Assign, Assignment, DrainAck, HeldVerdict, Pong, ReportAck, ReportVerdict, SessionResponse,
    Verdict, Welcome, session_request::Frame as Up, session_response::Frame as Down,
};

const ROOM: Room = Room { slots: 4, payload_bytes: 1_000 };

struct Desk {
    state: SessionState,
    now: Instant,
    assign_seq: u64,
    _dirty: mpsc::Receiver<Arc<Attempt>>,
}

impl Desk {
    /// A session of four slots that was just welcomed.
    fn open() -> Self {
        let (dirty_tx, dirty) = mpsc::channel(100);
        let identity = Identity {
            instance: "w1".into(),
            build: String::new(),
            queues: vec!["default".to_owned()],
            kinds: Vec::new(),
            labels: Default::default(),
        };
        let now = Instant::now();
        let mut state = SessionState::new(identity, SessionTimings::default(), ROOM, dirty_tx, now);
        state.random = || 1.0;
        let mut desk = Self { state, now, assign_seq: 0, _dirty: dirty };
        desk.reconnect(&[]);
        desk
    }

    fn reconnect(&mut self, verdicts: &[HeldVerdict]) -> Hello {
        let hello = self.state.hello(self.now);
        self.state.welcome(self.now, &welcome(verdicts)).expect("is welcomed");
        hello
    }

    fn pass(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
        self.state.advance(self.now);
    }

    fn down(&mut self, frame: Down) -> Vec<Arc<Attempt>> {
        let response = SessionResponse { frame: Some(frame) };
        self.state.frame(self.now, response).expect("is allowed")
    }

    fn assign(&mut self, ids: &[&str]) -> Vec<Arc<Attempt>> {
        self.assign_seq += 1;
        let items = ids.iter().map(|id| assignment(id)).collect();
        self.down(Down::Assign(Assign { assign_seq: self.assign_seq, items }))
    }

    fn finish(&mut self, attempt: &Attempt) {
        let outcome = Outcome::Succeed(bytes::Bytes::new());
        self.state.finished(Finished { no: attempt.no, outcome });
    }

    fn ack(&mut self, id: &str, verdict: Verdict) {
        let item = ReportVerdict { lease: Some(lease(id)), verdict: verdict.into() };
        self.down(Down::ReportAck(ReportAck { items: vec![item] }));
    }

    /// All that is due now.
    fn up(&mut self) -> Vec<Up> {
        std::iter::from_fn(|| self.state.next_frame(self.now)).filter_map(|r| r.frame).collect()
    }

    fn reported(&mut self) -> Vec<String> {
        let frames = self.up();
        let reports = frames.into_iter().filter_map(|frame| match frame {
            Up::Report(report) => Some(report.items),
            _ => None,
        });
        reports.flatten().filter_map(|item| item.lease).map(|lease| lease.job_id).collect()
    }
}

fn lease(id: &str) -> Lease {
    Lease { job_id: id.to_owned(), run: 1, attempt: 1, epoch: 1, session: "s1".to_owned() }
}

fn assignment(id: &str) -> Assignment {
    Assignment { lease: Some(lease(id)), ..Assignment::default() }
}

fn welcome(verdicts: &[HeldVerdict]) -> Welcome {
    let held = verdicts.iter().map(|verdict| i32::from(*verdict)).collect();
    Welcome { session: "s1".to_owned(), held, ..Welcome::default() }
}

#[test]
fn room_is_used_by_jobs_and_free_when_handlers_end() {
    let mut desk = Desk::open();
    assert_eq!(desk.state.counts(), (0, 4, 0));
    let started = desk.assign(&["a", "b", "c"]);
    assert_eq!(desk.state.counts(), (3, 1, 0));
    assert_eq!(desk.up(), [Up::Received(crate::proto::workers::v1::Received { assign_seq: 1 })]);
    desk.finish(&started[0]);
    assert_eq!(desk.state.counts(), (2, 1, 1));
    desk.pass(1);
    assert_eq!(desk.up().len(), 2, "a report and a credit");
    assert_eq!(desk.state.counts(), (2, 2, 1));
    // The end of a handler counts once.
    desk.finish(&started[0]);
    assert_eq!(desk.state.counts(), (2, 2, 1));
    desk.ack("a", Verdict::Recorded);
    desk.ack("a", Verdict::Recorded);
    assert_eq!(desk.state.counts(), (2, 2, 0));
}

#[test]
fn bytes_go_one_job_beyond_and_come_back() {
    let mut desk = Desk::open();
    let large = |id, bytes| Assignment { payload: vec![0; bytes].into(), ..assignment(id) };
    let credits = |desk: &mut Desk| -> Vec<_> {
        let frames = desk.up().into_iter();
        let of = |frame| if let Up::Credit(c) = frame { Some((c.jobs, c.bytes)) } else { None };
        frames.filter_map(of).collect()
    };
    let items = vec![large("a", 400), large("b", 700)];
    let started = desk.down(Down::Assign(Assign { assign_seq: 1, items }));
    desk.pass(1);
    assert_eq!(credits(&mut desk), [], "what is used is not granted");
    // The slot is free again, and its bytes: those that are beyond the bound are not counted twice.
    desk.finish(&started[0]);
    desk.pass(1);
    assert_eq!(credits(&mut desk), [(1, 400)]);
    let hello = desk.reconnect(&[HeldVerdict::Keep; 2]);
    assert_eq!(hello.credit.map(|c| (c.jobs, c.bytes)), Some((3, 300)));
    desk.finish(&started[1]);
    desk.pass(1);
    assert_eq!(credits(&mut desk), [(1, 700)]);
    assert_eq!(desk.state.running_bytes, 0);
}

#[test]
fn a_reconnect_resets_room_and_sends_reports_in_order() {
    let mut desk = Desk::open();
    let started = desk.assign(&["a", "b", "c"]);
    desk.finish(&started[1]);
    desk.finish(&started[0]);
    desk.pass(1);
    assert_eq!(desk.reported(), ["b", "a"]);
    let hello = desk.reconnect(&[HeldVerdict::Keep, HeldVerdict::Keep, HeldVerdict::Keep]);
    let held: Vec<_> = hello.held.iter().map(|lease| lease.job_id.as_str()).collect();
    assert_eq!(held, ["a", "b", "c"]);
    assert_eq!(hello.credit.expect("is set").jobs, 3);
    desk.pass(1);
    assert_eq!(desk.reported(), ["a", "b"]);
    desk.pass(1);
    assert!(desk.reported().is_empty(), "once a stream");
}

#[test]
fn retry_later_waits_longer_each_time() {
    let mut desk = Desk::open();
    let started = desk.assign(&["a"]);
    desk.finish(&started[0]);
    desk.pass(1);
    assert_eq!(desk.reported(), ["a"]);
    for pause_ms in [50, 100, 200] {
        desk.ack("a", Verdict::RetryLater);
        desk.pass(pause_ms - 1);
        assert!(desk.reported().is_empty());
        desk.pass(2);
        assert_eq!(desk.reported(), ["a"]);
    }
    desk.ack("a", Verdict::Fenced);
    assert!(desk.state.hello(desk.now).held.is_empty());
}

#[test]
fn pings_are_regular_and_any_frame_is_a_sign_of_life() {
    let mut desk = Desk::open();
    desk.pass(1999);
    assert!(desk.up().is_empty());
    desk.pass(1);
    assert!(matches!(desk.up()[..], [Up::Ping(_)]));
    assert_eq!(desk.state.next_wake(true), Some(desk.now + Duration::from_secs(2)));
    desk.pass(2999);
    assert!(!desk.state.is_silent(desk.now));
    desk.down(Down::Pong(Pong::default()));
    desk.pass(4999);
    assert!(!desk.state.is_silent(desk.now));
    desk.pass(1);
    assert!(desk.state.is_silent(desk.now));
}

#[test]
fn a_lost_handler_keeps_its_slot_until_it_ends() {
    let mut desk = Desk::open();
    let started = desk.assign(&["a"]);
    desk.reconnect(&[HeldVerdict::Revoked]);
    assert!(started[0].is_cancelled());
    assert_eq!(desk.state.counts(), (1, 3, 0));
    desk.finish(&started[0]);
    assert_eq!(desk.state.counts(), (0, 3, 0));
    desk.pass(1);
    assert!(desk.reported().is_empty());
    assert!(desk.state.held.is_empty() && desk.state.by_lease.is_empty());
}

#[test]
fn one_worker_may_hold_two_leases_of_one_job() {
    let mut desk = Desk::open();
    let first = desk.assign(&["a"]);
    desk.reconnect(&[HeldVerdict::Revoked]);
    desk.assign_seq += 1;
    let mut item = assignment("a");
    item.lease.as_mut().expect("is set").epoch = 2;
    let assign = Assign { assign_seq: desk.assign_seq, items: vec![item] };
    let second = desk.down(Down::Assign(assign));
    assert_eq!(second.len(), 1);
    desk.finish(&first[0]);
    desk.finish(&second[0]);
    desk.pass(1);
    assert_eq!(desk.reported(), ["a"]);
}

#[test]
fn timers_of_ended_attempts_do_not_pile_up() {
    let mut desk = Desk::open();
    for n in 0..100 {
        let mut item = assignment(&format!("j{n}"));
        item.run_timeout = Some(prost_types::Duration { seconds: 3600, nanos: 0 });
        desk.assign_seq += 1;
        let assign = Assign { assign_seq: desk.assign_seq, items: vec![item] };
        let started = desk.down(Down::Assign(assign));
        desk.finish(&started[0]);
        desk.ack(&format!("j{n}"), Verdict::Recorded);
        desk.pass(1);
        desk.up();
    }
    assert!(desk.state.held.is_empty());
    assert_eq!(desk.state.next_wake(false), Some(desk.now + Duration::from_millis(4999)));
}

#[test]
fn a_store_that_stops_committing_stops_the_flow() {
    let mut desk = Desk::open();
    desk.state.unacked = 10_000 - 1;
    let started = desk.assign(&["a", "b"]);
    desk.finish(&started[0]);
    desk.pass(1);
    assert_eq!(desk.state.grantable(), 0);
    desk.state.unacked = 0;
    assert_eq!(desk.state.grantable(), 1);
}

#[test]
fn a_drain_ends_without_a_stream() {
    let mut desk = Desk::open();
    let started = desk.assign(&["a"]);
    let until = desk.now + Duration::from_secs(30);
    desk.state.begin_drain(desk.now, until);
    assert!(matches!(desk.up()[0], Up::Drain(_)));
    desk.state.disconnected(desk.now);
    desk.finish(&started[0]);
    desk.pass(1);
    assert!(!desk.state.is_drained(), "its report has no verdict yet");
    desk.reconnect(&[HeldVerdict::AlreadyRecorded]);
    assert!(!desk.state.is_drained(), "the server may still assign");
    desk.down(Down::DrainAck(DrainAck { last_assign_seq: 0 }));
    assert!(desk.state.is_drained());
}

#[test]
fn a_welcome_with_other_verdicts_is_refused() {
    let mut desk = Desk::open();
    desk.assign(&["a"]);
    desk.state.hello(desk.now);
    assert!(desk.state.welcome(desk.now, &welcome(&[])).is_err());
}

#[test]
fn reports_that_nobody_acknowledges_end_the_stream() {
    let mut desk = Desk::open();
    let started = desk.assign(&["a", "b"]);
    desk.finish(&started[0]);
    desk.pass(1);
    assert_eq!(desk.reported(), ["a"]);
    desk.pass(29_999);
    desk.down(Down::Pong(Pong::default()));
    assert!(!desk.state.is_ignored(desk.now));
    desk.pass(1);
    assert!(desk.state.is_ignored(desk.now));
    desk.ack("a", Verdict::Recorded);
    assert!(!desk.state.is_ignored(desk.now));
    desk.pass(60_000);
    assert!(!desk.state.is_ignored(desk.now), "nothing waits");
}
