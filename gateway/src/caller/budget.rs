//! What a client may do at a time and in a second. A client is an IPv4 address or the 64 bits
//! of an IPv6 address that a network gives to one of its members.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::refusal::Refusal;
use crate::settings::Limits;

pub(super) struct Budget {
    limits: Limits,
    rate: Option<DefaultKeyedRateLimiter<IpAddr>>,
    in_flight: Arc<Counts>,
}

#[derive(Default)]
struct Counts(Mutex<HashMap<IpAddr, u32>>);

/// One request of a client; given back when it is dropped.
pub(crate) struct Place {
    client: IpAddr,
    counts: Arc<Counts>,
}

impl Drop for Place {
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

impl Counts {
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Budget {
    pub(super) fn new(limits: Limits) -> Self {
        let rate = NonZeroU32::new(limits.requests_per_second);
        let quota =
            |rate: NonZeroU32| Quota::per_second(rate).allow_burst(rate.saturating_add(rate.get()));
        let rate = rate.map(|rate| RateLimiter::keyed(quota(rate)));
        Self { limits, rate, in_flight: Arc::default() }
    }

    pub(super) fn admit(&self, client: IpAddr) -> Result<Place, Refusal> {
        let client = member(client);
        if let Some(rate) = &self.rate {
            rate.check_key(&client).map_err(|until| {
                let wait = until.wait_time_from(DefaultClock::default().now());
                Refusal::too_fast(self.limits.requests_per_second, wait)
            })?;
        }
        let mut counts = self.in_flight.lock();
        let count = counts.entry(client).or_default();
        if self.limits.in_flight_max > 0 && *count >= self.limits.in_flight_max {
            return Err(Refusal::too_many_in_flight(self.limits.in_flight_max));
        }
        *count += 1;
        Ok(Place { client, counts: self.in_flight.clone() })
    }

    pub(super) fn forget_idle(&self) {
        if let Some(rate) = &self.rate {
            rate.retain_recent();
        }
    }
}

fn member(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => IpAddr::V4(address),
            None => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        },
    }
}
