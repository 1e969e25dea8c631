//! A gateway in its own process, whose memory can be measured.

use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};

/// Every wait of these tests.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// A running gateway process. Dropping it kills it.
pub(crate) struct GatewayProcess {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) ops_address: SocketAddr,
}

impl Drop for GatewayProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl GatewayProcess {
    pub(crate) fn start(server: &str, flags: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sentinel-gateway"))
            .args(["--server", server, "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"])
            .args(["--log-format", "json"])
            .args(flags)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the gateway starts");
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let line = lines.find_map(|line| line.ok().filter(|text| text.contains("ops_address")));
        let line: serde_json::Value =
            serde_json::from_str(&line.expect("the gateway serves")).expect("a JSON line");
        // Keeps reading, so that the gateway never waits for the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let address =
            |name: &str| line[name].as_str().expect("a field").parse().expect("an address");
        Self { child, address: address("address"), ops_address: address("ops_address") }
    }

    /// Returns the peak of the resident memory so far, in MiB.
    pub(crate) fn peak_mib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("the process runs");
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
        let kib = line.split_whitespace().nth(1).expect("a number");
        let kib: u64 = kib.parse().expect("a number");
        kib / 1_024
    }

    /// Returns how long a probe of the ops port takes.
    pub(crate) async fn probe(&self) -> Duration {
        let started = Instant::now();
        let response = get(self.ops_address, "/healthz").await;
        assert!(response.ends_with("ok\n"), "{response}");
        started.elapsed()
    }
}

/// Connects from another loopback address, which is another client.
pub(crate) async fn connect_from(client: [u8; 4], address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind((IpAddr::from(client), 0).into()).expect("a loopback address");
    let connected = timeout(TIMEOUT, socket.connect(address)).await;
    connected.expect("an open connection in time").expect("an open connection")
}

/// Reads a response until its head is complete.
pub(crate) async fn read_head(stream: &mut TcpStream) -> String {
    let mut response = Vec::new();
    let read = async {
        while !response.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
            let mut buffer = [0; 4_096];
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(count) => response.extend_from_slice(&buffer[..count]),
            }
        }
    };
    timeout(TIMEOUT, read).await.expect("a response");
    String::from_utf8_lossy(&response).into_owned()
}

/// Sends a GET request on a new connection and returns the whole response.
pub(crate) async fn get(address: SocketAddr, path: &str) -> String {
    let stream = TcpStream::connect(address).await.expect("an open connection");
    get_on(stream, path, "127.0.0.1").await
}

/// Sends a GET request and returns the whole response.
pub(crate) async fn get_on(mut stream: TcpStream, path: &str, host: &str) -> String {
    let head = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("the request is sent");
    let mut response = String::new();
    let read = timeout(TIMEOUT, stream.read_to_string(&mut response)).await;
    read.expect("a response in time").expect("a response");
    response
}
