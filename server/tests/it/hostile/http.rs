//! Below gRPC: bytes that are no HTTP/2, frames that abuse it, and connections that only
//! take a place.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Town;
use crate::harness::{PATIENCE, until};

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

/// HPACK without tables: `POST`, `http`, a path and what gRPC asks for.
fn call(path: &str) -> Vec<u8> {
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

async fn connect(town: &Town) -> TcpStream {
    TcpStream::connect(&town.world.server.address).await.expect("connect")
}

/// A connection that has greeted.
async fn greeted(town: &Town) -> TcpStream {
    let mut stream = connect(town).await;
    stream.write_all(PREFACE).await.expect("write");
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.expect("write");
    stream
}

/// The server closes it, whatever it says before.
async fn is_closed(mut stream: TcpStream, within: Duration) {
    let mut answer = vec![0; 1 << 16];
    let closed = async { while let Ok(1..) = stream.read(&mut answer).await {} };
    let closed = tokio::time::timeout(within, closed).await;
    assert!(closed.is_ok(), "the connection is open after {within:?}");
}

#[tokio::test]
async fn what_is_no_http2_is_closed() {
    let town = Town::start().await;
    let tls: &[u8] = &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03];
    let garbage: Vec<u8> =
        (0..100_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for bytes in [b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", &garbage[..], &[tls, &[0; 50][..]].concat()]
    {
        let mut stream = connect(&town).await;
        // It may be closed before all is written.
        let _ = stream.write_all(bytes).await;
        is_closed(stream, PATIENCE).await;
    }
    let bad_frames = [
        frame(SETTINGS, 0, 0, &[0; 5]),
        frame(99, 0xff, u32::MAX, &[0; 100]),
        frame(HEADERS, END_HEADERS, 1, &[0xff; 100]),
        frame(HEADERS, END_HEADERS, 2, &call("/x")),
        [0xff; 64].to_vec(),
    ];
    for bytes in bad_frames {
        let mut stream = greeted(&town).await;
        let _ = stream.write_all(&bytes).await;
        let _ = stream.write_all(&frame(99, 0, 0, &[0; 8])).await;
        let _ = stream.shutdown().await;
        is_closed(stream, PATIENCE).await;
    }
    // Half a greeting.
    let mut slow = connect(&town).await;
    slow.write_all(&PREFACE[..20]).await.expect("write");
    let began = Instant::now();
    is_closed(slow, PATIENCE).await;
    assert!(began.elapsed() >= Duration::from_secs(5), "{:?}", began.elapsed());
    town.is_serving().await;
}

#[tokio::test]
async fn floods_of_frames_end_their_connection() {
    let town = Town::start().await;
    let before = town.resident_mib();
    // Streams opened and reset at once.
    let mut stream = greeted(&town).await;
    let headers = call("/sentinel.jobs.v1.JobService/Watch");
    for n in 0..50_000_u32 {
        let id = 2 * n + 1;
        let mut both = frame(HEADERS, END_HEADERS, id, &headers);
        both.extend(frame(RST_STREAM, 0, id, &8_u32.to_be_bytes()));
        if stream.write_all(&both).await.is_err() {
            break;
        }
    }
    is_closed(stream, PATIENCE).await;
    // Headers that never end.
    let mut stream = greeted(&town).await;
    let _ = stream.write_all(&frame(HEADERS, 0, 1, &headers)).await;
    for _ in 0..10_000 {
        let more = [&[0x00, 1, b'x', 100][..], &[b'y'; 100]].concat();
        if stream.write_all(&frame(CONTINUATION, 0, 1, &more)).await.is_err() {
            break;
        }
    }
    is_closed(stream, PATIENCE).await;
    // Pings whose answers are not read, up to what the kernel buffers.
    let mut stream = greeted(&town).await;
    let pings = frame(PING, 0, 0, &[7; 8]).repeat(10_000);
    for _ in 0..20 {
        let written = tokio::time::timeout(Duration::from_secs(1), stream.write_all(&pings)).await;
        if !matches!(written, Ok(Ok(()))) {
            break;
        }
    }
    town.works().await;
    drop(stream);
    let grown = town.resident_mib().saturating_sub(before);
    assert!(grown < 200, "grown by {grown} MiB");
    town.is_serving().await;
}

#[tokio::test]
async fn a_thousand_idle_connections_leave_room_for_others() {
    let town = Town::start().await;
    let before = town.resident_mib();
    // In one process with the test, whose own limit on open files is in the way of more.
    let mut idle = Vec::new();
    for n in 0..400 {
        idle.push(if n % 2 == 0 { connect(&town).await } else { greeted(&town).await });
    }
    town.is_serving().await;
    let grown = town.resident_mib().saturating_sub(before);
    assert!(grown < 200, "grown by {grown} MiB");
    // Those that did not greet are cut off, the others live.
    for (n, stream) in idle.into_iter().enumerate() {
        if n % 2 == 0 {
            is_closed(stream, PATIENCE).await;
        }
    }
    town.is_serving().await;
}

#[tokio::test]
async fn without_file_descriptors_the_server_waits_and_recovers() {
    use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
    let town = Town::start().await;
    town.works().await;
    // A lower maximum could not be raised again.
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = |files| Rlimit { current: Some(files), maximum };
    let pid = Pid::from_raw(town.pid()).expect("a process");
    let files = std::fs::read_dir(format!("/proc/{}/fd", town.pid())).expect("its files").count();
    let old = prlimit(Some(pid), Resource::Nofile, limit(files as u64 + 3)).expect("a lower limit");
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(greeted(&town).await);
    }
    // What is connected works on.
    town.works().await;
    let cpu = town.cpu_ticks();
    let began = Instant::now();
    until("two seconds pass", PATIENCE, || async {
        (began.elapsed() > Duration::from_secs(2)).then_some(())
    })
    .await;
    let ticks = town.cpu_ticks() - cpu;
    town.works().await;
    assert!(ticks < 100, "{ticks} ticks of the processor in 2 s: the listener spins");
    prlimit(Some(pid), Resource::Nofile, old).expect("the old limit");
    drop(idle);
    town.is_serving().await;
}

#[tokio::test]
async fn the_side_door_answers_probes_whoever_else_knocks() {
    let town = Town::start().await;
    let address = town.world.server.ops_address.clone();
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let ask = async |request: Vec<u8>| {
        let mut stream = TcpStream::connect(&address).await.expect("connect");
        let _ = stream.write_all(&request).await;
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        String::from_utf8_lossy(&answer).into_owned()
    };
    let large = format!("GET /readyz HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(1 << 20));
    assert!(ask(large.into_bytes()).await.contains(" 431 "), "headers too large");
    let many = "a: b\r\n".repeat(10_000);
    let many = format!("GET /readyz HTTP/1.1\r\nhost: x\r\n{many}\r\n");
    assert!(ask(many.into_bytes()).await.contains(" 431 "), "too many headers");
    for garbage in [&b"\0\x01\x02\r\n\r\n"[..], b"GET /readyz\r\n\r\n"] {
        let answer = ask(garbage.to_vec()).await;
        assert!(answer.is_empty() || answer.contains(" 400 "), "{answer}");
    }
    // More slow ones than there are places: a probe gets one when their time is over.
    let mut slow = Vec::new();
    for _ in 0..80 {
        let mut stream = TcpStream::connect(&address).await.expect("connect");
        stream.write_all(b"GET /metrics HT").await.expect("write");
        slow.push(stream);
    }
    let began = Instant::now();
    let answer = ask(get("/readyz").into_bytes()).await;
    assert!(answer.contains(" 200 "), "after {:?}: {answer:?}", began.elapsed());
    town.is_serving().await;
}
