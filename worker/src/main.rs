//! The worker process: flags, logging and signals.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use sentinel_worker::Flags;
use sentinel_worker::flags::LogFormat;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The exit code of a process that SIGINT terminated, as shells report it.
const EXIT_INTERRUPTED: u8 = 130;

/// How long the process waits after the drain for handlers that never yield.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    if let Some(code) = sentinel_worker::exec::supervisor::enter() {
        return code;
    }
    let flags = Flags::parse();
    start_logging(&flags);
    let result = tokio::runtime::Runtime::new().context("start the runtime").and_then(|runtime| {
        let result = runtime.block_on(run(flags));
        runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
        result
    });
    result.unwrap_or_else(|error| {
        tracing::error!("{error:#}");
        ExitCode::FAILURE
    })
}

async fn run(flags: Flags) -> anyhow::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let worker = flags.worker()?;
    tracing::info!(
        servers = %flags.servers.join(","),
        queues = %flags.queues.join(","),
        concurrency = flags.concurrency,
        "worker starting"
    );
    let (start_drain, drain) = tokio::sync::oneshot::channel::<()>();
    let drained = worker.run(async {
        // An error means that the sender was dropped; the worker then keeps running.
        if drain.await.is_err() {
            std::future::pending::<()>().await;
        }
    });
    tokio::pin!(drained);
    tokio::select! {
        result = &mut drained => {
            result?;
            return Ok(ExitCode::SUCCESS);
        }
        () = wait_for_signal(&mut terminate, &mut interrupt) => {}
    }
    tracing::info!(timeout = ?flags.drain_timeout, "draining, a second signal stops immediately");
    let _ = start_drain.send(());
    tokio::select! {
        result = &mut drained => {
            result?;
            tracing::info!("drained");
            Ok(ExitCode::SUCCESS)
        }
        () = wait_for_signal(&mut terminate, &mut interrupt) => {
            tracing::warn!("stopped before the drain was complete, running attempts are lost");
            #[expect(
                clippy::disallowed_methods,
                reason = "a handler that never yields would block the shutdown of the runtime"
            )]
            std::process::exit(i32::from(EXIT_INTERRUPTED));
        }
    }
}

async fn wait_for_signal(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

fn start_logging(flags: &Flags) {
    let filter = EnvFilter::try_new(&flags.log).unwrap_or_else(|_| EnvFilter::new("info"));
    let logging = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match flags.log_format() {
        LogFormat::Pretty => logging.with_target(false).init(),
        LogFormat::Json => logging.json().flatten_event(true).init(),
    }
}
