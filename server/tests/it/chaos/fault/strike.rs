//! How a fault begins and ends, alone or beside another one.

use std::time::Duration;

use rustix::process::Signal;

use super::{Fault, Target};
use crate::chaos::site::Site;
use crate::harness::{PATIENCE, pass};

/// A drain of a server takes up to 10 s, and its last writes as long.
const STOPS_WITHIN: Duration = Duration::from_secs(10 + 10 + 20);

/// What ends a fault.
enum Undo {
    Nothing,
    StartServer(usize),
    WakeServer(usize),
    WakeWorker(usize),
    Network(Target),
    StartRedis,
    WakeRedis,
    StartLedger,
    WakeLedger,
    FreeDisk,
}

impl Site {
    /// Does it, lets it last, and ends it.
    pub(crate) async fn strike(&mut self, fault: Fault, length: Duration) {
        self.note(fault, length);
        let undo = self.begin(fault, false).await;
        if !matches!(undo, Undo::Nothing) {
            pass(length).await;
        }
        self.end(undo).await;
    }

    /// Two at once: the second begins when half of the first is over, and ends after it.
    pub(crate) async fn strike_twice(&mut self, [first, second]: [Fault; 2], length: Duration) {
        self.note(first, length);
        let undo_first = self.begin(first, true).await;
        pass(length / 2).await;
        self.note(second, length);
        let undo_second = self.begin(second, true).await;
        pass(length / 2).await;
        // A server does not start without its stores.
        if matches!(undo_first, Undo::StartServer(_)) {
            pass(length / 2).await;
            self.end(undo_second).await;
            self.end(undo_first).await;
        } else {
            self.end(undo_first).await;
            pass(length / 2).await;
            self.end(undo_second).await;
        }
    }

    async fn begin(&mut self, fault: Fault, has_company: bool) -> Undo {
        match fault {
            Fault::KillServer => {
                let at = self.next_server();
                self.servers[at].kill().await;
                Undo::StartServer(at)
            }
            Fault::StopServer => {
                let at = self.next_server();
                self.servers[at].signal(Signal::TERM);
                let status = self.servers[at].end(STOPS_WITHIN).await;
                // A half-open connection is waited for until the drain is over.
                let may_be_late = has_company || self.has_holes();
                assert!(status.success() || may_be_late, "the drain was not clean: {status}");
                Undo::StartServer(at)
            }
            Fault::FreezeServer => {
                let at = self.next_server();
                self.servers[at].signal(Signal::STOP);
                Undo::WakeServer(at)
            }
            Fault::KillWorker => {
                let at = self.next_worker();
                self.fleet[at].1.kill().await;
                self.fleet[at] = self.hire();
                Undo::Nothing
            }
            Fault::StopWorker => {
                let at = self.next_worker();
                self.fleet[at].1.signal(Signal::TERM);
                self.fleet[at].1.end(PATIENCE).await;
                self.fleet[at] = self.hire();
                Undo::Nothing
            }
            Fault::FreezeWorker => {
                let at = self.next_worker();
                self.fleet[at].1.signal(Signal::STOP);
                Undo::WakeWorker(at)
            }
            Fault::FillDisk => self.fill_disk(),
            of_store => self.begin_at_stores(of_store),
        }
    }

    fn begin_at_stores(&mut self, fault: Fault) -> Undo {
        match fault {
            Fault::KillRedis => {
                self.stores().redis.kill();
                Undo::StartRedis
            }
            Fault::FreezeRedis => {
                self.stores().redis.pause();
                Undo::WakeRedis
            }
            Fault::KillLedger => {
                self.stores().ledger.kill();
                Undo::StartLedger
            }
            Fault::FreezeLedger => {
                self.stores().ledger.pause();
                Undo::WakeLedger
            }
            Fault::CutWorkers | Fault::CutClients | Fault::CutRedis | Fault::CutLedger => {
                self.break_network(fault);
                Undo::Nothing
            }
            of_network => {
                self.break_network(of_network);
                Undo::Network(of_network.target())
            }
        }
    }

    /// Left out where no disk can be mounted.
    fn fill_disk(&mut self) -> Undo {
        if let Some(disk) = &self.disk {
            disk.fill(0);
            return Undo::FreeDisk;
        }
        self.faults.remove(Fault::FillDisk.name());
        println!("fill_disk is left out: only root may mount a disk");
        Undo::Nothing
    }

    async fn end(&mut self, undo: Undo) {
        match undo {
            Undo::Nothing => {}
            Undo::StartServer(at) => self.servers[at].restart().await,
            Undo::WakeServer(at) => self.servers[at].signal(Signal::CONT),
            Undo::WakeWorker(at) => self.fleet[at].1.signal(Signal::CONT),
            Undo::Network(target) => self.mend_network(target),
            // They wait for their process without the runtime.
            Undo::StartRedis => tokio::task::block_in_place(|| self.stores().redis.restart()),
            Undo::StartLedger => tokio::task::block_in_place(|| self.stores().ledger.restart()),
            Undo::WakeRedis => self.stores().redis.resume(),
            Undo::WakeLedger => self.stores().ledger.resume(),
            Undo::FreeDisk => self.disk.iter().for_each(sentinel_faults::Disk::free),
        }
    }
}
