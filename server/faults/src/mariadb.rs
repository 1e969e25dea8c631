//! A MariaDB server for a test, on a free port and in a temporary directory.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::free_port;

/// Time limit of a start.
const START_MAX: Duration = Duration::from_secs(60);

/// The user and the database of the tests. The password has a character that URLs escape.
const INIT: &str = "\
    CREATE DATABASE IF NOT EXISTS sentinel;\n\
    CREATE USER IF NOT EXISTS 'sentinel'@'%' IDENTIFIED BY 'hush@1';\n\
    GRANT ALL ON sentinel.* TO 'sentinel'@'%';\n";

/// A server process. Killed when dropped, and its directory deleted.
pub struct MariaDb {
    process: Child,
    port: u16,
    dir: tempfile::TempDir,
    args: Vec<String>,
}

impl MariaDb {
    /// Starts a server with an empty database.
    ///
    /// # Panics
    /// There is no `mariadbd`, or it does not start.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Like [`MariaDb::start`], with more arguments.
    ///
    /// # Panics
    /// As for [`MariaDb::start`].
    pub fn start_with(args: &[&str]) -> Self {
        // In memory where possible: most tests do not depend on the disk.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        Self::start_in(dir.expect("a directory"), args)
    }

    /// Like [`MariaDb::start_with`], in a given directory.
    ///
    /// # Panics
    /// As for [`MariaDb::start`].
    pub fn start_in(dir: tempfile::TempDir, args: &[&str]) -> Self {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        copy(&template(), &dir.path().join("data"));
        std::fs::write(dir.path().join("init.sql"), INIT).expect("a file");
        // Another process may take the port first.
        for _ in 0..5 {
            let port = free_port();
            let mut process = launch(dir.path(), port, &args);
            if is_up(&mut process, port) {
                return Self { process, port, dir, args };
            }
        }
        panic!("mariadbd does not start: {}", log_of(dir.path()));
    }

    /// The port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address of its database as a value of `ledger_url`.
    pub fn url(&self) -> String {
        self.url_at(self.port)
    }

    /// The address through another port of this machine, such as that of a proxy.
    pub fn url_at(&self, port: u16) -> String {
        format!("mysql://sentinel:hush%401@127.0.0.1:{port}/sentinel")
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Stops it with SIGTERM.
    ///
    /// # Panics
    /// It does not exit.
    pub fn stop(&mut self) {
        self.signal("TERM");
        self.process.wait().expect("mariadbd exits");
    }

    /// Starts it again, on the same port and data.
    ///
    /// # Panics
    /// It does not start.
    pub fn restart(&mut self) {
        self.kill();
        self.process = launch(self.dir.path(), self.port, &self.args);
        let is_up = is_up(&mut self.process, self.port);
        assert!(is_up, "mariadbd does not start again: {}", log_of(self.dir.path()));
    }

    /// Stops it with SIGSTOP: connections stay open without answers.
    ///
    /// # Panics
    /// The process does not exist.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    /// Continues a paused server.
    ///
    /// # Panics
    /// The process does not exist.
    pub fn resume(&self) {
        self.signal("CONT");
    }

    /// The output of an SQL statement, run as the administrator.
    ///
    /// # Panics
    /// The statement fails.
    pub fn ask(&self, sql: &str) -> String {
        let output = Command::new("mariadb")
            .args(["--no-defaults", "--user=root", "--batch", "--skip-column-names"])
            .arg(format!("--socket={}", self.dir.path().join("socket").display()))
            .args(["--database=sentinel", "--execute", sql])
            .output()
            .expect("its client is installed");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{sql}: {error}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &id]).status();
        assert!(sent.is_ok_and(|status| status.success()), "SIG{name} to mariadbd");
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        self.kill();
    }
}

fn launch(dir: &Path, port: u16, args: &[String]) -> Child {
    let log = std::fs::File::create(dir.join("log")).expect("a file");
    Command::new("/usr/sbin/mariadbd")
        .args(["--no-defaults", "--user=root", "--bind-address=127.0.0.1", "--skip-name-resolve"])
        .arg(format!("--port={port}"))
        .arg(format!("--datadir={}", dir.join("data").display()))
        .arg(format!("--socket={}", dir.join("socket").display()))
        .arg(format!("--pid-file={}", dir.join("pid").display()))
        .arg(format!("--init-file={}", dir.join("init.sql").display()))
        .args(["--max-allowed-packet=64M", "--innodb-log-file-size=64M", "--skip-log-bin"])
        .args(["--innodb-buffer-pool-size=64M", "--performance-schema=OFF"])
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("mariadbd is installed: apt-get install mariadb-server")
}

/// Whether the server sends its greeting before it exits or the time limit passes.
fn is_up(process: &mut Child, port: u16) -> bool {
    let began = Instant::now();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    while began.elapsed() < START_MAX {
        if let Ok(Some(_)) = process.try_wait() {
            return false;
        }
        let speaks =
            TcpStream::connect_timeout(&address, Duration::from_secs(1)).and_then(|mut to| {
                to.set_read_timeout(Some(Duration::from_secs(5)))?;
                to.read_exact(&mut [0; 5])
            });
        if speaks.is_ok() {
            return true;
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    false
}

fn log_of(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("log")).unwrap_or_default()
}

/// An initialised data directory to copy. Created once per machine and version, because that takes
/// longer than the rest of a start.
fn template() -> PathBuf {
    let version = Command::new("/usr/sbin/mariadbd").args(["--no-defaults", "--version"]).output();
    let version = version.expect("mariadbd is installed: apt-get install mariadb-server").stdout;
    let version = String::from_utf8_lossy(&version);
    let version: String = version.chars().filter(char::is_ascii_alphanumeric).collect();
    let ready = std::env::temp_dir().join(format!("sentinel-{version}"));
    if ready.exists() {
        return ready;
    }
    let new = tempfile::tempdir().expect("a directory");
    let data = new.path().join("data");
    let output = Command::new("mariadb-install-db")
        .args(["--no-defaults", "--user=root", "--auth-root-authentication-method=normal"])
        .args(["--skip-test-db", "--innodb-log-file-size=64M"])
        .arg(format!("--datadir={}", data.display()))
        .output()
        .expect("mariadb-install-db is installed: apt-get install mariadb-server");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Another test process may have created it meanwhile.
    if std::fs::rename(&data, &ready).is_err() {
        assert!(ready.exists(), "{} can not be made", ready.display());
    }
    ready
}

fn copy(from: &Path, to: &Path) {
    let copied =
        Command::new("cp").args(["--recursive", "--sparse=always"]).args([from, to]).status();
    assert!(copied.is_ok_and(|status| status.success()), "copied {}", from.display());
}
