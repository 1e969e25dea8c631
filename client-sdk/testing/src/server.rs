//! A server for one test, and workers that run beside it.

use std::time::Duration;

use sentinel_client::Client;
use sentinel_client::worker::{Worker, WorkerBuilder};
use sentinel_server::assembly::RunningServer;
use sentinel_server::config::{Config, Mode, Sources};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::TestClock;

const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// A server for one test. It stops with the test's runtime; dropping this value deletes its data.
pub struct TestServer {
    server: RunningServer,
    url: String,
    clock: TestClock,
    client: Client,
    // Dropped after the server.
    _data: tempfile::TempDir,
}

impl TestServer {
    /// Starts an empty server. A queue is created by the first job that names it.
    ///
    /// # Panics
    /// When no temporary directory or no port is available.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// As [`TestServer::start`], with settings of `sentinel serve` by name, such as
    /// `("session_ttl", "2s")`.
    ///
    /// # Panics
    /// Also when a setting is invalid.
    pub async fn start_with(settings: &[(&str, &str)]) -> Self {
        let data = tempfile::tempdir().expect("create a temporary directory");
        let data_dir = data.path().to_str().expect("a path in UTF-8");
        let defaults = [
            ("listen", "127.0.0.1:0"),
            ("ops_listen", "127.0.0.1:0"),
            ("auto_create_queues", "true"),
            ("data_dir", data_dir),
        ];
        let flags = defaults.iter().chain(settings);
        let flags = flags.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let sources =
            Sources { flags: flags.collect(), host: "test".to_owned(), ..Sources::default() };
        let loaded = Config::load(Mode::Serve, &sources).expect("valid settings");
        let clock = TestClock::default();
        let server = RunningServer::start_with_clock(&loaded.config, clock.for_server()).await;
        let server = server.expect("start the server");
        let url = format!("http://{}", server.address);
        let client = Client::connect_lazy(&url).expect("a valid address");
        Self { server, url, clock, client, _data: data }
    }

    /// The address of the server, `http://host:port`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The clock of the server.
    pub fn clock(&self) -> &TestClock {
        &self.clock
    }

    /// A client of the server.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The builder of a worker of this server for the queue `default`.
    pub fn worker(&self) -> WorkerBuilder {
        Worker::builder(&self.url).queue("default").instance("test")
    }

    /// Runs a worker in the background until the returned handle is stopped or dropped.
    ///
    /// # Panics
    /// When the settings of the worker are invalid.
    pub fn start_worker(&self, worker: WorkerBuilder) -> TestWorker {
        let worker = worker.drain_timeout(DRAIN_TIMEOUT).build().expect("valid worker settings");
        let (shutdown, shutdown_requested) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let result = worker.run(async {
                // An error means that the sender was dropped, which also requests a shutdown.
                let _ = shutdown_requested.await;
            });
            result.await.expect("the worker has a session with the server");
        });
        TestWorker { shutdown: Some(shutdown), task }
    }

    /// Shuts the server down gracefully and deletes its data.
    pub async fn stop(self) {
        self.server.stop(DRAIN_TIMEOUT).await;
    }
}

/// The handle of a background worker. Dropping it stops the worker without a drain, as a crash
/// would.
#[derive(Debug)]
pub struct TestWorker {
    shutdown: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl TestWorker {
    /// Shuts the worker down gracefully: running jobs have 5 s to finish.
    ///
    /// # Panics
    /// When the worker failed.
    pub async fn stop(mut self) {
        drop(self.shutdown.take());
        (&mut self.task).await.expect("the worker shuts down gracefully");
    }
}

impl Drop for TestWorker {
    fn drop(&mut self) {
        self.task.abort();
    }
}
