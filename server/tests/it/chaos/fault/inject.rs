//! Starts and ends faults, one or two at a time.

use std::time::Duration;

use rustix::process::Signal;

use super::{Fault, Target};
use crate::chaos::fixture::ChaosFixture;
use crate::harness::{TIMEOUT, let_fault_last};

/// A server drains for up to 10 s and then writes for up to 10 s.
const STOP_LIMIT: Duration = Duration::from_secs(10 + 10 + 20);

/// The action that ends a fault.
enum Undo {
    Nothing,
    StartServer(usize),
    ResumeServer(usize),
    ResumeWorker(usize),
    Network(Target),
    StartRedis,
    ResumeRedis,
    StartLedger,
    ResumeLedger,
    FreeDisk,
}

impl ChaosFixture {
    /// Starts a fault, keeps it for its duration and ends it.
    pub(crate) async fn inject(&mut self, fault: Fault, length: Duration) {
        self.record_fault(fault, length);
        let undo = self.start_fault(fault, false).await;
        if !matches!(undo, Undo::Nothing) {
            let_fault_last(length).await;
        }
        self.end_fault(undo).await;
    }

    /// Injects two overlapping faults: the second starts halfway through the first and ends later.
    pub(crate) async fn inject_pair(&mut self, [first, second]: [Fault; 2], length: Duration) {
        self.record_fault(first, length);
        let undo_first = self.start_fault(first, true).await;
        let_fault_last(length / 2).await;
        self.record_fault(second, length);
        let undo_second = self.start_fault(second, true).await;
        let_fault_last(length / 2).await;
        // A server does not start without its stores.
        if matches!(undo_first, Undo::StartServer(_)) {
            let_fault_last(length / 2).await;
            self.end_fault(undo_second).await;
            self.end_fault(undo_first).await;
        } else {
            self.end_fault(undo_first).await;
            let_fault_last(length / 2).await;
            self.end_fault(undo_second).await;
        }
    }

    async fn start_fault(&mut self, fault: Fault, is_paired: bool) -> Undo {
        match fault {
            Fault::KillServer => {
                let at = self.next_server();
                self.servers[at].kill().await;
                Undo::StartServer(at)
            }
            Fault::StopServer => {
                let at = self.next_server();
                self.servers[at].signal(Signal::TERM);
                let status = self.servers[at].wait_exit(STOP_LIMIT).await;
                // A drain waits for a half-open connection until its limit.
                let may_time_out = is_paired || self.has_half_open_connections();
                assert!(
                    status.success() || may_time_out,
                    "the server did not drain in time: {status}"
                );
                Undo::StartServer(at)
            }
            Fault::FreezeServer => {
                let at = self.next_server();
                self.servers[at].signal(Signal::STOP);
                Undo::ResumeServer(at)
            }
            Fault::KillWorker => {
                let at = self.next_worker();
                self.workers[at].1.kill().await;
                self.workers[at] = self.spawn_worker();
                Undo::Nothing
            }
            Fault::StopWorker => {
                let at = self.next_worker();
                self.workers[at].1.signal(Signal::TERM);
                self.workers[at].1.wait_exit(TIMEOUT).await;
                self.workers[at] = self.spawn_worker();
                Undo::Nothing
            }
            Fault::FreezeWorker => {
                let at = self.next_worker();
                self.workers[at].1.signal(Signal::STOP);
                Undo::ResumeWorker(at)
            }
            Fault::FillDisk => self.fill_disk(),
            other => self.start_store_or_network_fault(other),
        }
    }

    fn start_store_or_network_fault(&mut self, fault: Fault) -> Undo {
        match fault {
            Fault::KillRedis => {
                self.stores().redis.kill();
                Undo::StartRedis
            }
            Fault::FreezeRedis => {
                self.stores().redis.pause();
                Undo::ResumeRedis
            }
            Fault::KillLedger => {
                self.stores().ledger.kill();
                Undo::StartLedger
            }
            Fault::FreezeLedger => {
                self.stores().ledger.pause();
                Undo::ResumeLedger
            }
            Fault::CutWorkers | Fault::CutClients | Fault::CutRedis | Fault::CutLedger => {
                self.break_network(fault);
                Undo::Nothing
            }
            other => {
                self.break_network(other);
                Undo::Network(other.target())
            }
        }
    }

    /// Fills the disk; skipped where no disk can be mounted.
    fn fill_disk(&mut self) -> Undo {
        if let Some(disk) = &self.disk {
            disk.fill(0);
            return Undo::FreeDisk;
        }
        self.faults.remove(Fault::FillDisk.name());
        println!("skipped fill_disk: only root may mount a disk");
        Undo::Nothing
    }

    async fn end_fault(&mut self, undo: Undo) {
        match undo {
            Undo::Nothing => {}
            Undo::StartServer(at) => self.servers[at].restart().await,
            Undo::ResumeServer(at) => self.servers[at].signal(Signal::CONT),
            Undo::ResumeWorker(at) => self.workers[at].1.signal(Signal::CONT),
            Undo::Network(target) => self.restore_network(target),
            // These block the thread until the process is up.
            Undo::StartRedis => tokio::task::block_in_place(|| self.stores().redis.restart()),
            Undo::StartLedger => tokio::task::block_in_place(|| self.stores().ledger.restart()),
            Undo::ResumeRedis => self.stores().redis.resume(),
            Undo::ResumeLedger => self.stores().ledger.resume(),
            Undo::FreeDisk => self.disk.iter().for_each(sentinel_faults::Disk::free),
        }
    }
}
