//! `sentinel audit`: what people did.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use sentinel_client::proto::admin::v1::AuditEntry;
use serde_json::json;

use super::connection::Connection;
use super::failure::Failure;
use super::out::Out;
use super::table::{self, Painted};
use super::text;

pub(super) const EXAMPLES: &str = "\
Examples:
  sentinel audit list
  sentinel audit list --limit 1000 --json | jq 'select(.outcome != \"OK\")'";

/// `sentinel audit`.
#[derive(Debug, Args)]
pub(super) struct AuditCommand {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List what people did, the newest first.
    #[command(after_help = EXAMPLES)]
    List {
        /// How many entries at the most.
        #[arg(long, value_name = "NUMBER", default_value_t = 50,
              value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
    },
}

/// Runs a verb.
pub(super) fn run(command: AuditCommand) -> ExitCode {
    let AuditCommand { connection, verb: Verb::List { limit } } = command;
    connection.run(|dial, mut out| async move {
        let client = dial.client().await?;
        show(&client.list_audit_entries(limit as usize).await?, &mut out)?;
        Ok(0)
    })
}

fn show(entries: &[AuditEntry], out: &mut Out) -> Result<(), Failure> {
    if out.json {
        for entry in entries {
            out.object(&json!({
                "id": entry.id, "at": entry.at.as_ref().map(ToString::to_string),
                "actor": entry.actor, "keyId": entry.key_id, "action": entry.action,
                "target": entry.target, "peer": entry.peer, "requestId": entry.request_id,
                "outcome": entry.outcome,
            }))?;
        }
        return Ok(());
    }
    let header = ["AGE", "ACTOR", "FROM", "OUTCOME", "ACTION", "TARGET"];
    table::write(out, &header, entries.iter().map(|entry| row(entry, out)).collect())
}

fn row(entry: &AuditEntry, out: &Out) -> Vec<Painted> {
    let action = entry.action.rsplit_once('.').map_or(&*entry.action, |(_, action)| action);
    vec![
        text::age(entry.at.as_ref(), out.now).into(),
        text::one_line(&entry.actor).into(),
        entry.peer.clone().into(),
        entry.outcome.clone().into(),
        action.to_owned().into(),
        text::one_line(&entry.target).into(),
    ]
}
