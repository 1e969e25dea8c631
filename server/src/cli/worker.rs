//! `sentinel worker`: who runs jobs, and to take a worker out of service.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use sentinel_client::proto::admin::v1::Worker;

use super::connection::Connection;
use super::failure::Failure;
use super::out::Out;
use super::table::{self, Painted};
use super::{json, text};

pub(super) const EXAMPLES: &str = "\
Examples:
  sentinel worker list
  sentinel worker list --json | jq -r 'select(.build == \"1.4.0\") | .id'
  sentinel worker drain 7d0f8f38-5f3e-4d0c-9c53-2f4f6f1c2a11";

/// `sentinel worker`.
#[derive(Debug, Args)]
pub(super) struct WorkerCommand {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the live workers of all servers.
    #[command(after_help = "Example:\n  sentinel worker list --json | jq -r .instance")]
    List,
    /// Give a worker no more jobs. It ends what it runs; restart it to take it back.
    #[command(
        after_help = "Example:\n  sentinel worker drain 7d0f8f38-5f3e-4d0c-9c53-2f4f6f1c2a11"
    )]
    Drain {
        /// Its id, as `worker list` shows it.
        id: String,
    },
}

/// Runs a verb.
pub(super) fn run(command: WorkerCommand) -> ExitCode {
    let WorkerCommand { connection, verb } = command;
    connection.run(|dial, mut out| async move {
        let client = dial.client().await?;
        match verb {
            Verb::List => show(&client.list_workers().await?, &mut out),
            Verb::Drain { id } => show(&[client.drain_worker(id).await?], &mut out),
        }
    })
}

/// Shows workers.
pub(super) fn show(workers: &[Worker], out: &mut Out) -> Result<u8, Failure> {
    if out.json {
        for worker in workers {
            out.object(&json::worker(worker))?;
        }
        return Ok(0);
    }
    let rows: Vec<Vec<Painted>> = workers.iter().map(|worker| row(worker, out)).collect();
    let head =
        ["ID", "INSTANCE", "STATE", "JOBS", "SERVER", "BUILD", "QUEUES", "KINDS", "AGE", "SEEN"];
    table::write(out, &head, rows)?;
    Ok(0)
}

fn row(worker: &Worker, out: &Out) -> Vec<Painted> {
    let or_none = |text: &str| if text.is_empty() { "-".to_owned() } else { text::one_line(text) };
    vec![
        worker.id.clone().into(),
        or_none(&worker.instance).into(),
        if worker.draining { "draining" } else { "open" }.into(),
        format!("{}/{}", worker.running_jobs, worker.slots).into(),
        or_none(&worker.server).into(),
        or_none(&worker.build).into(),
        first_of(&worker.queues).into(),
        first_of(&worker.kinds).into(),
        text::age(worker.since.as_ref(), out.now).into(),
        text::age(worker.last_seen.as_ref(), out.now).into(),
    ]
}

/// The first names and how many more there are.
fn first_of(names: &[String]) -> String {
    const SHOWN: usize = 3;
    let mut shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(",");
    if names.len() > SHOWN {
        shown.push_str(&format!(" +{}", names.len() - SHOWN));
    }
    shown
}
