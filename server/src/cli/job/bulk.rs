//! `sentinel job bulk`: applies one action to all jobs that match a filter, after a confirmation
//! that shows how many match.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};
use sentinel_client::Client;
use sentinel_client::proto::jobs::v1::{BulkAction, BulkOutcome, BulkRequest, BulkResponse};
use serde_json::json;

use super::super::confirm::confirm;
use super::super::error::{CliError, REFUSED};
use super::super::output::Output;
use super::filter::FilterArgs;

pub(super) const EXAMPLES: &str = "\
Examples:
  sentinel job bulk cancel --queue mail --label shop=42 --dry-run
  sentinel job bulk retry --state failed --kind mail.send
  sentinel job bulk delete --queue mail --state cancelled --yes";

#[derive(Debug, Args)]
pub(super) struct BulkArgs {
    /// Action to apply to each job.
    action: Action,
    #[command(flatten)]
    filter: FilterArgs,
    /// Print how many jobs match, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Proceed without asking.
    #[arg(long, short)]
    yes: bool,
    /// Reason, which is stored with cancelled jobs.
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Action {
    /// Cancel the jobs that are not terminal.
    Cancel,
    /// Start a new run of the terminal jobs.
    Retry,
    /// Delete the jobs that are not running.
    Delete,
}

impl Action {
    fn to_proto(self) -> BulkAction {
        match self {
            Self::Cancel => BulkAction::Cancel,
            Self::Retry => BulkAction::Retry,
            Self::Delete => BulkAction::Delete,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Retry => "retry",
            Self::Delete => "delete",
        }
    }
}

/// Runs `sentinel job bulk`.
pub(super) async fn run(args: BulkArgs, client: &Client, out: &mut Output) -> Result<u8, CliError> {
    let BulkArgs { action, filter, dry_run, yes, reason } = args;
    let mut request = BulkRequest {
        action: action.to_proto().into(),
        filter: Some(filter.into_proto()),
        dry_run: true,
        reason,
        ..BulkRequest::default()
    };
    if dry_run || !yes {
        let matching = client.bulk(request.clone()).await?;
        if dry_run {
            print_match_count(&matching, out)?;
            return Ok(0);
        }
        confirm(&format!("this would {} {}", action.name(), match_count(&matching)))?;
    }
    request.dry_run = false;
    let totals = apply(request, client, out).await?;
    print_totals(&totals, out)?;
    Ok(if totals.contains_key(&BulkOutcome::Refused) { REFUSED } else { 0 })
}

/// Applies the action page by page. The client repeats a call that failed in transit.
async fn apply(
    mut request: BulkRequest,
    client: &Client,
    out: &Output,
) -> Result<BTreeMap<BulkOutcome, u64>, CliError> {
    let mut totals: BTreeMap<BulkOutcome, u64> = BTreeMap::new();
    loop {
        let page = client.bulk(request.clone()).await?;
        for one in &page.counts {
            *totals.entry(one.outcome()).or_default() += one.count;
        }
        for refusal in &page.refusals {
            let error = refusal.error.clone().unwrap_or_default();
            eprintln!("{}: {} ({})", refusal.id, error.message, error.reason);
        }
        if page.next_page_token.is_empty() {
            return Ok(totals);
        }
        request.page_token = page.next_page_token;
        if out.terminal {
            eprint!("\r{} jobs processed\r", totals.values().sum::<u64>());
        }
    }
}

fn print_match_count(matching: &BulkResponse, out: &mut Output) -> Result<(), CliError> {
    if out.json {
        return out.json_line(&json!({ "matched": matching.matched, "capped": matching.capped }));
    }
    let verb = if matching.matched == 1 { "matches" } else { "match" };
    out.line(format!("{} {verb}", match_count(matching)))
}

fn match_count(matching: &BulkResponse) -> String {
    let prefix = if matching.capped { "at least " } else { "" };
    let jobs = if matching.matched == 1 { "job" } else { "jobs" };
    format!("{prefix}{} {jobs}", matching.matched)
}

fn print_totals(totals: &BTreeMap<BulkOutcome, u64>, out: &mut Output) -> Result<(), CliError> {
    let name = |outcome: &BulkOutcome| {
        let name = outcome.as_str_name();
        name.strip_prefix("BULK_OUTCOME_").unwrap_or(name).to_ascii_lowercase()
    };
    if out.json {
        let counts: serde_json::Map<_, _> =
            totals.iter().map(|(outcome, count)| (name(outcome), json!(count))).collect();
        return out.json_line(&json!({ "counts": counts }));
    }
    if totals.is_empty() {
        return out.line("no jobs match");
    }
    let parts: Vec<String> =
        totals.iter().map(|(outcome, count)| format!("{count} {}", name(outcome))).collect();
    out.line(parts.join(", "))
}
