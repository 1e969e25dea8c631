//! `sentinel move`: needs a data directory that no server has, Redis and a database.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde_json::json;

use super::backup::now;
use super::failure::Failure;
use super::out::{self, Out};
use super::rebuild::Stores;
use crate::config::StoreUrl;
use crate::moving::{self, Moved, Show, Target};
use crate::rebuild;

pub(super) const EXAMPLES: &str = "\
Examples:
  sentinel migrate --ledger-url mysql://sentinel:PASSWORD@db/sentinel
  sentinel move --from /var/lib/sentinel --store-url redis://10.0.0.5 \\
      --ledger-url mysql://sentinel:PASSWORD@db/sentinel
  sentinel move --from /var/lib/sentinel --config /etc/sentinel.toml --json

When: one machine is no longer enough. Stop the server first, by SIGTERM; workers and clients wait.
Redis must be empty, and the database as `sentinel migrate` makes it.

What it does: what the journal of the directory still has goes into its ledger. The ledger is copied
to the database: jobs, attempts, labels, log lines, queues, kinds, keys, the audit trail. Then the jobs that have not ended, the
unique keys and the answers to request_ids are put into Redis. Jobs that were running go back to
their queues, the attempt not counted, or fail where they must not run twice. Watches get a gap.

A move that was cut short, also by kill -9, goes on where it stopped when it is run again; until it
has ended no server starts on either side. Afterwards start servers with --store-url and
--ledger-url. The directory stays as it was; a server on it refuses to start, and says where
its data went.";

/// `sentinel move`.
#[derive(Debug, Args)]
pub(super) struct Command {
    /// The data directory of the server, which must be stopped.
    #[arg(long, value_name = "PATH")]
    from: PathBuf,
    #[command(flatten)]
    stores: Stores,
    /// Answer with one JSON object.
    #[arg(long)]
    json: bool,
}

/// On standard error, for people only.
struct Bar(ProgressBar);

impl Bar {
    fn begin(&self, total: u64, before: u64, what: &str) {
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {msg} {elapsed} eta {eta}");
        self.0.set_style(style.expect("the template is right"));
        self.0.set_message(what.to_owned());
        self.0.set_length(total);
        self.0.set_position(before);
        self.0.reset_eta();
    }
}

impl rebuild::Show for Bar {
    fn carried(&self, _: u64) {}

    fn put(&self, jobs: u64) {
        self.0.set_position(jobs);
    }
}

impl Show for Bar {
    fn copies(&self, rows: u64, before: u64) {
        self.begin(rows, before, "rows to the database");
    }

    fn rows(&self, more: usize) {
        self.0.inc(more as u64);
    }

    fn fills(&self, jobs: u64) {
        self.begin(jobs, 0, "jobs to Redis");
    }
}

/// Moves an installation.
pub(super) fn run(command: Command) -> ExitCode {
    out::answer(command.json, async move |out: &mut Out| {
        let config = command.stores.settings()?;
        let missing = |flag| Failure::Flag { flag, reason: "is not set: it says where to".into() };
        let store_url = config.store_url.as_ref().ok_or_else(|| missing("--store-url"))?;
        let ledger_url = config.ledger_url.as_ref().ok_or_else(|| missing("--ledger-url"))?;
        let payload_bytes = config.payload_max_bytes;
        let target = Target { store_url, ledger_url, payload_bytes };
        let bar = Bar(if out.json { ProgressBar::hidden() } else { ProgressBar::new(0) });
        let done = moving::carry_over(&command.from, target, now(), &bar).await;
        bar.0.finish_and_clear();
        tell(out, &command.from, (store_url, ledger_url), &done?)
    })
}

fn tell(
    out: &mut Out,
    from: &std::path::Path,
    (store, ledger): (&StoreUrl, &StoreUrl),
    done: &Moved,
) -> Result<(), Failure> {
    let Moved { source, rows, rows_before, requests, filled } = *done;
    if out.json {
        return out.object(&json!({
            "from": from,
            "source": source.to_string(),
            "store": store.to_string(),
            "ledger": ledger.to_string(),
            "rows": rows,
            "rowsBefore": rows_before,
            "requests": requests,
            "jobs": filled.map(|filled| filled.jobs),
            "revokedJobs": filled.map(|filled| filled.revoked),
            "orphans": filled.map(|filled| filled.orphans),
            "at": filled.map(|filled| filled.at.to_string()),
        }));
    }
    let Some(filled) = filled else {
        return out.line(format!("{} was moved to {store} and {ledger} before", from.display()));
    };
    out.line(format!(
        "{} went to {store} and {ledger}: {} rows of history, {} jobs that have not ended, of which \
         {} were running and were taken back. Serve with --store-url and --ledger-url",
        from.display(),
        HumanCount(rows),
        HumanCount(filled.jobs),
        filled.revoked,
    ))?;
    if filled.orphans > 0 {
        out.line(format!("{} jobs wait for one that nobody knows: cancel them", filled.orphans))?;
    }
    Ok(())
}
