//! The measured processes: started from the release binaries, read through /proc and /metrics,
//! killed when their value is dropped.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use sentinel_proto::jobs::v1::job_service_client::JobServiceClient;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic::transport::{Channel, Endpoint};

use crate::args::Args;
use crate::programs::beside;
use crate::stores::Stores;

/// The queue of every job of the bench.
pub(crate) const QUEUE: &str = "bench";

/// The generated client. The SDK adds a request id to each enqueue, which costs time on both sides.
pub(crate) type Jobs = JobServiceClient<Channel>;

const START_TIMEOUT: Duration = Duration::from_secs(120);
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;

/// Killed when dropped.
pub(crate) struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only for a process that has exited.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    fn start(command: &mut Command) -> Result<Self> {
        let what = command.get_program().to_string_lossy().into_owned();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        Ok(Self(child.with_context(|| format!("start {what}"))?))
    }

    fn has_exited(&mut self) -> Result<bool> {
        Ok(self.0.try_wait()?.is_some())
    }

    /// User and system time so far in seconds, with a resolution of 10 ms.
    pub(crate) fn cpu_s(&self) -> f64 {
        let path = format!("/proc/{}/stat", self.0.id());
        let stat = std::fs::read_to_string(path).unwrap_or_default();
        let after_name = stat.rsplit(") ").next().unwrap_or_default();
        let ticks = after_name.split(' ').skip(11).take(2);
        ticks.filter_map(|n| n.parse::<f64>().ok()).sum::<f64>() / 100.0
    }

    /// Resident memory in bytes.
    pub(crate) fn resident_bytes(&self) -> f64 {
        let path = format!("/proc/{}/status", self.0.id());
        let status = std::fs::read_to_string(path).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
        let kib = line.split_whitespace().nth(1).and_then(|n| n.parse::<f64>().ok());
        kib.unwrap_or_default() * 1024.0
    }
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("find a free port")?;
    Ok(listener.local_addr()?.port())
}

/// One HTTP/2 connection with the windows of the SDK.
async fn connect(port: u16) -> Result<Jobs> {
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}"))?
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
    let begun = Instant::now();
    loop {
        match endpoint.connect().await {
            Ok(channel) => return Ok(Jobs::new(channel)),
            Err(error) if begun.elapsed() > START_TIMEOUT => {
                return Err(error).with_context(|| format!("connect to port {port}"));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// The tonic server that measures the ceiling.
pub(crate) struct EchoServer {
    _process: Process,
    pub(crate) jobs: Jobs,
}

impl EchoServer {
    pub(crate) async fn start() -> Result<Self> {
        let port = free_port()?;
        let own = std::env::current_exe().context("find the path of this program")?;
        let process = Process::start(Command::new(own).args(["--echo-server", &port.to_string()]))?;
        Ok(Self { _process: process, jobs: connect(port).await? })
    }
}

/// A `sentinel serve` process.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) jobs: Jobs,
    port: u16,
    ops_port: u16,
}

impl Server {
    /// Starts the server and waits until /readyz returns 200.
    pub(crate) async fn start(args: &Args, stores: &Stores) -> Result<Self> {
        let (port, ops_port) = (free_port()?, free_port()?);
        let mut command = Command::new(beside("sentinel")?);
        command
            .arg("serve")
            .arg(format!("--listen=127.0.0.1:{port}"))
            .arg(format!("--ops-listen=127.0.0.1:{ops_port}"))
            .args(stores.flags())
            .arg(format!("--log-filter={}", args.log_filter))
            .arg("--auto-create-queues");
        let mut process = Process::start(&mut command)?;
        let begun = Instant::now();
        while !get(ops_port, "/readyz").await.is_ok_and(|(status, _)| status == 200) {
            if process.has_exited()? {
                bail!("sentinel serve exited before it was ready; its log is above");
            }
            if begun.elapsed() > START_TIMEOUT {
                bail!("sentinel serve was not ready after {START_TIMEOUT:?}");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(Self { process, jobs: connect(port).await?, port, ops_port })
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Starts a `sentinel-worker` process with the built-in handlers.
    pub(crate) fn start_worker(&self, concurrency: u32) -> Result<Process> {
        let mut command = Command::new(beside("sentinel-worker")?);
        command
            .arg(format!("--server={}", self.endpoint()))
            .arg(format!("--queues={QUEUE}"))
            .arg(format!("--concurrency={concurrency}"))
            .arg("--log=warn");
        Process::start(&mut command)
    }

    /// The sum of a metric over the series whose labels contain `label`.
    pub(crate) async fn metric(&self, name: &str, label: &str) -> Result<f64> {
        let (_, text) = get(self.ops_port, "/metrics").await?;
        let values = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let (labels, value) = rest.rsplit_once(' ')?;
            let is_asked = labels.is_empty() || (labels.starts_with('{') && labels.contains(label));
            is_asked.then(|| value.parse::<f64>().ok()).flatten()
        });
        Ok(values.sum())
    }

    /// Jobs whose success the server has recorded durably.
    pub(crate) async fn recorded(&self) -> Result<u64> {
        let count = self.metric("sentinel_jobs_finished_total", "outcome=\"succeeded\"").await?;
        Ok(count as u64)
    }

    /// Age of the oldest change that is not in the ledger.
    pub(crate) async fn ledger_lag_s(&self) -> Result<f64> {
        self.metric("sentinel_ledger_lag_seconds", "").await
    }
}

/// An HTTP GET on a new connection. Hand-written: a client library would add dependencies for
/// one request to a local port.
async fn get(port: u16, path: &str) -> Result<(u16, String)> {
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an HTTP answer without a body")?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok((status.context("an HTTP answer without a status")?, body.to_owned()))
}
