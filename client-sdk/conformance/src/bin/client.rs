//! The Rust client as a program for the conformance tests.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use sentinel_client::{Client, ConnectOptions, Error, NewJob};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

#[derive(Debug, Parser)]
struct Args {
    #[arg(long = "endpoint", required = true)]
    endpoints: Vec<String>,
    #[arg(long)]
    credential: Option<String>,
    #[arg(long)]
    ca: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Command {
    id: u64,
    #[serde(flatten)]
    call: Call,
    deadline_ms: u64,
}

#[derive(Deserialize)]
#[serde(tag = "call", rename_all = "snake_case")]
enum Call {
    Enqueue { kind: String, payload: Value },
    Get { job_id: String },
    WaitForResult { job_id: String },
}

fn connect(args: &Args) -> Result<Client, Error> {
    let mut options = ConnectOptions::default();
    if let Some(key) = &args.credential {
        options = options.with_credential(key)?;
    }
    if let Some(path) = &args.ca {
        let pem = std::fs::read(path)
            .map_err(|error| Error::InvalidArgument { field: "ca", reason: error.to_string() })?;
        options = options.with_ca(pem);
    }
    Client::connect_lazy_any(&args.endpoints, &options)
}

async fn run(client: Result<Client, Error>, command: Command) -> Value {
    let deadline = Duration::from_millis(command.deadline_ms);
    let result = match client {
        Ok(client) => call(&client.with_deadline(deadline), command.call, deadline).await,
        Err(error) => Err(error),
    };
    match result {
        Ok(ok) => json!({ "id": command.id, "ok": ok }),
        Err(error) => json!({ "id": command.id, "error": error_json(&error) }),
    }
}

async fn call(client: &Client, call: Call, deadline: Duration) -> Result<Value, Error> {
    match call {
        Call::Enqueue { kind, payload } => {
            let enqueued = client.enqueue(NewJob::new("default", kind).json(&payload)?).await?;
            Ok(json!({ "job_id": enqueued.job.id }))
        }
        Call::Get { job_id } => {
            let job = client.get(job_id).await?;
            Ok(json!({ "state": state(&job), "version": job.version }))
        }
        Call::WaitForResult { job_id } => {
            let job = timeout(deadline, client.wait_for_result(job_id));
            let job = job.await.map_err(|_| Error::Timeout)??;
            let result = String::from_utf8_lossy(&job.result);
            Ok(json!({ "state": state(&job), "result": result }))
        }
    }
}

fn state(job: &sentinel_client::proto::jobs::v1::Job) -> &'static str {
    job.state().as_str_name().trim_start_matches("JOB_STATE_")
}

fn error_json(error: &Error) -> Value {
    let kind = match error {
        Error::Api { .. } | Error::JobNotFound { .. } => "api",
        Error::Transport { .. } | Error::Tls { .. } => "transport",
        Error::Timeout => "timeout",
        Error::InvalidEndpoint { .. } | Error::InvalidArgument { .. } => "invalid_argument",
        _ => "protocol",
    };
    let violations = match error {
        Error::Api { field_violations, .. } => field_violations.as_slice(),
        _ => &[],
    };
    let violations = violations
        .iter()
        .map(|found| json!({ "field": found.field, "description": found.description }));
    json!({
        "type": kind,
        "reason": error.reason().unwrap_or_default(),
        "message": error.to_string(),
        "violations": violations.collect::<Vec<_>>(),
        "retry_delay_ms": error.retry_after().unwrap_or_default().as_millis(),
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = connect(&Args::parse());
    let (lines_tx, mut lines) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        // Fails when main has returned because of an error.
        std::io::stdin().lines().try_for_each(|line| lines_tx.send(line))
    });
    let mut calls = JoinSet::new();
    let mut is_open = true;
    while is_open || !calls.is_empty() {
        tokio::select! {
            line = lines.recv(), if is_open => match line {
                Some(line) => {
                    calls.spawn(run(client.clone(), serde_json::from_str(&line?)?));
                }
                None => is_open = false,
            },
            Some(finished) = calls.join_next() => println!("{}", finished?),
        }
    }
    Ok(())
}
