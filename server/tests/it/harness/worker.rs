//! The `sentinel-worker` binary as a child process.

use std::path::Path;

use tokio::process::Command;

use super::{Process, binary};

/// A worker process; dereferences to [`Process`].
pub(crate) struct WorkerProcess {
    process: Process,
}

impl WorkerProcess {
    /// Starts `sentinel-worker` for the queue `default` of one server.
    pub(crate) fn start(dir: &Path, url: &str, instance: &str, flags: &[&str]) -> Self {
        let mut command = Command::new(binary("sentinel-worker"));
        command.args(["--server", url, "--instance", instance, "--json"]);
        command.args(flags);
        Self { process: Process::start(command, &dir.join(format!("worker-{instance}.log"))) }
    }
}

impl std::ops::Deref for WorkerProcess {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl std::ops::DerefMut for WorkerProcess {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}
