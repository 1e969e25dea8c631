//! Network faults.

use std::time::Duration;

use sentinel_faults::{Direction, Proxy};

use super::{Fault, Target};
use crate::chaos::fixture::ChaosFixture;

/// The delay in each direction of a slow connection.
const DELAY: Duration = Duration::from_millis(150);

impl Fault {
    /// Applies the fault to one proxy.
    fn apply(self, proxy: &Proxy) {
        match self {
            Self::CutWorkers | Self::CutClients | Self::CutRedis | Self::CutLedger => {
                proxy.cut();
            }
            Self::IsolateWorkers | Self::IsolateRedis | Self::IsolateLedger => {
                proxy.refuse();
                proxy.cut();
            }
            Self::StallUp | Self::StallRedis | Self::StallLedger => proxy.stall(Direction::Up),
            Self::StallDown | Self::StallClients | Self::StallFromRedis | Self::StallFromLedger => {
                proxy.stall(Direction::Down)
            }
            Self::SlowWorkers | Self::SlowClients | Self::SlowRedis | Self::SlowLedger => {
                proxy.delay(Direction::Up, DELAY);
                proxy.delay(Direction::Down, DELAY);
            }
            Self::HalfOpenWorkers
            | Self::HalfOpenClients
            | Self::HalfOpenRedis
            | Self::HalfOpenLedger => proxy.discard(),
            other => unreachable!("{other:?} is not a network fault"),
        }
    }
}

impl ChaosFixture {
    fn proxies(&mut self, target: Target) -> &[Proxy] {
        match target {
            Target::ToClients => std::slice::from_ref(&self.to_clients),
            Target::ToWorkers => std::slice::from_ref(&self.to_workers),
            Target::ToRedis => &self.stores().to_redis,
            Target::ToLedger => &self.stores().to_ledger,
            other => unreachable!("{other:?} is not a network target"),
        }
    }

    /// Applies the fault to the connections of one server, or of all servers, in turn.
    pub(super) fn break_network(&mut self, fault: Fault) {
        let turn = self.next_turn();
        let proxies = self.proxies(fault.target());
        let affected = match turn % (proxies.len() + 1) {
            0 => proxies,
            nth => &proxies[nth - 1..nth],
        };
        affected.iter().for_each(|proxy| fault.apply(proxy));
    }

    pub(super) fn restore_network(&mut self, target: Target) {
        self.proxies(target).iter().for_each(Proxy::restore);
    }
}
