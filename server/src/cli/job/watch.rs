//! `sentinel job watch`: bars on a terminal, a line an event in a pipe, JSON lines with
//! `--json`. Ends with the watched jobs; its exit code is their end.

mod bars;

use std::collections::BTreeMap;

use clap::Args;
use futures_util::TryStreamExt;
use sentinel_client::proto::jobs::v1::{Job, JobState, JobView};
use sentinel_client::{Client, Watch, WatchEvent, is_terminal};

use super::super::failure::{Failure, JOB_FAILED, NOT_FOUND};
use super::super::out::Out;
use super::super::{json, text};
use super::{Filter, show};
use bars::Bars;

pub(super) const EXAMPLES: &str = "\
Examples:
  sentinel job watch 0190a5c2-...
  sentinel job watch --queue mail --label shop=42
  sentinel job watch --queue default --json | jq -c .change.job.state

By ids it ends when all of them are final, and exits 1 unless all of them succeeded.
Otherwise it goes on until you stop it.";

/// `sentinel job watch`.
#[derive(Debug, Args)]
pub(super) struct WatchFlags {
    /// The jobs, at most 100.
    #[arg(conflicts_with_all = ["queues", "kinds", "states", "labels"])]
    ids: Vec<String>,
    #[command(flatten)]
    filter: Filter,
    /// Also what the handlers log.
    #[arg(long)]
    logs: bool,
    /// Resume after the event that carried this cursor, as --json shows it.
    #[arg(long, default_value = "", hide_default_value = true)]
    cursor: String,
}

/// A watch to show.
#[derive(Debug)]
pub(super) struct Follow {
    watch: Watch,
    by_id: bool,
}

impl Follow {
    /// These jobs, to their end.
    pub(super) fn jobs(ids: Vec<String>) -> Follow {
        Follow { watch: Watch::jobs(ids), by_id: true }
    }
}

impl WatchFlags {
    /// What the flags select.
    pub(super) fn checked(self, json: bool) -> Result<Follow, Failure> {
        let by_id = !self.ids.is_empty();
        let watch = if by_id {
            Watch::jobs(self.ids)
        } else if self.filter.is_empty() {
            let reason =
                "nothing to watch; name jobs by id, or a selection such as --queue default";
            return Err(Failure::Flag { flag: "<IDS>", reason: reason.to_owned() });
        } else {
            Watch::filter(self.filter.into_proto())
        };
        let view = if json { JobView::Full } else { JobView::Basic };
        let watch = watch.logs(self.logs).cursor(self.cursor).view(view);
        Ok(Follow { watch, by_id })
    }
}

/// Shows a watch until it ends; answers the exit code of its jobs.
pub(super) async fn follow(follow: Follow, client: &Client, out: &mut Out) -> Result<u8, Failure> {
    let Follow { watch, by_id } = follow;
    let mut events = client.watch(watch);
    let mut ends = Ends::default();
    let mut told = Told::default();
    let mut bars = (out.terminal && !out.json).then(|| Bars::new(out.colors, by_id));
    while let Some(event) = events.try_next().await? {
        ends.see(&event);
        if out.json {
            out.object(&json::event(&event, events.cursor()))?;
        } else if let Some(bars) = &mut bars {
            bars.show(&event, out)?;
        } else if !told.knows(&event) {
            for line in lines(&event, out) {
                out.line(line)?;
            }
        }
    }
    Ok(ends.exit_code())
}

/// Running attempts that have their line. A checkpoint changes the job and not its line.
#[derive(Debug, Default)]
struct Told(BTreeMap<String, (u32, u32, bool)>);

impl Told {
    /// Whether the event says nothing new to a person; takes note of it.
    fn knows(&mut self, event: &WatchEvent) -> bool {
        let WatchEvent::Change(change) = event else { return false };
        let Some(job) = &change.job else { return false };
        if job.state() != JobState::Running {
            self.0.remove(&job.id);
            return false;
        }
        let now = (job.run, job.attempt, job.cancel_requested);
        self.0.insert(job.id.clone(), now) == Some(now)
    }
}

/// How the watched jobs ended.
#[derive(Debug, Default)]
pub(super) struct Ends {
    states: BTreeMap<String, JobState>,
    unknown: bool,
}

impl Ends {
    /// Takes note of an event.
    pub(super) fn see(&mut self, event: &WatchEvent) {
        match event {
            WatchEvent::Snapshot(snapshot) => {
                snapshot.jobs.iter().for_each(|job| self.note(job));
                self.unknown |= !snapshot.unknown_ids.is_empty();
            }
            WatchEvent::Change(change) => change.job.iter().for_each(|job| self.note(job)),
            _ => {}
        }
    }

    fn note(&mut self, job: &Job) {
        // Only ends that are not a success matter, which also keeps the map of a watch
        // without an end small.
        if is_terminal(job.state()) && job.state() != JobState::Succeeded {
            self.states.insert(job.id.clone(), job.state());
        } else {
            self.states.remove(&job.id);
        }
    }

    /// 3 where an id was unknown, 1 where a job did not succeed.
    pub(super) fn exit_code(&self) -> u8 {
        match (self.unknown, self.states.is_empty()) {
            (true, _) => NOT_FOUND,
            (false, false) => JOB_FAILED,
            (false, true) => 0,
        }
    }
}

/// An event as lines of a pipe.
pub(super) fn lines(event: &WatchEvent, out: &Out) -> Vec<String> {
    match event {
        WatchEvent::Snapshot(snapshot) => {
            let mut lines: Vec<String> =
                snapshot.jobs.iter().map(|job| text::job_line(job, out)).collect();
            lines.extend(snapshot.unknown_ids.iter().map(|id| format!("{id} is not known")));
            if snapshot.truncated {
                lines.push("there are more jobs than shown".to_owned());
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
            let line = |line| format!("{} log       {}", log.id, show::log_text(line, out.colors));
            log.lines.iter().map(line).collect()
        }
        WatchEvent::Gap(gap) => vec![gap_words(gap.reason().as_str_name())],
        // Not asked for.
        WatchEvent::Keepalive(_) | WatchEvent::Summary(_) => Vec::new(),
    }
}

fn gap_words(reason: &str) -> String {
    let reason = reason.strip_prefix("GAP_REASON_").unwrap_or(reason).to_ascii_lowercase();
    format!("some changes were missed ({}); what follows is the present", reason.replace('_', " "))
}

#[cfg(test)]
mod tests;
