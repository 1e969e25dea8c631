//! A Redis of its own for a test, in a temporary directory.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server that has not begun to answer after this long never will.
const START_MAX: Duration = Duration::from_secs(20);

/// In memory where there is such a place: most tests are not about the disk.
pub(crate) fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory")
}

/// A port that nobody listens on at this moment.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    listener.local_addr().expect("it has an address").port()
}

/// Waits until something is true.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < START_MAX, "never: {what}");
        std::thread::yield_now();
    }
}

/// A server process. Killed when dropped; what it wrote stays until the directory goes.
pub(crate) struct Server {
    process: Child,
    pub(crate) port: u16,
    dir: PathBuf,
    args: Vec<String>,
}

impl Server {
    /// Starts one that keeps what it acknowledges.
    pub(crate) fn start(dir: &Path, more: &[&str]) -> Self {
        let args = more.iter().map(|arg| (*arg).to_owned()).collect();
        let port = free_port();
        let process = launch(dir, port, more);
        let mut server = Self { process, port, dir: dir.to_owned(), args };
        server.wait();
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Kills it as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Starts it again at the same place.
    pub(crate) fn restart(&mut self) {
        let args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        self.process = launch(&self.dir, self.port, &args);
        self.wait();
    }

    fn wait(&mut self) {
        let began = Instant::now();
        while began.elapsed() < START_MAX {
            if self.ask("PING").is_some_and(|answer| answer.starts_with("PONG")) {
                return;
            }
            if let Ok(Some(status)) = self.process.try_wait() {
                panic!("redis-server ended: {status}; see {}", self.dir.display());
            }
            std::thread::yield_now();
        }
        panic!("redis-server does not answer");
    }

    /// What redis-cli prints.
    pub(crate) fn ask(&self, command: &str) -> Option<String> {
        cli(self.port, &command.split(' ').collect::<Vec<_>>())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What redis-cli prints, if it succeeds.
pub(crate) fn cli(port: u16, words: &[&str]) -> Option<String> {
    let output = Command::new("redis-cli")
        .args(["-p", &port.to_string()])
        .args(words)
        .stderr(Stdio::null())
        .output()
        .expect("redis-cli is installed");
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn launch(dir: &Path, port: u16, more: &[&str]) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .args(["--appendonly", "yes", "--appendfsync", "always"])
        .arg("--dir")
        .arg(dir)
        .args(["--logfile", "log"])
        .args(more)
        .stdin(Stdio::null())
        .spawn()
        .expect("redis-server is installed: apt-get install redis-server")
}
