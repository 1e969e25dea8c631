//! Numbering, splitting, the window, and resending after a reconnect.

use super::*;

fn push(log: &mut AttemptLog, text: &str) {
    log.push((1, 2), SystemTime::UNIX_EPOCH, LogLevel::Info, text);
}

fn seqs(lines: &[LogLine]) -> Vec<u64> {
    lines.iter().map(|line| line.seq).collect()
}

#[test]
fn long_lines_are_split_at_character_boundaries() {
    let mut log = AttemptLog::default();
    let text = format!("{}é{}", "a".repeat(MAX_LINE_BYTES - 1), "b".repeat(10));
    push(&mut log, &text);
    let lines = log.take(false);
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0].text.len(), MAX_LINE_BYTES - 1);
    assert_eq!(format!("{}{}", lines[0].text, lines[1].text), text);
}

#[test]
fn an_empty_line_is_sent() {
    let mut log = AttemptLog::default();
    push(&mut log, "");
    assert_eq!(seqs(&log.take(false)), [1]);
}

#[test]
fn a_full_window_drops_the_oldest_unsent_lines() {
    let mut log = AttemptLog::default();
    for _ in 0..WINDOW_LINES {
        push(&mut log, "x");
    }
    assert_eq!(log.take(false).len(), WINDOW_LINES);
    for _ in 0..WINDOW_LINES + 5 {
        push(&mut log, "y");
    }
    assert!(log.take(false).is_empty());
    log.ack(10);
    let expected: Vec<u64> = (1006..1016).collect();
    assert_eq!(seqs(&log.take(false)), expected, "lines 1001..=1005 were dropped");
}

#[test]
fn unacknowledged_lines_are_sent_again_in_order() {
    let mut log = AttemptLog::default();
    for _ in 0..4 {
        push(&mut log, "x");
    }
    log.take(false);
    push(&mut log, "y");
    log.ack(2);
    log.rewind();
    assert_eq!(seqs(&log.take(false)), [3, 4, 5]);
    log.ack(5);
    assert!(log.is_empty());
}

#[test]
fn the_frame_size_is_limited() {
    let mut log = AttemptLog::default();
    let line = "x".repeat(MAX_LINE_BYTES);
    for _ in 0..20 {
        push(&mut log, &line);
    }
    assert_eq!(log.take(false).len(), MAX_FRAME_BYTES / MAX_LINE_BYTES);
}
