//! `sentinel job enqueue`: builds a job from flags, enqueues it, and watches it with `--watch`.

use std::io::Read;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::{Args, ValueEnum};
use sentinel_client::proto::jobs::v1::{AckLevel, DependencyFailurePolicy, JobSpec, LostPolicy};
use sentinel_client::{BatchOptions, Client, NewJob, Unique, UniqueMode, UniqueScope};
use serde_json::json;

use super::super::error::{CliError, exit_code_of_item};
use super::super::output::Output;
use super::super::parse::{self, TimeArg};
use super::super::{json, state_style::style, text};
use super::watch;
use crate::config::parse_duration;

pub(super) const EXAMPLES: &str = "\
Examples:
  sentinel job enqueue demo.sleep --payload '{\"ms\":2000}' --watch
  sentinel job enqueue mail.send --queue mail --payload-file mail.json --priority 5
  echo '{}' | sentinel job enqueue report.build --payload - --delay 10m --unique-key report
  sentinel job enqueue demo.sleep --count 1000

Prints the id of the job; with --count one id per line. With --watch it prints progress until the
jobs finish, and exits with 1 unless all of them succeeded.";

/// The largest batch that a server accepts.
const BATCH_JOBS: usize = 1_000;
const BATCH_BYTES: usize = 4 << 20;
/// The largest number of ids that a watch accepts.
const WATCH_JOBS: u32 = 100;
const COUNT_MAX: i64 = 1_000_000;

