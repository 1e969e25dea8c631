//! `sentinel job attempts`: what came of each lease of a job.

use clap::Args;
use sentinel_client::Client;
use sentinel_client::proto::jobs::v1::{Attempt, AttemptOutcome, ListAttemptsRequest};

use super::super::failure::Failure;
use super::super::look::Hue;
use super::super::out::Out;
use super::super::table::{self, Painted};
use super::super::{json, text};

/// `sentinel job attempts`.
#[derive(Debug, Args)]
pub(super) struct Attempts {
    /// The job.
    id: String,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// All of them.
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

const PAGE_MAX: u32 = 1_000;

/// Lists the attempts of a job.
pub(super) async fn list(flags: Attempts, client: &Client, out: &mut Out) -> Result<u8, Failure> {
    let mut left = if flags.all { u32::MAX } else { flags.limit };
    let mut request = ListAttemptsRequest { id: flags.id, ..ListAttemptsRequest::default() };
    let mut rows = Vec::new();
    while left > 0 {
        request.page_size = left.min(PAGE_MAX).cast_signed();
        let page = client.list_attempts(request.clone()).await?;
        left -= u32::try_from(page.attempts.len()).unwrap_or(left).min(left);
        for attempt in &page.attempts {
            if out.json {
                out.object(&json::attempt(attempt))?;
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
        eprintln!("it has not begun yet");
        return Ok(0);
    }
    table::write(out, &HEADER, rows)?;
    Ok(0)
}

const HEADER: [&str; 7] = ["RUN", "ATTEMPT", "OUTCOME", "STARTED", "TOOK", "WORKER", "ERROR"];

fn row(attempt: &Attempt, out: &Out) -> Vec<Painted> {
    let (word, hue) = look(attempt.outcome());
    let took = text::between(attempt.started_at.as_ref(), attempt.ended_at.as_ref());
    let error = attempt.error.as_ref().map_or("", |error| error.message.as_str());
    vec![
        attempt.run.to_string().into(),
        attempt.attempt.to_string().into(),
        Painted::new(word, hue),
        text::age(attempt.started_at.as_ref(), out.now).into(),
        took.map_or("-".to_owned(), text::short).into(),
        attempt.worker.clone().into(),
        text::one_line(error).into(),
    ]
}

fn look(outcome: AttemptOutcome) -> (&'static str, Hue) {
    match outcome {
        AttemptOutcome::Unspecified => ("unknown", Hue::Gray),
        AttemptOutcome::Running => ("running", Hue::Yellow),
        AttemptOutcome::Succeeded => ("succeeded", Hue::Green),
        AttemptOutcome::Failed => ("failed", Hue::Red),
        AttemptOutcome::TimedOut => ("timed out", Hue::Red),
        AttemptOutcome::Lost => ("lost", Hue::Red),
        AttemptOutcome::Snoozed => ("snoozed", Hue::Blue),
        AttemptOutcome::Released => ("released", Hue::Gray),
        AttemptOutcome::NotReceived => ("not received", Hue::Gray),
        AttemptOutcome::Cancelled => ("cancelled", Hue::Gray),
        AttemptOutcome::Revoked => ("revoked", Hue::Magenta),
    }
}
