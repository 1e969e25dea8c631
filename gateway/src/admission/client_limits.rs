//! The limits of each client: requests per second and requests in flight. A client is an IPv4
//! address or an IPv6 /64, which is what a network usually assigns to one subscriber.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::error::GatewayError;
use crate::settings::Limits;

pub(super) struct ClientLimits {
    limits: Limits,
    rate: Option<DefaultKeyedRateLimiter<IpAddr>>,
    in_flight: Arc<InFlightCounts>,
}

#[derive(Default)]
struct InFlightCounts(Mutex<HashMap<IpAddr, u32>>);

/// Counts as one request in flight of its client until it is dropped.
pub(super) struct InFlightPermit {
    client: IpAddr,
    counts: Arc<InFlightCounts>,
}

impl Drop for InFlightPermit {
    fn drop(&mut self) {
        let mut counts = self.counts.lock();
        if let Some(count) = counts.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.client);
            }
        }
    }
}

impl InFlightCounts {
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientLimits {
    pub(super) fn new(limits: Limits) -> Self {
        let rate = NonZeroU32::new(limits.requests_per_second);
        let quota =
            |rate: NonZeroU32| Quota::per_second(rate).allow_burst(rate.saturating_add(rate.get()));
        let rate = rate.map(|rate| RateLimiter::keyed(quota(rate)));
        Self { limits, rate, in_flight: Arc::default() }
    }

    /// Admits one request of a client, or refuses it with the limit that it exceeds.
    pub(super) fn acquire(&self, address: IpAddr) -> Result<InFlightPermit, GatewayError> {
        let client = client_of(address);
        if let Some(rate) = &self.rate {
            rate.check_key(&client).map_err(|until| {
                let wait = until.wait_time_from(DefaultClock::default().now());
                GatewayError::rate_limited(self.limits.requests_per_second, wait)
            })?;
        }
        let mut counts = self.in_flight.lock();
        let count = counts.entry(client).or_default();
        if self.limits.in_flight_max > 0 && *count >= self.limits.in_flight_max {
            return Err(GatewayError::too_many_in_flight(self.limits.in_flight_max));
        }
        *count += 1;
        Ok(InFlightPermit { client, counts: self.in_flight.clone() })
    }

    pub(super) fn forget_idle(&self) {
        if let Some(rate) = &self.rate {
            rate.retain_recent();
        }
    }
}

/// Returns the key that the limits of an address are counted under.
fn client_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => IpAddr::V4(address),
            None => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        },
    }
}
