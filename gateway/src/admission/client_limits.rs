//! The limits of each client: requests per second and requests in flight. A client is an IPv4
//! address or an IPv6 /64, which is what a network usually assigns to one subscriber.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::GatewayError;
use crate::settings::Limits;

/// The limit of requests of one client that wait for others of the client.
const WAITING_MAX: usize = 1_024;

pub(super) struct ClientLimits {
    limits: Limits,
    rate: Option<DefaultKeyedRateLimiter<IpAddr>>,
    clients: Arc<Clients>,
}

/// The clients with requests in flight.
#[derive(Default)]
struct Clients(Mutex<HashMap<IpAddr, InFlight>>);

/// The requests of one client.
struct InFlight {
    permits: Arc<Semaphore>,
    /// Requests with a permit and requests that wait for one.
    requests: usize,
}

/// Counts as one request in flight of its client until it is dropped.
pub(super) struct InFlightPermit {
    permit: Option<OwnedSemaphorePermit>,
    client: IpAddr,
    clients: Arc<Clients>,
}

impl Drop for InFlightPermit {
    fn drop(&mut self) {
        self.permit = None;
        let mut clients = self.clients.lock();
        if let Some(in_flight) = clients.get_mut(&self.client) {
            in_flight.requests -= 1;
            if in_flight.requests == 0 {
                clients.remove(&self.client);
            }
        }
    }
}

impl Clients {
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, InFlight>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientLimits {
    pub(super) fn new(limits: Limits) -> Self {
        let rate = NonZeroU32::new(limits.requests_per_second);
        let quota =
            |rate: NonZeroU32| Quota::per_second(rate).allow_burst(rate.saturating_add(rate.get()));
        let rate = rate.map(|rate| RateLimiter::keyed(quota(rate)));
        Self { limits, rate, clients: Arc::default() }
    }

    /// Admits one request of a client, or refuses it with the limit that it exceeds. A request
    /// above the limit in flight waits for a short time, in the order of arrival.
    pub(super) async fn acquire(&self, address: IpAddr) -> Result<InFlightPermit, GatewayError> {
        let client = client_of(address);
        if let Some(rate) = &self.rate {
            rate.check_key(&client).map_err(|until| {
                let wait = until.wait_time_from(DefaultClock::default().now());
                GatewayError::rate_limited(self.limits.requests_per_second, wait)
            })?;
        }
        let max = self.limits.in_flight_max as usize;
        let limit = if max == 0 { Semaphore::MAX_PERMITS } else { max };
        let permits = {
            let mut clients = self.clients.lock();
            let new = || InFlight { permits: Arc::new(Semaphore::new(limit)), requests: 0 };
            let in_flight = clients.entry(client).or_insert_with(new);
            if in_flight.requests >= limit.saturating_add(WAITING_MAX) {
                return Err(GatewayError::too_many_in_flight(self.limits.in_flight_max));
            }
            in_flight.requests += 1;
            in_flight.permits.clone()
        };
        // Created before the wait, so that a request that is given up is counted no longer.
        let mut admitted = InFlightPermit { permit: None, client, clients: self.clients.clone() };
        let permit = tokio::time::timeout(self.limits.in_flight_wait, permits.acquire_owned());
        match permit.await {
            Ok(permit) => admitted.permit = Some(permit.expect("the semaphore stays open")),
            Err(_) => return Err(GatewayError::too_many_in_flight(self.limits.in_flight_max)),
        }
        Ok(admitted)
    }

    pub(super) fn forget_idle(&self) {
        if let Some(rate) = &self.rate {
            rate.retain_recent();
        }
    }
}

/// Returns the key that the limits of an address are counted under.
pub(crate) fn client_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => IpAddr::V4(address),
            None => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        },
    }
}
