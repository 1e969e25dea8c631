//! What is done to a network.

use std::time::Duration;

use sentinel_faults::{Direction, Proxy};

use super::{Fault, Target};
use crate::chaos::site::Site;

/// What is added to each way of a slow network.
const DELAY: Duration = Duration::from_millis(150);

impl Fault {
    /// Does it to one way.
    fn break_way(self, way: &Proxy) {
        match self {
            Self::CutWorkers | Self::CutClients | Self::CutRedis | Self::CutLedger => {
                way.cut();
            }
            Self::IsolateWorkers | Self::IsolateRedis | Self::IsolateLedger => {
                way.refuse();
                way.cut();
            }
            Self::StallUp | Self::StallRedis | Self::StallLedger => way.stall(Direction::Up),
            Self::StallDown | Self::StallClients | Self::StallFromRedis | Self::StallFromLedger => {
                way.stall(Direction::Down)
            }
            Self::SlowWorkers | Self::SlowClients | Self::SlowRedis | Self::SlowLedger => {
                way.delay(Direction::Up, DELAY);
                way.delay(Direction::Down, DELAY);
            }
            Self::HalfOpenWorkers
            | Self::HalfOpenClients
            | Self::HalfOpenRedis
            | Self::HalfOpenLedger => way.swallow(),
            other => unreachable!("{other:?} is no fault of a network"),
        }
    }
}

impl Site {
    fn ways(&mut self, target: Target) -> &[Proxy] {
        match target {
            Target::ToClients => std::slice::from_ref(&self.to_clients),
            Target::ToWorkers => std::slice::from_ref(&self.to_workers),
            Target::ToRedis => &self.stores().to_redis,
            Target::ToLedger => &self.stores().to_ledger,
            other => unreachable!("{other:?} is no network"),
        }
    }

    /// Breaks the way of one server, or those of all, in turns.
    pub(super) fn break_network(&mut self, fault: Fault) {
        let turn = self.next_turn();
        let ways = self.ways(fault.target());
        let some = match turn % (ways.len() + 1) {
            0 => ways,
            nth => &ways[nth - 1..nth],
        };
        some.iter().for_each(|way| fault.break_way(way));
    }

    pub(super) fn mend_network(&mut self, target: Target) {
        self.ways(target).iter().for_each(Proxy::restore);
    }
}