#[derive(Debug, Args)]
pub(super) struct EnqueueArgs {
    /// Kind of the job, which selects its handler.
    kind: String,
    /// Queue to enqueue the job in.
    #[arg(long, default_value = "default")]
    queue: String,
    /// Payload: the input of the handler. `-` reads standard input [default: empty].
    #[arg(long, value_name = "JSON", conflicts_with = "payload_file")]
    payload: Option<String>,
    /// File with the payload. `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    payload_file: Option<PathBuf>,
    /// Media type of the payload. Payloads of a JSON type are checked before the call.
    #[arg(long, value_name = "TYPE", default_value = "application/json")]
    content_type: String,
    /// Number of jobs to enqueue with the same spec, up to 1000000.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=COUNT_MAX))]
    count: u32,
    /// Print progress until the jobs finish; at most 100 jobs.
    #[arg(long)]
    watch: bool,
    /// Idempotency key: running this command again with the same key within 10 minutes enqueues
    /// nothing new.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    request_id: String,
    /// Durability level that a change of the job must reach before it is acknowledged
    /// [default: the server's setting ack].
    #[arg(long, value_enum, value_name = "LEVEL")]
    ack: Option<Ack>,
    #[command(flatten)]
    schedule: ScheduleArgs,
    #[command(flatten)]
    attempts: AttemptsArgs,
    #[command(flatten)]
    relations: RelationArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Schedule")]
struct ScheduleArgs {
    /// Priority from 0 to 9; 9 is the most urgent.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=9))]
    priority: u32,
    /// Time to wait before the job may start, such as 10m; up to 366d.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, conflicts_with = "run_at")]
    delay: Option<Duration>,
    /// Earliest start: a time such as 2026-08-01T12:00:00Z, or a duration from now.
    #[arg(long, value_name = "TIME", value_parser = parse::time)]
    run_at: Option<TimeArg>,
    /// Latest start: a time, or a duration from now. A job that has not started by then becomes
    /// EXPIRED [default: none].
    #[arg(long, value_name = "TIME", value_parser = parse::time)]
    start_deadline: Option<TimeArg>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Attempts")]
struct AttemptsArgs {
    /// Maximum number of attempts, including the first: 1 to 1000 [default: 3].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    max_attempts: Option<u32>,
    /// Maximum number of attempts after the first; the same as --max-attempts N+1.
    #[arg(long, value_name = "N", conflicts_with = "max_attempts", value_parser = clap::value_parser!(u32).range(0..=999))]
    retries: Option<u32>,
    /// Maximum run time of one attempt, such as 5m; up to 30d [default: no limit].
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    run_timeout: Option<Duration>,
    /// Time that the handler has to stop after a cancel, up to 1h [default: 30s].
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    cancel_grace: Option<Duration>,
    /// Fail the job when its worker is lost, instead of retrying it. For jobs that must not run
    /// twice.
    #[arg(long)]
    fail_if_lost: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Labels, unique keys and dependencies")]
struct RelationArgs {
    /// Label to list and watch the job by; repeatable.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = parse::key_value)]
    labels: Vec<(String, String)>,
    /// Unique key: only one job at a time can hold it. Payloads are not compared.
    #[arg(long, value_name = "TEXT")]
    unique_key: Option<String>,
    /// Behaviour when another job holds the unique key.
    #[arg(long, value_enum, default_value_t, requires = "unique_key")]
    unique_mode: Mode,
    /// Jobs among which the key is unique.
    #[arg(long, value_enum, default_value_t, requires = "unique_key")]
    unique_scope: Scope,
    /// Time after the enqueue when the key is released: 1s to 30d [default: when the job is
    /// terminal].
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, requires = "unique_key")]
    unique_ttl: Option<Duration>,
    /// Id of a job that must be terminal before this one starts; repeatable, or separated by
    /// commas.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    depends_on: Vec<String>,
    /// Start even if a dependency did not succeed, instead of being cancelled.
    #[arg(long, requires = "depends_on")]
    run_if_dependency_fails: bool,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Mode {
    /// Return the job that holds the key; enqueue nothing.
    #[default]
    ReturnExisting,
    /// Fail with UNIQUE_KEY_HELD.
    Reject,
    /// Replace a holder that is not running and take over its start time.
    ReplacePending,
    /// Replace a holder that is not running, with the start time of the new job. Needs --delay or
    /// --run-at.
    Debounce,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Ack {
    /// The server's store has the change.
    Store,
    /// Replicas of Redis have the change.
    Replicated,
    /// The ledger has the change.
    Ledger,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Scope {
    /// Jobs of the same kind in the queue.
    #[default]
    Kind,
    /// All jobs of the queue.
    Queue,
}

/// An enqueue whose flags are valid.
#[derive(Debug)]
pub(super) struct Enqueue {
    spec: JobSpec,
    count: u32,
    watch: bool,
    request_id: String,
}

impl EnqueueArgs {
    /// Checks the combination of the flags and reads the payload. Needs no server.
    pub(super) fn validate(self, now: SystemTime) -> Result<Enqueue, CliError> {
        let count = self.count;
        if self.watch && count > WATCH_JOBS {
            let reason = format!(
                "can watch at most {WATCH_JOBS} jobs, not {count}; enqueue them with --label \
                 batch=NAME, then run `sentinel job watch --label batch=NAME`"
            );
            return Err(CliError::InvalidFlag { flag: "--watch", reason });
        }
        let spec = spec(&self, now)?;
        Ok(Enqueue { spec, count, watch: self.watch, request_id: self.request_id })
    }
}

impl Enqueue {
    /// Enqueues the jobs, and watches them with `--watch`. Returns the exit code.
    pub(super) async fn run(self, client: &Client, out: &mut Output) -> Result<u8, CliError> {
        let (ids, code) = if self.count == 1 {
            let job = NewJob::from(self.spec).request_id(self.request_id);
            (enqueue_one(job, client, out, self.watch).await?, 0)
        } else {
            enqueue_many(&self.spec, self.count, &self.request_id, client, out).await?
        };
        if self.watch && !ids.is_empty() {
            let watched = watch::watch(watch::WatchTarget::jobs(ids), client, out).await?;
            return Ok(code.max(watched));
        }
        Ok(code)
    }
}

async fn enqueue_one(
    job: NewJob,
    client: &Client,
    out: &mut Output,
    watch: bool,
) -> Result<Vec<String>, CliError> {
    let enqueued = client.enqueue(job).await?;
    let id = enqueued.job.id.clone();
    if out.json {
        let job = json::job(&enqueued.job);
        out.json_line(&json!({ "job": job, "deduplicated": enqueued.deduplicated }))?;
        return Ok(vec![id]);
    }
    if enqueued.deduplicated {
        let state = style(enqueued.job.state()).name;
        eprintln!("nothing was enqueued: job {id} already exists and is {state}");
    }
    // A watch prints the id in each of its lines.
    if !watch {
        if out.terminal {
            out.line(text::job_line(&enqueued.job, out))?;
        } else {
            out.line(&id)?;
        }
    }
    Ok(vec![id])
}

async fn enqueue_many(
    spec: &JobSpec,
    count: u32,
    request_id: &str,
    client: &Client,
    out: &mut Output,
) -> Result<(Vec<String>, u8), CliError> {
    let jobs_by_bytes = BATCH_BYTES / spec.payload.len().max(1);
    let batch_size = BATCH_JOBS.min(jobs_by_bytes).max(1);
    let (mut ids, mut code) = (Vec::new(), 0);
    let mut remaining = usize::try_from(count).unwrap_or(usize::MAX);
    for batch in 0.. {
        let size = remaining.min(batch_size);
        if size == 0 {
            break;
        }
        remaining -= size;
        // Each batch needs its own idempotency key.
        let request_id =
            if request_id.is_empty() { String::new() } else { format!("{request_id}/{batch}") };
        let options = BatchOptions { request_id, ..BatchOptions::default() };
        for result in client.enqueue_batch(vec![spec.clone(); size], options).await? {
            match result {
                Ok(job) => {
                    if out.json {
                        out.json_line(&json!({
                            "id": job.id,
                            "state": job.state().as_str_name(),
                            "deduplicated": job.deduplicated,
                        }))?;
                    } else {
                        out.line(&job.id)?;
                    }
                    ids.push(job.id);
                }
                Err(error) => {
                    eprintln!("error: {} ({})", error.message, error.reason);
                    code = code.max(exit_code_of_item(&error.reason));
                }
            }
        }
    }
    Ok((ids, code))
}

/// Builds the spec that the flags describe.
fn spec(args: &EnqueueArgs, now: SystemTime) -> Result<JobSpec, CliError> {
    let EnqueueArgs { kind, queue, content_type, schedule, attempts, relations, .. } = args;
    let payload = payload(args)?;
    let mut job = NewJob::new(queue, kind)
        .payload(payload)
        .content_type(content_type)
        .priority(schedule.priority);
    if let Some(delay) = schedule.delay {
        job = job.delay(delay);
    }
    if let Some(run_at) = schedule.run_at {
        job = job.run_at(run_at.resolve(now));
    }
    if let Some(deadline) = schedule.start_deadline {
        job = job.start_deadline(deadline.resolve(now));
    }
    if let Some(max) = attempts.max_attempts.or(attempts.retries.map(|retries| retries + 1)) {
        job = job.max_attempts(max);
    }
    if let Some(timeout) = attempts.run_timeout {
        job = job.run_timeout(timeout);
    }
    if let Some(grace) = attempts.cancel_grace {
        job = job.cancel_grace(grace);
    }
    if attempts.fail_if_lost {
        job = job.on_lost(LostPolicy::Fail);
    }
    if let Some(level) = args.ack {
        job = job.ack(match level {
            Ack::Store => AckLevel::Store,
            Ack::Replicated => AckLevel::Replicated,
            Ack::Ledger => AckLevel::Ledger,
        });
    }
    if let Some(unique) = unique(relations) {
        job = job.unique(unique);
    }
    for (key, value) in &relations.labels {
        job = job.label(key, value);
    }
    for id in &relations.depends_on {
        job = job.depends_on(id);
    }
    let mut spec = job.into_spec();
    if relations.run_if_dependency_fails {
        spec.on_dependency_failure = DependencyFailurePolicy::Run.into();
    }
    Ok(spec)
}

fn unique(relations: &RelationArgs) -> Option<Unique> {
    let mode = match relations.unique_mode {
        Mode::ReturnExisting => UniqueMode::ReturnExisting,
        Mode::Reject => UniqueMode::Reject,
        Mode::ReplacePending => UniqueMode::ReplacePending,
        Mode::Debounce => UniqueMode::Debounce,
    };
    let scope = match relations.unique_scope {
        Scope::Kind => UniqueScope::Kind,
        Scope::Queue => UniqueScope::Queue,
    };
    let key = relations.unique_key.clone()?;
    // A duration that protobuf cannot represent is beyond the limit of 30 days anyway.
    let ttl = relations.unique_ttl.and_then(|ttl| prost_types::Duration::try_from(ttl).ok());
    Some(Unique { key, mode: mode.into(), scope: scope.into(), ttl })
}

fn payload(args: &EnqueueArgs) -> Result<Vec<u8>, CliError> {
    match (&args.payload, &args.payload_file) {
        (Some(text), _) => payload_of_flag(text, &args.content_type),
        (None, Some(path)) => {
            let bytes = if path.as_os_str() == "-" {
                read_stdin()?
            } else {
                let failed = |source| CliError::File { path: path.clone(), source };
                std::fs::read(path).map_err(failed)?
            };
            check_payload("--payload-file", bytes, &args.content_type)
        }
        (None, None) => Ok(Vec::new()),
    }
}

/// Returns the payload that `--payload` gives, from the flag itself or from standard input.
///
/// # Errors
/// The media type is JSON and the payload is not.
pub(super) fn payload_of_flag(text: &str, content_type: &str) -> Result<Vec<u8>, CliError> {
    let bytes = if text == "-" { read_stdin()? } else { text.as_bytes().to_vec() };
    check_payload("--payload", bytes, content_type)
}

fn check_payload(
    flag: &'static str,
    bytes: Vec<u8>,
    content_type: &str,
) -> Result<Vec<u8>, CliError> {
    if json::is_json(content_type)
        && let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(&bytes)
    {
        let reason = format!(
            "is not valid JSON: {error}; put it in single quotes, or set another --content-type"
        );
        return Err(CliError::InvalidFlag { flag, reason });
    }
    Ok(bytes)
}

fn read_stdin() -> Result<Vec<u8>, CliError> {
    let mut bytes = Vec::new();
    // One byte more than any server accepts: the server then reports its limit.
    let max_bytes = sentinel_domain::limits::PAYLOAD_MAX_BYTES + 1;
    std::io::stdin()
        .lock()
        .take(max_bytes)
        .read_to_end(&mut bytes)
        .map_err(|source| CliError::File { path: "standard input".into(), source })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
