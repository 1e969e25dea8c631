//! `sentinel import`: imports a data directory into Redis and a database. The server of the
//! directory must be stopped.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use indicatif::{HumanCount, ProgressBar};
use sentinel_engine::Clock;
use serde_json::json;

use super::error::CliError;
use super::output::{self, Output};
use super::progress_bar;
use super::rebuild::print_missing_dependencies;
use super::settings::SharedStoreArgs;
use crate::config::SecretUrl;
use crate::import::{self, ImportProgress, ImportReport, Target};
use crate::rebuild::RebuildProgress;

pub(super) const EXAMPLES: &str = "\
Examples:
  sentinel migrate --ledger-url mysql://sentinel:PASSWORD@db/sentinel
  sentinel import --from /var/lib/sentinel --store-url redis://10.0.0.5 \\
      --ledger-url mysql://sentinel:PASSWORD@db/sentinel
  sentinel import --from /var/lib/sentinel --config /etc/sentinel.toml --json

When to use it: one machine is no longer enough. Stop the server first with SIGTERM; workers and
clients reconnect later. Redis must be empty, and the database must be as `sentinel migrate` creates
it.

What it does: it brings the ledger of the directory up to date with its journal. Then it copies the
ledger to the database: jobs, attempts, labels, log lines, queues, kinds, API keys and the audit
log. Then it puts the live jobs, the unique keys and the idempotency records into Redis. Running
jobs return to their queues without counting the attempt, or fail if their on_lost
policy is FAIL. Watches report a gap.

An import that was interrupted continues when it is run again, also after kill -9. No server starts
on the directory or on the new stores until the import is done. Afterwards start servers with
--store-url and --ledger-url. The directory keeps its data, but a server refuses to start on it and
says where the data is now.";

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// Data directory to import. Its server must be stopped.
    #[arg(long, value_name = "PATH")]
    from: PathBuf,
    #[command(flatten)]
    stores: SharedStoreArgs,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
}

struct Bar(ProgressBar);

impl Bar {
    fn start(&self, total: u64, done: u64, unit: &str) {
        self.0.set_message(unit.to_owned());
        self.0.set_length(total);
        self.0.set_position(done);
        self.0.reset_eta();
    }
}

impl RebuildProgress for Bar {
    fn projected(&self, _: u64) {}

    fn jobs_stored(&self, jobs: u64) {
        self.0.set_position(jobs);
    }
}

impl ImportProgress for Bar {
    fn copy_started(&self, rows: u64, copied_before: u64) {
        self.start(rows, copied_before, "rows to the database");
    }

    fn rows_copied(&self, rows: usize) {
        self.0.inc(rows as u64);
    }

    fn fill_started(&self, jobs: u64) {
        self.start(jobs, 0, "jobs to Redis");
    }
}

/// Runs `sentinel import`.
pub(super) fn run(args: ImportArgs) -> ExitCode {
    output::run_local(args.json, async move |out: &mut Output| {
        let config = args.stores.load()?;
        let missing = |flag| CliError::InvalidFlag {
            flag,
            reason: "is not set: name the store and the database to import into".into(),
        };
        let store_url = config.store_url.as_ref().ok_or_else(|| missing("--store-url"))?;
        let ledger_url = config.ledger_url.as_ref().ok_or_else(|| missing("--ledger-url"))?;
        let max_payload_bytes = config.payload_max_bytes;
        let target = Target { store_url, ledger_url, max_payload_bytes };
        let template = "{bar:40} {pos}/{len} {msg} {elapsed} eta {eta}";
        let bar = Bar(progress_bar::new(out, 0, template));
        let report = import::import(&args.from, target, Clock::system().now(), &bar).await;
        bar.0.finish_and_clear();
        print(out, &args.from, (store_url, ledger_url), &report?)
    })
}

fn print(
    out: &mut Output,
    from: &Path,
    (store, ledger): (&SecretUrl, &SecretUrl),
    report: &ImportReport,
) -> Result<(), CliError> {
    let ImportReport { source_position, rows, rows_copied_before, idempotency_records, filled } =
        *report;
    if out.json {
        return out.json_line(&json!({
            "from": from,
            "sourcePosition": source_position.to_string(),
            "store": store.to_string(),
            "ledger": ledger.to_string(),
            "rows": rows,
            "rowsCopiedBefore": rows_copied_before,
            "idempotencyRecords": idempotency_records,
            "jobs": filled.map(|filled| filled.jobs),
            "revokedJobs": filled.map(|filled| filled.revoked_jobs),
            "missingDependencies": filled.map(|filled| filled.missing_dependencies),
            "position": filled.map(|filled| filled.position.to_string()),
        }));
    }
    let Some(filled) = filled else {
        return out.line(format!(
            "{} was already imported into {store} and {ledger}. Start servers with --store-url and \
             --ledger-url",
            from.display()
        ));
    };
    out.line(format!(
        "imported {} into {store} and {ledger}: {} rows of history and {} live jobs, of which {} \
         were running and were revoked. Start servers with --store-url and --ledger-url",
        from.display(),
        HumanCount(rows),
        HumanCount(filled.jobs),
        filled.revoked_jobs,
    ))?;
    print_missing_dependencies(out, filled.missing_dependencies)
}
