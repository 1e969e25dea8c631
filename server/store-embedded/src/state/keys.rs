//! Who holds which unique key. A key with a time of its own outlives its job.

use std::collections::BTreeMap;

use foldhash::HashMap;
use sentinel_domain::{JobId, Millis, UniqueKey};

struct Holder {
    id: JobId,
    /// None: until the job lets go of it.
    until: Option<Millis>,
}

/// Keys and their holders.
#[derive(Default)]
pub(crate) struct Keys {
    held: HashMap<UniqueKey, Holder>,
    /// Those that end by themselves.
    ends: BTreeMap<(Millis, JobId), UniqueKey>,
}

impl Keys {
    /// Who holds a key at a time.
    pub(crate) fn holder(&self, key: &UniqueKey, now: Millis) -> Option<JobId> {
        let holder = self.held.get(key)?;
        holder.until.is_none_or(|until| until > now).then_some(holder.id)
    }

    /// Of two jobs that claim a key, the one that holds it longer has it: the other one's
    /// time ran out before this one came.
    pub(crate) fn hold(&mut self, key: UniqueKey, id: JobId, until: Option<Millis>) {
        let end = |until: Option<Millis>| until.unwrap_or(Millis::MAX);
        if let Some(there) = self.held.get(&key) {
            if there.id != id && end(there.until) >= end(until) {
                return;
            }
            if let Some(ended) = there.until {
                self.ends.remove(&(ended, there.id));
            }
        }
        if let Some(until) = until {
            self.ends.insert((until, id), key.clone());
        }
        self.held.insert(key, Holder { id, until });
    }

    /// Lets go of a key, if this job holds it.
    pub(crate) fn release(&mut self, key: &UniqueKey, id: JobId, until: Option<Millis>) {
        if self.held.get(key).is_some_and(|holder| holder.id == id) {
            self.held.remove(key);
            if let Some(until) = until {
                self.ends.remove(&(until, id));
            }
        }
    }

    /// Lets go of a key whatever its time, if this job holds it. Answers that time.
    pub(crate) fn forget(&mut self, key: &UniqueKey, id: JobId) -> Option<Option<Millis>> {
        let until = self.held.get(key).filter(|holder| holder.id == id)?.until;
        self.release(key, id, until);
        Some(until)
    }

    /// Forgets keys whose time is over, at most `limit`.
    pub(crate) fn sweep(&mut self, now: Millis, limit: usize) {
        for _ in 0..limit {
            let Some(first) = self.ends.first_entry() else { return };
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
