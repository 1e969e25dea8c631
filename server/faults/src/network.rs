//! A TCP proxy between two processes that cuts, stalls, delays or discards traffic. It does not
//! depend on the protocol.

mod connection;
mod direction;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

/// A direction through the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the target.
    Up,
    /// From the target to the client.
    Down,
}

/// Counters of the proxy since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Open connections, half-open ones included.
    pub live: usize,
    /// Accepted connections.
    pub accepted: u64,
    /// Refused connections.
    pub refused: u64,
    /// Bytes written to the target.
    pub up_bytes: u64,
    /// Bytes written to the client.
    pub down_bytes: u64,
    /// Bytes that were read and discarded.
    pub discarded_bytes: u64,
}

/// The faults of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct DirectionFaults {
    is_stalled: bool,
    delay: Duration,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Faults {
    refuses: bool,
    discards: bool,
    /// How often discarding began. A connection that is older than the last time has lost bytes.
    discard_count: u64,
    up: DirectionFaults,
    down: DirectionFaults,
}

impl Faults {
    fn of(&self, direction: Direction) -> DirectionFaults {
        match direction {
            Direction::Up => self.up,
            Direction::Down => self.down,
        }
    }

    /// Whether a connection is half-open that was accepted at this `discard_count`.
    fn has_lost(&self, count_at_accept: u64) -> bool {
        self.discards || self.discard_count != count_at_accept
    }

    fn of_mut(&mut self, direction: Direction) -> &mut DirectionFaults {
        match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        }
    }
}

/// The open connections and the counters.
#[derive(Default)]
struct ProxyState {
    /// Dropping the sender closes the connection. Oldest first.
    live: Mutex<BTreeMap<u64, oneshot::Sender<()>>>,
    accepted: AtomicU64,
    refused: AtomicU64,
    up_bytes: AtomicU64,
    down_bytes: AtomicU64,
    discarded_bytes: AtomicU64,
}

impl ProxyState {
    fn live(&self) -> MutexGuard<'_, BTreeMap<u64, oneshot::Sender<()>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn passed(&self, direction: Direction) -> &AtomicU64 {
        match direction {
            Direction::Up => &self.up_bytes,
            Direction::Down => &self.down_bytes,
        }
    }
}

/// A listener on a free port of loopback that forwards to a target. Dropping it closes all
/// connections.
pub struct Proxy {
    address: SocketAddr,
    faults: watch::Sender<Faults>,
    state: Arc<ProxyState>,
    /// Aborts its tasks when dropped.
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 and forwards to `target`, which need not listen yet.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (faults, seen) = watch::channel(Faults::default());
        let state = Arc::new(ProxyState::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, target, seen, state.clone()));
        Ok(Self { address, faults, state, _tasks: tasks })
    }

    /// The address of the listener.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Resets every open connection on both sides and returns their number.
    pub fn cut(&self) -> usize {
        std::mem::take(&mut *self.state.live()).len()
    }

    /// Resets the oldest open connection; false when there is none.
    pub fn cut_one(&self) -> bool {
        self.state.live().pop_first().is_some()
    }

    /// Resets each new connection at once.
    pub fn refuse(&self) {
        self.faults.send_modify(|faults| faults.refuses = true);
    }

    /// Holds back the traffic of one direction without losing any: connections stay open and the
    /// proxy stops reading.
    pub fn stall(&self, direction: Direction) {
        self.faults.send_modify(|faults| faults.of_mut(direction).is_stalled = true);
    }

    /// Delays the traffic of one direction.
    pub fn delay(&self, direction: Direction, by: Duration) {
        self.faults.send_modify(|faults| faults.of_mut(direction).delay = by);
    }

    /// Makes every open and new connection half-open: the proxy discards its bytes and forwards no
    /// close. Such a connection stays half-open after [`Proxy::restore`]; new ones work.
    pub fn discard(&self) {
        self.faults.send_modify(|faults| {
            faults.discards = true;
            faults.discard_count += 1;
        });
    }

    /// Stops all faults. Stalled traffic passes; cut connections and discarded bytes are lost.
    pub fn restore(&self) {
        self.faults.send_modify(|faults| {
            *faults = Faults { discard_count: faults.discard_count, ..Faults::default() };
        });
    }

    /// The counters so far.
    pub fn counts(&self) -> Counts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            live: self.state.live().len(),
            accepted: of(&self.state.accepted),
            refused: of(&self.state.refused),
            up_bytes: of(&self.state.up_bytes),
            down_bytes: of(&self.state.down_bytes),
            discarded_bytes: of(&self.state.discarded_bytes),
        }
    }
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy")
            .field("address", &self.address)
            .field("faults", &*self.faults.borrow())
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

async fn accept(
    listener: TcpListener,
    target: SocketAddr,
    faults: watch::Receiver<Faults>,
    state: Arc<ProxyState>,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        // No file descriptor is left, or the client has closed it; the next may succeed.
        let Ok((stream, _)) = accepted else { continue };
        if faults.borrow().refuses {
            state.refused.fetch_add(1, Ordering::Relaxed);
            reset(&stream);
            continue;
        }
        let number = state.accepted.fetch_add(1, Ordering::Relaxed);
        let (close, closed) = oneshot::channel();
        state.live().insert(number, close);
        let (faults, state) = (faults.clone(), state.clone());
        connections.spawn(async move {
            connection::run(stream, target, faults, &state, closed).await;
            state.live().remove(&number);
        });
    }
}

/// Makes the drop of a stream a reset instead of a close.
fn reset(stream: &TcpStream) {
    // Fails when the connection is closed already.
    let _ = stream.set_zero_linger();
}
