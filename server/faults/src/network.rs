//! A TCP proxy between two processes under test that cuts, stalls, delays or swallows what
//! passes. It knows nothing of what it carries, so it serves for gRPC as for the connections to
//! a store.

mod connection;
mod lane;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

/// One of the two ways through the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From whoever dialled to the target.
    Up,
    /// From the target back.
    Down,
}

/// What has passed so far, and what is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Open connections, half-open ones included.
    pub live: usize,
    /// Connections that were let in since the start.
    pub accepted: u64,
    /// Connections that were turned away since the start.
    pub refused: u64,
    /// Bytes written to the target.
    pub up_bytes: u64,
    /// Bytes written back.
    pub down_bytes: u64,
    /// Bytes that were read and never written.
    pub swallowed_bytes: u64,
}

/// What is done to one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct LaneFaults {
    is_stalled: bool,
    delay: Duration,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Faults {
    refuses: bool,
    swallows: bool,
    /// How often swallowing began: a connection from before has a hole.
    holes: u64,
    up: LaneFaults,
    down: LaneFaults,
}

impl Faults {
    fn lane(&self, direction: Direction) -> LaneFaults {
        match direction {
            Direction::Up => self.up,
            Direction::Down => self.down,
        }
    }

    /// Whether a connection that began after so many holes is half-open.
    fn has_lost(&self, holes_before: u64) -> bool {
        self.swallows || self.holes != holes_before
    }

    fn lane_mut(&mut self, direction: Direction) -> &mut LaneFaults {
        match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        }
    }
}

#[derive(Default)]
struct Shared {
    /// The way to end each open connection, oldest first.
    live: Mutex<BTreeMap<u64, oneshot::Sender<()>>>,
    accepted: AtomicU64,
    refused: AtomicU64,
    up_bytes: AtomicU64,
    down_bytes: AtomicU64,
    swallowed_bytes: AtomicU64,
}

impl Shared {
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

/// A listener on a free port of loopback that forwards to a target. Everything ends when it is
/// dropped.
pub struct Proxy {
    address: SocketAddr,
    faults: watch::Sender<Faults>,
    shared: Arc<Shared>,
    /// Held for its drop, which ends all of them.
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 and forwards to `target`, which need not listen yet.
    ///
    /// # Errors
    /// There is no port to listen on.
    pub async fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (faults, seen) = watch::channel(Faults::default());
        let shared = Arc::new(Shared::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, target, seen, shared.clone()));
        Ok(Self { address, faults, shared, _tasks: tasks })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Resets every open connection on both sides; answers how many there were.
    pub fn cut(&self) -> usize {
        // The connection ends when its sender is gone.
        std::mem::take(&mut *self.shared.live()).len()
    }

    /// Resets the oldest open connection; false when there is none.
    pub fn cut_one(&self) -> bool {
        self.shared.live().pop_first().is_some()
    }

    /// Resets each new connection as soon as it is there.
    pub fn refuse(&self) {
        self.faults.send_modify(|faults| faults.refuses = true);
    }

    /// Lets nothing pass in one direction, and loses nothing: both ends stay open, and what
    /// they send piles up before the proxy.
    pub fn stall(&self, direction: Direction) {
        self.faults.send_modify(|faults| faults.lane_mut(direction).is_stalled = true);
    }

    /// What passes in one direction arrives so much later.
    pub fn delay(&self, direction: Direction, by: Duration) {
        self.faults.send_modify(|faults| faults.lane_mut(direction).delay = by);
    }

    /// Every connection, open or new, becomes half-open: what is sent is taken and lost, and
    /// neither end hears that the other closed. Such a connection never carries a byte again,
    /// also after [`Proxy::restore`]; new ones do.
    pub fn swallow(&self) {
        self.faults.send_modify(|faults| {
            faults.swallows = true;
            faults.holes += 1;
        });
    }

    /// Ends all faults. What was stalled passes; what was cut or swallowed is lost.
    pub fn restore(&self) {
        self.faults.send_modify(|faults| {
            *faults = Faults { holes: faults.holes, ..Faults::default() };
        });
    }

    /// What has passed so far, and what is open.
    pub fn counts(&self) -> Counts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            live: self.shared.live().len(),
            accepted: of(&self.shared.accepted),
            refused: of(&self.shared.refused),
            up_bytes: of(&self.shared.up_bytes),
            down_bytes: of(&self.shared.down_bytes),
            swallowed_bytes: of(&self.shared.swallowed_bytes),
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
    shared: Arc<Shared>,
) {
    let mut connections = JoinSet::new();
    loop {
        let dialled = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        // Out of file descriptors or gone before it was taken: the next one may be well.
        let Ok((stream, _)) = dialled else { continue };
        if faults.borrow().refuses {
            shared.refused.fetch_add(1, Ordering::Relaxed);
            reset(&stream);
            continue;
        }
        let number = shared.accepted.fetch_add(1, Ordering::Relaxed);
        let (alive, ended) = oneshot::channel();
        shared.live().insert(number, alive);
        let (faults, shared) = (faults.clone(), shared.clone());
        connections.spawn(async move {
            connection::run(stream, target, faults, &shared, ended).await;
            shared.live().remove(&number);
        });
    }
}

/// Whoever holds the other end sees a reset instead of an end when this one is dropped.
fn reset(stream: &TcpStream) {
    // Fails when the connection is gone already.
    let _ = stream.set_zero_linger();
}
