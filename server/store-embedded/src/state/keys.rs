//! The holders of unique keys. A key with a time-to-live outlives its job.

use std::collections::BTreeMap;

use foldhash::HashMap;
use sentinel_domain::{JobId, Millis, UniqueKey};

struct Holder {
    id: JobId,
    /// `None`: until the job releases the key.
    until: Option<Millis>,
}

/// Unique keys and their holders.
#[derive(Default)]
pub(crate) struct UniqueKeys {
    held: HashMap<UniqueKey, Holder>,
    /// Keys with an expiry.
    by_expiry: BTreeMap<(Millis, JobId), UniqueKey>,
}

impl UniqueKeys {
    /// Returns the holder of a key at `now`.
    pub(crate) fn holder(&self, key: &UniqueKey, now: Millis) -> Option<JobId> {
        let holder = self.held.get(key)?;
        holder.until.is_none_or(|until| until > now).then_some(holder.id)
    }

    /// Sets the holder of a key. Of two holders, the one with the later expiry keeps it: the key of
    /// the other one expired before this job was created.
    pub(crate) fn hold(&mut self, key: UniqueKey, id: JobId, until: Option<Millis>) {
        let expiry_of = |until: Option<Millis>| until.unwrap_or(Millis::MAX);
        if let Some(current) = self.held.get(&key) {
            if current.id != id && expiry_of(current.until) >= expiry_of(until) {
                return;
            }
            if let Some(expiry) = current.until {
                self.by_expiry.remove(&(expiry, current.id));
            }
        }
        if let Some(until) = until {
            self.by_expiry.insert((until, id), key.clone());
        }
        self.held.insert(key, Holder { id, until });
    }

    /// Releases a key if this job holds it.
    pub(crate) fn release(&mut self, key: &UniqueKey, id: JobId, until: Option<Millis>) {
        if self.held.get(key).is_some_and(|holder| holder.id == id) {
            self.held.remove(key);
            if let Some(until) = until {
                self.by_expiry.remove(&(until, id));
            }
        }
    }

    /// Releases a key regardless of its expiry if this job holds it. Returns the expiry.
    pub(crate) fn remove(&mut self, key: &UniqueKey, id: JobId) -> Option<Option<Millis>> {
        let until = self.held.get(key).filter(|holder| holder.id == id)?.until;
        self.release(key, id, until);
        Some(until)
    }

    /// Removes at most `limit` expired keys.
    pub(crate) fn remove_expired(&mut self, now: Millis, limit: usize) {
        for _ in 0..limit {
            let Some(first) = self.by_expiry.first_entry() else { return };
            if first.key().0 > now {
                return;
            }
            let ((_, id), key) = first.remove_entry();
            if self.held.get(&key).is_some_and(|holder| holder.id == id) {
                self.held.remove(&key);
            }
        }
    }
}
