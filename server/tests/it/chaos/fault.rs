//! What can be done to an installation, and how it is undone.

mod stores;

use std::time::Duration;

use rustix::process::Signal;
use sentinel_faults::{Direction, Proxy};

use super::site::Site;
use crate::harness::{PATIENCE, pass};

/// What is added to each way of a slow network.
const DELAY: Duration = Duration::from_millis(150);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// kill -9, and a start.
    KillServer,
    /// SIGTERM, and a start.
    StopServer,
    /// SIGSTOP, and SIGCONT later.
    FreezeServer,
    /// kill -9; another one comes.
    KillWorker,
    /// SIGTERM; another one comes.
    StopWorker,
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
    /// kill -9, and a start later.
    KillRedis,
    FreezeRedis,
    /// From all servers or from one, as in all that follow.
    CutRedis,
    IsolateRedis,
    StallRedis,
    StallFromRedis,
    SlowRedis,
    HalfOpenRedis,
    KillLedger,
    FreezeLedger,
    CutLedger,
    IsolateLedger,
    StallLedger,
    StallFromLedger,
    SlowLedger,
    HalfOpenLedger,
}

impl Fault {
    /// Of one server. Those that a short round can not wait for come last.
    pub(super) const OF_ONE: [Self; 17] = [
        Self::KillServer,
        Self::StopServer,
        Self::FreezeServer,
        Self::KillWorker,
        Self::StopWorker,
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

    /// Those of one server that a short round can wait for.
    pub(super) const SHORT_OF_ONE: &[Self] = Self::OF_ONE.split_at(14).0;

    /// Of what several servers share.
    const OF_STORES: [Self; 16] = [
        Self::KillRedis,
        Self::FreezeRedis,
        Self::CutRedis,
        Self::IsolateRedis,
        Self::StallRedis,
        Self::StallFromRedis,
        Self::SlowRedis,
        Self::KillLedger,
        Self::FreezeLedger,
        Self::CutLedger,
        Self::IsolateLedger,
        Self::StallLedger,
        Self::StallFromLedger,
        Self::SlowLedger,
        Self::HalfOpenRedis,
        Self::HalfOpenLedger,
    ];

    /// Of several servers.
    pub(super) fn of_many() -> Vec<Self> {
        let (of_each, _) = Self::OF_ONE.split_at(16);
        [of_each, &Self::OF_STORES].concat()
    }

    /// Those of several servers that a short round can wait for.
    pub(super) fn short_of_many() -> Vec<Self> {
        [Self::SHORT_OF_ONE, Self::OF_STORES.split_at(14).0].concat()
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::KillServer => "kill_server",
            Self::StopServer => "stop_server",
            Self::FreezeServer => "freeze_server",
            Self::KillWorker => "kill_worker",
            Self::StopWorker => "stop_worker",
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
            Self::KillRedis => "kill_redis",
            Self::FreezeRedis => "freeze_redis",
            Self::CutRedis => "cut_redis",
            Self::IsolateRedis => "isolate_redis",
            Self::StallRedis => "stall_redis",
            Self::StallFromRedis => "stall_from_redis",
            Self::SlowRedis => "slow_redis",
            Self::HalfOpenRedis => "half_open_redis",
            Self::KillLedger => "kill_ledger",
            Self::FreezeLedger => "freeze_ledger",
            Self::CutLedger => "cut_ledger",
            Self::IsolateLedger => "isolate_ledger",
            Self::StallLedger => "stall_ledger",
            Self::StallFromLedger => "stall_from_ledger",
            Self::SlowLedger => "slow_ledger",
            Self::HalfOpenLedger => "half_open_ledger",
        }
    }
}

/// Breaks the network with `fault` for so long.
async fn network(proxies: &[Proxy], length: Duration, fault: impl Fn(&Proxy)) {
    proxies.iter().for_each(fault);
    pass(length).await;
    proxies.iter().for_each(Proxy::restore);
}

fn isolate(proxy: &Proxy) {
    proxy.refuse();
    proxy.cut();
}

fn slow(proxy: &Proxy) {
    proxy.delay(Direction::Up, DELAY);
    proxy.delay(Direction::Down, DELAY);
}

impl Site {
    /// Does it, lets it last, and ends it.
    pub(crate) async fn strike(&mut self, fault: Fault, length: Duration) {
        self.note(fault, length);
        let one = std::slice::from_ref;
        let (workers, clients) = (one(&self.to_workers), one(&self.to_clients));
        match fault {
            Fault::KillServer => {
                let server = self.next_server();
                server.kill().await;
                server.restart().await;
            }
            Fault::StopServer => {
                let has_holes = self.has_holes();
                let server = self.next_server();
                server.signal(Signal::TERM);
                let status = server.end(PATIENCE).await;
                // A half-open connection is waited for until the drain is over.
                assert!(status.success() || has_holes, "the drain was not clean: {status}");
                server.restart().await;
            }
            Fault::FreezeServer => {
                let server = self.next_server();
                server.signal(Signal::STOP);
                pass(length).await;
                server.signal(Signal::CONT);
            }
            Fault::KillWorker => {
                self.next_worker().kill().await;
                self.replace_worker();
            }
            Fault::StopWorker => {
                let worker = self.next_worker();
                worker.signal(Signal::TERM);
                worker.end(PATIENCE).await;
                self.replace_worker();
            }
            Fault::FreezeWorker => {
                let worker = self.next_worker();
                worker.signal(Signal::STOP);
                pass(length).await;
                worker.signal(Signal::CONT);
            }
            Fault::CutWorkers => _ = self.to_workers.cut(),
            Fault::CutClients => _ = self.to_clients.cut(),
            Fault::IsolateWorkers => network(workers, length, isolate).await,
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
            of_stores => self.strike_stores(of_stores, length).await,
        }
    }
}
