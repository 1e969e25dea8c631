//! `sentinel doctor`: what is wrong with an installation, and what to do about it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::connection::{Connection, Dial};
use super::failure::{self, Failure};
use super::look::Hue;
use super::out::Out;
use super::table::{self, Painted};
use crate::config::{Config, Flags, Mode};
use crate::doctor::{self, Finding, Verdict};

pub(super) const EXAMPLES: &str = "\
Examples:
  sentinel doctor
  sentinel doctor --config /etc/sentinel.toml --server http://10.0.0.7:7070
  sentinel doctor --config /etc/sentinel.toml --json | jq -r 'select(.verdict != \"ok\")'

Looks and changes nothing. The exit code is 0 when nothing is bad; a warning is not.";

/// Which installation.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// The TOML file of the server; the environment counts as for `sentinel serve`.
    #[arg(long, value_name = "FILE", env = "SENTINEL_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
    /// The data directory of the server, where it has no store_url.
    #[arg(long, value_name = "PATH")]
    data_dir: Option<String>,
    /// The Redis of the servers.
    #[arg(long, value_name = "URL")]
    store_url: Option<String>,
    /// Their database.
    #[arg(long, value_name = "URL")]
    ledger_url: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// Looks, tells, and says by the exit code whether something is bad.
pub(super) fn run(command: Doctor) -> ExitCode {
    let Doctor { config, data_dir, store_url, ledger_url, connection } = command;
    connection.run(async move |dial: Dial, mut out: Out| {
        let named = [("data_dir", data_dir), ("store_url", store_url), ("ledger_url", ledger_url)];
        let values = named.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?)));
        let flags = Flags { values: values.collect(), file: config, ..Flags::default() };
        let findings = doctor::examine(&load(flags)?, dial.server(), &dial.access()?).await;
        tell(&mut out, &findings)?;
        let is_bad = findings.iter().any(|finding| finding.verdict == Verdict::Bad);
        Ok(if is_bad { failure::REFUSED } else { 0 })
    })
}

fn load(flags: Flags) -> Result<Config, Failure> {
    let wrong = |reason: String| Failure::Flag { flag: "configuration", reason };
    let sources = flags.sources().map_err(|error| wrong(format!("{error:#}")))?;
    let loaded = Config::load(Mode::Serve, &sources);
    Ok(loaded.map_err(|mistakes| wrong(mistakes.to_string()))?.config)
}

fn tell(out: &mut Out, findings: &[Finding]) -> Result<(), Failure> {
    if out.json {
        for finding in findings {
            out.object(&json!(finding))?;
        }
        return Ok(());
    }
    let row = |finding: &Finding| {
        let (word, hue) = match finding.verdict {
            Verdict::Ok => ("ok", Hue::Green),
            Verdict::Warn => ("warn", Hue::Yellow),
            Verdict::Bad => ("bad", Hue::Red),
        };
        let text = match finding.remedy {
            Some(remedy) => format!("{}: {remedy}", finding.found),
            None => finding.found.clone(),
        };
        vec![Painted::new(word, hue), finding.about.into(), text.into()]
    };
    table::write(out, &["VERDICT", "WHAT", "FOUND"], findings.iter().map(row).collect())
}
