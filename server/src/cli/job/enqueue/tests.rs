//! The jobs that flags describe.

use clap::Parser;

use super::super::super::tests::now;
use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: EnqueueArgs,
}

fn parsed(line: &str) -> Result<EnqueueArgs, clap::Error> {
    let words = std::iter::once("enqueue").chain(line.split_whitespace());
    Line::try_parse_from(words).map(|line| line.args)
}

fn spec_of(line: &str) -> JobSpec {
    parsed(line).unwrap().validate(now()).unwrap().spec
}

#[test]
fn unset_flags_leave_the_defaults_to_the_server() {
    let spec = spec_of("mail.send");
    let expected = NewJob::new("default", "mail.send").content_type("application/json");
    assert_eq!(spec, expected.into_spec());
}

#[test]
fn every_flag_sets_its_field() {
    let spec = spec_of(
        "k --queue q --payload {\"a\":1} --priority 7 --run-at 2027-01-15T08:00:00Z \
         --start-deadline 1h --retries 4 --run-timeout 5m --cancel-grace 1s --fail-if-lost \
         --label a=b --label c=d --unique-key u --unique-mode debounce --unique-scope queue \
         --unique-ttl 1h --depends-on x,y --run-if-dependency-fails",
    );
    assert_eq!((spec.queue.as_str(), spec.kind.as_str(), spec.priority), ("q", "k", 7));
    assert_eq!(&spec.payload[..], b"{\"a\":1}");
    assert_eq!(spec.run_at, Some(now().into()));
    assert_eq!(spec.start_deadline, Some((now() + Duration::from_secs(3_600)).into()));
    assert_eq!(spec.retry.as_ref().unwrap().max_attempts, 5);
    assert_eq!(spec.run_timeout.unwrap().seconds, 300);
    assert_eq!(spec.cancel_grace.unwrap().seconds, 1);
    assert_eq!(spec.on_lost(), LostPolicy::Fail);
    assert_eq!(spec.labels.len(), 2);
    let unique = spec.unique.clone().unwrap();
    assert_eq!(unique.key, "u");
    assert_eq!((unique.mode(), unique.scope()), (UniqueMode::Debounce, UniqueScope::Queue));
    assert_eq!(unique.ttl.unwrap().seconds, 3_600);
    assert_eq!(spec.depends_on, ["x", "y"]);
    assert_eq!(spec.on_dependency_failure(), DependencyFailurePolicy::Run);
}

#[test]
fn conflicting_and_invalid_flags_are_refused() {
    for line in [
        "k --delay 1s --run-at 2s",
        "k --retries 1 --max-attempts 2",
        "k --payload {} --payload-file x",
        "k --unique-mode reject",
        "k --priority 10",
        "k --count 0",
        "k --delay 5",
        "k --label a",
    ] {
        assert!(parsed(line).is_err(), "{line}");
    }
}

#[test]
fn a_payload_that_is_not_json_is_refused_before_any_call() {
    let error = parsed("k --payload {a").unwrap().validate(now()).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().starts_with("--payload: is not valid JSON"), "{error}");
    assert_eq!(&spec_of("k --payload {a --content-type text/plain").payload[..], b"{a");
}

#[test]
fn a_payload_is_read_from_a_file() {
    let file = std::env::temp_dir().join(format!("sentinel-payload-{}.json", std::process::id()));
    std::fs::write(&file, "[1]").unwrap();
    let spec = spec_of(&format!("k --payload-file {}", file.display()));
    std::fs::remove_file(&file).unwrap();
    assert_eq!(&spec.payload[..], b"[1]");
    let error = parsed("k --payload-file /nowhere").unwrap().validate(now()).unwrap_err();
    assert!(error.to_string().starts_with("read /nowhere: "), "{error}");
}

#[test]
fn a_watch_of_too_many_jobs_suggests_a_watch_by_label() {
    let error = parsed("k --watch --count 101").unwrap().validate(now()).unwrap_err();
    assert!(error.to_string().contains("job watch --label"), "{error}");
}
