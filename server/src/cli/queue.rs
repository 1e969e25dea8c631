//! `sentinel queue`: creates, changes and lists queues.

use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use sentinel_client::Client;
use sentinel_client::proto::admin::v1::{Queue, QueueMode, QueueOrder};
use serde_json::json;

use super::connection::ConnectionArgs;
use super::error::CliError;
use super::output::Output;
use super::table::{self, StyledCell};
use super::terminal;
use super::{json, text};
use crate::config::parse_duration;

pub(super) const EXAMPLES: &str = "\
Examples:
  sentinel queue create mail
  sentinel queue create urgent --order strict --description 'interactive requests'
  sentinel queue create orders --index-path customer_id --index-path shop.country
  sentinel queue pause mail
  sentinel queue list";

#[derive(Debug, Args)]
pub(super) struct QueueArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(subcommand)]
    command: QueueCommand,
}

#[derive(Debug, Subcommand)]
enum QueueCommand {
    /// Create a queue. Creating it again with the same settings succeeds.
    #[command(after_help = EXAMPLES)]
    Create {
        /// Name of the queue: 1 to 128 characters of [A-Za-z0-9._-].
        name: String,
        /// Order in which ready jobs start.
        #[arg(long, value_enum, default_value_t)]
        order: Order,
        /// Waiting time that one priority level is worth with --order aging: 1ms to 24h
        /// [default: 1m].
        #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
        priority_boost: Option<Duration>,
        /// Description for people.
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        description: String,
        /// Member of JSON payloads to search by, such as order.customer_id; repeatable, up to 8
        /// times. Find the jobs with `sentinel job list --label payload.order.customer_id=7`.
        #[arg(long = "index-path", value_name = "PATH")]
        index_paths: Vec<String>,
    },
    /// Change settings of a queue. Settings without a flag stay as they are.
    #[command(
        after_help = "Example:\n  sentinel queue update mail --priority-boost 5m",
        group = ArgGroup::new("setting")
            .args(["order", "priority_boost", "description", "index_paths", "no_index_paths"])
            .required(true)
            .multiple(true),
    )]
    Update {
        /// Name of the queue.
        name: String,
        /// Order in which ready jobs start.
        #[arg(long, value_enum)]
        order: Option<Order>,
        /// Waiting time that one priority level is worth with --order aging: 1ms to 24h.
        #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
        priority_boost: Option<Duration>,
        /// Description for people.
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        /// Member of JSON payloads to search by; repeatable, up to 8 times. Replaces all previous
        /// paths. Applies to jobs that are enqueued from now on.
        #[arg(long = "index-path", value_name = "PATH")]
        index_paths: Vec<String>,
        /// Remove all index paths.
        #[arg(long, conflicts_with = "index_paths")]
        no_index_paths: bool,
    },
    /// Start no more jobs of a queue. Running jobs continue, and new jobs are accepted and wait.
    #[command(after_help = "Example:\n  sentinel queue pause mail")]
    Pause {
        /// Name of the queue.
        name: String,
    },
    /// Accept no new jobs in a queue. The jobs that it has still run.
    #[command(
        after_help = "Example:\n  sentinel queue drain mail && sentinel job counts --queue mail"
    )]
    Drain {
        /// Name of the queue.
        name: String,
    },
    /// Resume a queue that is paused or draining.
    #[command(after_help = "Example:\n  sentinel queue resume mail")]
    Resume {
        /// Name of the queue.
        name: String,
    },
    /// Show one queue.
    #[command(after_help = "Example:\n  sentinel queue get mail --json")]
    Get {
        /// Name of the queue.
        name: String,
    },
    /// List all queues by name.
    #[command(after_help = "Example:\n  sentinel queue list --json | jq -r .name")]
    List,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Order {
    /// By waiting time, to which each priority level adds, so that no job starves.
    #[default]
    Aging,
    /// By priority. Jobs of a low priority can starve.
    Strict,
}

