//! The Rust runtime with the agreed handlers.

use std::fs::OpenOptions;
use std::io::Write;
use std::time::{Duration, Instant};

use clap::Parser;
use sentinel_client::worker::{
    CheckpointError, HandlerError, JobContext, LogLevel, Outcome, OutputError, Worker,
};
use sentinel_client::{ConnectOptions, Error};
use serde::Deserialize;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, Parser)]
struct Args {
    #[arg(long = "endpoint", required = true)]
    endpoints: Vec<String>,
    #[arg(long, default_value_t = 8)]
    concurrency: u32,
    #[arg(long, default_value_t = 30_000)]
    drain_timeout_ms: u64,
    #[arg(long, default_value = "conformance")]
    instance: String,
    #[arg(long)]
    credential: Option<String>,
}

#[derive(Deserialize)]
struct Fail {
    message: String,
    code: String,
    retryable: bool,
    next_delay_ms: Option<u64>,
}

#[derive(Deserialize)]
struct Pause {
    ms: u64,
}

impl Pause {
    fn of(job: &JobContext) -> Result<Duration, HandlerError> {
        Ok(Duration::from_millis(job.payload_json::<Self>()?.ms))
    }
}

#[derive(Deserialize)]
struct Steps {
    n: u64,
}

#[derive(Deserialize)]
struct Data {
    data: String,
}

#[derive(Deserialize)]
struct Lines {
    lines: Vec<String>,
}

#[derive(Deserialize)]
struct Parts {
    parts: Vec<String>,
}

#[derive(Deserialize)]
struct Effect {
    file: String,
    #[serde(default)]
    ms: u64,
}

async fn fail(job: JobContext) -> Result<(), HandlerError> {
    let Fail { message, code, retryable, next_delay_ms } = job.payload_json()?;
    let error = if retryable {
        HandlerError::retryable(message)
    } else {
        HandlerError::non_retryable(message)
    };
    let error = error.with_code(code);
    Err(match next_delay_ms {
        Some(pause) => error.with_next_delay(Duration::from_millis(pause)),
        None => error,
    })
}

async fn sleep(job: JobContext) -> Result<&'static str, HandlerError> {
    tokio::select! {
        () = tokio::time::sleep(Pause::of(&job)?) => Ok("slept"),
        () = job.cancelled() => Err(HandlerError::retryable("stopped")),
    }
}

async fn deaf(job: JobContext) -> Result<&'static str, HandlerError> {
    tokio::time::sleep(Pause::of(&job)?).await;
    Ok("deaf")
}

async fn spin(job: JobContext) -> Result<&'static str, HandlerError> {
    let (begun, length) = (Instant::now(), Pause::of(&job)?);
    while begun.elapsed() < length {
        std::hint::spin_loop();
    }
    Ok("spun")
}

async fn progress(job: JobContext) -> Result<&'static str, HandlerError> {
    let Steps { n } = job.payload_json()?;
    for done in 1..=n {
        job.progress(done, n, done.to_string());
    }
    Ok("told")
}

async fn checkpoint(job: JobContext) -> Result<String, HandlerError> {
    let Data { data } = job.payload_json()?;
    let before = String::from_utf8_lossy(job.last_checkpoint()).into_owned();
    match job.checkpoint(data).await {
        Ok(()) => Ok(format!("{before}/stored")),
        Err(CheckpointError::Fenced) => Ok(format!("{before}/fenced")),
        Err(error) => Err(error.into()),
    }
}

async fn output(job: JobContext) -> Result<&'static str, HandlerError> {
    let Parts { parts } = job.payload_json()?;
    for part in parts {
        match job.write_output(part).await {
            Ok(()) => {}
            Err(OutputError::Fenced) => return Ok("fenced"),
            Err(OutputError::TooLarge { .. }) => return Ok("too_large"),
            Err(OutputError::Rejected { .. }) => return Ok("not_taken"),
            Err(OutputError::Unsupported) => return Ok("unsupported"),
            Err(error) => return Err(error.into()),
        }
    }
    Ok("stored")
}

async fn log(job: JobContext) -> Result<&'static str, HandlerError> {
    let Lines { lines } = job.payload_json()?;
    for line in lines {
        job.log(LogLevel::Warn, line);
    }
    Ok("logged")
}

async fn effect(job: JobContext) -> Result<Outcome, HandlerError> {
    let Effect { file, ms } = job.payload_json()?;
    let mark = |what: &str| {
        let line = format!("{}\t{}\t{what}\n", job.fencing_token(), job.instance());
        let mut file = OpenOptions::new().append(true).create(true).open(&file)?;
        file.write_all(line.as_bytes())?;
        file.sync_all()
    };
    mark("start")?;
    tokio::select! {
        () = tokio::time::sleep(Duration::from_millis(ms)) => {}
        () = job.cancelled() => return Ok(Outcome::Cancelled),
    }
    mark("end")?;
    Ok(job.fencing_token().into())
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let args = Args::parse();
    let mut builder = Worker::builder(&args.endpoints[0]);
    for endpoint in &args.endpoints[1..] {
        builder = builder.endpoint(endpoint);
    }
    if let Some(key) = &args.credential {
        builder = builder.connect_options(ConnectOptions::default().with_credential(key)?);
    }
    let worker = builder
        .queue("default")
        .instance(args.instance)
        .build_version("1.2.3")
        .label("zone", "a")
        .concurrency(args.concurrency)
        .drain_timeout(Duration::from_millis(args.drain_timeout_ms))
        .handler("echo", async |job: JobContext| Outcome::Succeed(job.payload().clone()))
        .handler("fail", fail)
        .handler("throw", async |_: JobContext| -> Outcome { panic!("plain") })
        .handler("big", async |_: JobContext| vec![0; 1024 * 1024 + 1])
        .handler("wait", async |job: JobContext| {
            job.cancelled().await;
            Outcome::Cancelled
        })
        .handler("sleep", sleep)
        .handler("deaf", deaf)
        .handler("spin", spin)
        .handler("progress", progress)
        .handler("checkpoint", checkpoint)
        .handler("output", output)
        .handler("log", log)
        .handler("snooze", async |job: JobContext| -> Result<Outcome, HandlerError> {
            Ok(Outcome::Snooze(Pause::of(&job)?))
        })
        .handler("release", async |_: JobContext| Outcome::Release)
        .handler("demo.effect", effect)
        .build()?;
    let mut term = signal(SignalKind::terminate()).map_err(|error| Error::Transport {
        message: format!("can not listen for signals: {error}"),
    })?;
    worker
        .run(async move {
            term.recv().await;
        })
        .await
}
