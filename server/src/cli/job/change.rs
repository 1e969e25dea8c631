//! `sentinel job cancel`, `retry`, `run-now` and `delete`: each changes several jobs one by one.
//! A failure of one job does not stop the others; the exit code is that of the worst failure.

use sentinel_client::proto::jobs::v1::CancelOutcome;
use sentinel_client::{Client, Error};
use serde_json::json;

use super::super::error::{CliError, REFUSED};
use super::super::output::{self, Output};
use super::super::state_style::style;
use super::super::{json, text};

/// Cancels jobs.
pub(super) async fn cancel(
    ids: &[String],
    reason: &str,
    client: &Client,
    out: &mut Output,
) -> Result<u8, CliError> {
    let mut code = 0;
    for id in ids {
        match client.cancel(id, reason).await {
            Ok(reply) => {
                if reply.outcome == CancelOutcome::AlreadyTerminal {
                    code = code.max(REFUSED);
                }
                if out.json {
                    let outcome = reply.outcome.as_str_name();
                    out.json_line(&json!({ "outcome": outcome, "job": json::job(&reply.job) }))?;
                } else {
                    let state = style(reply.job.state()).name;
                    out.line(format!("{id} {}", cancel_result(reply.outcome, state)))?;
                }
            }
            Err(error) => code = code.max(print_job_error(id, error, out)),
        }
    }
    Ok(code)
}

fn cancel_result(outcome: CancelOutcome, state: &str) -> String {
    match outcome {
        CancelOutcome::Cancelled => "cancelled".to_owned(),
        CancelOutcome::Requested => "running; its handler was asked to stop".to_owned(),
        CancelOutcome::AlreadyTerminal => format!("already {state}; nothing changed"),
        CancelOutcome::Unspecified => state.to_owned(),
    }
}

/// Starts a new run of terminal jobs.
pub(super) async fn retry(
    ids: &[String],
    client: &Client,
    out: &mut Output,
) -> Result<u8, CliError> {
    let mut code = 0;
    for id in ids {
        match client.retry(id).await {
            Ok(job) if out.json => out.json_line(&json::job(&job))?,
            Ok(job) => {
                let state = style(job.state()).name;
                let details = text::details(&job, out.now);
                let details = if details.is_empty() { details } else { format!(" ({details})") };
                out.line(format!("{id} {state}, run {}{details}", job.run))?;
            }
            Err(error) => code = code.max(print_job_error(id, error, out)),
        }
    }
    Ok(code)
}

/// Starts scheduled jobs now.
pub(super) async fn run_now(
    ids: &[String],
    client: &Client,
    out: &mut Output,
) -> Result<u8, CliError> {
    let mut code = 0;
    for id in ids {
        match client.run_now(id).await {
            Ok(job) if out.json => out.json_line(&json::job(&job))?,
            Ok(job) => out.line(format!("{id} {}", style(job.state()).name))?,
            Err(error) => code = code.max(print_job_error(id, error, out)),
        }
    }
    Ok(code)
}

/// Deletes jobs.
pub(super) async fn delete(
    ids: &[String],
    client: &Client,
    out: &mut Output,
) -> Result<u8, CliError> {
    let mut code = 0;
    for id in ids {
        match client.delete(id).await {
            Ok(()) if out.json => out.json_line(&json!({ "id": id, "deleted": true }))?,
            Ok(()) => out.line(format!("{id} deleted"))?,
            Err(error) => code = code.max(print_job_error(id, error, out)),
        }
    }
    Ok(code)
}

/// Prints the error of one of several jobs and returns its exit code.
fn print_job_error(id: &str, error: Error, out: &Output) -> u8 {
    if !out.json {
        eprintln!("{id}:");
    }
    output::print_error(&CliError::Client(error), out.json)
}
