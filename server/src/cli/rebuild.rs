//! `sentinel rebuild`: needs Redis and the ledger, and no server.

use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use sentinel_ledger::{Ledger, LedgerOptions};
use sentinel_store::{Position, ServerId};
use sentinel_store_redis::{Found, OpenOptions};
use serde_json::json;

use super::backup::now;
use super::failure::Failure;
use super::out::{self, Out};
use crate::config::{Config, Flags, Mode};
use crate::rebuild::{self, Failed, Rebuilt, Show};

pub(super) const EXAMPLES: &str = "\
Examples:
  sentinel rebuild --config /etc/sentinel.toml
  sentinel rebuild --store-url redis://10.0.0.5 --ledger-url mysql://sentinel:PASSWORD@db/sentinel
  sentinel rebuild --config /etc/sentinel.toml --yes --json

When: servers answer STORE_ROLLED_BACK, or do not start and say so. Redis came back empty, or
older than what the ledger has seen; or another Redis took its place.

What it does: what the journal in Redis still has goes into the ledger. Then the jobs that have
not ended, the queues and the unique keys are put into Redis anew from the ledger. Jobs that were
running go back to their queues, or fail where they must not run twice; no report from before
counts. Changes that were acknowledged at the level store or replicated and that neither Redis nor
the ledger has are lost; nothing that was acknowledged at the level ledger is.

Servers may run meanwhile: they answer STORE_ROLLED_BACK, and go on by themselves when it is done.
A rebuild that was cut short can be run again.";

/// `sentinel rebuild`.
#[derive(Debug, Args)]
pub(super) struct Command {
    #[command(flatten)]
    stores: Stores,
    /// Do not ask before what is in Redis is replaced.
    #[arg(long)]
    yes: bool,
    /// Answer with one JSON object.
    #[arg(long)]
    json: bool,
}

/// The stores that servers share.
#[derive(Debug, Args)]
pub(super) struct Stores {
    /// The Redis to fill [env: SENTINEL_STORE_URL].
    #[arg(long, value_name = "URL")]
    store_url: Option<String>,
    /// The database that has the ledger [env: SENTINEL_LEDGER_URL].
    #[arg(long, value_name = "URL")]
    ledger_url: Option<String>,
    /// The TOML file of the servers, which names both.
    #[arg(long, value_name = "FILE", env = "SENTINEL_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
}

impl Stores {
    /// As a server would find them.
    pub(super) fn settings(&self) -> Result<Config, Failure> {
        let mut values = Vec::new();
        let flags =
            [("store_url", self.store_url.clone()), ("ledger_url", self.ledger_url.clone())];
        for (name, value) in flags {
            values.extend(value.map(|value| (name.to_owned(), value)));
        }
        let wrong = |reason: String| Failure::Flag { flag: "--config", reason };
        let flags = Flags { file: self.config.clone(), values, ..Flags::default() };
        let sources = flags.sources().map_err(|error| wrong(format!("{error:#}")))?;
        let loaded = Config::load(Mode::Serve, &sources);
        Ok(loaded.map_err(|mistakes| wrong(mistakes.to_string()))?.config)
    }
}

struct Bar(ProgressBar);

impl Show for Bar {
    fn carried(&self, entries: u64) {
        self.0.set_message(format!("{entries} entries of the old journal went into the ledger"));
    }

    fn put(&self, jobs: u64) {
        self.0.set_position(jobs);
    }
}

/// Rebuilds the store in Redis.
pub(super) fn run(command: Command) -> ExitCode {
    out::answer(command.json, async move |out: &mut Out| {
        let config = command.stores.settings()?;
        let (Some(url), Some(ledger_url)) = (&config.store_url, &config.ledger_url) else {
            let reason = "is not set: there is a store to rebuild only on Redis. A data directory \
                          is put back with `sentinel restore`";
            return Err(Failure::Flag { flag: "--store-url", reason: reason.into() });
        };
        let options = OpenOptions::new(url.reveal(), now());
        let ledger = Ledger::connect(ledger_url.reveal(), LedgerOptions::default()).await;
        let ledger = ledger.map_err(Failed::from)?;
        let checkpoint = ledger.checkpoint().await.map_err(Failed::from)?;
        let found = rebuild::look(&options).await?;
        if !command.yes && found.at.is_some() && !found.is_rebuilding {
            confirm(&found, checkpoint)?;
        }
        let jobs = ledger.counts(Vec::new()).await.map_err(Failed::from)?;
        let live = jobs.iter().filter(|count| !count.state.is_terminal()).map(|count| count.count);
        let bar = bar(out, live.sum());
        let owner = ServerId(rand::random());
        let done = rebuild::rebuild(&options, &ledger, owner, &[], &bar).await;
        bar.0.finish_and_clear();
        tell(out, &url.to_string(), &done?)
    })
}

fn tell(out: &mut Out, url: &str, done: &Rebuilt) -> Result<(), Failure> {
    let Rebuilt { was, checkpoint, carried, jobs, revoked, orphans, at } = *done;
    if out.json {
        return out.object(&json!({
            "store": url,
            "was": was.map(|was| was.to_string()),
            "checkpoint": checkpoint.to_string(),
            "carriedEntries": carried,
            "jobs": jobs,
            "revokedJobs": revoked,
            "orphans": orphans,
            "at": at.to_string(),
        }));
    }
    out.line(format!(
        "{url} holds {jobs} jobs from the ledger, beginning at {at}; {revoked} running jobs were \
         taken back, {carried} entries of the old journal went into the ledger first"
    ))?;
    if orphans > 0 {
        out.line(format!("{orphans} jobs wait for one that nobody knows: cancel them"))?;
    }
    Ok(())
}

/// On standard error, for people only.
fn bar(out: &Out, jobs: u64) -> Bar {
    if out.json {
        return Bar(ProgressBar::hidden());
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} jobs {elapsed} {msg}");
    Bar(ProgressBar::new(jobs).with_style(style.expect("the template is right")))
}

/// Asks a person whether what is there may go.
fn confirm(found: &Found, checkpoint: Position) -> Result<(), Failure> {
    let at = found.at.unwrap_or_default();
    let is_sound = at.epoch == checkpoint.epoch && at >= checkpoint;
    let state = if is_sound { "is not behind the ledger" } else { "does not fit the ledger" };
    let question = format!(
        "the store in Redis has {} jobs and {state}: it is at {at}, the ledger at {checkpoint}",
        found.jobs
    );
    let refused = |reason: String| Failure::Flag { flag: "--yes", reason };
    if !std::io::stdin().is_terminal() {
        return Err(refused(format!("{question}. Give --yes to replace it")));
    }
    eprint!("{question}.\nReplace it? Type yes: ");
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    match line.trim() {
        "yes" => Ok(()),
        _ => Err(refused("nothing was changed".into())),
    }
}
