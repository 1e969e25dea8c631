//! The open connections of a listener. A client above its share, or a new client of a full
//! listener, takes the place of the connection that is idle for the longest time.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::activity::Activity;
use super::limits::ConnectionLimits;
use crate::admission::client_limits::client_of;

pub(super) struct ConnectionTable {
    limits: ConnectionLimits,
    open: Mutex<OpenConnections>,
}

#[derive(Default)]
struct OpenConnections {
    next_id: u64,
    by_id: HashMap<u64, Entry>,
    per_client: HashMap<IpAddr, usize>,
}

struct Entry {
    client: IpAddr,
    activity: Arc<Activity>,
    closed: CancellationToken,
}

/// An open connection. It is in the table until it is dropped or loses its place.
pub(super) struct Place {
    id: u64,
    table: Arc<ConnectionTable>,
    pub(super) activity: Arc<Activity>,
    /// Cancelled when another connection took the place.
    pub(super) closed: CancellationToken,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.table.lock().remove(self.id);
    }
}

impl ConnectionTable {
    pub(super) fn new(limits: ConnectionLimits) -> Self {
        Self { limits, open: Mutex::default() }
    }

    /// Returns a place for a new connection. Returns `None` when nothing may be closed for it.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let client = client_of(address);
        let mut open = self.lock();
        let of_client = open.per_client.get(&client).copied().unwrap_or_default();
        if of_client >= self.limits.client_max {
            open.close_one(Some(client), self.limits.closes_busy)?;
        } else if open.by_id.len() >= self.limits.max {
            let largest = open.per_client.iter().max_by_key(|(_, count)| **count);
            let largest = largest.map(|(client, _)| *client);
            let closed = open.close_one(largest, false).or_else(|| open.close_one(None, false));
            if closed.is_none() {
                // Every connection has a request.
                self.limits.closes_busy.then(|| open.close_one(largest, true))??;
            }
        }
        let (activity, closed) = (Arc::new(Activity::new()), CancellationToken::new());
        let id = open.next_id;
        open.next_id += 1;
        *open.per_client.entry(client).or_default() += 1;
        let entry = Entry { client, activity: activity.clone(), closed: closed.clone() };
        open.by_id.insert(id, entry);
        Some(Place { id, table: self.clone(), activity, closed })
    }

    /// Closes the connection that is idle for the longest time, of any client.
    pub(super) fn close_idle(&self) {
        let _ = self.lock().close_one(None, false);
    }

    fn lock(&self) -> MutexGuard<'_, OpenConnections> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenConnections {
    /// Closes the connection that is idle for the longest time, of one client or of all. Without
    /// an idle one it closes the one with the oldest request, if that is allowed.
    fn close_one(&mut self, client: Option<IpAddr>, closes_busy: bool) -> Option<()> {
        let entries = self.by_id.iter();
        let entries = entries.filter(|(_, entry)| client.is_none_or(|one| entry.client == one));
        let states = entries.map(|(id, entry)| (entry.activity.busy_since(), *id));
        let ((is_busy, _), id) = states.min()?;
        if is_busy && !closes_busy {
            return None;
        }
        self.remove(id).map(|entry| entry.closed.cancel())
    }

    fn remove(&mut self, id: u64) -> Option<Entry> {
        let entry = self.by_id.remove(&id)?;
        if let Some(count) = self.per_client.get_mut(&entry.client) {
            *count -= 1;
            if *count == 0 {
                self.per_client.remove(&entry.client);
            }
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn table(max: usize, client_max: usize, closes_busy: bool) -> Arc<ConnectionTable> {
        let time = Duration::from_secs(9);
        let limits = ConnectionLimits {
            max,
            client_max,
            closes_busy,
            head_timeout: time,
            idle_timeout: time,
        };
        Arc::new(ConnectionTable::new(limits))
    }

    fn client(number: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, number])
    }

    #[test]
    fn the_longest_idle_connection_of_a_client_above_its_share_is_closed() {
        let table = table(100, 3, false);
        let places: Vec<_> = (0..3).map(|_| table.admit(client(1)).unwrap()).collect();
        let request = places[0].activity.begin_request();
        let other = table.admit(client(2)).unwrap();
        let fourth = table.admit(client(1)).expect("an idle one is closed");
        let closed = |place: &Place| place.closed.is_cancelled();
        assert!(!closed(&places[0]) && closed(&places[1]) && !closed(&places[2]));
        let _requests = (places[2].activity.begin_request(), fourth.activity.begin_request());
        assert!(table.admit(client(1)).is_none(), "all three have a request");
        drop(request);
        let _fifth = table.admit(client(1)).expect("the first one is idle");
        assert!(closed(&places[0]) && !closed(&other));
    }

    #[test]
    fn a_new_client_takes_the_place_of_the_client_with_the_most_connections() {
        let table = table(5, 4, false);
        let many: Vec<_> = (0..4).map(|_| table.admit(client(1)).unwrap()).collect();
        let one = table.admit(client(2)).unwrap();
        let _new = table.admit(client(3)).expect("a place");
        assert!(many[0].closed.is_cancelled() && !one.closed.is_cancelled());
        drop((many, one));
        let open = table.lock();
        assert_eq!((open.by_id.len(), open.per_client.len()), (1, 1));
    }

    #[test]
    fn a_listener_for_probes_closes_the_oldest_request_when_all_are_busy() {
        let table = table(2, 2, true);
        let places = [table.admit(client(1)).unwrap(), table.admit(client(1)).unwrap()];
        let _requests = [places[0].activity.begin_request(), places[1].activity.begin_request()];
        let _third = table.admit(client(1)).expect("a place");
        assert!(places[0].closed.is_cancelled());
    }
}
