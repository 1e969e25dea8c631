//! The session rules on a simulated clock.

use tokio::sync::mpsc;

use super::*;
use crate::proto::workers::v1::{
    Assign, Assignment, DrainAck, HeldVerdict, Pong, ReportAck, ReportVerdict, SessionResponse,
    Verdict, Welcome, session_request::Frame as RequestFrame,
    session_response::Frame as ResponseFrame,
};

const CAPACITY: Capacity = Capacity { slots: 4, payload_bytes: 1_000 };

/// A session with a simulated server and clock.
struct Fixture {
    state: SessionState,
    now: Instant,
    assign_seq: u64,
    _dirty: mpsc::Receiver<Arc<ActiveAttempt>>,
}

impl Fixture {
    /// An open session with four slots.
    fn open() -> Self {
        let (dirty_tx, dirty) = mpsc::channel(100);
        let info = WorkerInfo {
            instance: "w1".into(),
            build: String::new(),
            queues: vec!["default".to_owned()],
            kinds: Vec::new(),
            labels: Default::default(),
        };
        let now = Instant::now();
        let mut state = SessionState::new(info, SessionTimings::default(), CAPACITY, dirty_tx, now);
        state.random = || 1.0;
        let mut session = Self { state, now, assign_seq: 0, _dirty: dirty };
        session.reconnect(&[]);
        session
    }

    fn reconnect(&mut self, verdicts: &[HeldVerdict]) -> Hello {
        let hello = self.state.hello(self.now);
        self.state.welcome(self.now, &welcome(verdicts)).expect("a valid Welcome");
        hello
    }

    fn advance(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
        self.state.advance(self.now);
    }

    fn receive(&mut self, frame: ResponseFrame) -> Vec<Arc<ActiveAttempt>> {
        let response = SessionResponse { frame: Some(frame) };
        self.state.frame(self.now, response).expect("a valid frame")
    }

    fn assign(&mut self, ids: &[&str]) -> Vec<Arc<ActiveAttempt>> {
        self.assign_seq += 1;
        let items = ids.iter().map(|id| assignment(id)).collect();
        self.receive(ResponseFrame::Assign(Assign { assign_seq: self.assign_seq, items }))
    }

    fn finish(&mut self, attempt: &ActiveAttempt) {
        let outcome = Outcome::Succeed(bytes::Bytes::new());
        self.state.handler_finished(HandlerFinished { local_id: attempt.local_id, outcome });
    }

    fn ack(&mut self, id: &str, verdict: Verdict) {
        let item = ReportVerdict { lease: Some(lease(id)), verdict: verdict.into() };
        self.receive(ResponseFrame::ReportAck(ReportAck { items: vec![item] }));
    }

    /// The frames that are due now.
    fn sent_frames(&mut self) -> Vec<RequestFrame> {
        std::iter::from_fn(|| self.state.next_frame(self.now)).filter_map(|r| r.frame).collect()
    }

