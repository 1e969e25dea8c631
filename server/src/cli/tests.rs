//! Golden forms of what people and pipes get, and the exit codes.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use prost_types::Timestamp;
use sentinel_client::Error;
use sentinel_client::proto::admin::v1::Queue;
use sentinel_client::proto::jobs::v1::{
    Job, JobError, JobSpec, JobState, Progress, RetryPolicy, StateReason,
};
use tonic::Code;

use super::failure::{self, Failure};
use super::look::{Hue, STATES, look, state_of};
use super::out::Out;
use super::value::{Moment, moment, pair};
use super::*;

pub(super) const NOW_S: i64 = 1_800_000_000;
pub(super) const ID: &str = "0190a5c2-0000-7000-8000-000000000001";

pub(super) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW_S.unsigned_abs())
}

/// A stamp so many seconds before [`now`].
pub(super) fn ago(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds: NOW_S - seconds, nanos: 0 })
}

pub(super) fn job(state: JobState) -> Job {
    Job {
        id: ID.to_owned(),
        spec: Some(JobSpec {
            queue: "mail".to_owned(),
            kind: "mail.send".to_owned(),
            payload: bytes::Bytes::from_static(b"{\"to\":\"a@example.org\"}"),
            content_type: "application/json".to_owned(),
            labels: [("shop".to_owned(), "42".to_owned())].into(),
            retry: Some(RetryPolicy { max_attempts: 3, ..RetryPolicy::default() }),
            ..JobSpec::default()
        }),
        state: state.into(),
        version: 4,
        run: 1,
        attempt: 1,
        created_at: ago(90),
        ..Job::default()
    }
}

#[derive(Clone, Default)]
pub(super) struct Sink(Arc<Mutex<Vec<u8>>>);

