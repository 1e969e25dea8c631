//! The relation of this server to the store and to its peers.

mod leader_lease;
mod peer_events;
mod store_health;

pub(crate) use leader_lease::{LeaderLease, Leadership};
pub(crate) use peer_events::PeerEventLoop;
pub(crate) use store_health::{StoreHealth, until_unreachable};
