//! `sentinel migrate`: brings a shared database to the format of this version. A verb of its
//! own, since servers that share a database must not each decide when it changes.

use std::process::ExitCode;

use clap::Args;
use sentinel_ledger::{Ledger, Migrated, MigrationState};
use serde_json::json;

use super::failure::Failure;
use super::out::{self, Out};

pub(super) const EXAMPLES: &str = "\
Examples:
  sentinel migrate --ledger-url mysql://sentinel:PASSWORD@db:3306/sentinel --dry-run
  SENTINEL_LEDGER_URL=mysql://sentinel:PASSWORD@db/sentinel sentinel migrate

Before the first start of a server on a database, and at each upgrade before the first server
of the new version: servers of the version before work on meanwhile. It may be run from
several machines at once; one does the work. The user needs CREATE, ALTER, DROP and INDEX on
the database; a server itself needs SELECT, INSERT, UPDATE and DELETE. Percent-encode what is
special in the password. A ledger in a file is migrated by the server that opens it.";

/// `sentinel migrate`.
#[derive(Debug, Args)]
pub(super) struct Migrate {
    /// The database: mysql://USER:PASSWORD@HOST:PORT/DATABASE, on MySQL 8 or MariaDB 10.11.
    #[arg(long, value_name = "URL", env = "SENTINEL_LEDGER_URL", hide_env_values = true)]
    ledger_url: String,
    /// Only tell what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Answer with one JSON object.
    #[arg(long)]
    json: bool,
}

/// Migrates.
pub(super) fn run(command: Migrate) -> ExitCode {
    let Migrate { ledger_url, dry_run, json } = command;
    out::answer(json, async move |out: &mut Out| {
        let state = if dry_run { MigrationState::Planned } else { MigrationState::Applied };
        let done = Ledger::migrate(&ledger_url, state).await.map_err(Failure::Ledger)?;
        if out.json {
            let Migrated { ledger, from, to, steps } = &done;
            let answer = json!({
                "ledger": ledger, "from": from, "to": to, "steps": steps, "dryRun": dry_run,
            });
            return out.object(&answer);
        }
        out.line(sentence(&done, state))
    })
}

fn sentence(done: &Migrated, state: MigrationState) -> String {
    let Migrated { ledger, from, to, steps } = done;
    match (steps.len(), state) {
        (0, _) if from > to => {
            format!("{ledger} has format {from}, which this version, of format {to}, can work on")
        }
        (0, _) => format!("{ledger} has format {to} already"),
        (count, MigrationState::Planned) => {
            format!("{ledger} would go from format {from} to {to}; steps: {count}")
        }
        (count, MigrationState::Applied) => {
            format!("{ledger} went from format {from} to {to}; steps: {count}")
        }
    }
}
