//! Output, exit code and the limit, on real processes.

use super::*;

fn shell(script: &str, limit: Duration) -> Captured {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    capture(command.args(["-c", script]), &folder.path().join("log"), limit).unwrap()
}

#[test]
fn keeps_both_streams_and_the_verdict() {
    let done = shell("echo one; echo two >&2; exit 3", Duration::from_secs(30));
    assert_eq!(done.output, "one\ntwo\n");
    assert!(!done.success);
    assert!(shell("true", Duration::from_secs(30)).success);
}

#[test]
fn ends_a_program_that_hangs_with_its_children() {
    let started = Instant::now();
    let done = shell("sleep 60 & sleep 60", Duration::from_millis(200));
    assert!(!done.success);
    assert!(done.output.contains("limit of this step"), "{}", done.output);
    assert!(started.elapsed() < Duration::from_secs(30));
}
