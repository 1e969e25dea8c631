//! `sentinel job`: the job commands and their flags.

mod attempts;
mod bulk;
mod change;
mod enqueue;
mod filter;
mod ingest;
mod show;
mod update;
mod watch;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use sentinel_client::Client;
use sentinel_client::proto::jobs::v1::ReadOutputRequest;

use super::connection::ConnectionArgs;
use super::error::CliError;
use super::output::Output;

pub(super) const EXAMPLES: &str = "\
Examples:
  sentinel job enqueue mail.send --payload '{\"to\":\"a@example.org\"}' --label shop=42
  sentinel job watch --queue default
  sentinel job list --state failed --limit 20
  sentinel job get 0190a5c2-... --json | jq .result";

#[derive(Debug, Args)]
pub(super) struct JobArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(subcommand)]
    command: JobCommand,
}

#[derive(Debug, Subcommand)]
enum JobCommand {
    /// Enqueue a job, or several jobs with the same spec.
    #[command(after_help = enqueue::EXAMPLES)]
    Enqueue(Box<enqueue::EnqueueArgs>),
    /// Enqueue one job per line of a file. Running it again enqueues no line twice.
    #[command(after_help = ingest::EXAMPLES)]
    Ingest(ingest::IngestArgs),
    /// Watch jobs until they finish, or all jobs that match a filter until you press Ctrl-C.
    #[command(after_help = watch::EXAMPLES)]
    Watch(watch::WatchArgs),
    /// Show jobs with their payload and result.
    #[command(after_help = "Example:\n  sentinel job get 0190a5c2-... --json | jq .result")]
    Get {
        /// Ids of the jobs.
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// List the attempts of a job, newest first.
    #[command(after_help = "Example:\n  sentinel job attempts 0190a5c2-... --limit 5")]
    Attempts(attempts::AttemptsArgs),
    /// List jobs, newest first.
    #[command(
        after_help = "Examples:\n  sentinel job list --state failed --queue mail\n  sentinel job list --label shop=42 --all --json | jq -r .id"
    )]
    List(show::ListArgs),
    /// Cancel jobs. The handler of a running job is asked to stop, and has the job's cancel grace
    /// period to do so.
    #[command(after_help = "Example:\n  sentinel job cancel 0190a5c2-... --reason 'wrong address'")]
    Cancel {
        /// Ids of the jobs.
        #[arg(required = true)]
        ids: Vec<String>,
        /// Reason, which is stored with the job.
        #[arg(long, default_value = "", hide_default_value = true)]
        reason: String,
    },
    /// Retry terminal jobs: a new run under the same id, with all attempts available again.
    #[command(
        after_help = "Example:\n  sentinel job list --state failed --json | jq -r .id | xargs sentinel job retry"
    )]
    Retry {
        /// Ids of the jobs.
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Start scheduled jobs now, including jobs that wait for their next attempt.
    #[command(after_help = "Example:\n  sentinel job run-now 0190a5c2-...")]
    RunNow {
        /// Ids of the jobs.
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Change the spec of a job that has not started.
    #[command(after_help = update::EXAMPLES)]
    Update(Box<update::UpdateArgs>),
    /// Delete jobs that are not running, with their attempts, labels and log lines.
    #[command(after_help = "Example:\n  sentinel job delete 0190a5c2-...")]
    Delete {
        /// Ids of the jobs.
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Cancel, retry or delete all jobs that match a filter.
    #[command(after_help = bulk::EXAMPLES)]
    Bulk(bulk::BulkArgs),
    /// Show the log lines of a job's handlers.
    #[command(after_help = "Example:\n  sentinel job logs 0190a5c2-... --follow")]
    Logs {
        /// Id of the job.
        id: String,
        /// Number of the attempt. 0 shows the lines of all attempts.
        #[arg(long, value_name = "N", default_value_t = 0)]
        attempt: u32,
        /// Print new lines until the job is terminal.
        #[arg(long, short)]
        follow: bool,
    },
    /// Print the output that an attempt of a job streamed, as raw bytes.
    #[command(
        after_help = "Examples:\n  sentinel job output 0190a5c2-... > report.csv\n  sentinel job output 0190a5c2-... --follow"
    )]
    Output {
        /// Id of the job.
        id: String,
        /// Number of the run. 0 is the newest run.
        #[arg(long, value_name = "N", default_value_t = 0)]
        run: u32,
        /// Number of the attempt. 0 is the running attempt, else the newest one with output.
        #[arg(long, value_name = "N", default_value_t = 0)]
        attempt: u32,
        /// Number of bytes to skip.
        #[arg(long, value_name = "BYTES", default_value_t = 0)]
        offset: u64,
        /// Print new output until the attempt finishes.
        #[arg(long, short)]
        follow: bool,
    },
    /// Count the jobs of each queue by state.
    #[command(after_help = "Example:\n  sentinel job counts --queue mail")]
    Counts {
        /// Queue to count; repeatable [default: all queues].
        #[arg(long = "queue", value_name = "QUEUE")]
        queues: Vec<String>,
    },
}

/// Runs `sentinel job`.
pub(super) fn run(args: JobArgs) -> ExitCode {
    let JobArgs { connection, command } = args;
    connection.run(|connector, mut out| async move {
        let out = &mut out;
        match command {
            JobCommand::Enqueue(args) => {
                let enqueue = args.validate(out.now)?;
                enqueue.run(&connector.client().await?, out).await
            }
            JobCommand::Ingest(args) => ingest::run(args, &connector.client().await?, out).await,
            JobCommand::Watch(args) => {
                let target = args.validate(out.json)?;
                watch::watch(target, &connector.client().await?, out).await
            }
            JobCommand::Get { ids } => show::get(ids, &connector.client().await?, out).await,
            JobCommand::Attempts(args) => {
                attempts::list(args, &connector.client().await?, out).await
            }
            JobCommand::List(args) => show::list(args, &connector.client().await?, out).await,
            JobCommand::Cancel { ids, reason } => {
                change::cancel(&ids, &reason, &connector.client().await?, out).await
            }
            JobCommand::Retry { ids } => change::retry(&ids, &connector.client().await?, out).await,
            JobCommand::RunNow { ids } => {
                change::run_now(&ids, &connector.client().await?, out).await
            }
            JobCommand::Update(args) => update::run(*args, &connector.client().await?, out).await,
            JobCommand::Delete { ids } => {
                change::delete(&ids, &connector.client().await?, out).await
            }
            JobCommand::Bulk(args) => bulk::run(args, &connector.client().await?, out).await,
            JobCommand::Logs { id, attempt, follow } => {
                let client = connector.client().await?;
                show::logs(client.read_logs(&id, attempt, follow).await?, out).await
            }
            JobCommand::Output { id, run, attempt, offset, follow } => {
                let request = ReadOutputRequest { id, run, attempt, offset, follow };
                let client = connector.client().await?;
                show::output(client.read_output(request).await?, out).await
            }
            JobCommand::Counts { queues } => {
                show::counts(queues, &connector.client().await?, out).await
            }
        }
    })
}

/// Prints the progress of jobs until they are terminal, and returns the exit code.
pub(super) async fn watch_jobs(
    ids: Vec<String>,
    client: &Client,
    out: &mut Output,
) -> Result<u8, CliError> {
    watch::watch(watch::WatchTarget::jobs(ids), client, out).await
}
