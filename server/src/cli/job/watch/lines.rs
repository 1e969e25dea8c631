//! The events of a watch as lines of text.

use sentinel_client::WatchEvent;

use super::super::super::output::Output;
use super::super::super::text;

/// Returns the lines of an event; none for events that only `--json` prints.
pub(super) fn lines(event: &WatchEvent, out: &Output) -> Vec<String> {
    match event {
        WatchEvent::Snapshot(snapshot) => {
            let mut lines: Vec<String> =
                snapshot.jobs.iter().map(|job| text::job_line(job, out)).collect();
            lines.extend(snapshot.unknown_ids.iter().map(|id| unknown_id(id)));
            if snapshot.truncated {
                lines.push("not all matching jobs are shown".to_owned());
            }
            lines
        }
        WatchEvent::Change(change) => {
            change.job.iter().map(|job| text::job_line(job, out)).collect()
        }
        WatchEvent::Progress(one) => {
            let progress = text::progress(one.progress.as_ref());
            vec![format!("{} progress  {progress}", one.id)]
        }
        WatchEvent::Log(log) => {
            let line = |line| format!("{} log       {}", log.id, text::log_line(line, out.colors));
            log.lines.iter().map(line).collect()
        }
        WatchEvent::Gap(gap) => vec![gap_line(gap.reason().as_str_name())],
        WatchEvent::Keepalive(_) | WatchEvent::Summary(_) => Vec::new(),
    }
}

/// Returns the line for an id that no job has.
pub(super) fn unknown_id(id: &str) -> String {
    format!("{id} does not exist")
}

fn gap_line(reason: &str) -> String {
    let reason = reason.strip_prefix("GAP_REASON_").unwrap_or(reason).to_ascii_lowercase();
    format!("some changes were missed ({}); the current state follows", reason.replace('_', " "))
}
