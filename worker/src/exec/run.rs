//! One run of a program, seen from the worker: the order to the guard, the program's output as the
//! job's log, a stop in two steps, and the outcome. Dropping it closes the socket, which kills.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use sentinel_client::worker::{HandlerError, JobContext, LogLevel, Outcome};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, Command as Process};

use super::command::Command;
use super::lines::Lines;
use super::link::{End, GUARD_ARG, MAX_LINE_BYTES, Order, TERMINATE};

/// The start of the standard output that a result holds.
const MAX_KEPT_BYTES: usize = 64 * 1024;
const READ_BYTES: usize = 16 * 1024;
/// After SIGKILL. Only a program that hangs inside the kernel takes longer.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a program was stopped.
#[derive(Clone, Copy, Debug)]
enum Stop {
    Asked,
    TimedOut,
}

/// What a program wrote.
#[derive(Debug, Default)]
struct Written {
    kept: Vec<u8>,
    bytes: u64,
    last_line: String,
}

pub(super) async fn run(
    job: &JobContext,
    command: &Command,
    guard: &Path,
) -> Result<Outcome, HandlerError> {
    let start = Instant::now();
    let (mut child, socket) = spawn(guard).map_err(not_started)?;
    let (said, tell) = socket.into_split();
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let stop = OnceLock::new();
    let stopper = direct(job, command, tell, &stop);
    let ending = async {
        tokio::join!(
            pump(job, LogLevel::Info, stdout),
            pump(job, LogLevel::Warn, stderr),
            read_end(said)
        )
    };
    tokio::pin!(ending);
    let ended = tokio::select! {
        ended = &mut ending => Ok(ended),
        () = stopper => tokio::time::timeout(KILL_TIMEOUT, ending).await,
    };
    let Ok((out, err, end)) = ended else {
        let text = format!("the program lives {KILL_TIMEOUT:?} after SIGKILL");
        return Err(HandlerError::retryable(text).with_code("EXEC_UNKILLABLE"));
    };
    // It has said its last word; this only reaps it.
    let _ = child.wait().await;
    let took = start.elapsed();
    job.log(LogLevel::Info, format!("{} after {} ms", told(end.as_ref()), took.as_millis()));
    outcome(command, end, stop.get().copied(), (out, err, took))
}

fn spawn(guard: &Path) -> io::Result<(Child, UnixStream)> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let mut process = Process::new(guard);
    process.arg(GUARD_ARG).env_clear().current_dir("/").process_group(0);
    if let Some(folder) = std::env::var_os("TMPDIR") {
        process.env("TMPDIR", folder);
    }
    process.stdin(OwnedFd::from(theirs)).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok((process.spawn()?, UnixStream::from_std(ours)?))
}

fn not_started(error: io::Error) -> HandlerError {
    let text = format!("can not start the guard of the program: {error}");
    HandlerError::retryable(text).with_code("EXEC_FAILED")
}

/// Gives the order, and the two steps of a stop when there is a reason for it. Whether the guard
/// still listens, the other side finds out.
async fn direct(
    job: &JobContext,
    command: &Command,
    mut tell: OwnedWriteHalf,
    stop: &OnceLock<Stop>,
) {
    let _ = tell.write_all(&order(job, command)).await;
    let _ = tell.write_all(&command.stdin).await;
    let why = tokio::select! {
        () = job.cancelled() => Stop::Asked,
        () = tokio::time::sleep(command.timeout) => Stop::TimedOut,
    };
    let _ = stop.set(why);
    job.log(LogLevel::Warn, format!("SIGTERM; SIGKILL in {:?}", command.grace));
    let _ = tell.write_all(&[TERMINATE]).await;
    tokio::time::sleep(command.grace).await;
}

fn order(job: &JobContext, command: &Command) -> Vec<u8> {
    let attempt = format!("{}/{}/{}", job.job_id(), job.run(), job.attempt());
    let about = [
        ("SENTINEL_JOB", job.job_id().to_owned()),
        ("SENTINEL_ATTEMPT", attempt),
        ("SENTINEL_FENCE", job.fencing_token()),
    ];
    let about = about.into_iter().map(|(name, value)| (name.to_owned(), value));
    let order = Order {
        program: command.program.clone(),
        args: command.args.clone(),
        env: command.env.iter().cloned().chain(about).collect(),
        stdin_bytes: command.stdin.len() as u64,
    };
    // An order is text apart from its path, which the operator gave as text.
    let mut line = serde_json::to_vec(&order).unwrap_or_default();
    line.push(b'\n');
    line
}

async fn pump(job: &JobContext, level: LogLevel, from: Option<impl AsyncRead + Unpin>) -> Written {
    let mut written = Written::default();
    let Some(mut from) = from else { return written };
    let mut lines = Lines::default();
    let mut buffer = vec![0; READ_BYTES];
    let mut log = |line: &str| {
        job.log(level, line);
        line.clone_into(&mut written.last_line);
    };
    // A pipe that breaks has nothing more to say.
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let read = &buffer[..count];
        lines.push(read, &mut log);
        written.bytes += count as u64;
        let room = MAX_KEPT_BYTES - written.kept.len();
        written.kept.extend_from_slice(&read[..count.min(room)]);
    }
    lines.end(&mut log);
    written
}

/// `None`: the guard died.
async fn read_end(said: OwnedReadHalf) -> Option<End> {
    let mut line = Vec::new();
    BufReader::new(said).take(MAX_LINE_BYTES).read_until(b'\n', &mut line).await.ok()?;
    serde_json::from_slice(&line).ok()
}

fn told(end: Option<&End>) -> String {
    match end {
        Some(End::Exit(code)) => format!("exit code {code}"),
        Some(End::Signal(signal)) => format!("ended by signal {signal}"),
        Some(End::Failed(why)) => format!("not started: {why}"),
        None => "its guard died, and it was killed".to_owned(),
    }
}

fn outcome(
    command: &Command,
    end: Option<End>,
    stop: Option<Stop>,
    (out, err, took): (Written, Written, Duration),
) -> Result<Outcome, HandlerError> {
    let mut text = told(end.as_ref());
    if !err.last_line.is_empty() {
        text = format!("{text}: {}", err.last_line);
    }
    match (end, stop) {
        (Some(End::Exit(0)), _) => Ok(Outcome::Succeed(result(&out, took).into())),
        (_, Some(Stop::Asked)) => Ok(Outcome::Cancelled),
        (_, Some(Stop::TimedOut)) => {
            let text = format!("over {:?} (payload.timeout_ms); {text}", command.timeout);
            Err(HandlerError::retryable(text).with_code("EXEC_TIMEOUT"))
        }
        (Some(End::Exit(code)), None) if command.retries(code) => {
            Err(HandlerError::retryable(text).with_code(format!("EXIT_{code}")))
        }
        (Some(End::Exit(code)), None) => {
            Err(HandlerError::non_retryable(text).with_code(format!("EXIT_{code}")))
        }
        (Some(End::Signal(signal)), None) => {
            Err(HandlerError::retryable(text).with_code(format!("SIGNAL_{signal}")))
        }
        (Some(End::Failed(_)) | None, None) => {
            Err(HandlerError::retryable(text).with_code("EXEC_FAILED"))
        }
    }
}

fn result(out: &Written, took: Duration) -> String {
    json!({
        "exit_code": 0,
        "stdout": String::from_utf8_lossy(&out.kept),
        "truncated": out.bytes > out.kept.len() as u64,
        "took_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    })
    .to_string()
}
