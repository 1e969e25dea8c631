//! The built-in `demo.*` kinds. Each shows one behaviour of a handler; tests of crashes, cancels
//! and drains use them.

mod effect;
mod schema;

use std::time::{Duration, Instant};

use sentinel_client::worker::{HandlerError, JobContext, LogLevel, Outcome, WorkerBuilder};

use crate::payload::Fields;

const MAX_MS: u64 = 24 * 60 * 60 * 1000;
const MAX_COUNT: u64 = 1_000_000;
const SLEEP_STEP: Duration = Duration::from_millis(100);

/// Registers the handlers of all `demo.*` kinds.
pub fn register(builder: WorkerBuilder) -> WorkerBuilder {
    let builder = builder
        .handler_with_description("demo.noop", "Does nothing.", noop)
        .handler_with_description("demo.echo", "Returns its payload.", echo)
        .handler_with_description("demo.sleep", "{ms}: sleeps; stops when it is cancelled.", sleep)
        .handler_with_description(
            "demo.progress",
            "{steps, step_ms}: reports progress, writes log lines and saves checkpoints.",
            progress,
        )
        .handler_with_description(
            "demo.fail",
            "{message, times, retryable}: fails the first `times` attempts, or all.",
            fail,
        )
        .handler_with_description("demo.crash", "Aborts the worker process.", crash)
        .handler_with_description("demo.panic", "Panics.", panics)
        .handler_with_description(
            "demo.spin",
            "{ms}: computes without yielding to the runtime.",
            spin,
        )
        .handler_with_description(
            "demo.snooze",
            "{delay_ms, times}: snoozes `times` times.",
            snooze,
        )
        .handler_with_description(
            "demo.output",
            "{lines, line_ms}: writes numbered lines to its output.",
            output,
        )
        .handler_with_description("demo.stubborn", "{ms}: sleeps and ignores cancels.", stubborn)
        .handler_with_description(
            "demo.effect",
            "{file, ms}: appends its fencing token to a file when it starts and when it finishes.",
            effect::effect,
        );
    let add_schema =
        |builder: WorkerBuilder, (kind, schema): &(&str, &str)| builder.input_schema(kind, *schema);
    schema::SCHEMAS.iter().fold(builder, add_schema)
}

async fn noop(_job: JobContext) {}

async fn echo(job: JobContext) -> Outcome {
    Outcome::Succeed(job.payload().clone())
}

async fn sleep(job: JobContext) -> Result<Outcome, HandlerError> {
    let mut fields = Fields::of(&job)?;
    let total_ms = fields.number("ms", None, MAX_MS)?;
    fields.finish()?;
    let start = Instant::now();
    let total = Duration::from_millis(total_ms);
    while let Some(left) = total.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) {
        let done_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(total_ms);
        job.progress(done_ms, total_ms, "");
        tokio::select! {
            () = tokio::time::sleep(left.min(SLEEP_STEP)) => {}
            () = job.cancelled() => return Ok(Outcome::Cancelled),
        }
    }
    job.progress(total_ms, total_ms, "");
    Ok(().into())
}

async fn progress(job: JobContext) -> Result<Outcome, HandlerError> {
    let mut fields = Fields::of(&job)?;
    let steps = fields.number("steps", Some(10), MAX_COUNT)?;
    let step = Duration::from_millis(fields.number("step_ms", Some(100), MAX_MS)?);
    fields.finish()?;
    let done = number_in(job.last_checkpoint());
    if done > 0 {
        job.log(LogLevel::Info, format!("resuming after step {done}"));
    }
    for n in done + 1..=steps {
        tokio::select! {
            () = tokio::time::sleep(step) => {}
            () = job.cancelled() => return Ok(Outcome::Cancelled),
        }
        job.log(LogLevel::Info, format!("step {n} of {steps}"));
        job.progress(n, steps, format!("step {n}"));
        job.checkpoint(n.to_string()).await?;
    }
    Ok(steps.to_string().into())
}

async fn fail(job: JobContext) -> Result<(), HandlerError> {
    let mut fields = Fields::of(&job)?;
    let message = fields.text("message", Some("demo.fail fails"))?;
    let times = fields.number("times", Some(u64::MAX), u64::MAX)?;
    let retryable = fields.flag("retryable", true)?;
    fields.finish()?;
    match (u64::from(job.attempt()) <= times, retryable) {
        (false, _) => Ok(()),
        (true, true) => Err(HandlerError::retryable(message).with_code("DEMO")),
        (true, false) => Err(HandlerError::non_retryable(message).with_code("DEMO")),
    }
}

async fn crash(job: JobContext) {
    tracing::warn!(fencing_token = %job.fencing_token(), "demo.crash aborts the process");
    std::process::abort();
}

#[expect(clippy::panic, reason = "this kind demonstrates a panic")]
async fn panics(job: JobContext) {
    panic!("demo.panic in {}", job.fencing_token());
}

/// Never awaits, to test that the session stays alive.
async fn spin(job: JobContext) -> Result<String, HandlerError> {
    let mut fields = Fields::of(&job)?;
    let total = Duration::from_millis(fields.number("ms", None, MAX_MS)?);
    fields.finish()?;
    let start = Instant::now();
    let mut rounds: u64 = 0;
    while start.elapsed() < total {
        rounds = std::hint::black_box(rounds + 1);
    }
    Ok(rounds.to_string())
}

/// Counts in its checkpoint, since a snooze does not count as an attempt.
async fn snooze(job: JobContext) -> Result<Outcome, HandlerError> {
    let mut fields = Fields::of(&job)?;
    let delay = Duration::from_millis(fields.number("delay_ms", Some(1000), MAX_MS)?);
    let times = fields.number("times", Some(1), MAX_COUNT)?;
    fields.finish()?;
    let snoozed = number_in(job.last_checkpoint());
    if snoozed >= times {
        return Ok(snoozed.to_string().into());
    }
    job.log(LogLevel::Info, format!("snooze {} of {times}", snoozed + 1));
    job.checkpoint((snoozed + 1).to_string()).await?;
    Ok(Outcome::Snooze(delay))
}

async fn output(job: JobContext) -> Result<Outcome, HandlerError> {
    let mut fields = Fields::of(&job)?;
    let lines = fields.number("lines", Some(10), MAX_COUNT)?;
    let pause = Duration::from_millis(fields.number("line_ms", Some(100), MAX_MS)?);
    fields.finish()?;
    for n in 1..=lines {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = job.cancelled() => return Ok(Outcome::Cancelled),
        }
        job.write_output(format!("{n}\n")).await?;
    }
    Ok(lines.to_string().into())
}

async fn stubborn(job: JobContext) -> Result<(), HandlerError> {
    let mut fields = Fields::of(&job)?;
    let total_ms = fields.number("ms", None, MAX_MS)?;
    fields.finish()?;
    job.progress(0, total_ms, "");
    tokio::time::sleep(Duration::from_millis(total_ms)).await;
    Ok(())
}

/// Returns the number in a checkpoint, or 0 without one.
fn number_in(checkpoint: &[u8]) -> u64 {
    std::str::from_utf8(checkpoint).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}
