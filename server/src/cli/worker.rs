//! `sentinel worker`: lists and drains workers.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use sentinel_client::proto::admin::v1::Worker;

use super::connection::ConnectionArgs;
use super::error::CliError;
use super::output::Output;
use super::table::{self, StyledCell};
use super::terminal;
use super::{json, text};

pub(super) const EXAMPLES: &str = "\
Examples:
  sentinel worker list
  sentinel worker list --json | jq -r 'select(.build == \"1.4.0\") | .id'
  sentinel worker drain 7d0f8f38-5f3e-4d0c-9c53-2f4f6f1c2a11";

#[derive(Debug, Args)]
pub(super) struct WorkerArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(subcommand)]
    command: WorkerCommand,
}

#[derive(Debug, Subcommand)]
enum WorkerCommand {
    /// List the live workers of the cluster.
    #[command(after_help = "Example:\n  sentinel worker list --json | jq -r .instance")]
    List,
    /// Assign no more jobs to a worker. It finishes its running jobs; restart it to end the drain.
    #[command(
        after_help = "Example:\n  sentinel worker drain 7d0f8f38-5f3e-4d0c-9c53-2f4f6f1c2a11"
    )]
    Drain {
        /// Id of the worker, as `sentinel worker list` shows it.
        id: String,
    },
}

/// Runs `sentinel worker`.
pub(super) fn run(args: WorkerArgs) -> ExitCode {
    let WorkerArgs { connection, command } = args;
    connection.run(|connector, mut out| async move {
        let client = connector.client().await?;
        match command {
            WorkerCommand::List => print(&client.list_workers().await?, &mut out)?,
            WorkerCommand::Drain { id } => print(&[client.drain_worker(id).await?], &mut out)?,
        }
        Ok(0)
    })
}

fn print(workers: &[Worker], out: &mut Output) -> Result<(), CliError> {
    if out.json {
        return out.json_lines(workers, json::worker);
    }
    let rows: Vec<Vec<StyledCell>> = workers.iter().map(|worker| row(worker, out)).collect();
    let header =
        ["ID", "INSTANCE", "STATE", "JOBS", "SERVER", "BUILD", "QUEUES", "KINDS", "AGE", "SEEN"];
    table::write(out, &header, rows)
}

fn row(worker: &Worker, out: &Output) -> Vec<StyledCell> {
    let or_dash =
        |text: &str| if text.is_empty() { "-".to_owned() } else { terminal::one_line(text) };
    vec![
        worker.id.clone().into(),
        or_dash(&worker.instance).into(),
        if worker.draining { "draining" } else { "open" }.into(),
        format!("{}/{}", worker.running_jobs, worker.slots).into(),
        or_dash(&worker.server).into(),
        or_dash(&worker.build).into(),
        abbreviate(&worker.queues).into(),
        abbreviate(&worker.kinds).into(),
        text::age(worker.since.as_ref(), out.now).into(),
        text::age(worker.last_seen.as_ref(), out.now).into(),
    ]
}

/// Returns the first names and the number of the others, such as `a,b,c +2`.
fn abbreviate(names: &[String]) -> String {
    const SHOWN: usize = 3;
    let mut shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(",");
    if names.len() > SHOWN {
        shown.push_str(&format!(" +{}", names.len() - SHOWN));
    }
    shown
}
