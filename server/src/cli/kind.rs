//! `sentinel kind`: shows the job kinds that workers declare.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use sentinel_client::proto::jobs::v1::JobKind;

use super::connection::ConnectionArgs;
use super::error::CliError;
use super::output::Output;
use super::table::{self, StyledCell};
use super::terminal;
use super::{json, text};

pub(super) const EXAMPLES: &str = "\
Examples:
  sentinel kind list
  sentinel kind show mail.send --json | jq .inputSchema";

#[derive(Debug, Args)]
pub(super) struct KindArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(subcommand)]
    command: KindCommand,
}

#[derive(Debug, Subcommand)]
enum KindCommand {
    /// List the kinds that live workers handle, and those that workers handled in the last 90 days.
    #[command(after_help = "Example:\n  sentinel kind list --json | jq -r .name")]
    List,
    /// Show one kind with the JSON Schema of its payload.
    #[command(after_help = "Example:\n  sentinel kind show mail.send")]
    Show {
        /// Name of the kind.
        name: String,
    },
}

/// Runs `sentinel kind`.
pub(super) fn run(args: KindArgs) -> ExitCode {
    let KindArgs { connection, command } = args;
    connection.run(|connector, mut out| async move {
        let client = connector.client().await?;
        match command {
            KindCommand::List => print_table(&client.list_kinds().await?, &mut out)?,
            KindCommand::Show { name } => print(&client.get_kind(name).await?, &mut out)?,
        }
        Ok(0)
    })
}

fn print_table(kinds: &[JobKind], out: &mut Output) -> Result<(), CliError> {
    if out.json {
        return out.json_lines(kinds, json::kind);
    }
    let rows: Vec<Vec<StyledCell>> = kinds.iter().map(|kind| row(kind, out)).collect();
    table::write(out, &["NAME", "WORKERS", "SEEN", "SCHEMA", "DESCRIPTION"], rows)
}

fn row(kind: &JobKind, out: &Output) -> Vec<StyledCell> {
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
        terminal::one_line(&kind.description).into(),
    ]
}

fn print(kind: &JobKind, out: &mut Output) -> Result<(), CliError> {
    if out.json {
        return out.json_line(&json::kind(kind));
    }
    print_table(std::slice::from_ref(kind), out)?;
    let schema = serde_json::from_str::<serde_json::Value>(&kind.input_schema);
    if let Ok(pretty) = schema.and_then(|schema| serde_json::to_string_pretty(&schema)) {
        out.line(pretty)?;
    }
    Ok(())
}
