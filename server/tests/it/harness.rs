//! Fixtures that run a server and workers as child processes in a temporary directory, with the
//! signals, restarts and bounded waits that tests need.

pub(crate) mod command;
pub(crate) mod in_process;
pub(crate) mod process;
pub(crate) mod server;
pub(crate) mod stall;
pub(crate) mod wait;
pub(crate) mod worker;

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sentinel_client::proto::jobs::v1::{Job, JobState};
use sentinel_client::{Client, NewJob};

pub(crate) use command::{CommandOutput, run, sentinel};
pub(crate) use in_process::InProcessWorker;
pub(crate) use process::Process;
pub(crate) use server::ServerProcess;
pub(crate) use stall::StallMonitor;
pub(crate) use wait::{let_fault_last, poll, wait_until};
pub(crate) use worker::WorkerProcess;

/// The limit of a wait: longer than any step takes on a loaded machine, shorter than the
/// test runner's own limit.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// Returns the path of a binary of this workspace.
pub(crate) fn binary(name: &str) -> PathBuf {
    let sentinel = Path::new(env!("CARGO_BIN_EXE_sentinel"));
    let path = sentinel.with_file_name(name);
    assert!(
        path.exists(),
        "{} is missing: run cargo build --workspace --bins --example side_effects first",
        path.display()
    );
    path
}

/// A server process and its temporary directory; dereferences to the process.
///
/// Fields are dropped in order: the process before its directory.
pub(crate) struct TestServer {
    pub(crate) process: ServerProcess,
    pub(crate) dir: tempfile::TempDir,
}

impl TestServer {
    /// Starts a server that creates queues automatically.
    pub(crate) async fn start() -> Self {
        Self::with_flags(&["--auto-create-queues"]).await
    }

    /// Starts a server with these flags in addition to its addresses and its data directory.
    pub(crate) async fn with_flags(flags: &[&str]) -> Self {
        Self::in_dir(tempfile::tempdir().expect("create a temporary directory"), flags).await
    }

    /// Like [`TestServer::with_flags`], in a directory that the test has prepared.
    pub(crate) async fn in_dir(dir: tempfile::TempDir, flags: &[&str]) -> Self {
        let process = ServerProcess::start(dir.path(), flags).await;
        Self { process, dir }
    }

    /// Returns the server's data directory.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Returns a client that also works after a restart of the server.
    pub(crate) fn client(&self) -> Client {
        Client::connect_lazy(self.url()).expect("a valid server address")
    }

    /// Starts a worker process for the queue `default` and waits for its session.
    pub(crate) async fn start_worker(&self, instance: &str, flags: &[&str]) -> WorkerProcess {
        let worker = self.spawn_worker(instance, flags);
        self.wait_for_sessions(instance, 1).await;
        worker
    }

    /// Starts a worker process without waiting for its session.
    pub(crate) fn spawn_worker(&self, instance: &str, flags: &[&str]) -> WorkerProcess {
        WorkerProcess::start(self.dir.path(), &self.url(), instance, flags)
    }

    /// Waits until the worker has started this many sessions with this server.
    pub(crate) async fn wait_for_sessions(&self, instance: &str, count: usize) {
        wait_until(&format!("worker {instance} starts session {count}"), TIMEOUT, || async {
            (self.sessions_of(instance) >= count).then_some(())
        })
        .await;
    }
}

impl Deref for TestServer {
    type Target = ServerProcess;

    fn deref(&self) -> &ServerProcess {
        &self.process
    }
}

impl DerefMut for TestServer {
    fn deref_mut(&mut self) -> &mut ServerProcess {
        &mut self.process
    }
}

/// Returns a job of kind `demo.<name>` for the queue `default`.
pub(crate) fn demo_job(name: &str, payload: serde_json::Value) -> NewJob {
    NewJob::new("default", format!("demo.{name}")).json(&payload).expect("a JSON payload")
}

/// Enqueues a job and returns its id.
pub(crate) async fn enqueue(client: &Client, job: impl Into<NewJob>) -> String {
    client.enqueue(job).await.expect("enqueue a job").job.id
}

/// Waits until a job is in this state.
pub(crate) async fn wait_state(client: &Client, id: &str, state: JobState) -> Job {
    wait_until(&format!("job {id} is {}", state.as_str_name()), TIMEOUT, || async {
        client.get(id).await.ok().filter(|job| job.state() == state)
    })
    .await
}

/// Waits until the handler of a job has reported progress.
///
/// The state RUNNING only means that the server has leased the job to a worker, which may not
/// have received it yet.
pub(crate) async fn wait_handler_started(client: &Client, id: &str) -> Job {
    wait_until(&format!("the handler of job {id} starts"), TIMEOUT, || async {
        client.get(id).await.ok().filter(|job| job.progress.is_some())
    })
    .await
}

/// Waits until a job is in a terminal state, through a watch.
pub(crate) async fn wait_terminal(client: &Client, id: &str) -> Job {
    tokio::time::timeout(TIMEOUT, client.wait_for_result(id))
        .await
        .unwrap_or_else(|_| panic!("job {id} is not in a terminal state after {TIMEOUT:?}"))
        .expect("wait for a job")
}
