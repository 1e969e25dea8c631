//! One direction of one connection. Reading and writing are concurrent, so that a delay does not
//! reduce the rate.

use std::sync::atomic::Ordering;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::{Direction, Faults, ProxyState};

const CHUNK_BYTES: usize = 16 * 1024;

/// Chunks that a delay holds back at most; 4 MiB when they are full.
const CHUNKS_MAX: usize = 256;

/// A socket failed, or the proxy was dropped.
pub(super) struct ConnectionFailed;

impl From<std::io::Error> for ConnectionFailed {
    fn from(_: std::io::Error) -> Self {
        Self
    }
}

struct Chunk {
    due: Instant,
    /// Empty when the sender has closed its half.
    bytes: Vec<u8>,
}

/// Reads and discards everything from a half-open connection until it is cut.
pub(super) async fn discard_all(
    client: &mut TcpStream,
    state: &ProxyState,
    cut: &mut oneshot::Receiver<()>,
) {
    let mut buffer = vec![0; CHUNK_BYTES];
    let reading = async {
        while let Ok(bytes @ 1..) = client.read(&mut buffer).await {
            state.discarded_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    };
    tokio::select! {
        () = reading => {}
        _ = cut => {}
    }
}

/// The forwarding of one direction.
pub(super) struct Forward<'a> {
    pub(super) direction: Direction,
    pub(super) state: &'a ProxyState,
    /// The `discard_count` when the connection was accepted.
    pub(super) discard_count: u64,
}

impl Forward<'_> {
    /// Forwards bytes until the sender closes its half.
    pub(super) async fn run(
        self,
        from: ReadHalf<'_>,
        to: WriteHalf<'_>,
        faults: watch::Receiver<Faults>,
    ) -> Result<(), ConnectionFailed> {
        let (chunks, receiver) = mpsc::channel(CHUNKS_MAX);
        let reading = self.read(from, chunks, faults.clone());
        let writing = self.write(to, receiver, faults);
        tokio::try_join!(reading, writing).map(|_| ())
    }

    async fn read(
        &self,
        mut from: ReadHalf<'_>,
        chunks: mpsc::Sender<Chunk>,
        mut faults: watch::Receiver<Faults>,
    ) -> Result<(), ConnectionFailed> {
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            self.wait_while_stalled(&mut faults).await?;
            let read = tokio::select! {
                read = from.read(&mut buffer) => read,
                changed = faults.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return Err(ConnectionFailed),
                },
            };
            let now = *faults.borrow_and_update();
            if now.has_lost(self.discard_count) {
                self.discard(read.unwrap_or(0)).await;
                continue;
            }
            let read = read?;
            let due = Instant::now() + now.of(self.direction).delay;
            let chunk = Chunk { due, bytes: buffer[..read].to_vec() };
            if chunks.send(chunk).await.is_err() {
                return Err(ConnectionFailed);
            }
            if read == 0 {
                return Ok(());
            }
        }
    }

    async fn write(
        &self,
        mut to: WriteHalf<'_>,
        mut chunks: mpsc::Receiver<Chunk>,
        mut faults: watch::Receiver<Faults>,
    ) -> Result<(), ConnectionFailed> {
        while let Some(chunk) = chunks.recv().await {
            tokio::time::sleep_until(chunk.due).await;
            self.wait_while_stalled(&mut faults).await?;
            if faults.borrow().has_lost(self.discard_count) {
                self.discard(chunk.bytes.len()).await;
                continue;
            }
            if chunk.bytes.is_empty() {
                // Fails when the other end has closed; the other direction reports that.
                let _ = to.shutdown().await;
                return Ok(());
            }
            let written = to.write_all(&chunk.bytes).await;
            if written.is_err() && faults.borrow().has_lost(self.discard_count) {
                self.discard(0).await;
            }
            written?;
            let passed = self.state.passed(self.direction);
            passed.fetch_add(chunk.bytes.len() as u64, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Counts discarded bytes. A close (0 bytes) is never forwarded, so this never returns then.
    async fn discard(&self, bytes: usize) {
        self.state.discarded_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if bytes == 0 {
            std::future::pending().await
        }
    }

    /// Waits while the direction is stalled.
    async fn wait_while_stalled(
        &self,
        faults: &mut watch::Receiver<Faults>,
    ) -> Result<(), ConnectionFailed> {
        let passes =
            |now: &Faults| !now.of(self.direction).is_stalled || now.has_lost(self.discard_count);
        faults.wait_for(passes).await.map(|_| ()).map_err(|_| ConnectionFailed)
    }
}
