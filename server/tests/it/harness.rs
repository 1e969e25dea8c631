//! An installation on this machine: a server and workers as child processes on a temporary
//! directory, with the signals, restarts and bounded waits that tests need.

pub(crate) mod local;
pub(crate) mod process;
pub(crate) mod program;
pub(crate) mod server;
pub(crate) mod stall;
pub(crate) mod wait;
pub(crate) mod worker;

use std::path::{Path, PathBuf};
use std::time::Duration;

use sentinel_client::proto::jobs::v1::{Job, JobState};
use sentinel_client::{Client, NewJob};

pub(crate) use local::LocalWorker;
pub(crate) use process::Process;
pub(crate) use program::{Ended, run, sentinel};
pub(crate) use server::Server;
pub(crate) use stall::Stalls;
pub(crate) use wait::{pass, probe, until};
pub(crate) use worker::Worker;

/// Longer than anything takes on a loaded machine, shorter than the patience of a runner.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A binary of this workspace.
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

/// A server with its directory. Fields are dropped in order: processes before the directory.
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) dir: tempfile::TempDir,
}

impl World {
    /// A server that creates queues by itself.
    pub(crate) async fn start() -> Self {
        Self::with(&["--auto-create-queues"]).await
    }

    /// A server with these flags beside its addresses and its directory.
    pub(crate) async fn with(flags: &[&str]) -> Self {
        Self::in_dir(tempfile::tempdir().expect("a temporary directory"), flags).await
    }

    /// As [`World::with`], in a directory that the test has prepared.
    pub(crate) async fn in_dir(dir: tempfile::TempDir, flags: &[&str]) -> Self {
        let server = Server::start(dir.path(), flags).await;
        Self { server, dir }
    }

    /// A client of the server, also after a restart.
    pub(crate) fn client(&self) -> Client {
        Client::lazy(self.server.url()).expect("the address of the server")
    }

    /// A worker for the queue `default`, once its session has begun.
    pub(crate) async fn worker(&self, instance: &str, flags: &[&str]) -> Worker {
        let worker = self.idle_worker(instance, flags);
        self.joined(instance, 1).await;
        worker
    }

    /// A worker whose session may not have begun.
    pub(crate) fn idle_worker(&self, instance: &str, flags: &[&str]) -> Worker {
        Worker::start(self.dir.path(), &self.server.url(), instance, flags)
    }

    /// Waits until a worker's sessions began so often with this server.
    pub(crate) async fn joined(&self, instance: &str, times: usize) {
        until(&format!("worker {instance} joins"), PATIENCE, || async {
            (self.server.sessions_of(instance) >= times).then_some(())
        })
        .await;
    }
}

/// A job of `demo.<name>` in the queue `default`.
pub(crate) fn demo(name: &str, payload: serde_json::Value) -> NewJob {
    NewJob::new("default", format!("demo.{name}")).json(&payload).expect("a JSON value")
}

/// Enqueues; answers the id.
pub(crate) async fn enqueue(client: &Client, job: impl Into<NewJob>) -> String {
    client.enqueue(job).await.expect("enqueue").job.id
}

/// Waits until a job is in a state.
pub(crate) async fn in_state(client: &Client, id: &str, state: JobState) -> Job {
    until(&format!("job {id} is {}", state.as_str_name()), PATIENCE, || async {
        client.get(id).await.ok().filter(|job| job.state() == state)
    })
    .await
}

/// Waits until the handler of a job has said something. RUNNING says that the job was given to a
/// worker, which may not have heard of it yet.
pub(crate) async fn begun(client: &Client, id: &str) -> Job {
    until(&format!("the handler of job {id} has begun"), PATIENCE, || async {
        client.get(id).await.ok().filter(|job| job.progress.is_some())
    })
    .await
}

/// Waits until a job is final, by its watch.
pub(crate) async fn end_of(client: &Client, id: &str) -> Job {
    tokio::time::timeout(PATIENCE, client.wait(id))
        .await
        .unwrap_or_else(|_| panic!("job {id} is not final after {PATIENCE:?}"))
        .expect("wait")
}
