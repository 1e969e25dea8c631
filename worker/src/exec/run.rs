//! Runs a program on the worker's side: starts the supervisor, writes the program's output to the
//! job's log, stops the program if necessary, and determines the outcome. Dropping the future
//! closes the socket, and the supervisor then kills the program.

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
use super::lines::LineBuffer;
use super::protocol::{MAX_LINE_BYTES, ProgramResult, SUPERVISOR_ARG, StartRequest, TERMINATE};

/// Maximum size of the standard output in the result.
const MAX_RESULT_BYTES: usize = 64 * 1024;
const READ_BYTES: usize = 16 * 1024;
/// How long the program may take to exit after SIGKILL. Only one that blocks in the kernel takes
/// longer.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the worker stopped a program.
#[derive(Clone, Copy, Debug)]
enum StopReason {
    Cancelled,
    TimedOut,
}

/// The output of a program on one stream.
#[derive(Debug, Default)]
struct Output {
    /// The first [`MAX_RESULT_BYTES`].
    head: Vec<u8>,
    bytes: u64,
    last_line: String,
}

pub(super) async fn run(
    job: &JobContext,
    command: &Command,
    supervisor: &Path,
) -> Result<Outcome, HandlerError> {
    let start = Instant::now();
    let (mut child, socket) = spawn(supervisor).map_err(start_failed)?;
    let (reader, writer) = socket.into_split();
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let stop = OnceLock::new();
    let control = control(job, command, writer, &stop);
    let finish = async {
        tokio::join!(
            read_output(job, LogLevel::Info, stdout),
            read_output(job, LogLevel::Warn, stderr),
            read_result(reader)
        )
    };
    tokio::pin!(finish);
    let finished = tokio::select! {
        finished = &mut finish => Ok(finished),
        () = control => tokio::time::timeout(KILL_TIMEOUT, finish).await,
    };
    let Ok((out, err, result)) = finished else {
        let text = format!("the program still runs {KILL_TIMEOUT:?} after SIGKILL");
        return Err(HandlerError::retryable(text).with_code("EXEC_UNKILLABLE"));
    };
    // The supervisor has sent its result; this reaps it.
    let _ = child.wait().await;
    let took = start.elapsed();
    job.log(LogLevel::Info, format!("{} after {} ms", describe(result.as_ref()), took.as_millis()));
    outcome(command, result, stop.get().copied(), (out, err, took))
}

fn spawn(supervisor: &Path) -> io::Result<(Child, UnixStream)> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let mut process = Process::new(supervisor);
    process.arg(SUPERVISOR_ARG).env_clear().current_dir("/").process_group(0);
    if let Some(dir) = std::env::var_os("TMPDIR") {
        process.env("TMPDIR", dir);
    }
    process.stdin(OwnedFd::from(theirs)).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok((process.spawn()?, UnixStream::from_std(ours)?))
}

fn start_failed(error: io::Error) -> HandlerError {
    let text = format!("cannot start the supervisor of the program: {error}");
    HandlerError::retryable(text).with_code("EXEC_FAILED")
}

/// Sends the start request. On a cancel or a timeout, requests SIGTERM and returns after the grace
/// period. Failed writes are ignored: reading the result detects a dead supervisor.
async fn control(
    job: &JobContext,
    command: &Command,
    mut writer: OwnedWriteHalf,
    stop: &OnceLock<StopReason>,
) {
    let _ = writer.write_all(&start_request(job, command)).await;
    let _ = writer.write_all(&command.stdin).await;
    let reason = tokio::select! {
        () = job.cancelled() => StopReason::Cancelled,
        () = tokio::time::sleep(command.timeout) => StopReason::TimedOut,
    };
    let _ = stop.set(reason);
    job.log(LogLevel::Warn, format!("sent SIGTERM; SIGKILL follows in {:?}", command.grace));
    let _ = writer.write_all(&[TERMINATE]).await;
    tokio::time::sleep(command.grace).await;
}

