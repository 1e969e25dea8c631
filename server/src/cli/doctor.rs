//! `sentinel doctor`: prints what is wrong with a server and its stores, and how to fix it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::connection::{ConnectionArgs, Connector};
use super::error::{self, CliError};
use super::output::Output;
use super::settings;
use super::state_style::TextColor;
use super::table::{self, StyledCell};
use crate::doctor::{self, Finding, Severity};

pub(super) const EXAMPLES: &str = "\
Examples:
  sentinel doctor
  sentinel doctor --config /etc/sentinel.toml --server http://10.0.0.7:7070
  sentinel doctor --config /etc/sentinel.toml --json | jq -r 'select(.severity != \"ok\")'

Reads only. The exit code is 0 without errors; warnings do not change it.";

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// TOML file of the server. Environment variables apply as for `sentinel serve`.
    #[arg(long, value_name = "FILE", env = "SENTINEL_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
    /// Data directory of a server without shared stores [default: ./.sentinel of `sentinel dev` if
    /// it exists, else /var/lib/sentinel].
    #[arg(long, value_name = "PATH")]
    data_dir: Option<String>,
    /// URL of the Redis that the servers share.
    #[arg(long, value_name = "URL")]
    store_url: Option<String>,
    /// URL of the database that the servers share.
    #[arg(long, value_name = "URL")]
    ledger_url: Option<String>,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Runs `sentinel doctor`.
pub(super) fn run(args: DoctorArgs) -> ExitCode {
    let DoctorArgs { config, data_dir, store_url, ledger_url, connection } = args;
    connection.run(async move |connector: Connector, mut out: Output| {
        let flags = [("data_dir", data_dir), ("store_url", store_url), ("ledger_url", ledger_url)];
        let config = settings::load(config, flags)?;
        let options = connector.connect_options()?;
        let findings = doctor::examine(&config, connector.server(), &options).await;
        print(&mut out, &findings)?;
        let has_errors = findings.iter().any(|finding| finding.severity == Severity::Error);
        Ok(if has_errors { error::REFUSED } else { 0 })
    })
}

fn print(out: &mut Output, findings: &[Finding]) -> Result<(), CliError> {
    if out.json {
        return out.json_lines(findings, |finding| json!(finding));
    }
    let row = |finding: &Finding| {
        let (name, color) = match finding.severity {
            Severity::Ok => ("ok", TextColor::Green),
            Severity::Warning => ("warning", TextColor::Yellow),
            Severity::Error => ("error", TextColor::Red),
        };
        let text = match finding.remedy {
            Some(remedy) => format!("{}: {remedy}", finding.message),
            None => finding.message.clone(),
        };
        vec![StyledCell::new(name, color), finding.component.into(), text.into()]
    };
    table::write(out, &["SEVERITY", "COMPONENT", "MESSAGE"], findings.iter().map(row).collect())
}
