//! `sentinel rebuild`: rebuilds the store in Redis from the ledger. Needs no running server.

use std::process::ExitCode;

use clap::Args;
use indicatif::ProgressBar;
use sentinel_engine::Clock;
use sentinel_ledger::{Ledger, LedgerOptions};
use sentinel_store::{Position, ServerId};
use sentinel_store_redis::{ExistingStore, OpenOptions};
use serde_json::json;

use super::confirm::confirm;
use super::error::CliError;
use super::output::{self, Output};
use super::progress_bar;
use super::settings::SharedStoreArgs;
use crate::rebuild::{self, RebuildError, RebuildProgress, RebuildReport};

pub(super) const EXAMPLES: &str = "\
Examples:
  sentinel rebuild --config /etc/sentinel.toml
  sentinel rebuild --store-url redis://10.0.0.5 --ledger-url mysql://sentinel:PASSWORD@db/sentinel
  sentinel rebuild --config /etc/sentinel.toml --yes --json

When to use it: servers answer STORE_ROLLED_BACK, or refuse to start with that error. Redis came
back empty or behind the ledger, or was replaced by another Redis.

What it does: it writes the entries that are left in the journal in Redis to the ledger. Then it
replaces the store in Redis by the live jobs, the queues and the unique keys of the ledger. Running
jobs return to their queues, or fail if their on_lost policy is FAIL; reports of attempts
from before the rebuild are refused. Changes that were acknowledged at the level store or
replicated are lost if neither Redis nor the ledger has them. Changes that were acknowledged at the
level ledger are kept.

Servers may keep running: they answer STORE_ROLLED_BACK and recover when the rebuild is done. A
rebuild that was interrupted can be run again.";

#[derive(Debug, Args)]
pub(super) struct RebuildArgs {
    #[command(flatten)]
    stores: SharedStoreArgs,
    /// Replace the store in Redis without asking.
    #[arg(long)]
    yes: bool,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
}

struct Bar(ProgressBar);

impl RebuildProgress for Bar {
    fn projected(&self, entries: u64) {
        self.0.set_message(format!("wrote {entries} entries of the old journal to the ledger"));
    }

    fn jobs_stored(&self, jobs: u64) {
        self.0.set_position(jobs);
    }
}

/// Runs `sentinel rebuild`.
pub(super) fn run(args: RebuildArgs) -> ExitCode {
    output::run_local(args.json, async move |out: &mut Output| {
        let config = args.stores.load()?;
        let (Some(url), Some(ledger_url)) = (&config.store_url, &config.ledger_url) else {
            let reason = "is not set: only a store in Redis can be rebuilt. Restore a data \
                          directory with `sentinel restore`";
            return Err(CliError::InvalidFlag { flag: "--store-url", reason: reason.into() });
        };
        let options = OpenOptions::new(url.reveal(), Clock::system().now());
        let ledger =
            Ledger::connect(ledger_url.reveal(), LedgerOptions::new(config.payload_max_bytes));
        let ledger = ledger.await.map_err(RebuildError::from)?;
        let checkpoint = ledger.checkpoint().await.map_err(RebuildError::from)?;
        let existing = rebuild::inspect(&options).await?;
        if !args.yes && !existing.is_rebuilding {
            confirm_replacement(&existing, checkpoint)?;
        }
        let counts = ledger.count_by_state(Vec::new()).await.map_err(RebuildError::from)?;
        let live =
            counts.iter().filter(|count| !count.state.is_terminal()).map(|count| count.count);
        let template = "{bar:40} {pos}/{len} jobs {elapsed} {msg}";
        let bar = Bar(progress_bar::new(out, live.sum(), template));
        let owner = ServerId(rand::random());
        let report = rebuild::rebuild(&options, &ledger, owner, &[], &bar).await;
        bar.0.finish_and_clear();
        print(out, &url.to_string(), &report?)
    })
}

/// Asks before a store that has data is replaced.
fn confirm_replacement(existing: &ExistingStore, checkpoint: Position) -> Result<(), CliError> {
    let Some(position) = existing.position else { return Ok(()) };
    let is_consistent = position.epoch == checkpoint.epoch && position >= checkpoint;
    let relation = if is_consistent {
        "is consistent with the ledger, so a rebuild is not needed"
    } else {
        "does not match the ledger"
    };
    confirm(&format!(
        "this replaces the store in Redis, which has {} jobs and {relation}: the store is at \
         position {position}, the ledger at {checkpoint}",
        existing.jobs
    ))
}

fn print(out: &mut Output, url: &str, report: &RebuildReport) -> Result<(), CliError> {
    let RebuildReport {
        previous_position,
        checkpoint,
        projected_entries,
        jobs,
        revoked_jobs,
        missing_dependencies,
        position,
    } = *report;
    if out.json {
        return out.json_line(&json!({
            "store": url,
            "previousPosition": previous_position.map(|position| position.to_string()),
            "checkpoint": checkpoint.to_string(),
            "projectedEntries": projected_entries,
            "jobs": jobs,
            "revokedJobs": revoked_jobs,
            "missingDependencies": missing_dependencies,
            "position": position.to_string(),
        }));
    }
    out.line(format!(
        "rebuilt {url} from the ledger: {jobs} jobs, starting at position {position}; \
         {revoked_jobs} running jobs were revoked, {projected_entries} entries of the old journal \
         were written to the ledger"
    ))?;
    print_missing_dependencies(out, missing_dependencies)
}

/// Warns about jobs that can never start, because a dependency does not exist.
pub(super) fn print_missing_dependencies(out: &mut Output, count: u64) -> Result<(), CliError> {
    if count == 0 {
        return Ok(());
    }
    out.line(format!(
        "{count} dependencies do not exist, so the jobs that wait for them stay blocked: list them \
         with `sentinel job list --state blocked`, and cancel them"
    ))
}
