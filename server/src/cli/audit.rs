//! `sentinel audit`: lists the audit log.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use sentinel_client::proto::admin::v1::AuditEntry;

use super::connection::ConnectionArgs;
use super::error::CliError;
use super::output::Output;
use super::table::{self, StyledCell};
use super::terminal;
use super::{json, text};

pub(super) const EXAMPLES: &str = "\
Examples:
  sentinel audit list
  sentinel audit list --limit 1000 --json | jq 'select(.outcome != \"OK\")'";

#[derive(Debug, Args)]
pub(super) struct AuditArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// List the entries of the audit log, newest first.
    #[command(after_help = EXAMPLES)]
    List {
        /// Maximum number of entries.
        #[arg(long, value_name = "N", default_value_t = 50,
              value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
    },
}

/// Runs `sentinel audit`.
pub(super) fn run(args: AuditArgs) -> ExitCode {
    let AuditArgs { connection, command: AuditCommand::List { limit } } = args;
    connection.run(|connector, mut out| async move {
        let client = connector.client().await?;
        print(&client.list_audit_entries(limit as usize).await?, &mut out)?;
        Ok(0)
    })
}

fn print(entries: &[AuditEntry], out: &mut Output) -> Result<(), CliError> {
    if out.json {
        return out.json_lines(entries, json::audit_entry);
    }
    let header = ["AGE", "ACTOR", "FROM", "OUTCOME", "ACTION", "TARGET"];
    table::write(out, &header, entries.iter().map(|entry| row(entry, out)).collect())
}

fn row(entry: &AuditEntry, out: &Output) -> Vec<StyledCell> {
    // The table shows `JobService/Cancel` without the package name.
    let action = entry.action.rsplit_once('.').map_or(&*entry.action, |(_, action)| action);
    vec![
        text::age(entry.at.as_ref(), out.now).into(),
        terminal::one_line(&entry.actor).into(),
        entry.peer.clone().into(),
        entry.outcome.clone().into(),
        action.to_owned().into(),
        terminal::one_line(&entry.target).into(),
    ]
}
