//! `sentinel queue`: declare queues and look them up.

use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use sentinel_client::Client;
use sentinel_client::proto::admin::v1::{Queue, QueueMode, QueueOrder};
use serde_json::json;

use super::connection::Connection;
use super::failure::Failure;
use super::out::Out;
use super::table::{self, Painted};
use super::{json, text};
use crate::config::parse_span;

pub(super) const EXAMPLES: &str = "\
Examples:
  sentinel queue create mail
  sentinel queue create urgent --order strict --description 'what people wait for'
  sentinel queue create orders --index-path customer_id --index-path shop.country
  sentinel queue pause mail
  sentinel queue list";

/// `sentinel queue`.
#[derive(Debug, Args)]
pub(super) struct QueueCommand {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Declare a queue. Declaring it again with the same settings is fine.
    #[command(after_help = EXAMPLES)]
    Create {
        /// 1..128 characters of [A-Za-z0-9._-].
        name: String,
        /// In which order its jobs start.
        #[arg(long, value_enum, default_value_t)]
        order: Order,
        /// What one priority level is worth under aging [default: 1m].
        #[arg(long, value_name = "DURATION", value_parser = parse_span)]
        priority_boost: Option<Duration>,
        /// For people.
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        description: String,
        /// A member of JSON payloads to search by, such as order.customer_id; also more than
        /// once. Jobs are found by `job list --label payload.order.customer_id=7`.
        #[arg(long = "index-path", value_name = "PATH")]
        index_paths: Vec<String>,
    },
    /// Change settings of a queue; what is not said stays.
    #[command(
        after_help = "Example:\n  sentinel queue update mail --priority-boost 5m",
        group = ArgGroup::new("setting")
            .args(["order", "priority_boost", "description", "index_paths", "no_index_paths"]).required(true).multiple(true),
    )]
    Update {
        /// Its name.
        name: String,
        /// In which order its jobs start.
        #[arg(long, value_enum)]
        order: Option<Order>,
        /// What one priority level is worth under aging.
        #[arg(long, value_name = "DURATION", value_parser = parse_span)]
        priority_boost: Option<Duration>,
        /// For people.
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        /// A member of JSON payloads to search by; also more than once. Takes the place of
        /// all former ones, for jobs that are enqueued from now on.
        #[arg(long = "index-path", value_name = "PATH")]
        index_paths: Vec<String>,
        /// Search by no member of payloads.
        #[arg(long, conflicts_with = "index_paths")]
        no_index_paths: bool,
    },
    /// Start none of its jobs from now on. What runs goes on, and new jobs wait.
    #[command(after_help = "Example:\n  sentinel queue pause mail")]
    Pause {
        /// Its name.
        name: String,
    },
    /// Take no new jobs from now on. Those that are there run.
    #[command(after_help = "Example:\n  sentinel queue drain mail && sentinel job counts mail")]
    Drain {
        /// Its name.
        name: String,
    },
    /// End a pause or a drain.
    #[command(after_help = "Example:\n  sentinel queue resume mail")]
    Resume {
        /// Its name.
        name: String,
    },
    /// Show one queue.
    #[command(after_help = "Example:\n  sentinel queue get mail --json")]
    Get {
        /// Its name.
        name: String,
    },
    /// List all queues by name.
    #[command(after_help = "Example:\n  sentinel queue list --json | jq -r .name")]
    List,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Order {
    /// By ready time; a priority level counts as waiting.
    #[default]
    Aging,
    /// By priority; a low one can starve.
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

fn span(span: Duration) -> Option<prost_types::Duration> {
    prost_types::Duration::try_from(span).ok()
}

/// Runs a verb.
pub(super) fn run(command: QueueCommand) -> ExitCode {
    let QueueCommand { connection, verb } = command;
    connection.run(|dial, mut out| async move {
        let out = &mut out;
        let client = dial.client().await?;
        match verb {
            Verb::Create { name, order, priority_boost, description, index_paths } => {
                let (order, priority_boost) = (order.into(), priority_boost.and_then(span));
                let queue = Queue {
                    name,
                    order,
                    priority_boost,
                    description,
                    index_paths,
                    ..Queue::default()
                };
                create(queue, &client, out).await
            }
            Verb::Update {
                name,
                order,
                priority_boost,
                description,
                index_paths,
                no_index_paths,
            } => {
                let says_paths = no_index_paths || !index_paths.is_empty();
                let said = [
                    order.map(|_| "order"),
                    priority_boost.map(|_| "priority_boost"),
                    description.as_ref().map(|_| "description"),
                    says_paths.then_some("index_paths"),
                ];
                let said: Vec<&str> = said.into_iter().flatten().collect();
                let queue = Queue {
                    name,
                    order: order.unwrap_or_default().into(),
                    priority_boost: priority_boost.and_then(span),
                    description: description.unwrap_or_default(),
                    index_paths,
                    ..Queue::default()
                };
                show(&[client.update_queue(queue, &said).await?], out)
            }
            Verb::Pause { name } => show(&[client.pause_queue(name).await?], out),
            Verb::Drain { name } => show(&[client.drain_queue(name).await?], out),
            Verb::Resume { name } => show(&[client.resume_queue(name).await?], out),
            Verb::Get { name } => {
                let queue = client.get_queue(name).await?;
                show(&[queue], out)
            }
            Verb::List => show(&client.list_queues().await?, out),
        }
    })
}

async fn create(queue: Queue, client: &Client, out: &mut Out) -> Result<u8, Failure> {
    let answer = client.create_queue(queue).await?;
    let queue = answer.queue.unwrap_or_default();
    if out.json {
        out.object(&json!({ "queue": json::queue(&queue), "existed": answer.existed }))?;
    } else if answer.existed {
        out.line(format!("{} existed with these settings", queue.name))?;
    } else {
        out.line(format!("{} created", queue.name))?;
    }
    Ok(0)
}

/// Shows queues.
pub(super) fn show(queues: &[Queue], out: &mut Out) -> Result<u8, Failure> {
    if out.json {
        for queue in queues {
            out.object(&json::queue(queue))?;
        }
        return Ok(0);
    }
    let rows: Vec<Vec<Painted>> = queues.iter().map(|queue| row(queue, out)).collect();
    table::write(out, &["NAME", "MODE", "ORDER", "BOOST", "AGE", "DESCRIPTION"], rows)?;
    Ok(0)
}

fn row(queue: &Queue, out: &Out) -> Vec<Painted> {
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
        text::one_line(&queue.description).into(),
    ]
}
