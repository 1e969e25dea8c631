//! `sentinel job attempts`: lists the attempts of a job with their outcomes.

use clap::Args;
use sentinel_client::Client;
use sentinel_client::proto::jobs::v1::{Attempt, AttemptOutcome, ListAttemptsRequest};

use super::super::error::CliError;
use super::super::output::Output;
use super::super::state_style::TextColor;
use super::super::table::{self, StyledCell};
use super::super::terminal;
use super::super::{json, text};

#[derive(Debug, Args)]
pub(super) struct AttemptsArgs {
    /// Id of the job.
    id: String,
    /// Maximum number of attempts to show.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Show all attempts.
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

const PAGE_MAX: u32 = 1_000;
const HEADER: [&str; 7] = ["RUN", "ATTEMPT", "OUTCOME", "STARTED", "TOOK", "WORKER", "ERROR"];

/// Runs `sentinel job attempts`.
pub(super) async fn list(
    args: AttemptsArgs,
    client: &Client,
    out: &mut Output,
) -> Result<u8, CliError> {
    let mut remaining = if args.all { u32::MAX } else { args.limit };
    let mut request = ListAttemptsRequest { id: args.id, ..ListAttemptsRequest::default() };
    let mut rows = Vec::new();
    while remaining > 0 {
        request.page_size = remaining.min(PAGE_MAX).cast_signed();
        let page = client.list_attempts_page(request.clone()).await?;
        remaining -= u32::try_from(page.attempts.len()).unwrap_or(remaining).min(remaining);
        for attempt in &page.attempts {
            if out.json {
                out.json_line(&json::attempt(attempt))?;
            } else {
                rows.push(row(attempt, out));
            }
        }
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    if out.json {
        return Ok(0);
    }
    if rows.is_empty() && out.terminal {
        eprintln!("no attempts: the job has not started");
        return Ok(0);
    }
    table::write(out, &HEADER, rows)?;
    Ok(0)
}

fn row(attempt: &Attempt, out: &Output) -> Vec<StyledCell> {
    let (outcome, color) = outcome_style(attempt.outcome());
    let took = text::between(attempt.started_at.as_ref(), attempt.finished_at.as_ref());
    let error = attempt.error.as_ref().map_or("", |error| error.message.as_str());
    vec![
        attempt.run.to_string().into(),
        attempt.attempt.to_string().into(),
        StyledCell::new(outcome, color),
        text::age(attempt.started_at.as_ref(), out.now).into(),
        took.map_or("-".to_owned(), text::short_duration).into(),
        attempt.worker.clone().into(),
        terminal::one_line(error).into(),
    ]
}

fn outcome_style(outcome: AttemptOutcome) -> (&'static str, TextColor) {
    match outcome {
        AttemptOutcome::Unspecified => ("unknown", TextColor::Gray),
        AttemptOutcome::Running => ("running", TextColor::Yellow),
        AttemptOutcome::Succeeded => ("succeeded", TextColor::Green),
        AttemptOutcome::Failed => ("failed", TextColor::Red),
        AttemptOutcome::TimedOut => ("timed out", TextColor::Red),
        AttemptOutcome::Lost => ("lost", TextColor::Red),
        AttemptOutcome::Snoozed => ("snoozed", TextColor::Blue),
        AttemptOutcome::Released => ("released", TextColor::Gray),
        AttemptOutcome::NotReceived => ("not received", TextColor::Gray),
        AttemptOutcome::Cancelled => ("cancelled", TextColor::Gray),
        AttemptOutcome::Revoked => ("revoked", TextColor::Magenta),
    }
}
