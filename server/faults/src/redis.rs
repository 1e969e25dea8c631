//! A Redis server that a test starts, kills, freezes and restarts.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::free_port;

/// Time limit of a start.
const START_MAX: Duration = Duration::from_secs(20);

/// A server process. Killed when dropped; its files remain in the directory of the caller.
pub struct RedisServer {
    process: Child,
    port: u16,
    dir: PathBuf,
    args: Vec<String>,
}

impl RedisServer {
    /// Starts a server with `appendfsync always` on a free port, with its files in `dir`. `more` are
    /// further arguments.
    ///
    /// # Panics
    /// It is not installed or does not start.
    pub fn start(dir: &Path, more: &[&str]) -> Self {
        let args = more.iter().map(|arg| (*arg).to_owned()).collect();
        let port = free_port();
        let process = launch(dir, port, more);
        let mut server = Self { process, port, dir: dir.to_owned(), args };
        server.wait();
        server
    }

    /// The port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address as `store_url` takes it.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Kills it as `kill -9` does.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Starts it again, on the same port and directory.
    ///
    /// # Panics
    /// It does not start.
    pub fn restart(&mut self) {
        let args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        self.process = launch(&self.dir, self.port, &args);
        self.wait();
    }

    /// Stops it with SIGSTOP: connections stay open without answers.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    /// Continues a paused server.
    pub fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.is_ok_and(|status| status.success()), "SIG{name} to {id}");
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

    /// The output of a redis-cli command, if it succeeds.
    pub fn ask(&self, command: &str) -> Option<String> {
        redis_cli(self.port, &command.split(' ').collect::<Vec<_>>())
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The output of redis-cli for the server on a port, if it succeeds.
///
/// # Panics
/// It is not installed.
pub fn redis_cli(port: u16, words: &[&str]) -> Option<String> {
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
