//! `sentinel job enqueue`: from flags to a job, and from a job to its end with `--watch`.

use std::io::Read;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::{Args, ValueEnum};
use sentinel_client::proto::jobs::v1::{AckLevel, DependencyFailurePolicy, JobSpec, LostPolicy};
use sentinel_client::{BatchOptions, Client, NewJob, Unique, UniqueMode, UniqueScope};
use serde_json::json;

use super::super::failure::{Failure, exit_code_of_item};
use super::super::out::Out;
use super::super::value::{Moment, moment, pair};
use super::super::{json, look::look, text};
use super::watch;
use crate::config::parse_span;

pub(super) const EXAMPLES: &str = "\
Examples:
  sentinel job enqueue demo.sleep --payload '{\"ms\":2000}' --watch
  sentinel job enqueue mail.send --queue mail --payload-file mail.json --priority 5
  echo '{}' | sentinel job enqueue report.build --payload - --delay 10m --unique-key report
  sentinel job enqueue demo.sleep --count 1000

Prints the id, one a line for --count. With --watch it follows the jobs to their end and
exits 1 unless all of them succeeded.";

/// A server takes at most this in one batch.
const BATCH_JOBS: usize = 1_000;
const BATCH_BYTES: usize = 4 << 20;
/// A watch by ids takes at most this.
const WATCH_JOBS: u32 = 100;
const COUNT_MAX: i64 = 1_000_000;

/// `sentinel job enqueue`.
#[derive(Debug, Args)]
pub(super) struct EnqueueFlags {
    /// Which handler runs it.
    kind: String,
    /// The queue.
    #[arg(long, default_value = "default")]
    queue: String,
    /// The handler's input; `-` reads standard input.
    #[arg(long, value_name = "JSON", conflicts_with = "payload_file")]
    payload: Option<String>,
    /// The handler's input from a file; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    payload_file: Option<PathBuf>,
    /// Media type of the payload.
    #[arg(long, default_value = "application/json")]
    content_type: String,
    /// How many of the same.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=COUNT_MAX))]
    count: u32,
    /// Follow to the end.
    #[arg(long)]
    watch: bool,
    /// Makes a repeat of this command safe for 10 minutes.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    request_id: String,
    /// How safe a change of the job must be before it is acknowledged [default: as the server is set].
    #[arg(long, value_enum, value_name = "LEVEL")]
    ack: Option<Level>,
    #[command(flatten)]
    when: When,
    #[command(flatten)]
    attempts: Attempts,
    #[command(flatten)]
    relations: Relations,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "When it starts")]
