//! `sentinel job bulk`: one verb to all jobs of a filter, after a look at how many there are.

use std::collections::BTreeMap;
use std::io::IsTerminal;

use clap::{Args, ValueEnum};
use sentinel_client::Client;
use sentinel_client::proto::jobs::v1::{BulkAction, BulkOutcome, BulkRequest, BulkResponse};
use serde_json::json;

use super::super::failure::{Failure, REFUSED};
use super::super::out::Out;
use super::Filter;

pub(super) const EXAMPLES: &str = "\
Examples:
  sentinel job bulk cancel --queue mail --label shop=42 --dry-run
  sentinel job bulk retry --state failed --kind mail.send
  sentinel job bulk delete --queue mail --state cancelled --yes";

/// `sentinel job bulk`.
#[derive(Debug, Args)]
pub(super) struct Bulk {
    /// What to do to each of them.
    action: Verb,
    #[command(flatten)]
    filter: Filter,
    /// Only count them.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    /// Kept with cancelled jobs.
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Verb {
    /// End those that are not final.
    Cancel,
    /// Run final ones once more.
    Retry,
    /// Remove those that do not run.
    Delete,
}

impl Verb {
    fn action(self) -> BulkAction {
        match self {
            Self::Cancel => BulkAction::Cancel,
            Self::Retry => BulkAction::Retry,
            Self::Delete => BulkAction::Delete,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Retry => "retry",
            Self::Delete => "delete",
        }
    }
}

/// Counts, asks, and does it.
pub(super) async fn run(flags: Bulk, client: &Client, out: &mut Out) -> Result<u8, Failure> {
    let Bulk { action: verb, filter, dry_run, yes, reason } = flags;
    let mut request = BulkRequest {
        action: verb.action().into(),
        filter: Some(filter.into_proto()),
        dry_run: true,
        reason,
        ..BulkRequest::default()
    };
    if dry_run || !yes {
        let found = client.bulk(request.clone()).await?;
        if dry_run {
            return told(&found, out);
        }
        confirm(verb, &found)?;
    }
    request.dry_run = false;
    let totals = walk(request, client, out).await?;
    summary(&totals, out)?;
    Ok(if totals.contains_key(&BulkOutcome::Refused) { REFUSED } else { 0 })
}

/// All steps; a call that failed on its way was repeated by the client.
async fn walk(
    mut request: BulkRequest,
    client: &Client,
    out: &Out,
) -> Result<BTreeMap<BulkOutcome, u64>, Failure> {
    let mut totals: BTreeMap<BulkOutcome, u64> = BTreeMap::new();
    loop {
        let step = client.bulk(request.clone()).await?;
        for one in &step.counts {
            *totals.entry(one.outcome()).or_default() += one.count;
        }
        for refusal in &step.refusals {
            let error = refusal.error.clone().unwrap_or_default();
            eprintln!("{}: {} ({})", refusal.id, error.message, error.reason);
        }
        if step.next_page_token.is_empty() {
            return Ok(totals);
        }
        request.page_token = step.next_page_token;
        if out.terminal {
            eprint!("\r{} so far\r", totals.values().sum::<u64>());
        }
    }
}

fn told(found: &BulkResponse, out: &mut Out) -> Result<u8, Failure> {
    if out.json {
        out.object(&json!({ "matched": found.matched, "capped": found.capped }))?;
    } else {
        out.line(format!("{} would be asked", counted(found)))?;
    }
    Ok(0)
}

fn counted(found: &BulkResponse) -> String {
    let more = if found.capped { "at least " } else { "" };
    let jobs = if found.matched == 1 { "job" } else { "jobs" };
    format!("{more}{} {jobs}", found.matched)
}

/// Asks a person whether it may be done.
fn confirm(verb: Verb, found: &BulkResponse) -> Result<(), Failure> {
    let question = format!("this would {} {}", verb.word(), counted(found));
    let refused = |reason: String| Failure::Flag { flag: "--yes", reason };
    if !std::io::stdin().is_terminal() {
        return Err(refused(format!("{question}. Give --yes to do it")));
    }
    eprint!("{question}.\nDo it? Type yes: ");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    match line.trim() {
        "yes" => Ok(()),
        _ => Err(refused("nothing was done".into())),
    }
}

fn summary(totals: &BTreeMap<BulkOutcome, u64>, out: &mut Out) -> Result<(), Failure> {
    let word = |outcome: &BulkOutcome| {
        let name = outcome.as_str_name();
        name.strip_prefix("BULK_OUTCOME_").unwrap_or(name).to_ascii_lowercase()
    };
    if out.json {
        let counts: serde_json::Map<_, _> =
            totals.iter().map(|(outcome, count)| (word(outcome), json!(count))).collect();
        return out.object(&json!({ "counts": counts }));
    }
    if totals.is_empty() {
        return out.line("no jobs match");
    }
    let parts: Vec<String> =
        totals.iter().map(|(outcome, count)| format!("{count} {}", word(outcome))).collect();
    out.line(parts.join(", "))
}
