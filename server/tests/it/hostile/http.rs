//! HTTP/2 abuse: bytes that are not HTTP/2, floods of frames, and idle connections.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::HostileFixture;
use crate::harness::{TIMEOUT, wait_until};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = payload.len() as u32;
    let mut out = len.to_be_bytes()[1..].to_vec();
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
    out
}

/// Encodes the headers of a gRPC request in HPACK without dynamic tables.
fn request_headers(path: &str) -> Vec<u8> {
    let mut out = vec![0x83, 0x86];
    let mut literal = |name: &str, value: &str| {
        out.extend([0x00, name.len() as u8]);
        out.extend(name.as_bytes());
        out.push(value.len() as u8);
        out.extend(value.as_bytes());
    };
    literal(":path", path);
    literal(":authority", "localhost");
    literal("content-type", "application/grpc");
    literal("te", "trailers");
    out
}

async fn connect(fixture: &HostileFixture) -> TcpStream {
    TcpStream::connect(&fixture.server.address).await.expect("connect")
}

/// Opens a connection and sends the HTTP/2 preface and SETTINGS.
async fn connect_http2(fixture: &HostileFixture) -> TcpStream {
    let mut stream = connect(fixture).await;
    stream.write_all(PREFACE).await.expect("write");
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.expect("write");
    stream
}

/// Asserts that the server closes a connection in time.
async fn assert_closed(mut stream: TcpStream, within: Duration) {
    let mut response = vec![0; 1 << 16];
    let read_all = async { while let Ok(1..) = stream.read(&mut response).await {} };
    let closed = tokio::time::timeout(within, read_all).await;
    assert!(closed.is_ok(), "the connection is open after {within:?}");
}

#[tokio::test]
async fn connections_without_http2_are_closed() {
    let fixture = HostileFixture::start().await;
    let tls: &[u8] = &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03];
    let garbage: Vec<u8> =
        (0..100_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for bytes in [b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", &garbage[..], &[tls, &[0; 50][..]].concat()]
    {
        let mut stream = connect(&fixture).await;
        // The server may close the connection before everything is written.
        let _ = stream.write_all(bytes).await;
        assert_closed(stream, TIMEOUT).await;
    }
    let bad_frames = [
        frame(SETTINGS, 0, 0, &[0; 5]),
        frame(99, 0xff, u32::MAX, &[0; 100]),
        frame(HEADERS, END_HEADERS, 1, &[0xff; 100]),
        frame(HEADERS, END_HEADERS, 2, &request_headers("/x")),
        [0xff; 64].to_vec(),
    ];
    for bytes in bad_frames {
        let mut stream = connect_http2(&fixture).await;
        let _ = stream.write_all(&bytes).await;
        let _ = stream.write_all(&frame(99, 0, 0, &[0; 8])).await;
        let _ = stream.shutdown().await;
        assert_closed(stream, TIMEOUT).await;
    }
    // Half of the preface.
    let mut slow = connect(&fixture).await;
    slow.write_all(&PREFACE[..20]).await.expect("write");
    let start = Instant::now();
    assert_closed(slow, TIMEOUT).await;
    assert!(start.elapsed() >= Duration::from_secs(5), "{:?}", start.elapsed());
    fixture.assert_serving().await;
}

#[tokio::test]
async fn floods_of_frames_close_their_connection() {
    let fixture = HostileFixture::start().await;
    let before = fixture.resident_mib();
    // Streams that are opened and reset immediately.
    let mut stream = connect_http2(&fixture).await;
    let headers = request_headers("/sentinel.jobs.v1.JobService/Watch");
    for n in 0..50_000_u32 {
        let id = 2 * n + 1;
        let mut both = frame(HEADERS, END_HEADERS, id, &headers);
        both.extend(frame(RST_STREAM, 0, id, &8_u32.to_be_bytes()));
        if stream.write_all(&both).await.is_err() {
            break;
        }
    }
    assert_closed(stream, TIMEOUT).await;
    // Headers that never end.
    let mut stream = connect_http2(&fixture).await;
    let _ = stream.write_all(&frame(HEADERS, 0, 1, &headers)).await;
    for _ in 0..10_000 {
        let more = [&[0x00, 1, b'x', 100][..], &[b'y'; 100]].concat();
        if stream.write_all(&frame(CONTINUATION, 0, 1, &more)).await.is_err() {
            break;
        }
    }
    assert_closed(stream, TIMEOUT).await;
    // Pings whose responses are not read, until the kernel buffers are full.
    let mut stream = connect_http2(&fixture).await;
    let pings = frame(PING, 0, 0, &[7; 8]).repeat(10_000);
    for _ in 0..20 {
        let written = tokio::time::timeout(Duration::from_secs(1), stream.write_all(&pings)).await;
        if !matches!(written, Ok(Ok(()))) {
            break;
        }
    }
    fixture.assert_works().await;
    drop(stream);
    let grown = fixture.resident_mib().saturating_sub(before);
    assert!(grown < 200, "the server has grown by {grown} MiB");
    fixture.assert_serving().await;
}

#[tokio::test]
async fn hundreds_of_idle_connections_do_not_block_others() {
    let fixture = HostileFixture::start().await;
    let before = fixture.resident_mib();
    // The test process's own limit on open files does not allow more.
    let mut idle = Vec::new();
    for n in 0..400 {
        idle.push(if n % 2 == 0 { connect(&fixture).await } else { connect_http2(&fixture).await });
    }
    fixture.assert_serving().await;
    let grown = fixture.resident_mib().saturating_sub(before);
    assert!(grown < 200, "the server has grown by {grown} MiB");
    // The server closes the connections without a preface and keeps the others.
    for (n, stream) in idle.into_iter().enumerate() {
        if n % 2 == 0 {
            assert_closed(stream, TIMEOUT).await;
        }
    }
    fixture.assert_serving().await;
}

#[tokio::test]
async fn the_server_recovers_after_running_out_of_file_descriptors() {
    use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
    let fixture = HostileFixture::start().await;
    fixture.assert_works().await;
    // A lowered maximum could not be raised again.
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = |files| Rlimit { current: Some(files), maximum };
    let pid = Pid::from_raw(fixture.pid()).expect("a process");
    let files =
        std::fs::read_dir(format!("/proc/{}/fd", fixture.pid())).expect("list open files").count();
    let old =
        prlimit(Some(pid), Resource::Nofile, limit(files as u64 + 3)).expect("lower the limit");
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(connect_http2(&fixture).await);
    }
    // Existing connections still work.
    fixture.assert_works().await;
    let cpu = fixture.cpu_ticks();
    let start = Instant::now();
    wait_until("two seconds pass", TIMEOUT, || async {
        (start.elapsed() > Duration::from_secs(2)).then_some(())
    })
    .await;
    let ticks = fixture.cpu_ticks() - cpu;
    fixture.assert_works().await;
    assert!(ticks < 100, "{ticks} ticks of the processor in 2 s: the listener spins");
    prlimit(Some(pid), Resource::Nofile, old).expect("restore the limit");
    drop(idle);
    fixture.assert_serving().await;
}

