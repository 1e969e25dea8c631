//! What happened, for whoever looks into a violation: every life by the journal, then what
//! everybody saw.

use std::fmt::Write;

use super::notes::History;

/// Lines to read beside the violations.
pub(crate) fn story(history: &History) -> String {
    let mut text = String::new();
    for (id, life) in history.lives() {
        let _ = writeln!(text, "job {id}");
        for event in life {
            let s = &event.status;
            let _ = writeln!(
                text,
                "  {}: {:?} {:?}, run {} attempt {} epoch {}, at {}, ended {:?}, recorded {:?}, checkpoint {:?}",
                s.version,
                s.state,
                s.reason,
                s.run,
                s.attempt,
                s.epoch,
                s.updated_at % 1_000_000,
                event.end.as_ref().map(|end| (end.epoch, end.outcome)),
                s.recorded.map(|(epoch, _)| epoch),
                s.checkpoint,
            );
        }
    }
    for note in &history.notes {
        let _ = writeln!(text, "{note:?}");
    }
    text
}
