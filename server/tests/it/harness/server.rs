//! A server process that keeps its ports and its directory over restarts.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use tokio::process::Command;

use super::{PATIENCE, Process, binary, until};

pub(crate) struct Server {
    /// What is started next.
    pub(crate) program: PathBuf,
    process: Process,
    dir: PathBuf,
    flags: Vec<String>,
    pub(crate) address: String,
    pub(crate) ops_address: String,
}

impl Server {
    /// `sentinel serve` on free ports; answers calls when this returns.
    pub(crate) async fn start(dir: &Path, flags: &[&str]) -> Self {
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let any = "127.0.0.1:0";
        // A former server of the directory told of another address.
        let told = std::fs::read_to_string(dir.join("server.log")).map_or(0, |log| log.len());
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
        (server.address, server.ops_address) = server.serving(told).await;
        server
    }

    /// Starts it again on the same ports and directory, after a kill or a stop.
    pub(crate) async fn restart(&mut self) {
        let told = self.log().len();
        // Another process may hold the port for a moment.
        let limit = tokio::time::Instant::now() + PATIENCE;
        loop {
            let addresses = [&*self.address, &*self.ops_address];
            self.process = launch(&self.program, &self.dir, addresses, &self.flags);
            let serving = self.serving_or_gone(told).await;
            if serving.is_some() {
                return;
            }
            assert!(tokio::time::Instant::now() < limit, "the server does not start again");
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn socket_address(&self) -> std::net::SocketAddr {
        self.address.parse().expect("the address of the server")
    }

    pub(crate) fn log(&self) -> String {
        self.process.log()
    }

    /// How often a session of a worker began with this server, over its restarts.
    pub(crate) fn sessions_of(&self, worker: &str) -> usize {
        let told = format!("\"worker\":\"{worker}\"");
        let log = self.log();
        let began = log.lines().filter(|line| line.contains("a worker session began"));
        began.filter(|line| line.contains(&told)).count()
    }

    pub(crate) async fn kill(&mut self) {
        self.process.kill().await;
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    pub(crate) fn resident_bytes(&self) -> u64 {
        self.process.resident_bytes()
    }

    pub(crate) fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.process.ended()
    }

    pub(crate) async fn end(&mut self, limit: Duration) -> std::process::ExitStatus {
        self.process.end(limit).await
    }

    async fn serving(&mut self, from: usize) -> (String, String) {
        self.serving_or_gone(from).await.expect("the server serves")
    }

    /// Its two addresses, as its log tells them; none when it ended instead.
    async fn serving_or_gone(&mut self, from: usize) -> Option<(String, String)> {
        let process = std::cell::RefCell::new(&mut self.process);
        until("the server serves", PATIENCE, || async {
            let mut process = process.borrow_mut();
            let ended = process.ended().is_some();
            let log = process.log();
            match log[from..].lines().find_map(addresses) {
                Some(found) => Some(Some(found)),
                None if ended => Some(None),
                None => None,
            }
        })
        .await
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

fn addresses(line: &str) -> Option<(String, String)> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let text = |field: &str| line.get(field)?.as_str().map(str::to_owned);
    (text("message")? == "serving").then_some(())?;
    Some((text("address")?, text("ops_address")?))
}
