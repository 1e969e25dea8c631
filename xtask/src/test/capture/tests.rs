//! Output, exit code and the limit, on real processes.

use super::*;

fn shell(script: &str, limit: Duration) -> Captured {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    capture(command.args(["-c", script]), &folder.path().join("log"), Some(limit)).unwrap()
}

#[test]
fn keeps_both_streams_and_the_exit_status() {
    let done = shell("echo one; echo two >&2; exit 3", Duration::from_secs(30));
    assert_eq!(done.output, "one\ntwo\n");
    assert!(!done.success);
    assert!(shell("true", Duration::from_secs(30)).success);
}

#[test]
fn kills_a_hanging_program_with_its_children() {
    let started = Instant::now();
    let folder = tempfile::tempdir().unwrap();
    let child = folder.path().join("child");
    let script = format!("sleep 60 & echo $! > {}; wait", child.display());
    let done = shell(&script, Duration::from_millis(500));
    assert!(!done.success);
    let child: u32 = std::fs::read_to_string(child).unwrap().trim().parse().unwrap();
    assert!(gone(child), "the child {child} still runs");
    assert!(done.output.contains("limit of this step"), "{}", done.output);
    assert!(started.elapsed() < Duration::from_secs(30));
}

/// Whether a process exits within ten seconds; a zombie has exited.
fn gone(id: u32) -> bool {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(10) {
        match std::fs::read_to_string(format!("/proc/{id}/stat")) {
            Ok(stat) if !stat.contains(") Z ") => std::thread::yield_now(),
            _ => return true,
        }
    }
    false
}
