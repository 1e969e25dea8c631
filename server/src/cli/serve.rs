//! `sentinel serve` and `sentinel dev`: loads the settings, starts logging, and runs servers
//! until a signal.

use std::process::ExitCode;

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::dev::DevWorker;
use super::{error, output};
use crate::assembly::RunningServer;
use crate::config::{Config, Flags, Loaded, Mode};
use crate::telemetry::Telemetry;

pub(super) const SERVE_EXAMPLES: &str = "\
Examples:
  sentinel serve
  sentinel serve --config /etc/sentinel.toml --print-config
  sentinel serve --listen 0.0.0.0:7070 --insecure
  SENTINEL_DATA_DIR=/srv/sentinel sentinel serve

Each setting is taken from its flag, else from its environment variable, else from the file,
else it is the default. SIGTERM and SIGINT shut the server down gracefully; a second signal stops
it immediately.

Exit codes:
  0    graceful shutdown
  1    the server cannot start, or the drain timed out
  2    a setting is invalid
  130  stopped by a second signal";

pub(super) const DEV_EXAMPLES: &str = "\
Examples:
  sentinel dev
  sentinel dev --data-dir /tmp/try --log-filter debug
Then, in another terminal:
  sentinel job enqueue demo.sleep --payload '{\"ms\":2000}' --watch";

/// The exit code after a second signal, as of a process that SIGINT ended.
const INTERRUPTED: u8 = 130;

/// Runs a server until a signal stops it.
pub(super) fn run(mode: Mode, flags: Flags) -> ExitCode {
    let print = flags.print;
    let loaded = match load(mode, flags) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("error: {error:#}");
            return ExitCode::from(error::INVALID);
        }
    };
    if print {
        return output::print_raw(loaded.to_toml().as_bytes());
    }
    match start(mode, loaded) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn load(mode: Mode, flags: Flags) -> Result<Loaded> {
    Ok(Config::load(mode, &flags.sources()?)?)
}

fn start(mode: Mode, loaded: Loaded) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let telemetry = Telemetry::init(&loaded.config)?;
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        let stopped = serve(loaded.config, mode).await;
        telemetry.shutdown().await;
        stopped
    })
}

/// Runs a server until SIGTERM or SIGINT; a second signal stops it immediately. Starts a new
/// server when the store was rebuilt, because all state of the old one is stale then.
async fn serve(mut config: Config, mode: Mode) -> Result<ExitCode> {
    // Registered once and before the start, so that no signal is lost in between.
    let mut signals = Signals::listen().context("listen for signals")?;
    loop {
        let server = RunningServer::start(&config).await?;
        // Keep the ports across a restart, also those that the system assigned.
        (config.listen, config.ops_listen) = (server.address, server.ops_address);
        config.gateway_listen = server.gateway_address;
        let dev_worker = match mode {
            Mode::Dev => Some(DevWorker::start(&config, &server).await?),
            Mode::Serve => None,
        };
        let signal = tokio::select! {
            signal = signals.next() => Some(signal),
            () = server.store_rebuilt() => None,
        };
        match signal {
            Some(signal) => {
                tracing::info!(signal, "shutting down; a second signal stops immediately");
            }
            None => tracing::info!("store was rebuilt, restarting the server"),
        }
        let drained = async {
            if let Some(dev_worker) = dev_worker {
                dev_worker.stop().await;
            }
            server.stop(config.drain_timeout).await
        };
        let is_clean = tokio::select! {
            is_clean = drained => is_clean,
            signal = signals.next() => {
                tracing::warn!(signal, "stopped immediately, without a graceful shutdown");
                return Ok(ExitCode::from(INTERRUPTED));
            }
        };
        if signal.is_some() {
            return Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
}

/// The signals that shut a server down.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next signal and returns its name.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