#[tokio::test]
async fn the_ops_listener_answers_probes_under_abuse() {
    let fixture = HostileFixture::start().await;
    let address = fixture.server.ops_address.clone();
    let get =
        |path: &str| format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n");
    let send = async |request: Vec<u8>| {
        let mut stream = TcpStream::connect(&address).await.expect("connect");
        let _ = stream.write_all(&request).await;
        let mut response = Vec::new();
        let _ = tokio::time::timeout(TIMEOUT, stream.read_to_end(&mut response)).await;
        String::from_utf8_lossy(&response).into_owned()
    };
    let large =
        format!("GET /readyz HTTP/1.1\r\nhost: 127.0.0.1\r\nx: {}\r\n\r\n", "y".repeat(1 << 20));
    assert!(send(large.into_bytes()).await.contains(" 431 "), "headers too large");
    let many = "a: b\r\n".repeat(10_000);
    let many = format!("GET /readyz HTTP/1.1\r\nhost: 127.0.0.1\r\n{many}\r\n");
    assert!(send(many.into_bytes()).await.contains(" 431 "), "too many headers");
    for garbage in [&b"\0\x01\x02\r\n\r\n"[..], b"GET /readyz\r\n\r\n"] {
        let response = send(garbage.to_vec()).await;
        assert!(response.is_empty() || response.contains(" 400 "), "{response}");
    }
    // A name that is not one of the listener: a page may have resolved it to this machine.
    let rebound = b"GET /metrics HTTP/1.1\r\nhost: evil.example:80\r\nconnection: close\r\n\r\n";
    assert!(send(rebound.to_vec()).await.contains(" 421 "), "a name of another site");
    // More slow connections than the listener has room for: a probe takes the place of one.
    let mut slow = Vec::new();
    for _ in 0..80 {
        let mut stream = TcpStream::connect(&address).await.expect("connect");
        stream.write_all(b"GET /metrics HT").await.expect("write");
        slow.push(stream);
    }
    let start = Instant::now();
    let response = send(get("/readyz").into_bytes()).await;
    assert!(response.contains(" 200 "), "after {:?}: {response:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(5), "after {:?}", start.elapsed());
    fixture.assert_serving().await;
}
