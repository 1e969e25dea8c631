//! `sentinel dev`: a worker with the demo handlers in the server's process, and a hint of
//! what to try next.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use sentinel_client::Access;
use sentinel_client::worker::Worker;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Running;
use crate::cli::demo;
use crate::config::Config;
use crate::identity::leave_dev_token;

/// A fleet of one worker.
pub(super) struct Fleet {
    stop: CancellationToken,
    worker: JoinHandle<()>,
}

impl Fleet {
    pub(super) async fn start(config: &Config, server: &Running) -> Result<Self> {
        let (address, browsers) = (server.address, (server.gateway_address, server.is_new));
        let url = format!("http://{address}");
        let access = access(config, server).await?;
        let builder = Worker::builder(&url)
            .access(access.clone())
            .queue("default")
            .concurrency(64)
            .instance("dev")
            .drain_timeout(Duration::from_secs(2));
        let worker = sentinel_worker::register(builder).build()?;
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let (config, stopping) = (config.clone(), stop.clone());
        let worker = tokio::spawn(async move {
            let (ended, ()) = tokio::join!(
                worker.run(stopped),
                greet(&config, (address, access), browsers, stopping)
            );
            if let Err(error) = ended {
                tracing::error!(%error, "the worker ended");
            }
        });
        Ok(Self { stop, worker })
    }

    pub(super) async fn stop(self) {
        self.stop.cancel();
        if self.worker.await.is_err() {
            tracing::error!("the worker panicked");
        }
    }
}

/// With a key of its own, which is left for the command line. Servers that share their stores
/// have no directory to leave it in.
async fn access(config: &Config, server: &Running) -> Result<Access> {
    if config.store_url.is_some() {
        return Ok(Access::from_env(&server.address.to_string())?);
    }
    let now = server.clock.now();
    let key = leave_dev_token(&config.data_dir, server.address, &server.keyring, now).await?;
    Ok(Access::default().with_credential(&key)?)
}

/// Shows a first job where there was none yet, then says what to try next.
async fn greet(
    config: &Config,
    (server, access): (SocketAddr, Access),
    (gateway, is_new): (Option<SocketAddr>, bool),
    stop: CancellationToken,
) {
    let data = match &config.store_url {
        Some(url) => url.to_string(),
        None => config.data_dir.display().to_string(),
    };
    eprintln!("\nSentinel listens on {server}, with a worker for the demo kinds; data in {data}.");
    if let Some(gateway) = gateway {
        eprintln!("{}", front_door(gateway));
    }
    if is_new {
        let url = format!("http://{server}");
        let shown = tokio::select! {
            shown = demo::run(&url, &access, config.color) => shown,
            () = stop.cancelled() => return,
        };
        if let Err(error) = shown {
            tracing::warn!(%error, "the first job could not be shown");
        }
    }
    hint(server);
}

fn front_door(gateway: SocketAddr) -> String {
    if sentinel_gateway::has_panel() {
        format!("The panel is at http://{gateway}/")
    } else {
        format!(
            "REST is at http://{gateway}/v1; the panel was not built: it needs Node 20 or newer \
             with npm, then `cargo xtask dev` again"
        )
    }
}

fn hint(server: SocketAddr) {
    let at = match server.port() {
        7070 => String::new(),
        _ => format!(" --server http://{server}"),
    };
    // Standard error, beside the log: standard output stays for answers.
    eprintln!(
        "
In another terminal:

  target/debug/sentinel job enqueue demo.progress --payload '{{\"steps\": 50, \"step_ms\": 200}}' --watch{at}
  target/debug/sentinel job list{at}
  target/debug/sentinel --help

Ctrl-C stops; what was enqueued is there again at the next start.
"
    );
}