impl From<Order> for i32 {
    fn from(order: Order) -> i32 {
        match order {
            Order::Aging => QueueOrder::Aging.into(),
            Order::Strict => QueueOrder::Strict.into(),
        }
    }
}

fn to_proto(duration: Duration) -> Option<prost_types::Duration> {
    prost_types::Duration::try_from(duration).ok()
}

/// Runs `sentinel queue`.
pub(super) fn run(args: QueueArgs) -> ExitCode {
    let QueueArgs { connection, command } = args;
    connection.run(|connector, mut out| async move {
        let out = &mut out;
        let client = connector.client().await?;
        match command {
            QueueCommand::Create { name, order, priority_boost, description, index_paths } => {
                let queue = Queue {
                    name,
                    order: order.into(),
                    priority_boost: priority_boost.and_then(to_proto),
                    description,
                    index_paths,
                    ..Queue::default()
                };
                create(queue, &client, out).await?;
            }
            QueueCommand::Update {
                name,
                order,
                priority_boost,
                description,
                index_paths,
                no_index_paths,
            } => {
                let changes_paths = no_index_paths || !index_paths.is_empty();
                let changed = [
                    order.map(|_| "order"),
                    priority_boost.map(|_| "priority_boost"),
                    description.as_ref().map(|_| "description"),
                    changes_paths.then_some("index_paths"),
                ];
                let changed: Vec<&str> = changed.into_iter().flatten().collect();
                let queue = Queue {
                    name,
                    order: order.unwrap_or_default().into(),
                    priority_boost: priority_boost.and_then(to_proto),
                    description: description.unwrap_or_default(),
                    index_paths,
                    ..Queue::default()
                };
                print(&[client.update_queue(queue, &changed).await?], out)?;
            }
            QueueCommand::Pause { name } => print(&[client.pause_queue(name).await?], out)?,
            QueueCommand::Drain { name } => print(&[client.drain_queue(name).await?], out)?,
            QueueCommand::Resume { name } => print(&[client.resume_queue(name).await?], out)?,
            QueueCommand::Get { name } => print(&[client.get_queue(name).await?], out)?,
            QueueCommand::List => print(&client.list_queues().await?, out)?,
        }
        Ok(0)
    })
}

async fn create(queue: Queue, client: &Client, out: &mut Output) -> Result<(), CliError> {
    let response = client.create_queue(queue).await?;
    let queue = response.queue.unwrap_or_default();
    if out.json {
        out.json_line(&json!({ "queue": json::queue(&queue), "existed": response.existed }))
    } else if response.existed {
        out.line(format!("queue {} already exists with these settings", queue.name))
    } else {
        out.line(format!("created queue {}", queue.name))
    }
}

/// Prints queues.
pub(super) fn print(queues: &[Queue], out: &mut Output) -> Result<(), CliError> {
    if out.json {
        return out.json_lines(queues, json::queue);
    }
    let rows: Vec<Vec<StyledCell>> = queues.iter().map(|queue| row(queue, out)).collect();
    table::write(out, &["NAME", "MODE", "ORDER", "BOOST", "AGE", "DESCRIPTION"], rows)
}

fn row(queue: &Queue, out: &Output) -> Vec<StyledCell> {
    let order = match queue.order() {
        QueueOrder::Unspecified | QueueOrder::Aging => "aging",
        QueueOrder::Strict => "strict",
    };
    let mode = match queue.mode() {
        QueueMode::Unspecified | QueueMode::Open => "open",
        QueueMode::Paused => "paused",
        QueueMode::Draining => "draining",
    };
    let boost = queue.priority_boost.as_ref().map_or("-".to_owned(), ToString::to_string);
    vec![
        queue.name.clone().into(),
        mode.into(),
        order.into(),
        boost.into(),
        text::age(queue.created_at.as_ref(), out.now).into(),
        terminal::one_line(&queue.description).into(),
    ]
}
