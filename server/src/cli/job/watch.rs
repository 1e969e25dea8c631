//! `sentinel job watch`: progress bars on a terminal, one line per event in a pipe, one JSON
//! object per event with `--json`. A watch by ids stops when the jobs are terminal, and its exit
//! code depends on their states.

mod bars;
mod lines;

use std::collections::BTreeMap;

use clap::Args;
use futures_util::TryStreamExt;
use sentinel_client::proto::jobs::v1::{Job, JobState, JobView};
use sentinel_client::{Client, WatchEvent, WatchOptions, is_terminal};

use super::super::error::{CliError, JOB_UNSUCCESSFUL, NOT_FOUND};
use super::super::json;
use super::super::output::Output;
use super::filter::FilterArgs;
use bars::Bars;

pub(super) const EXAMPLES: &str = "\
Examples:
  sentinel job watch 0190a5c2-...
  sentinel job watch --queue mail --label shop=42
  sentinel job watch --queue default --json | jq -c .change.job.state

With ids the watch stops when all jobs are terminal, and exits with 1 unless all of them
succeeded. With a filter it continues until you press Ctrl-C.";

#[derive(Debug, Args)]
pub(super) struct WatchArgs {
    /// Ids of the jobs, at most 100.
    #[arg(conflicts_with_all = ["queues", "kinds", "states", "labels"])]
    ids: Vec<String>,
    #[command(flatten)]
    filter: FilterArgs,
    /// Also print the log lines of the handlers.
    #[arg(long)]
    logs: bool,
    /// Resume after the event with this cursor, which --json prints.
    #[arg(long, default_value = "", hide_default_value = true)]
    cursor: String,
}

/// The jobs to watch.
#[derive(Debug)]
pub(super) struct WatchTarget {
    options: WatchOptions,
    by_id: bool,
}

impl WatchTarget {
    /// These jobs, until they are terminal.
    pub(super) fn jobs(ids: Vec<String>) -> WatchTarget {
        WatchTarget { options: WatchOptions::jobs(ids), by_id: true }
    }
}

impl WatchArgs {
    /// Checks the combination of the flags.
    pub(super) fn validate(self, json: bool) -> Result<WatchTarget, CliError> {
        let by_id = !self.ids.is_empty();
        let options = if by_id {
            WatchOptions::jobs(self.ids)
        } else if self.filter.is_empty() {
            let reason = "no jobs selected; name jobs by id, or a filter such as --queue default";
            return Err(CliError::InvalidFlag { flag: "<IDS>", reason: reason.to_owned() });
        } else {
            WatchOptions::filter(self.filter.into_proto())
        };
        let view = if json { JobView::Full } else { JobView::Basic };
        let options = options.logs(self.logs).cursor(self.cursor).view(view);
        Ok(WatchTarget { options, by_id })
    }
}

/// Prints a watch until it stops, and returns the exit code of its jobs.
pub(super) async fn watch(
    target: WatchTarget,
    client: &Client,
    out: &mut Output,
) -> Result<u8, CliError> {
    let WatchTarget { options, by_id } = target;
    let mut events = client.watch(options);
    let mut results = Results::default();
    let mut printed = PrintedAttempts::default();
    let mut bars = (out.terminal && !out.json).then(|| Bars::new(out.colors, by_id));
    while let Some(event) = events.try_next().await? {
        results.update(&event);
        if out.json {
            out.json_line(&json::event(&event, events.cursor()))?;
        } else if let Some(bars) = &mut bars {
            bars.update(&event, out)?;
        } else if !printed.contains_or_insert(&event) {
            for line in lines::lines(&event, out) {
                out.line(line)?;
            }
        }
    }
    Ok(results.exit_code())
}

/// The running attempts whose line was printed. A checkpoint changes a job but not its line.
#[derive(Debug, Default)]
struct PrintedAttempts(BTreeMap<String, (u32, u32, bool)>);

impl PrintedAttempts {
    /// Returns whether the line of this event was printed before, and records it.
    fn contains_or_insert(&mut self, event: &WatchEvent) -> bool {
        let WatchEvent::Change(change) = event else { return false };
        let Some(job) = &change.job else { return false };
        if job.state() != JobState::Running {
            self.0.remove(&job.id);
            return false;
        }
        let line = (job.run, job.attempt, job.cancel_requested);
        self.0.insert(job.id.clone(), line) == Some(line)
    }
}

/// The results of the watched jobs that are not successes.
#[derive(Debug, Default)]
struct Results {
    unsuccessful: BTreeMap<String, JobState>,
    has_unknown_ids: bool,
}

impl Results {
    fn update(&mut self, event: &WatchEvent) {
        match event {
            WatchEvent::Snapshot(snapshot) => {
                snapshot.jobs.iter().for_each(|job| self.update_job(job));
                self.has_unknown_ids |= !snapshot.unknown_ids.is_empty();
            }
            WatchEvent::Change(change) => change.job.iter().for_each(|job| self.update_job(job)),
            _ => {}
        }
    }

    fn update_job(&mut self, job: &Job) {
        // Successes are not stored, which keeps the map of an endless watch small.
        if is_terminal(job.state()) && job.state() != JobState::Succeeded {
            self.unsuccessful.insert(job.id.clone(), job.state());
        } else {
            self.unsuccessful.remove(&job.id);
        }
    }

    /// Returns [`NOT_FOUND`] for an unknown id, else [`JOB_UNSUCCESSFUL`] unless all jobs
    /// succeeded.
    fn exit_code(&self) -> u8 {
        match (self.has_unknown_ids, self.unsuccessful.is_empty()) {
            (true, _) => NOT_FOUND,
            (false, false) => JOB_UNSUCCESSFUL,
            (false, true) => 0,
        }
    }
}

#[cfg(test)]
mod tests;