    fn reported_jobs(&mut self) -> Vec<String> {
        let frames = self.sent_frames();
        let reports = frames.into_iter().filter_map(|frame| match frame {
            RequestFrame::Report(report) => Some(report.items),
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
fn jobs_use_slots_until_their_handlers_finish() {
    let mut session = Fixture::open();
    assert_eq!(session.state.counts(), (0, 4, 0));
    let started = session.assign(&["a", "b", "c"]);
    assert_eq!(session.state.counts(), (3, 1, 0));
    assert_eq!(
        session.sent_frames(),
        [RequestFrame::Received(crate::proto::workers::v1::Received { assign_seq: 1 })]
    );
    session.finish(&started[0]);
    assert_eq!(session.state.counts(), (2, 1, 1));
    session.advance(1);
    assert_eq!(session.sent_frames().len(), 2, "a report and a credit");
    assert_eq!(session.state.counts(), (2, 2, 1));
    // A second message for the same handler is ignored.
    session.finish(&started[0]);
    assert_eq!(session.state.counts(), (2, 2, 1));
    session.ack("a", Verdict::Recorded);
    session.ack("a", Verdict::Recorded);
    assert_eq!(session.state.counts(), (2, 2, 0));
}

#[test]
fn the_last_job_may_exceed_the_byte_credit() {
    let mut session = Fixture::open();
    let large = |id, bytes| Assignment { payload: vec![0; bytes].into(), ..assignment(id) };
    let credits = |session: &mut Fixture| -> Vec<_> {
        let frames = session.sent_frames().into_iter();
        let credit = |frame| {
            if let RequestFrame::Credit(c) = frame { Some((c.jobs, c.bytes)) } else { None }
        };
        frames.filter_map(credit).collect()
    };
    let items = vec![large("a", 400), large("b", 700)];
    let started = session.receive(ResponseFrame::Assign(Assign { assign_seq: 1, items }));
    session.advance(1);
    assert_eq!(credits(&mut session), [], "used bytes are not granted");
    // The slot and the bytes of the job within the limit are free again.
    session.finish(&started[0]);
    session.advance(1);
    assert_eq!(credits(&mut session), [(1, 400)]);
    let hello = session.reconnect(&[HeldVerdict::Keep; 2]);
    assert_eq!(hello.credit.map(|c| (c.jobs, c.bytes)), Some((3, 300)));
    session.finish(&started[1]);
    session.advance(1);
    assert_eq!(credits(&mut session), [(1, 700)]);
    assert_eq!(session.state.running_bytes, 0);
}

#[test]
fn a_reconnect_resets_credit_and_resends_reports_in_order() {
    let mut session = Fixture::open();
    let started = session.assign(&["a", "b", "c"]);
    session.finish(&started[1]);
    session.finish(&started[0]);
    session.advance(1);
    assert_eq!(session.reported_jobs(), ["b", "a"]);
    let hello = session.reconnect(&[HeldVerdict::Keep, HeldVerdict::Keep, HeldVerdict::Keep]);
    let held: Vec<_> = hello.held.iter().map(|lease| lease.job_id.as_str()).collect();
    assert_eq!(held, ["a", "b", "c"]);
    assert_eq!(hello.credit.expect("credit").jobs, 3);
    session.advance(1);
    assert_eq!(session.reported_jobs(), ["a", "b"]);
    session.advance(1);
    assert!(session.reported_jobs().is_empty(), "a report is sent once per stream");
}

#[test]
fn retry_later_backs_off() {
    let mut session = Fixture::open();
    let started = session.assign(&["a"]);
    session.finish(&started[0]);
    session.advance(1);
    assert_eq!(session.reported_jobs(), ["a"]);
    for delay_ms in [50, 100, 200] {
        session.ack("a", Verdict::RetryLater);
        session.advance(delay_ms - 1);
        assert!(session.reported_jobs().is_empty());
        session.advance(2);
        assert_eq!(session.reported_jobs(), ["a"]);
    }
    session.ack("a", Verdict::Fenced);
    assert!(session.state.hello(session.now).held.is_empty());
}

#[test]
fn pings_are_periodic_and_any_frame_prevents_the_silence_timeout() {
    let mut session = Fixture::open();
    session.advance(1999);
    assert!(session.sent_frames().is_empty());
    session.advance(1);
    assert!(matches!(session.sent_frames()[..], [RequestFrame::Ping(_)]));
    assert_eq!(session.state.next_wake(true), Some(session.now + Duration::from_secs(2)));
    session.advance(2999);
    assert!(!session.state.is_silent(session.now));
    session.receive(ResponseFrame::Pong(Pong::default()));
    session.advance(4999);
    assert!(!session.state.is_silent(session.now));
    session.advance(1);
    assert!(session.state.is_silent(session.now));
}

#[test]
fn a_handler_without_a_lease_keeps_its_slot_until_it_finishes() {
    let mut session = Fixture::open();
    let started = session.assign(&["a"]);
    session.reconnect(&[HeldVerdict::Revoked]);
    assert!(started[0].is_cancelled());
    assert_eq!(session.state.counts(), (1, 3, 0));
    session.finish(&started[0]);
    assert_eq!(session.state.counts(), (0, 3, 0));
    session.advance(1);
    assert!(session.reported_jobs().is_empty());
    assert!(session.state.held.is_empty() && session.state.by_lease.is_empty());
}

#[test]
fn a_worker_can_hold_two_leases_of_one_job() {
    let mut session = Fixture::open();
    let first = session.assign(&["a"]);
    session.reconnect(&[HeldVerdict::Revoked]);
    session.assign_seq += 1;
    let mut item = assignment("a");
    item.lease.as_mut().expect("a lease").epoch = 2;
    let assign = Assign { assign_seq: session.assign_seq, items: vec![item] };
    let second = session.receive(ResponseFrame::Assign(assign));
    assert_eq!(second.len(), 1);
    session.finish(&first[0]);
    session.finish(&second[0]);
    session.advance(1);
    assert_eq!(session.reported_jobs(), ["a"]);
}

#[test]
fn timers_of_finished_attempts_are_removed() {
    let mut session = Fixture::open();
    for n in 0..100 {
        let mut item = assignment(&format!("j{n}"));
        item.run_timeout = Some(prost_types::Duration { seconds: 3600, nanos: 0 });
        session.assign_seq += 1;
        let assign = Assign { assign_seq: session.assign_seq, items: vec![item] };
        let started = session.receive(ResponseFrame::Assign(assign));
        session.finish(&started[0]);
        session.ack(&format!("j{n}"), Verdict::Recorded);
        session.advance(1);
        session.sent_frames();
    }
    assert!(session.state.held.is_empty());
    assert_eq!(session.state.next_wake(false), Some(session.now + Duration::from_millis(4999)));
}

#[test]
fn unsettled_reports_limit_the_credit() {
    let mut session = Fixture::open();
    session.state.unsettled_reports = 10_000 - 1;
    let started = session.assign(&["a", "b"]);
    session.finish(&started[0]);
    session.advance(1);
    assert_eq!(session.state.available_slots(), 0);
    session.state.unsettled_reports = 0;
    assert_eq!(session.state.available_slots(), 1);
}

#[test]
fn a_drain_completes_across_a_reconnect() {
    let mut session = Fixture::open();
    let started = session.assign(&["a"]);
    let until = session.now + Duration::from_secs(30);
    session.state.begin_drain(session.now, until);
    assert!(matches!(session.sent_frames()[0], RequestFrame::Drain(_)));
    session.state.disconnected(session.now);
    session.finish(&started[0]);
    session.advance(1);
    assert!(!session.state.is_drained(), "its report has no verdict yet");
    session.reconnect(&[HeldVerdict::AlreadyRecorded]);
    assert!(!session.state.is_drained(), "the server may still assign");
    session.receive(ResponseFrame::DrainAck(DrainAck { last_assign_seq: 0 }));
    assert!(session.state.is_drained());
}

#[test]
fn unacknowledged_reports_end_the_stream() {
    let mut session = Fixture::open();
    let started = session.assign(&["a", "b"]);
    session.finish(&started[0]);
    session.advance(1);
    assert_eq!(session.reported_jobs(), ["a"]);
    session.advance(29_999);
    session.receive(ResponseFrame::Pong(Pong::default()));
    assert!(!session.state.is_ack_overdue(session.now));
    session.advance(1);
    assert!(session.state.is_ack_overdue(session.now));
    session.ack("a", Verdict::Recorded);
    assert!(!session.state.is_ack_overdue(session.now));
    session.advance(60_000);
    assert!(!session.state.is_ack_overdue(session.now), "no report is unacknowledged");
}