struct When {
    /// 9 is the most urgent.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=9))]
    priority: u32,
    /// Start this long after the enqueue.
    #[arg(long, value_name = "DURATION", value_parser = parse_span, conflicts_with = "run_at")]
    delay: Option<Duration>,
    /// Start at this time, or this long from now.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    run_at: Option<Moment>,
    /// Not started by this time, or this long from now: EXPIRED.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    start_deadline: Option<Moment>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Attempts")]
struct Attempts {
    /// Attempts in all, the first included [default: 3].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    max_attempts: Option<u32>,
    /// Attempts after the first; the same as --max-attempts N+1.
    #[arg(long, value_name = "N", conflicts_with = "max_attempts", value_parser = clap::value_parser!(u32).range(0..=999))]
    retries: Option<u32>,
    /// The longest that one attempt may run [default: no limit].
    #[arg(long, value_name = "DURATION", value_parser = parse_span)]
    run_timeout: Option<Duration>,
    /// How long a handler may go on after a cancel [default: 30s].
    #[arg(long, value_name = "DURATION", value_parser = parse_span)]
    cancel_grace: Option<Duration>,
    /// Fail the job when its worker is lost, for work that must not run twice.
    #[arg(long)]
    fail_if_lost: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Relations")]
struct Relations {
    /// For search and watch; may be repeated.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = pair)]
    labels: Vec<(String, String)>,
    /// Keeps a second job for the same work away.
    #[arg(long, value_name = "TEXT")]
    unique_key: Option<String>,
    /// What happens when another job holds the key.
    #[arg(long, value_enum, default_value_t, requires = "unique_key")]
    unique_mode: Mode,
    /// Among which jobs the key is unique.
    #[arg(long, value_enum, default_value_t, requires = "unique_key")]
    unique_scope: Scope,
    /// How long the key is held [default: until the job is final].
    #[arg(long, value_name = "DURATION", value_parser = parse_span, requires = "unique_key")]
    unique_ttl: Option<Duration>,
    /// A job that must be final first; may be repeated.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    depends_on: Vec<String>,
    /// Run even if a job it depends on did not succeed.
    #[arg(long, requires = "depends_on")]
    run_if_dependency_fails: bool,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Mode {
    /// Answer the holder.
    #[default]
    ReturnExisting,
    /// Refuse.
    Reject,
    /// Take the place of a holder that has not started.
    ReplacePending,
    /// As replace-pending, but keep the new job's own time.
    Debounce,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Level {
    /// The server's store has it.
    Store,
    /// Replicas of its Redis have it.
    Replicated,
    /// The ledger has it.
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

/// What the flags ask for, checked as far as no server is needed.
#[derive(Debug)]
pub(super) struct Enqueue {
    spec: JobSpec,
    count: u32,
    watch: bool,
    request_id: String,
}

impl EnqueueFlags {
    /// Reads the payload and checks what belongs together.
    pub(super) fn checked(self, now: SystemTime) -> Result<Enqueue, Failure> {
        let count = self.count;
        if self.watch && count > WATCH_JOBS {
            let reason = format!(
                "follows at most {WATCH_JOBS} jobs; enqueue {count} with --label batch=NAME, then \
                 `sentinel job watch --label batch=NAME`"
            );
            return Err(Failure::Flag { flag: "--watch", reason });
        }
        let spec = spec(&self, now)?;
        Ok(Enqueue { spec, count, watch: self.watch, request_id: self.request_id })
    }
}

impl Enqueue {
    /// Enqueues, and follows where that was asked for.
    pub(super) async fn run(self, client: &Client, out: &mut Out) -> Result<u8, Failure> {
        let (ids, code) = if self.count == 1 {
            let job = NewJob::from(self.spec).request_id(self.request_id);
            (one(job, client, out, self.watch).await?, 0)
        } else {
            many(&self.spec, self.count, &self.request_id, client, out).await?
        };
        if self.watch && !ids.is_empty() {
            let ended = watch::follow(watch::Follow::jobs(ids), client, out).await?;
            return Ok(code.max(ended));
        }
        Ok(code)
    }
}

async fn one(
    job: NewJob,
    client: &Client,
    out: &mut Out,
    watched: bool,
) -> Result<Vec<String>, Failure> {
    let answer = client.enqueue(job).await?;
    let id = answer.job.id.clone();
    if out.json {
        let job = json::job(&answer.job);
        out.object(&json!({ "job": job, "deduplicated": answer.deduplicated }))?;
        return Ok(vec![id]);
    }
    if answer.deduplicated {
        eprintln!("the job was there already, it is {}", look(answer.job.state()).word);
    }
    // A watch names the job in each of its lines.
    if !watched {
        if out.terminal {
            out.line(text::job_line(&answer.job, out))?;
        } else {
            out.line(&id)?;
        }
    }
    Ok(vec![id])
}

async fn many(
    spec: &JobSpec,
    count: u32,
    request_id: &str,
    client: &Client,
    out: &mut Out,
) -> Result<(Vec<String>, u8), Failure> {
    let by_bytes = BATCH_BYTES / spec.payload.len().max(1);
    let chunk = BATCH_JOBS.min(by_bytes).max(1);
    let (mut ids, mut code) = (Vec::new(), 0);
    let mut left = usize::try_from(count).unwrap_or(usize::MAX);
    for at in 0.. {
        let size = left.min(chunk);
        if size == 0 {
            break;
        }
        left -= size;
        // One request_id stands for one batch.
        let request_id =
            if request_id.is_empty() { String::new() } else { format!("{request_id}/{at}") };
        let options = BatchOptions { request_id, ..BatchOptions::default() };
        for result in client.enqueue_batch(vec![spec.clone(); size], options).await? {
            match result {
                Ok(job) => {
                    if out.json {
                        let state = job.state().as_str_name();
                        let answer = json!({ "id": job.id, "state": state, "deduplicated": job.deduplicated });
                        out.object(&answer)?;
                    } else {
                        out.line(&job.id)?;
                    }
                    ids.push(job.id);
                }
                Err(error) => {
                    eprintln!("error: {} {}", error.reason, error.message);
                    code = code.max(exit_code_of_item(&error.reason));
                }
            }
        }
    }
    Ok((ids, code))
}

/// The job that the flags describe.
fn spec(flags: &EnqueueFlags, now: SystemTime) -> Result<JobSpec, Failure> {
    let EnqueueFlags { kind, queue, content_type, when, attempts, relations, .. } = flags;
    let payload = payload(flags)?;
    let mut job = NewJob::new(queue, kind)
        .payload(payload)
        .content_type(content_type)
        .priority(when.priority);
    if let Some(delay) = when.delay {
        job = job.delay(delay);
    }
    if let Some(run_at) = when.run_at {
        job = job.run_at(run_at.since(now));
    }
    if let Some(deadline) = when.start_deadline {
        job = job.start_deadline(deadline.since(now));
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
    if let Some(level) = flags.ack {
        job = job.ack(match level {
            Level::Store => AckLevel::Store,
            Level::Replicated => AckLevel::Replicated,
            Level::Ledger => AckLevel::Ledger,
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

fn unique(relations: &Relations) -> Option<Unique> {
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
    // What prost can not hold the server could not either: its range ends at 30 days.
    let ttl = relations.unique_ttl.and_then(|ttl| prost_types::Duration::try_from(ttl).ok());
    Some(Unique { key, mode: mode.into(), scope: scope.into(), ttl })
}

fn payload(flags: &EnqueueFlags) -> Result<Vec<u8>, Failure> {
    match (&flags.payload, &flags.payload_file) {
        (Some(text), _) => checked_payload(text, &flags.content_type),
        (None, Some(path)) => {
            let bytes = if path.as_os_str() == "-" {
                stdin()?
            } else {
                let failed = |source| Failure::File { path: path.clone(), source };
                std::fs::read(path).map_err(failed)?
            };
            checked("--payload-file", bytes, &flags.content_type)
        }
        (None, None) => Ok(Vec::new()),
    }
}

/// The value of `--payload`.
pub(super) fn checked_payload(text: &str, content_type: &str) -> Result<Vec<u8>, Failure> {
    let bytes = if text == "-" { stdin()? } else { text.as_bytes().to_vec() };
    checked("--payload", bytes, content_type)
}

fn checked(flag: &'static str, bytes: Vec<u8>, content_type: &str) -> Result<Vec<u8>, Failure> {
    if json::is_json(content_type)
        && let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(&bytes)
    {
        let reason = format!("is not JSON: {error}; quote it, or name another --content-type");
        return Err(Failure::Flag { flag, reason });
    }
    Ok(bytes)
}

fn stdin() -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    // One byte above the most that any server takes: the server then says which limit it is.
    let most = sentinel_domain::limits::PAYLOAD_MAX_BYTES + 1;
    std::io::stdin()
        .lock()
        .take(most)
        .read_to_end(&mut bytes)
        .map_err(|source| Failure::File { path: "standard input".into(), source })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
