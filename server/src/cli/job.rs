//! `sentinel job`: the verbs and their flags.

mod attempts;
mod bulk;
mod enqueue;
mod ingest;
mod show;
mod update;
mod watch;

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use sentinel_client::Client;
use sentinel_client::proto::jobs::v1::{CancelOutcome, JobFilter, JobState, ReadOutputRequest};
use serde_json::json;

use super::connection::Connection;
use super::failure::{Failure, REFUSED};
use super::look::look;
use super::out::{self, Out};
use super::{json, text, value};

pub(super) const EXAMPLES: &str = "\
Examples:
  sentinel job enqueue mail.send --payload '{\"to\":\"a@example.org\"}' --label shop=42
  sentinel job watch --queue default
  sentinel job list --state failed --limit 20
  sentinel job get 0190a5c2-... --json | jq .result";

/// `sentinel job`.
#[derive(Debug, Args)]
pub(super) struct JobCommand {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Enqueue a job, or many of the same.
    #[command(after_help = enqueue::EXAMPLES)]
    Enqueue(Box<enqueue::EnqueueFlags>),
    /// Enqueue the lines of a file, each once, also when it is killed and run again.
    #[command(after_help = ingest::EXAMPLES)]
    Ingest(ingest::IngestFlags),
    /// Follow jobs until they end, or all of a queue until you stop it.
    #[command(after_help = watch::EXAMPLES)]
    Watch(watch::WatchFlags),
    /// Show jobs with their payload and result.
    #[command(after_help = "Example:\n  sentinel job get 0190a5c2-... --json | jq .result")]
    Get {
        /// The jobs.
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Show the attempts of a job, newest first.
    #[command(after_help = "Example:\n  sentinel job attempts 0190a5c2-... --limit 5")]
    Attempts(attempts::Attempts),
    /// List jobs, newest first.
    #[command(
        after_help = "Examples:\n  sentinel job list --state failed --queue mail\n  sentinel job list --label shop=42 --all --json | jq -r .id"
    )]
    List(show::List),
    /// End jobs: a waiting one at once, a running one through its handler.
    #[command(after_help = "Example:\n  sentinel job cancel 0190a5c2-... --reason 'wrong address'")]
    Cancel {
        /// The jobs.
        #[arg(required = true)]
        ids: Vec<String>,
        /// Kept with the job.
        #[arg(long, default_value = "", hide_default_value = true)]
        reason: String,
    },
    /// Run final jobs once more: same id, a new budget of attempts.
    #[command(
        after_help = "Example:\n  sentinel job list --state failed --json | jq -r .id | xargs sentinel job retry"
    )]
    Retry {
        /// The jobs.
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Start scheduled jobs now, also those that wait between two attempts.
    #[command(after_help = "Example:\n  sentinel job run-now 0190a5c2-...")]
    RunNow {
        /// The jobs.
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Change the values of a job that has not started.
    #[command(after_help = update::EXAMPLES)]
    Update(Box<update::UpdateFlags>),
    /// Remove jobs that do not run, with their attempts, labels and logs.
    #[command(after_help = "Example:\n  sentinel job delete 0190a5c2-...")]
    Delete {
        /// The jobs.
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Cancel, retry or delete all jobs of a filter.
    #[command(after_help = bulk::EXAMPLES)]
    Bulk(bulk::Bulk),
    /// Show what the handlers of a job logged.
    #[command(after_help = "Example:\n  sentinel job logs 0190a5c2-... --follow")]
    Logs {
        /// The job.
        id: String,
        /// Only lines of this attempt. 0: of all.
        #[arg(long, default_value_t = 0)]
        attempt: u32,
        /// Stay until the job is final.
        #[arg(long, short)]
        follow: bool,
    },
    /// Write what an attempt of a job handed out while it ran.
    #[command(
        after_help = "Examples:\n  sentinel job output 0190a5c2-... > report.csv\n  sentinel job output 0190a5c2-... --follow"
    )]
    Output {
        /// The job.
        id: String,
        /// Of this run. 0: of the newest.
        #[arg(long, default_value_t = 0)]
        run: u32,
        /// Of this attempt. 0: of the one that runs, or else the newest that left something.
        #[arg(long, default_value_t = 0)]
        attempt: u32,
        /// Bytes to step over.
        #[arg(long, default_value_t = 0)]
        offset: u64,
        /// Stay until the attempt has ended.
        #[arg(long, short)]
        follow: bool,
    },
    /// Count the jobs of each queue by state.
    #[command(after_help = "Example:\n  sentinel job counts --queue mail")]
    Counts {
        /// Only this queue; may be repeated.
        #[arg(long = "queue", value_name = "QUEUE")]
        queues: Vec<String>,
    },
}

