//! One direction of one connection. Reading and writing are apart, so that a delay holds each
//! piece back without slowing the rate.

use std::sync::atomic::Ordering;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::{Direction, Faults, Shared};

const PIECE_BYTES: usize = 16 * 1024;

/// Pieces on their way while a delay holds them back; 4 MiB with full ones.
const PIECES: usize = 256;

/// A socket failed, or the proxy is gone.
pub(super) struct Broken;

impl From<std::io::Error> for Broken {
    fn from(_: std::io::Error) -> Self {
        Self
    }
}

struct Piece {
    due: Instant,
    /// Empty: the sender has closed its half.
    bytes: Vec<u8>,
}

/// Takes everything from a connection that has no other end, until it is cut.
pub(super) async fn sink(near: &mut TcpStream, shared: &Shared, cut: &mut oneshot::Receiver<()>) {
    let mut buffer = vec![0; PIECE_BYTES];
    let taking = async {
        while let Ok(bytes @ 1..) = near.read(&mut buffer).await {
            shared.swallowed_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    };
    tokio::select! {
        () = taking => {}
        _ = cut => {}
    }
}

pub(super) struct Lane<'a> {
    pub(super) direction: Direction,
    pub(super) shared: &'a Shared,
    /// How often swallowing had begun before this connection.
    pub(super) holes: u64,
}

impl Lane<'_> {
    /// Carries bytes until the sender closes its half.
    pub(super) async fn carry(
        self,
        from: ReadHalf<'_>,
        to: WriteHalf<'_>,
        faults: watch::Receiver<Faults>,
    ) -> Result<(), Broken> {
        let (pieces, arriving) = mpsc::channel(PIECES);
        let reading = self.read(from, pieces, faults.clone());
        let writing = self.write(to, arriving, faults);
        tokio::try_join!(reading, writing).map(|_| ())
    }

    async fn read(
        &self,
        mut from: ReadHalf<'_>,
        pieces: mpsc::Sender<Piece>,
        mut faults: watch::Receiver<Faults>,
    ) -> Result<(), Broken> {
        let mut buffer = vec![0; PIECE_BYTES];
        loop {
            self.passable(&mut faults).await?;
            let read = tokio::select! {
                read = from.read(&mut buffer) => read,
                changed = faults.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return Err(Broken),
                },
            };
            let now = *faults.borrow_and_update();
            if now.has_lost(self.holes) {
                self.lose(read.unwrap_or(0)).await;
                continue;
            }
            let read = read?;
            let due = Instant::now() + now.lane(self.direction).delay;
            let piece = Piece { due, bytes: buffer[..read].to_vec() };
            if pieces.send(piece).await.is_err() {
                return Err(Broken);
            }
            if read == 0 {
                return Ok(());
            }
        }
    }

    async fn write(
        &self,
        mut to: WriteHalf<'_>,
        mut pieces: mpsc::Receiver<Piece>,
        mut faults: watch::Receiver<Faults>,
    ) -> Result<(), Broken> {
        while let Some(piece) = pieces.recv().await {
            tokio::time::sleep_until(piece.due).await;
            self.passable(&mut faults).await?;
            if faults.borrow().has_lost(self.holes) {
                self.lose(piece.bytes.len()).await;
                continue;
            }
            if piece.bytes.is_empty() {
                // Fails when the other end is gone, which its own lane finds out.
                let _ = to.shutdown().await;
                return Ok(());
            }
            let written = to.write_all(&piece.bytes).await;
            if written.is_err() && faults.borrow().has_lost(self.holes) {
                self.lose(0).await;
            }
            written?;
            let passed = self.shared.passed(self.direction);
            passed.fetch_add(piece.bytes.len() as u64, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Of a half-open connection. Its end (no bytes) is never told, so the lane stays.
    async fn lose(&self, bytes: usize) {
        self.shared.swallowed_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if bytes == 0 {
            std::future::pending().await
        }
    }

    /// Waits while the direction is stalled.
    async fn passable(&self, faults: &mut watch::Receiver<Faults>) -> Result<(), Broken> {
        let passes =
            |now: &Faults| !now.lane(self.direction).is_stalled || now.has_lost(self.holes);
        faults.wait_for(passes).await.map(|_| ()).map_err(|_| Broken)
    }
}
