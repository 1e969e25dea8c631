//! Faults of what several servers share, and of the ways there.

use std::time::Duration;

use sentinel_faults::{Direction, Proxy};

use super::{Fault, isolate, network, slow};
use crate::chaos::site::Site;
use crate::harness::pass;

/// The way of one server, or those of all, in turns.
fn some(ways: &[Proxy], turn: usize) -> &[Proxy] {
    match turn % (ways.len() + 1) {
        0 => ways,
        nth => &ways[nth - 1..nth],
    }
}

impl Site {
    pub(super) async fn strike_stores(&mut self, fault: Fault, length: Duration) {
        let turn = self.next_turn();
        let stores = self.stores();
        let (to_redis, to_ledger) = (some(&stores.to_redis, turn), some(&stores.to_ledger, turn));
        let up = |proxy: &Proxy| proxy.stall(Direction::Up);
        let down = |proxy: &Proxy| proxy.stall(Direction::Down);
        let cut = |proxy: &Proxy| _ = proxy.cut();
        match fault {
            Fault::KillRedis => {
                stores.redis.kill();
                pass(length).await;
                // Waits for its process without the runtime.
                tokio::task::block_in_place(|| stores.redis.restart());
            }
            Fault::FreezeRedis => {
                stores.redis.pause();
                pass(length).await;
                stores.redis.resume();
            }
            Fault::KillLedger => {
                stores.ledger.kill();
                pass(length).await;
                tokio::task::block_in_place(|| stores.ledger.restart());
            }
            Fault::FreezeLedger => {
                stores.ledger.pause();
                pass(length).await;
                stores.ledger.resume();
            }
            Fault::CutRedis => to_redis.iter().for_each(cut),
            Fault::IsolateRedis => network(to_redis, length, isolate).await,
            Fault::StallRedis => network(to_redis, length, up).await,
            Fault::StallFromRedis => network(to_redis, length, down).await,
            Fault::SlowRedis => network(to_redis, length, slow).await,
            Fault::HalfOpenRedis => network(to_redis, length, Proxy::swallow).await,
            Fault::CutLedger => to_ledger.iter().for_each(cut),
            Fault::IsolateLedger => network(to_ledger, length, isolate).await,
            Fault::StallLedger => network(to_ledger, length, up).await,
            Fault::StallFromLedger => network(to_ledger, length, down).await,
            Fault::SlowLedger => network(to_ledger, length, slow).await,
            Fault::HalfOpenLedger => network(to_ledger, length, Proxy::swallow).await,
            other => unreachable!("{other:?} is no fault of a store"),
        }
    }
}
