//! A server process that keeps its ports and its directory across restarts.

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::{Process, TIMEOUT, binary, wait_until};

/// `sentinel serve` as a child process; dereferences to [`Process`].
pub(crate) struct ServerProcess {
    /// The binary that the next restart runs.
    pub(crate) program: PathBuf,
    process: Process,
    dir: PathBuf,
    flags: Vec<String>,
    pub(crate) address: String,
    pub(crate) ops_address: String,
}

impl ServerProcess {
    /// Starts `sentinel serve` on free ports and waits until it serves.
    pub(crate) async fn start(dir: &Path, flags: &[&str]) -> Self {
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let any = "127.0.0.1:0";
        // An earlier server of this directory has logged another address.
        let log_offset = std::fs::read_to_string(dir.join("server.log")).map_or(0, |log| log.len());
        let program = binary("sentinel");
        let process = launch(&program, dir, [any, any], &flags);
        let mut server = Self {
            program,
            process,
            dir: dir.to_owned(),
            flags,
            address: any.to_owned(),
            ops_address: any.to_owned(),
        };
        let serving = server.wait_serving(log_offset).await;
        (server.address, server.ops_address) = serving.expect("the server serves");
        server
    }

    /// Starts the server again with the same ports and directory, after a kill or a stop.
    pub(crate) async fn restart(&mut self) {
        let log_offset = self.log().len();
        // Another process may hold the port for a moment.
        let limit = tokio::time::Instant::now() + TIMEOUT;
        loop {
            let addresses = [&*self.address, &*self.ops_address];
            self.process = launch(&self.program, &self.dir, addresses, &self.flags);
            if self.wait_serving(log_offset).await.is_some() {
                return;
            }
            assert!(tokio::time::Instant::now() < limit, "the server does not start again");
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn socket_address(&self) -> std::net::SocketAddr {
        self.address.parse().expect("a socket address")
    }

    /// Returns how many sessions the worker has started with this server, restarts included.
    pub(crate) fn sessions_of(&self, worker: &str) -> usize {
        let field = format!("\"worker\":\"{worker}\"");
        let log = self.log();
        let starts = log.lines().filter(|line| line.contains("worker stream opened"));
        starts.filter(|line| line.contains(&field)).count()
    }

    /// Waits until the log after `log_offset` has the two addresses; `None` when the server has
    /// exited instead.
    async fn wait_serving(&mut self, log_offset: usize) -> Option<(String, String)> {
        let process = std::cell::RefCell::new(&mut self.process);
        wait_until("the server serves or exits", TIMEOUT, || async {
            let mut process = process.borrow_mut();
            let has_exited = process.exit_status().is_some();
            let log = process.log();
            match log[log_offset..].lines().find_map(addresses) {
                Some(found) => Some(Some(found)),
                None if has_exited => Some(None),
                None => None,
            }
        })
        .await
    }
}

impl Deref for ServerProcess {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for ServerProcess {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

fn launch(
    program: &Path,
    dir: &Path,
    [address, ops_address]: [&str; 2],
    flags: &[String],
) -> Process {
    let mut command = Command::new(program);
    command.args(["serve", "--log-format", "json", "--listen", address]);
    command.args(["--ops-listen", ops_address]).arg("--data-dir").arg(dir.join("data"));
    command.args(flags);
    Process::start(command, &dir.join("server.log"))
}

/// Returns the addresses of a `serving` log line.
fn addresses(line: &str) -> Option<(String, String)> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let text = |field: &str| line.get(field)?.as_str().map(str::to_owned);
    (text("message")? == "serving").then_some(())?;
    Some((text("address")?, text("ops_address")?))
}
