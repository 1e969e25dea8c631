//! The server of a test, and workers beside it.

use std::time::Duration;

use sentinel_client::Client;
use sentinel_client::worker::{Worker, WorkerBuilder};
use sentinel_server::assembly::Running;
use sentinel_server::config::{Config, Mode, Sources};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::TestClock;

const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// A server of its own for one test. It ends with the test's runtime, its data with this value.
pub struct TestServer {
    running: Running,
    url: String,
    clock: TestClock,
    client: Client,
    // Dropped after the server.
    _data: tempfile::TempDir,
}

impl TestServer {
    /// Starts with nothing in it; queues are created by the first job that names them.
    ///
    /// # Panics
    /// When the machine gives no temporary folder or no port.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// As [`TestServer::start`], with settings of `sentinel serve` by name, such as
    /// `("session_ttl", "2s")`.
    ///
    /// # Panics
    /// Also when a setting is refused.
    pub async fn start_with(settings: &[(&str, &str)]) -> Self {
        let data = tempfile::tempdir().expect("a temporary folder");
        let folder = data.path().to_str().expect("a folder that is text");
        let own = [
            ("listen", "127.0.0.1:0"),
            ("ops_listen", "127.0.0.1:0"),
            ("auto_create_queues", "true"),
            ("data_dir", folder),
        ];
        let flags = own.iter().chain(settings);
        let flags = flags.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let sources =
            Sources { flags: flags.collect(), host: "test".to_owned(), ..Sources::default() };
        let loaded = Config::load(Mode::Serve, &sources).expect("settings of `sentinel serve`");
        let clock = TestClock::default();
        let running = Running::start_with(&loaded.config, clock.for_server()).await;
        let running = running.expect("a server in a fresh folder on a free port");
        let url = format!("http://{}", running.address);
        let client = Client::connect_lazy(&url).expect("the address of a server");
        Self { running, url, clock, client, _data: data }
    }

    /// `http://host:port`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What the server takes for the time.
    pub fn clock(&self) -> &TestClock {
        &self.clock
    }

    /// A client of it.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The beginning of a worker for the queue `default`.
    pub fn worker(&self) -> WorkerBuilder {
        Worker::builder(&self.url).queue("default").instance("test")
    }

    /// Runs a worker beside the test, until the answer is dropped.
    ///
    /// # Panics
    /// When the worker can not be built.
    pub fn start_worker(&self, worker: WorkerBuilder) -> TestWorker {
        let worker = worker.drain_timeout(DRAIN_TIMEOUT).build().expect("a worker that can run");
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let ended = worker.run(async {
                // Also when the sender is gone.
                let _ = stopped.await;
            });
            ended.await.expect("a session with the server of the test");
        });
        TestWorker { stop: Some(stop), task }
    }

    /// Ends the server in good order and removes its data.
    pub async fn stop(self) {
        self.running.stop(DRAIN_TIMEOUT).await;
    }
}

/// A worker beside a test. Dropping it ends it at once, as a crash would.
#[derive(Debug)]
pub struct TestWorker {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl TestWorker {
    /// Ends it in good order: running jobs get 5 s.
    ///
    /// # Panics
    /// When the worker failed.
    pub async fn stop(mut self) {
        drop(self.stop.take());
        (&mut self.task).await.expect("the worker ends in good order");
    }
}

impl Drop for TestWorker {
    fn drop(&mut self) {
        self.task.abort();
    }
}
