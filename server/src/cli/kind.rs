//! `sentinel kind`: what jobs can be of, as workers declare it.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use sentinel_client::proto::jobs::v1::JobKind;

use super::connection::Connection;
use super::failure::Failure;
use super::out::Out;
use super::table::{self, Painted};
use super::{json, text};

pub(super) const EXAMPLES: &str = "\
Examples:
  sentinel kind list
  sentinel kind show mail.send --json | jq .inputSchema";

/// `sentinel kind`.
#[derive(Debug, Args)]
pub(super) struct KindCommand {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the kinds that workers have or had lately.
    #[command(after_help = "Example:\n  sentinel kind list --json | jq -r .name")]
    List,
    /// Show one kind with the JSON Schema of its payload.
    #[command(after_help = "Example:\n  sentinel kind show mail.send")]
    Show {
        /// Its name.
        name: String,
    },
}

/// Runs a verb.
pub(super) fn run(command: KindCommand) -> ExitCode {
    let KindCommand { connection, verb } = command;
    connection.run(|dial, mut out| async move {
        let client = dial.client().await?;
        match verb {
            Verb::List => list(&client.list_kinds().await?, &mut out),
            Verb::Show { name } => show(&client.get_kind(name).await?, &mut out),
        }
    })
}

fn list(kinds: &[JobKind], out: &mut Out) -> Result<u8, Failure> {
    if out.json {
        for kind in kinds {
            out.object(&json::kind(kind))?;
        }
        return Ok(0);
    }
    let rows: Vec<Vec<Painted>> = kinds.iter().map(|kind| row(kind, out)).collect();
    table::write(out, &["NAME", "WORKERS", "SEEN", "SCHEMA", "DESCRIPTION"], rows)?;
    Ok(0)
}

fn row(kind: &JobKind, out: &Out) -> Vec<Painted> {
    let schema = match (kind.schemas, kind.input_schema.is_empty()) {
        (2.., _) => "conflicting",
        (_, true) => "-",
        (_, false) => "declared",
    };
    vec![
        kind.name.clone().into(),
        kind.workers.to_string().into(),
        text::age(kind.last_seen.as_ref(), out.now).into(),
        schema.into(),
        text::one_line(&kind.description).into(),
    ]
}

fn show(kind: &JobKind, out: &mut Out) -> Result<u8, Failure> {
    if out.json {
        out.object(&json::kind(kind))?;
        return Ok(0);
    }
    list(std::slice::from_ref(kind), out)?;
    let schema = serde_json::from_str::<serde_json::Value>(&kind.input_schema);
    if let Ok(pretty) = schema.and_then(|schema| serde_json::to_string_pretty(&schema)) {
        out.line(pretty)?;
    }
    Ok(0)
}
