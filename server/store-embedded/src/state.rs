//! All jobs in memory, and their indexes. A single function derives all indexes of a job, so that
//! no change can miss one.

mod dependents;
mod keys;
mod ready;

use std::collections::BTreeMap;
use std::sync::Arc;

use foldhash::HashMap;
use sentinel_domain::{
    Job, JobId, Millis, Name, Queue, SessionId, State, held_key, next_deadline, unique_key,
};

pub(crate) use self::dependents::Dependents;
pub(crate) use self::keys::UniqueKeys;
pub(crate) use self::ready::{QueueIndex, ReadyKey};
use crate::sessions::Sessions;

/// Job ids sorted by a time.
pub(crate) type TimeIndex = std::collections::BTreeSet<(Millis, JobId)>;

/// The jobs, queues and sessions of a store.
#[derive(Default)]
pub(crate) struct MemoryState {
    pub(crate) jobs: HashMap<JobId, Arc<Job>>,
    pub(crate) queues: HashMap<Name, QueueIndex>,
    /// SCHEDULED jobs, by due time.
    pub(crate) due: TimeIndex,
    /// Jobs with a deadline, by that time.
    pub(crate) deadlines: TimeIndex,
    pub(crate) sessions: Sessions,
    pub(crate) dependents: Dependents,
    pub(crate) keys: UniqueKeys,
    /// Terminal jobs by finish time, with the sequence number of their last journal entry.
    pub(crate) terminal: BTreeMap<(Millis, JobId), u64>,
    /// The sequence number of the entry that is being built.
    pub(crate) seq: u64,
}

impl MemoryState {
    /// Puts or removes a job, and returns the previous version. Putting that back undoes the
    /// change.
    pub(crate) fn set(&mut self, id: JobId, new: Option<Arc<Job>>) -> Option<Arc<Job>> {
        let old = match &new {
            Some(job) => self.jobs.insert(id, job.clone()),
            None => self.jobs.remove(&id),
        };
        if let Some(old) = &old {
            self.unindex(old);
        }
        if let Some(new) = &new {
            self.index(new);
        }
        let is_terminal = new.is_some_and(|job| job.status.state.is_terminal());
        self.dependents.update_parent(id, is_terminal);
        old
    }

    fn index(&mut self, job: &Arc<Job>) {
        let (id, status) = (job.id, &job.status);
        let queue = self.queue_of(&job.spec.queue);
        queue.add(job);
        match status.state {
            State::Scheduled => {
                self.due.insert((status.ready_at, id));
            }
            State::Blocked => {
                for parent in &status.waiting_for {
                    let jobs = &self.jobs;
                    let is_terminal =
                        || jobs.get(parent).is_some_and(|p| p.status.state.is_terminal());
                    self.dependents.add(*parent, id, is_terminal());
                }
            }
            State::Ready => {}
            State::Running => {
                if let Some(lease) = status.lease {
                    self.sessions.add_job(lease.id.session, id);
                }
            }
            State::Succeeded | State::Failed | State::Cancelled | State::Expired => {
                self.terminal.insert((finished_at(job), id), self.seq);
            }
        }
        if let Some(at) = next_deadline(job) {
            self.deadlines.insert((at, id));
        }
        if let Some((key, until)) = held_key(job) {
            self.keys.hold(key, id, until);
        }
        // The job may have been evicted before, but not its key.
        if let Some(key) = unique_key(&job.spec).filter(|_| job.is_deleted()) {
            self.keys.remove(&key, id);
        }
    }

    fn unindex(&mut self, job: &Arc<Job>) {
        let (id, status) = (job.id, &job.status);
        if let Some(queue) = self.queues.get_mut(&job.spec.queue) {
            queue.remove(job);
            if queue.is_unused() {
                self.queues.remove(&job.spec.queue);
            }
        }
        match status.state {
            State::Scheduled => {
                self.due.remove(&(status.ready_at, id));
            }
            State::Blocked => {
                for parent in &status.waiting_for {
                    self.dependents.remove(*parent, id);
                }
            }
            State::Ready => {}
            State::Running => {
                if let Some(lease) = status.lease {
                    self.sessions.remove_job(lease.id.session, id);
                }
            }
            State::Succeeded | State::Failed | State::Cancelled | State::Expired => {
                self.terminal.remove(&(finished_at(job), id));
            }
        }
        if let Some(at) = next_deadline(job) {
            self.deadlines.remove(&(at, id));
        }
        if let Some((key, until)) = held_key(job) {
            self.keys.release(&key, id, until);
        }
    }

    /// Evicts a terminal job. A unique key with a time-to-live outlives it.
    pub(crate) fn evict(&mut self, id: JobId) {
        if let Some(job) = self.set(id, None)
            && let Some((key, until)) = held_key(&job)
        {
            self.keys.hold(key, id, until);
        }
    }

    /// Returns the index of a queue, and creates it if it is missing.
    pub(crate) fn queue_of(&mut self, name: &Name) -> &mut QueueIndex {
        if !self.queues.contains_key(name) {
            self.queues.insert(name.clone(), QueueIndex::new(name));
        }
        self.queues.get_mut(name).expect("inserted above")
    }

    /// Puts or removes the declaration of a queue, and returns the previous one.
    pub(crate) fn set_queue(&mut self, name: &Name, new: Option<Queue>) -> Option<Queue> {
        let jobs = &self.jobs;
        if !self.queues.contains_key(name) {
            self.queues.insert(name.clone(), QueueIndex::new(name));
        }
        let queue = self.queues.get_mut(name).expect("inserted above");
        let old = queue.declare(new, |id| jobs.get(&id).cloned());
        if queue.is_unused() {
            self.queues.remove(name);
        }
        old
    }

    /// Returns the RUNNING jobs of a session, sorted by id.
    pub(crate) fn session_jobs(&self, session: SessionId) -> Vec<Arc<Job>> {
        let ids = self.sessions.jobs(session);
        ids.filter_map(|id| self.jobs.get(&id).cloned()).collect()
    }
}

fn finished_at(job: &Job) -> Millis {
    job.status.finished_at.unwrap_or(job.status.updated_at)
}
