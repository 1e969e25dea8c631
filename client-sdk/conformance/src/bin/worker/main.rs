//! The Rust worker with the handlers of the conformance tests.

mod hostile;

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
struct FailPayload {
    message: String,
    code: String,
    retryable: bool,
    next_delay_ms: Option<u64>,
}

#[derive(Deserialize)]
struct DelayPayload {
    ms: u64,
}

impl DelayPayload {
    fn delay_of(job: &JobContext) -> Result<Duration, HandlerError> {
        Ok(Duration::from_millis(job.payload_json::<Self>()?.ms))
    }
}

#[derive(Deserialize)]
struct ProgressPayload {
    n: u64,
}

#[derive(Deserialize)]
struct CheckpointPayload {
    data: String,
}

#[derive(Deserialize)]
struct LogPayload {
    lines: Vec<String>,
}

#[derive(Deserialize)]
struct OutputPayload {
    parts: Vec<String>,
}

#[derive(Deserialize)]
struct EffectPayload {
    file: String,
    #[serde(default)]
    ms: u64,
}

async fn fail(job: JobContext) -> Result<(), HandlerError> {
    let FailPayload { message, code, retryable, next_delay_ms } = job.payload_json()?;
    let error = if retryable {
        HandlerError::retryable(message)
    } else {
        HandlerError::non_retryable(message)
    };
    let error = error.with_code(code);
    Err(match next_delay_ms {
        Some(delay) => error.with_next_delay(Duration::from_millis(delay)),
        None => error,
    })
}

async fn sleep(job: JobContext) -> Result<&'static str, HandlerError> {
    tokio::select! {
        () = tokio::time::sleep(DelayPayload::delay_of(&job)?) => Ok("slept"),
        () = job.cancelled() => Err(HandlerError::retryable("stopped")),
    }
}

async fn ignore_cancel(job: JobContext) -> Result<&'static str, HandlerError> {
    tokio::time::sleep(DelayPayload::delay_of(&job)?).await;
    Ok("finished")
}

async fn busy_loop(job: JobContext) -> Result<&'static str, HandlerError> {
    let (start, duration) = (Instant::now(), DelayPayload::delay_of(&job)?);
    while start.elapsed() < duration {
        std::hint::spin_loop();
    }
    Ok("finished")
}

async fn progress(job: JobContext) -> Result<&'static str, HandlerError> {
    let ProgressPayload { n } = job.payload_json()?;
    for done in 1..=n {
        job.progress(done, n, done.to_string());
    }
    Ok("reported")
}

async fn checkpoint(job: JobContext) -> Result<String, HandlerError> {
    let CheckpointPayload { data } = job.payload_json()?;
    let last = String::from_utf8_lossy(job.last_checkpoint()).into_owned();
    match job.checkpoint(data).await {
        Ok(()) => Ok(format!("{last}/stored")),
        Err(CheckpointError::Fenced) => Ok(format!("{last}/fenced")),
        Err(error) => Err(error.into()),
    }
}

async fn output(job: JobContext) -> Result<&'static str, HandlerError> {
    let OutputPayload { parts } = job.payload_json()?;
    for part in parts {
        match job.write_output(part).await {
            Ok(()) => {}
            Err(OutputError::Fenced) => return Ok("fenced"),
            Err(OutputError::TooLarge { .. }) => return Ok("too_large"),
            Err(OutputError::Rejected { .. }) => return Ok("rejected"),
            Err(OutputError::Unsupported) => return Ok("unsupported"),
            Err(error) => return Err(error.into()),
        }
    }
    Ok("stored")
}

async fn log(job: JobContext) -> Result<&'static str, HandlerError> {
    let LogPayload { lines } = job.payload_json()?;
    for line in lines {
        job.log(LogLevel::Warn, line);
    }
    Ok("logged")
}

async fn effect(job: JobContext) -> Result<Outcome, HandlerError> {
    let EffectPayload { file, ms } = job.payload_json()?;
    let append = |event: &str| {
        let line = format!("{}\t{}\t{event}\n", job.fencing_token(), job.instance());
        let mut file = OpenOptions::new().append(true).create(true).open(&file)?;
        file.write_all(line.as_bytes())?;
        file.sync_all()
    };
    append("start")?;
    tokio::select! {
        () = tokio::time::sleep(Duration::from_millis(ms)) => {}
        () = job.cancelled() => return Ok(Outcome::Cancelled),
    }
    append("end")?;
    Ok(job.fencing_token().into())
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
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
        .handler("large_result", async |_: JobContext| vec![0; 1024 * 1024 + 1])
        .handler("wait_for_cancel", async |job: JobContext| {
            job.cancelled().await;
            Outcome::Cancelled
        })
        .handler("sleep", sleep)
        .handler("ignore_cancel", ignore_cancel)
        .handler("busy_loop", busy_loop)
        .handler("progress", progress)
        .handler("checkpoint", checkpoint)
        .handler("output", output)
        .handler("log", log)
        .handler("snooze", async |job: JobContext| -> Result<Outcome, HandlerError> {
            Ok(Outcome::Snooze(DelayPayload::delay_of(&job)?))
        })
        .handler("release", async |_: JobContext| Outcome::Release)
        .handler("demo.effect", effect)
        .handler("throw_hostile", hostile::throw)
        .job(hostile::return_value)
        .handler("advise_hostile", hostile::advise)
        .handler("throw_deep", hostile::throw_deep)
        .build()?;
    let mut sigterm = signal(SignalKind::terminate()).map_err(|error| Error::Transport {
        message: format!("cannot listen for signals: {error}"),
    })?;
    worker
        .run(async move {
            sigterm.recv().await;
        })
        .await
}
