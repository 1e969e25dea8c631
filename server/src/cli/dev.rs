//! `sentinel dev`: runs a worker with the demo handlers beside the server, and prints what to
//! try next.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use sentinel_client::ConnectOptions;
use sentinel_client::worker::Worker;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::demo;
use crate::assembly::RunningServer;
use crate::config::Config;
use crate::identity::write_dev_token;

/// A worker with the demo handlers in the server's process.
pub(super) struct DevWorker {
    stop: CancellationToken,
    worker: JoinHandle<()>,
}

/// The addresses and the credentials that the welcome shows and uses.
struct Welcome {
    server: SocketAddr,
    gateway: Option<SocketAddr>,
    connect_options: ConnectOptions,
    is_new: bool,
}

impl DevWorker {
    /// Starts the worker and prints the welcome.
    pub(super) async fn start(config: &Config, server: &RunningServer) -> Result<Self> {
        let welcome = Welcome {
            server: server.address,
            gateway: server.gateway_address,
            connect_options: connect_options(config, server).await?,
            is_new: server.is_new,
        };
        let builder = Worker::builder(format!("http://{}", server.address))
            .connect_options(welcome.connect_options.clone())
            .queue("default")
            .concurrency(64)
            .instance("dev")
            .drain_timeout(Duration::from_secs(2));
        let worker = sentinel_worker::register(builder).build()?;
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let (config, stopping) = (config.clone(), stop.clone());
        let worker = tokio::spawn(async move {
            let (stopped, ()) =
                tokio::join!(worker.run(stopped), print_welcome(&config, welcome, stopping));
            if let Err(error) = stopped {
                tracing::error!(%error, "worker stopped with an error");
            }
        });
        Ok(Self { stop, worker })
    }

    /// Drains the worker and waits for it.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        if self.worker.await.is_err() {
            tracing::error!("worker panicked");
        }
    }
}

/// Creates an API key and writes it to the data directory, where client commands find it. With
/// shared stores there is no directory, so the key comes from the environment.
async fn connect_options(config: &Config, server: &RunningServer) -> Result<ConnectOptions> {
    if config.store_url.is_some() {
        return Ok(ConnectOptions::from_env(&server.address.to_string())?);
    }
    let now = server.clock.now();
    let key = write_dev_token(&config.data_dir, server.address, &server.api_keys, now).await?;
    Ok(ConnectOptions::default().with_credential(&key)?)
}

/// Prints the addresses, runs a first job on an empty store, then prints what to try next.
async fn print_welcome(config: &Config, welcome: Welcome, stop: CancellationToken) {
    let Welcome { server, gateway, connect_options, is_new } = welcome;
    let data = match &config.store_url {
        Some(url) => url.to_string(),
        None => config.data_dir.display().to_string(),
    };
    eprintln!("\nSentinel listens on {server} and runs a worker for the demo kinds. Data: {data}.");
    if let Some(gateway) = gateway {
        eprintln!("{}", gateway_line(gateway));
    }
    if is_new {
        let url = format!("http://{server}");
        let shown = tokio::select! {
            shown = demo::run(&url, &connect_options, config.color) => shown,
            () = stop.cancelled() => return,
        };
        if let Err(error) = shown {
            tracing::warn!(%error, "demo job could not be shown");
        }
    }
    print_next_steps(server);
}

fn gateway_line(gateway: SocketAddr) -> String {
    if sentinel_gateway::has_panel() {
        format!("Panel: http://{gateway}/")
    } else {
        format!(
            "REST: http://{gateway}/v1. The panel is not built: install Node 20 or newer with \
             npm, then run `cargo xtask dev` again."
        )
    }
}

fn print_next_steps(server: SocketAddr) {
    let server_flag = match server.port() {
        7070 => String::new(),
        _ => format!(" --server http://{server}"),
    };
    let program = typed_program();
    // On standard error, like the log: standard output carries only results.
    eprintln!(
        "
In another terminal:

  {program} job enqueue demo.progress --payload '{{\"steps\": 50, \"step_ms\": 200}}' --watch{server_flag}
  {program} job list{server_flag}
  {program} --help

Press Ctrl-C to stop. Jobs are kept until the next start.
"
    );
}

/// Returns how this program was called, so that the same words work again in this directory.
fn typed_program() -> String {
    let typed = std::env::args().next().unwrap_or_else(|| "sentinel".to_owned());
    let directory = std::env::current_dir().unwrap_or_default();
    match Path::new(&typed).strip_prefix(directory) {
        Ok(relative) => relative.display().to_string(),
        Err(_) => typed,
    }
}
