//! `sentinel migrate`: creates or upgrades the tables of a shared database. It is a separate
//! command because the servers that share a database must not upgrade it on their own.

use std::process::ExitCode;

use clap::Args;
use sentinel_ledger::{Ledger, MigrationMode, MigrationReport};
use serde_json::json;

use super::error::CliError;
use super::output::{self, Output};

pub(super) const EXAMPLES: &str = "\
Examples:
  sentinel migrate --ledger-url mysql://sentinel:PASSWORD@db:3306/sentinel --dry-run
  SENTINEL_LEDGER_URL=mysql://sentinel:PASSWORD@db/sentinel sentinel migrate

Run it before the first server starts on a database, and on each upgrade before the first server
of the new version starts. Servers of the previous version keep running meanwhile. Running it on
several machines at once is safe. The database user needs CREATE, ALTER, DROP and INDEX; a server
needs only SELECT, INSERT, UPDATE and DELETE. Percent-encode special characters in the password.
A data directory needs no migration by hand: the server upgrades its files when it starts.";

#[derive(Debug, Args)]
pub(super) struct MigrateArgs {
    /// URL of the database: mysql://USER:PASSWORD@HOST:PORT/DATABASE. MySQL 8 or MariaDB 10.11.
    #[arg(long, value_name = "URL", env = "SENTINEL_LEDGER_URL", hide_env_values = true)]
    ledger_url: String,
    /// Print what would be done, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs `sentinel migrate`.
pub(super) fn run(args: MigrateArgs) -> ExitCode {
    let MigrateArgs { ledger_url, dry_run, json } = args;
    output::run_local(json, async move |out: &mut Output| {
        let mode = if dry_run { MigrationMode::DryRun } else { MigrationMode::Apply };
        let report = Ledger::migrate(&ledger_url, mode).await.map_err(CliError::Ledger)?;
        if out.json {
            let MigrationReport { ledger, from, to, steps } = &report;
            let result = json!({
                "ledger": ledger, "from": from, "to": to, "steps": steps, "dryRun": dry_run,
            });
            return out.json_line(&result);
        }
        out.line(summary(&report, mode))
    })
}

fn summary(report: &MigrationReport, mode: MigrationMode) -> String {
    let MigrationReport { ledger, from, to, steps } = report;
    match (steps.len(), mode) {
        (0, _) if from > to => format!(
            "{ledger} has the newer format {from}; this version writes format {to} and can use it"
        ),
        (0, _) => format!("{ledger} already has format {to}"),
        (count, MigrationMode::DryRun) => {
            format!("{ledger} would be upgraded from format {from} to {to} in {count} steps")
        }
        (count, MigrationMode::Apply) => {
            format!("upgraded {ledger} from format {from} to {to} in {count} steps")
        }
    }
}
