//! Tests of the help, the output formats and the exit codes.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use prost_types::Timestamp;
use sentinel_client::Error;
use sentinel_client::proto::admin::v1::Queue;
use sentinel_client::proto::jobs::v1::{
    Job, JobError, JobSpec, JobState, LogLevel, LogLine, Progress, RetryPolicy, StateReason,
};
use tonic::Code;

use super::error::{self, CliError};
use super::output::Output;
use super::parse::TimeArg;
use super::state_style::{STATES, TextColor, state_by_name, style};
use super::*;

pub(super) const NOW_S: i64 = 1_800_000_000;
pub(super) const ID: &str = "0190a5c2-0000-7000-8000-000000000001";

pub(super) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW_S.unsigned_abs())
}

/// A timestamp this many seconds before [`now`].
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

    pub(super) fn pipe(&self, json: bool) -> Output {
        Output::piped(self.clone(), json, now())
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
}

#[test]
fn the_help_of_every_command_has_examples_and_exit_codes() {
    fn check(command: &mut clap::Command, path: &str) {
        let help = command.render_long_help().to_string();
        assert!(help.contains("Example"), "{path} has no examples");
        // clap adds `help` itself.
        for subcommand in command.get_subcommands_mut().filter(|sub| sub.get_name() != "help") {
            let path = format!("{path} {}", subcommand.get_name());
            check(subcommand, &path);
        }
    }
    let mut cli = Cli::command();
    check(&mut cli, "sentinel");
    for command in
        cli.get_subcommands_mut().filter(|sub| !["dev", "help"].contains(&sub.get_name()))
    {
        let help = command.render_long_help().to_string();
        let is_exempt = command.get_name() == "completion";
        assert!(
            is_exempt || help.contains("Exit codes:"),
            "{} has no exit codes",
            command.get_name()
        );
    }
}

#[test]
fn every_state_has_its_own_name_and_symbol() {
    let mut names: Vec<_> = STATES.iter().map(|state| style(*state).name).collect();
    let mut symbols: Vec<_> = STATES.iter().map(|state| style(*state).symbol).collect();
    names.sort_unstable();
    names.dedup();
    symbols.sort_unstable();
    symbols.dedup();
    assert_eq!((names.len(), symbols.len()), (STATES.len(), STATES.len()));
    for state in STATES {
        assert_eq!(state_by_name(style(state).name), Some(state));
        assert_eq!(state_by_name(state.as_str_name()), Some(state));
    }
    assert_eq!(state_by_name("done"), None);
}

#[test]
fn text_is_coloured_only_when_enabled() {
    assert_eq!(TextColor::Red.paint("x", false), "x");
    assert_eq!(TextColor::Red.paint("x", true), "\u{1b}[31mx\u{1b}[0m");
}

#[test]
fn exit_codes_follow_the_error_codes() {
    let api = |code| {
        let reason = String::new();
        let message = "m".to_owned();
        CliError::Client(Error::Api {
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
    assert_eq!(CliError::Client(Error::JobNotFound { id: ID.to_owned() }).exit_code(), 3);
    assert_eq!(error::exit_code_of_item("QUEUE_NOT_FOUND"), 3);
    assert_eq!(error::exit_code_of_item("INVALID_FIELD"), 2);
    assert_eq!(error::exit_code_of_item("UNIQUE_KEY_HELD"), 5);
    assert_eq!(error::exit_code_of_item("OVERLOADED"), 4);
}

#[test]
fn the_error_of_an_unreachable_server_says_what_to_do() {
    let server = "http://127.0.0.1:7070".to_owned();
    let error = CliError::Unreachable { server, message: "Connection refused".to_owned() };
    let expected = "cannot connect to the server at http://127.0.0.1:7070: Connection refused";
    assert_eq!(error.to_string(), expected);
    assert!(error.hint().unwrap().contains("sentinel dev"));
    assert_eq!(error.to_json()["exitCode"], 4);
}

#[test]
fn a_closed_pipe_is_no_error() {
    struct ClosedPipe;
    impl Write for ClosedPipe {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let error = Output::piped(ClosedPipe, false, now()).line("x").unwrap_err();
    assert_eq!(output::print_error(&error, false), 0);
}

#[test]
fn a_piped_table_has_no_borders_and_no_colours() {
    let sink = Sink::default();
    let queue = Queue {
        name: "mail".to_owned(),
        priority_boost: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
        description: "what\npeople read".to_owned(),
        created_at: ago(7_300),
        ..Queue::default()
    };
    queue::print(&[queue], &mut sink.pipe(false)).unwrap();
    assert_eq!(
        sink.text(),
        "NAME  MODE  ORDER  BOOST  AGE  DESCRIPTION\n\
         mail  open  aging  60s    2h   what people read\n"
    );
}

#[test]
fn a_job_as_json_has_the_set_fields() {
    let mut job = job(JobState::Failed);
    job.reason = StateReason::NotRetryable.into();
    job.error = Some(JobError {
        message: "no".to_owned(),
        code: "SMTP".to_owned(),
        retryable: false,
        detail: "at main".into(),
    });
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
        "error": { "message": "no", "code": "SMTP", "retryable": false, "detail": "at main" },
        "pendingDependencies": 0,
    });
    assert_eq!(json::job(&job), expected);
}

#[test]
fn bytes_of_another_media_type_are_base64() {
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
fn ages_are_shown_in_their_largest_unit() {
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
fn details_explain_the_state() {
    let details = |job: &Job| text::details(job, now());
    let mut running = job(JobState::Running);
    running.cancel_requested = true;
    running.progress = Some(Progress { seq: 1, done: 45, total: 100, message: "a\nb".to_owned() });
    assert_eq!(details(&running), "cancel requested; 45/100 45% a b");
    let mut scheduled = job(JobState::Scheduled);
    scheduled.ready_at = ago(-60);
    assert_eq!(details(&scheduled), "starts in 60s");
    let mut failed = job(JobState::Failed);
    failed.reason = StateReason::WorkerLost.into();
    failed.error = Some(JobError { message: "gone\u{1b}[2J".to_owned(), ..JobError::default() });
    assert_eq!(details(&failed), "worker lost; gone [2J");
}

#[test]
fn control_characters_are_removed_from_a_log_line() {
    let line = LogLine {
        level: LogLevel::Warn.into(),
        text: "a\u{1b}]0;x\u{7}b\n".to_owned(),
        time: ago(0),
        ..LogLine::default()
    };
    assert_eq!(text::log_line(&line, false), "2027-01-15T08:00:00Z WARN  a ]0;x b");
}

#[test]
fn times_and_labels_are_parsed() {
    assert_eq!(parse::time("10m").unwrap(), TimeArg::FromNow(Duration::from_secs(600)));
    assert_eq!(parse::time("2027-01-15T08:00:00Z").unwrap(), TimeArg::At(now()));
    assert!(parse::time("tomorrow").unwrap_err().to_string().contains("10m"));
    assert_eq!(parse::key_value("a=b=c").unwrap(), ("a".to_owned(), "b=c".to_owned()));
    assert!(parse::key_value("=b").is_err() && parse::key_value("ab").is_err());
}
