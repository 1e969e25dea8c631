//! What can be done to an installation, and how it is undone.

use std::time::Duration;

use rustix::process::Signal;
use sentinel_faults::{Direction, Proxy};

use super::site::Site;
use crate::harness::{PATIENCE, pass};

/// What is added to each way of a slow network.
const DELAY: Duration = Duration::from_millis(150);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// kill -9, and a start.
    KillServer,
    /// SIGTERM, and a start.
    StopServer,
    /// SIGSTOP, and SIGCONT later.
    FreezeServer,
    /// kill -9; another one comes.
    KillWorker,
    FreezeWorker,
    CutWorkers,
    CutClients,
    /// Cut, and nobody gets through for a time.
    IsolateWorkers,
    StallUp,
    StallDown,
    StallClients,
    SlowWorkers,
    SlowClients,
    HalfOpenWorkers,
    HalfOpenClients,
    FillDisk,
}

impl Fault {
    /// Those that a short round can not wait for come last.
    pub(super) const ALL: [Fault; 16] = [
        Self::KillServer,
        Self::StopServer,
        Self::FreezeServer,
        Self::KillWorker,
        Self::FreezeWorker,
        Self::CutWorkers,
        Self::CutClients,
        Self::IsolateWorkers,
        Self::StallUp,
        Self::StallDown,
        Self::StallClients,
        Self::SlowWorkers,
        Self::SlowClients,
        Self::HalfOpenWorkers,
        Self::HalfOpenClients,
        Self::FillDisk,
    ];

    /// Those that a short round can wait for.
    pub(super) const SHORT: &[Fault] = Self::ALL.split_at(13).0;

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::KillServer => "kill_server",
            Self::StopServer => "stop_server",
            Self::FreezeServer => "freeze_server",
            Self::KillWorker => "kill_worker",
            Self::FreezeWorker => "freeze_worker",
            Self::CutWorkers => "cut_workers",
            Self::CutClients => "cut_clients",
            Self::IsolateWorkers => "isolate_workers",
            Self::StallUp => "stall_workers_up",
            Self::StallDown => "stall_workers_down",
            Self::StallClients => "stall_clients",
            Self::SlowWorkers => "slow_workers",
            Self::SlowClients => "slow_clients",
            Self::HalfOpenWorkers => "half_open_workers",
            Self::HalfOpenClients => "half_open_clients",
            Self::FillDisk => "fill_disk",
        }
    }
}

/// Breaks the network with `fault` for so long.
async fn network(proxy: &Proxy, length: Duration, fault: impl FnOnce(&Proxy)) {
    fault(proxy);
    pass(length).await;
    proxy.restore();
}

impl Site {
    /// Does it, lets it last, and ends it.
    pub(super) async fn strike(&mut self, fault: Fault, length: Duration) {
        self.note(fault, length);
        let (workers, clients) = (&self.to_workers, &self.to_clients);
        match fault {
            Fault::KillServer => {
                self.world.server.kill().await;
                self.world.server.restart().await;
            }
            Fault::StopServer => {
                self.world.server.signal(Signal::TERM);
                let status = self.world.server.end(PATIENCE).await;
                // A half-open connection is waited for until the drain is over.
                assert!(status.success() || self.has_holes(), "the drain was not clean: {status}");
                self.world.server.restart().await;
            }
            Fault::FreezeServer => {
                self.world.server.signal(Signal::STOP);
                pass(length).await;
                self.world.server.signal(Signal::CONT);
            }
            Fault::KillWorker => self.replace_worker().await,
            Fault::FreezeWorker => {
                let worker = self.next_worker();
                worker.signal(Signal::STOP);
                pass(length).await;
                worker.signal(Signal::CONT);
            }
            Fault::CutWorkers => {
                workers.cut();
            }
            Fault::CutClients => {
                clients.cut();
            }
            Fault::IsolateWorkers => {
                workers.refuse();
                network(workers, length, |proxy| _ = proxy.cut()).await;
            }
            Fault::StallUp => network(workers, length, |p| p.stall(Direction::Up)).await,
            Fault::StallDown => network(workers, length, |p| p.stall(Direction::Down)).await,
            Fault::StallClients => {
                network(clients, length, |p| p.stall(Direction::Down)).await;
            }
            Fault::SlowWorkers => network(workers, length, slow).await,
            Fault::SlowClients => network(clients, length, slow).await,
            Fault::HalfOpenWorkers => network(workers, length, Proxy::swallow).await,
            Fault::HalfOpenClients => network(clients, length, Proxy::swallow).await,
            Fault::FillDisk => self.fill_disk(length).await,
        }
    }
}

fn slow(proxy: &Proxy) {
    proxy.delay(Direction::Up, DELAY);
    proxy.delay(Direction::Down, DELAY);
}
