//! The text of a failed schedule: the journal of each job, then all observations.

use std::fmt::Write;

use super::observations::History;

/// Returns the report of a history.
pub(crate) fn report(history: &History) -> String {
    let mut text = String::new();
    for (id, changes) in history.changes_by_job() {
        let _ = writeln!(text, "job {id}");
        for event in changes {
            let s = &event.status;
            let _ = writeln!(
                text,
                "  {}: {:?} {:?}, run {} attempt {} epoch {}, at {}, attempt end {:?}, recorded {:?}, checkpoint {:?}",
                s.version,
                s.state,
                s.reason,
                s.run,
                s.attempt,
                s.epoch,
                s.updated_at % 1_000_000,
                event.attempt_end.as_ref().map(|end| (end.epoch, end.outcome)),
                s.recorded_lease.map(|(epoch, _)| epoch),
                s.checkpoint,
            );
        }
    }
    for observation in &history.observations {
        let _ = writeln!(text, "{observation:?}");
    }
    text
}