impl Sink {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    pub(super) fn pipe(&self, json: bool) -> Out {
        Out::piped(self.clone(), json, now())
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
    for verb in ["serve", "dev", "job", "queue"] {
        let help = Cli::command().find_subcommand_mut(verb).unwrap().render_long_help();
        assert!(help.to_string().contains("Example"), "{verb} has no examples");
    }
    let mut command = Cli::command();
    let job = command.find_subcommand_mut("job").unwrap();
    for verb in job.get_subcommands_mut() {
        let help = verb.render_long_help().to_string();
        assert!(help.contains("Example"), "job {} has no examples", verb.get_name());
    }
    assert!(job.render_long_help().to_string().contains("Exit codes:"));
}

#[test]
fn every_state_has_its_own_word_and_mark() {
    let mut words: Vec<_> = STATES.iter().map(|state| look(*state).word).collect();
    let mut marks: Vec<_> = STATES.iter().map(|state| look(*state).mark).collect();
    words.sort_unstable();
    words.dedup();
    marks.sort_unstable();
    marks.dedup();
    assert_eq!((words.len(), marks.len()), (STATES.len(), STATES.len()));
    for state in STATES {
        assert_eq!(state_of(look(state).word), Some(state));
        assert_eq!(state_of(state.as_str_name()), Some(state));
    }
    assert_eq!(state_of("done"), None);
}

#[test]
fn colours_are_for_those_who_show_them() {
    assert_eq!(Hue::Red.paint("x", false), "x");
    assert_eq!(Hue::Red.paint("x", true), "\u{1b}[31mx\u{1b}[0m");
}

#[test]
fn exit_codes_follow_the_table() {
    let api = |code| {
        let reason = String::new();
        let message = "m".to_owned();
        Failure::Call(Error::Api {
            code,
            reason,
            message,
            field_violations: vec![],
            retry_after: None,
        })
    };
    for (code, expected) in [
        (Code::InvalidArgument, 2),
        (Code::NotFound, 3),
        (Code::Unavailable, 4),
        (Code::ResourceExhausted, 4),
        (Code::DeadlineExceeded, 4),
        (Code::FailedPrecondition, 5),
        (Code::AlreadyExists, 5),
        (Code::Internal, 6),
    ] {
        assert_eq!(api(code).exit_code(), expected, "{code:?}");
    }
    assert_eq!(Failure::Call(Error::UnknownJob { id: ID.to_owned() }).exit_code(), 3);
    assert_eq!(failure::exit_code_of_item("QUEUE_NOT_FOUND"), 3);
    assert_eq!(failure::exit_code_of_item("INVALID_FIELD"), 2);
    assert_eq!(failure::exit_code_of_item("UNIQUE_KEY_HELD"), 5);
    assert_eq!(failure::exit_code_of_item("OVERLOADED"), 4);
}

#[test]
fn a_missing_server_says_what_to_do() {
    let server = "http://127.0.0.1:7070".to_owned();
    let failure = Failure::NoServer { server, message: "Connection refused".to_owned() };
    assert_eq!(failure.to_string(), "no server at http://127.0.0.1:7070: Connection refused");
    assert!(failure.hint().unwrap().contains("sentinel dev"));
    assert_eq!(failure.to_json()["exitCode"], 4);
}

#[test]
fn a_reader_that_went_away_is_no_failure() {
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let failure = Out::piped(Gone, false, now()).line("x").unwrap_err();
    assert_eq!(out::report(&failure, false), 0);
}

#[test]
fn a_piped_table_is_bare_columns() {
    let sink = Sink::default();
    let queue = Queue {
        name: "mail".to_owned(),
        priority_boost: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
        description: "what\npeople read".to_owned(),
        created_at: ago(7_300),
        ..Queue::default()
    };
    queue::show(&[queue], &mut sink.pipe(false)).unwrap();
    assert_eq!(
        sink.text(),
        "NAME  MODE  ORDER  BOOST  AGE  DESCRIPTION\n\
         mail  open  aging  60s    2h   what people read\n"
    );
}

#[test]
fn a_job_as_json_is_golden() {
    let mut job = job(JobState::Failed);
    job.reason = StateReason::NotRetryable.into();
    job.error =
        Some(JobError { message: "no".to_owned(), code: "SMTP".to_owned(), retryable: false });
    job.progress = Some(Progress { seq: 2, done: 1, total: 4, message: String::new() });
    job.checkpoint = bytes::Bytes::from_static(&[0xff, 0x00]);
    job.result = bytes::Bytes::from_static(b"[1]");
    let expected = serde_json::json!({
        "id": ID,
        "spec": {
            "queue": "mail", "kind": "mail.send", "payload": { "to": "a@example.org" },
            "contentType": "application/json", "priority": 0, "labels": { "shop": "42" },
            "retry": { "maxAttempts": 3, "backoff": "BACKOFF_KIND_UNSPECIFIED", "jitter": "JITTER_UNSPECIFIED" },
            "onDependencyFailure": "DEPENDENCY_FAILURE_POLICY_UNSPECIFIED",
            "onLost": "LOST_POLICY_UNSPECIFIED",
        },
        "state": "JOB_STATE_FAILED", "reason": "STATE_REASON_NOT_RETRYABLE",
        "version": 4, "run": 1, "attempt": 1, "crashes": 0, "cancelRequested": false,
        "createdAt": "2027-01-15T07:58:30Z",
        "progress": { "seq": 2, "done": 1, "total": 4 },
        "checkpointBase64": "/wA=", "result": [1],
        "error": { "message": "no", "code": "SMTP", "retryable": false },
        "pendingDependencies": 0,
    });
    assert_eq!(json::job(&job), expected);
}

#[test]
fn bytes_that_are_not_json_are_told_apart() {
    let mut job = job(JobState::Ready);
    let spec = job.spec.as_mut().unwrap();
    spec.content_type = "text/plain".to_owned();
    spec.payload = bytes::Bytes::from_static(b"\"aGk=\"");
    let value = json::job(&job);
    assert_eq!(value["spec"]["payloadBase64"], "ImFHaz0i");
    assert!(value["spec"].get("payload").is_none());
    assert!(json::is_json("") && json::is_json("application/problem+json; charset=utf-8"));
    assert!(!json::is_json("application/octet-stream"));
}

#[test]
fn ages_are_in_their_largest_unit() {
    let age = |seconds| text::age(ago(seconds).as_ref(), now());
    for (seconds, expected) in [
        (0, "0ms"),
        (5, "5s"),
        (119, "119s"),
        (600, "10m"),
        (7_200, "2h"),
        (200_000, "2d"),
        (-300, "in 5m"),
    ] {
        assert_eq!(age(seconds), expected);
    }
    assert_eq!(text::age(None, now()), "-");
}

#[test]
fn remarks_say_what_the_state_does_not() {
    let remark = |job: &Job| text::remark(job, now());
    let mut running = job(JobState::Running);
    running.cancel_requested = true;
    running.progress = Some(Progress { seq: 1, done: 45, total: 100, message: "a\nb".to_owned() });
    assert_eq!(remark(&running), "cancel requested; 45/100 45% a b");
    let mut waits = job(JobState::Scheduled);
    waits.ready_at = ago(-60);
    assert_eq!(remark(&waits), "starts in 60s");
    let mut failed = job(JobState::Failed);
    failed.reason = StateReason::WorkerLost.into();
    failed.error = Some(JobError { message: "gone\u{1b}[2J".to_owned(), ..JobError::default() });
    assert_eq!(remark(&failed), "worker lost; gone [2J");
}

#[test]
fn values_of_flags() {
    assert_eq!(moment("10m").unwrap(), Moment::In(Duration::from_secs(600)));
    assert_eq!(moment("2027-01-15T08:00:00Z").unwrap(), Moment::At(now()));
    assert!(moment("tomorrow").unwrap_err().to_string().contains("10m"));
    assert_eq!(pair("a=b=c").unwrap(), ("a".to_owned(), "b=c".to_owned()));
    assert!(pair("=b").is_err() && pair("ab").is_err());
}