/// Runs a verb.
pub(super) fn run(command: JobCommand) -> ExitCode {
    let JobCommand { connection, verb } = command;
    connection.run(|dial, mut out| async move {
        let out = &mut out;
        match verb {
            Verb::Enqueue(flags) => {
                let enqueue = flags.checked(out.now)?;
                enqueue.run(&dial.client().await?, out).await
            }
            Verb::Ingest(flags) => ingest::run(flags, &dial.client().await?, out).await,
            Verb::Watch(flags) => {
                let watch = flags.checked(out.json)?;
                watch::follow(watch, &dial.client().await?, out).await
            }
            Verb::Get { ids } => show::get(ids, &dial.client().await?, out).await,
            Verb::Attempts(flags) => attempts::list(flags, &dial.client().await?, out).await,
            Verb::List(list) => show::list(list, &dial.client().await?, out).await,
            Verb::Cancel { ids, reason } => cancel(&ids, &reason, &dial.client().await?, out).await,
            Verb::Retry { ids } => retry(&ids, &dial.client().await?, out).await,
            Verb::RunNow { ids } => run_now(&ids, &dial.client().await?, out).await,
            Verb::Update(flags) => update::run(*flags, &dial.client().await?, out).await,
            Verb::Delete { ids } => delete(&ids, &dial.client().await?, out).await,
            Verb::Bulk(flags) => bulk::run(flags, &dial.client().await?, out).await,
            Verb::Logs { id, attempt, follow } => {
                let client = dial.client().await?;
                show::logs(client.read_logs(&id, attempt, follow).await?, out).await
            }
            Verb::Output { id, run, attempt, offset, follow } => {
                let request = ReadOutputRequest { id, run, attempt, offset, follow };
                let client = dial.client().await?;
                show::output(client.read_output(request).await?, out).await
            }
            Verb::Counts { queues } => show::counts(queues, &dial.client().await?, out).await,
        }
    })
}

/// Which jobs a list or a watch is about.
#[derive(Debug, Args, Default)]
struct Filter {
    /// Only of this queue; may be repeated.
    #[arg(long = "queue", value_name = "QUEUE")]
    queues: Vec<String>,
    /// Only of this kind; may be repeated.
    #[arg(long = "kind", value_name = "KIND")]
    kinds: Vec<String>,
    /// Only in this state; may be repeated.
    #[arg(long = "state", value_name = "STATE", value_parser = value::state)]
    states: Vec<JobState>,
    /// Only with this label; may be repeated, then all must match.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = value::pair)]
    labels: Vec<(String, String)>,
}

impl Filter {
    fn is_empty(&self) -> bool {
        self.queues.is_empty()
            && self.kinds.is_empty()
            && self.states.is_empty()
            && self.labels.is_empty()
    }

    fn into_proto(self) -> JobFilter {
        JobFilter {
            queues: self.queues,
            kinds: self.kinds,
            states: self.states.into_iter().map(i32::from).collect(),
            labels: self.labels.into_iter().collect::<BTreeMap<_, _>>(),
            ..JobFilter::default()
        }
    }
}

async fn cancel(
    ids: &[String],
    reason: &str,
    client: &Client,
    out: &mut Out,
) -> Result<u8, Failure> {
    let mut code = 0;
    for id in ids {
        match client.cancel(id, reason).await {
            Ok(reply) => {
                code = code.max(if reply.outcome == CancelOutcome::AlreadyFinal {
                    REFUSED
                } else {
                    0
                });
                if out.json {
                    let outcome = reply.outcome.as_str_name();
                    let answer = json!({ "outcome": outcome, "job": json::job(&reply.job) });
                    out.object(&answer)?;
                } else {
                    let state = look(reply.job.state()).word;
                    out.line(format!("{id} {}", cancel_words(reply.outcome, state)))?;
                }
            }
            Err(error) => code = code.max(failed(id, error, out)),
        }
    }
    Ok(code)
}

fn cancel_words(outcome: CancelOutcome, state: &str) -> String {
    match outcome {
        CancelOutcome::Cancelled => "cancelled before it started".to_owned(),
        CancelOutcome::Requested => "is running: its handler was asked to stop".to_owned(),
        CancelOutcome::AlreadyFinal => format!("was {state} already; nothing changed"),
        CancelOutcome::Unspecified => format!("is {state}"),
    }
}

async fn retry(ids: &[String], client: &Client, out: &mut Out) -> Result<u8, Failure> {
    let mut code = 0;
    for id in ids {
        match client.retry(id).await {
            Ok(job) if out.json => out.object(&json::job(&job))?,
            Ok(job) => {
                let state = look(job.state()).word;
                let remark = text::remark(&job, out.now);
                let remark = if remark.is_empty() { remark } else { format!(" ({remark})") };
                out.line(format!("{id} {state}, run {}{remark}", job.run))?;
            }
            Err(error) => code = code.max(failed(id, error, out)),
        }
    }
    Ok(code)
}

async fn run_now(ids: &[String], client: &Client, out: &mut Out) -> Result<u8, Failure> {
    let mut code = 0;
    for id in ids {
        match client.run_now(id).await {
            Ok(job) if out.json => out.object(&json::job(&job))?,
            Ok(job) => out.line(format!("{id} {}", look(job.state()).word))?,
            Err(error) => code = code.max(failed(id, error, out)),
        }
    }
    Ok(code)
}

async fn delete(ids: &[String], client: &Client, out: &mut Out) -> Result<u8, Failure> {
    let mut code = 0;
    for id in ids {
        match client.delete(id).await {
            Ok(()) if out.json => out.object(&json!({ "id": id, "deleted": true }))?,
            Ok(()) => out.line(format!("{id} deleted"))?,
            Err(error) => code = code.max(failed(id, error, out)),
        }
    }
    Ok(code)
}

/// Tells which of several jobs it was that failed; the others still get their turn.
fn failed(id: &str, error: sentinel_client::Error, out: &Out) -> u8 {
    if !out.json {
        eprintln!("{id}:");
    }
    out::report(&Failure::Call(error), out.json)
}

/// Shows jobs to their end.
pub(super) async fn follow_jobs(
    ids: Vec<String>,
    client: &Client,
    out: &mut Out,
) -> Result<u8, Failure> {
    watch::follow(watch::Follow::jobs(ids), client, out).await
}
