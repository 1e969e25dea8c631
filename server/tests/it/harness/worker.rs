//! A process of the fleet.

use std::path::Path;

use tokio::process::Command;

use super::{Process, binary};

/// The process; dereferences to it.
pub struct Worker {
    process: Process,
}

impl Worker {
    /// `sentinel-worker` for the queue `default` of one server.
    pub fn start(dir: &Path, url: &str, instance: &str, flags: &[&str]) -> Self {
        let mut command = Command::new(binary("sentinel-worker"));
        command.args(["--server", url, "--instance", instance, "--json"]);
        command.args(flags);
        Self { process: Process::start(command, &dir.join(format!("worker-{instance}.log"))) }
    }
}

impl std::ops::Deref for Worker {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl std::ops::DerefMut for Worker {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}
