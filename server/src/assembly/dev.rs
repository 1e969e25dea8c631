//! `sentinel dev`: a worker with the demo handlers in the server's process, and a hint of
//! what to try next.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use sentinel_client::worker::Worker;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::Config;

/// A fleet of one worker.
pub(super) struct Fleet {
    stop: CancellationToken,
    worker: JoinHandle<()>,
}

impl Fleet {
    pub(super) fn start(config: &Config, server: SocketAddr) -> Result<Self> {
        let builder = Worker::builder(format!("http://{server}"))
            .queue("default")
            .concurrency(64)
            .instance("dev")
            .drain_timeout(Duration::from_secs(2));
        let worker = sentinel_worker::register(builder).build()?;
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let worker = tokio::spawn(async move {
            if let Err(error) = worker.run(stopped).await {
                tracing::error!(%error, "the worker ended");
            }
        });
        hint(config, server);
        Ok(Self { stop, worker })
    }

    pub(super) async fn stop(self) {
        self.stop.cancel();
        if self.worker.await.is_err() {
            tracing::error!("the worker panicked");
        }
    }
}

fn hint(config: &Config, server: SocketAddr) {
    let at = match server.port() {
        7070 => String::new(),
        _ => format!(" --server http://{server}"),
    };
    // Standard error, beside the log: standard output stays for answers.
    eprintln!(
        "
Sentinel listens on {server}, with a worker for the demo kinds; data in {}.
In another terminal:

  target/debug/sentinel job enqueue demo.progress --payload '{{\"steps\": 20, \"step_ms\": 200}}' --watch{at}
  target/debug/sentinel job list{at}
  target/debug/sentinel --help
",
        config.data_dir.display()
    );
}
