//! The gateway process: flags, logging and signals around the library.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use sentinel_gateway::flags::{Flags, LogFormat};
use sentinel_gateway::{Gateway, has_panel, ops};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// File descriptors reserved for the ops port and the connections to the server.
const RESERVED_FILES: u64 = 192;

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    start_logging(&flags);
    match run(&flags).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: &Flags) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let mut settings = flags.settings()?;
    settings.limits.connections_max = settings.limits.connections_max.min(connections_max());
    let gateway = Gateway::new(settings)?;
    let listener = bind("listen", flags.listen).await?;
    let ops_listener = bind("ops-listen", flags.ops_listen).await?;
    let (address, ops_address) = (listener.local_addr()?, ops_listener.local_addr()?);
    let stop = CancellationToken::new();
    let ops_routes = ops::router(gateway.clone());
    let ops = ops::serve(ops_listener, ops_routes, &flags.ops_allow_hosts, stop.clone());
    tracing::info!(%address, %ops_address, server = flags.server, panel = has_panel(), "serving");
    let gateway = gateway.serve(listener, stop.clone());
    tokio::pin!(gateway);
    tokio::select! {
        result = &mut gateway => return result.context("the listener failed"),
        result = ops => return result.context("the ops listener failed"),
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("shutting down; a second signal stops immediately");
    stop.cancel();
    tokio::select! {
        result = gateway => result.context("the listener failed"),
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

/// Raises the limit on open files as far as allowed, and returns the connections that fit: each
/// needs a file, and the connections to the server and the listeners need some.
fn connections_max() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // A sandbox may forbid this; then the present limit applies.
    let _ = setrlimit(Resource::Nofile, limit);
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(files.saturating_sub(RESERVED_FILES)).unwrap_or(usize::MAX).max(16)
}

async fn bind(flag: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("--{flag}: cannot listen on {address}; set another address"))
}

fn start_logging(flags: &Flags) {
    let filter = EnvFilter::try_new(&flags.log).unwrap_or_else(|_| EnvFilter::new("info"));
    let logging = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match flags.log_format {
        LogFormat::Pretty => logging.with_target(false).init(),
        LogFormat::Json => logging.json().flatten_event(true).init(),
    }
}