fn start_request(job: &JobContext, command: &Command) -> Vec<u8> {
    let attempt = format!("{}/{}/{}", job.job_id(), job.run(), job.attempt());
    let job_env = [
        ("SENTINEL_JOB", job.job_id().to_owned()),
        ("SENTINEL_ATTEMPT", attempt),
        ("SENTINEL_FENCE", job.fencing_token()),
    ];
    let job_env = job_env.into_iter().map(|(name, value)| (name.to_owned(), value));
    let request = StartRequest {
        program: command.program.clone(),
        args: command.args.clone(),
        env: command.env.iter().cloned().chain(job_env).collect(),
        stdin_bytes: command.stdin.len() as u64,
    };
    // Serialization does not fail: all fields are valid UTF-8, also the path, which is parsed from
    // text.
    let mut line = serde_json::to_vec(&request).unwrap_or_default();
    line.push(b'\n');
    line
}

async fn read_output(
    job: &JobContext,
    level: LogLevel,
    from: Option<impl AsyncRead + Unpin>,
) -> Output {
    let mut output = Output::default();
    let Some(mut from) = from else { return output };
    let mut lines = LineBuffer::default();
    let mut buffer = vec![0; READ_BYTES];
    let mut log = |line: &str| {
        job.log(level, line);
        line.clone_into(&mut output.last_line);
    };
    // An error is treated like the end of the output.
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let read = &buffer[..count];
        lines.push(read, &mut log);
        output.bytes += count as u64;
        let space = MAX_RESULT_BYTES - output.head.len();
        output.head.extend_from_slice(&read[..count.min(space)]);
    }
    lines.finish(&mut log);
    output
}

/// Reads the result. Returns `None` if the supervisor has died.
async fn read_result(reader: OwnedReadHalf) -> Option<ProgramResult> {
    let mut line = Vec::new();
    BufReader::new(reader).take(MAX_LINE_BYTES).read_until(b'\n', &mut line).await.ok()?;
    serde_json::from_slice(&line).ok()
}

fn describe(result: Option<&ProgramResult>) -> String {
    match result {
        Some(ProgramResult::Exit(code)) => format!("exit code {code}"),
        Some(ProgramResult::Signal(signal)) => format!("terminated by signal {signal}"),
        Some(ProgramResult::Failed(error)) => format!("cannot start the program: {error}"),
        None => "killed because its supervisor died".to_owned(),
    }
}

fn outcome(
    command: &Command,
    result: Option<ProgramResult>,
    stop: Option<StopReason>,
    (out, err, took): (Output, Output, Duration),
) -> Result<Outcome, HandlerError> {
    let mut text = describe(result.as_ref());
    if !err.last_line.is_empty() {
        text = format!("{text}: {}", err.last_line);
    }
    match (result, stop) {
        (Some(ProgramResult::Exit(0)), _) => Ok(Outcome::Succeed(result_json(&out, took).into())),
        (_, Some(StopReason::Cancelled)) => Ok(Outcome::Cancelled),
        (_, Some(StopReason::TimedOut)) => {
            let text =
                format!("timed out after {:?} (payload.timeout_ms); {text}", command.timeout);
            Err(HandlerError::retryable(text).with_code("EXEC_TIMEOUT"))
        }
        (Some(ProgramResult::Exit(code)), None) if command.is_retryable(code) => {
            Err(HandlerError::retryable(text).with_code(format!("EXIT_{code}")))
        }
        (Some(ProgramResult::Exit(code)), None) => {
            Err(HandlerError::non_retryable(text).with_code(format!("EXIT_{code}")))
        }
        (Some(ProgramResult::Signal(signal)), None) => {
            Err(HandlerError::retryable(text).with_code(format!("SIGNAL_{signal}")))
        }
        (Some(ProgramResult::Failed(_)) | None, None) => {
            Err(HandlerError::retryable(text).with_code("EXEC_FAILED"))
        }
    }
}

fn result_json(out: &Output, took: Duration) -> String {
    json!({
        "exit_code": 0,
        "stdout": String::from_utf8_lossy(&out.head),
        "truncated": out.bytes > out.head.len() as u64,
        "took_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    })
    .to_string()
}
