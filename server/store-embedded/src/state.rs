//! All jobs in memory and every index of them. An index follows from the job itself, in one
//! function, so no change can forget one.

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
pub(crate) use self::keys::Keys;
pub(crate) use self::ready::{QueueIndex, ReadyKey};
use crate::sessions::Sessions;

/// Ids by a time, the earliest first.
pub(crate) type ByTime = std::collections::BTreeSet<(Millis, JobId)>;

/// The hot jobs.
#[derive(Default)]
pub(crate) struct Hot {
    pub(crate) jobs: HashMap<JobId, Arc<Job>>,
    pub(crate) queues: HashMap<Name, QueueIndex>,
    /// SCHEDULED, by due time.
    pub(crate) due: ByTime,
    pub(crate) deadlines: ByTime,
    pub(crate) sessions: Sessions,
    pub(crate) dependents: Dependents,
    pub(crate) keys: Keys,
    /// By end, with the sequence number of the entry that has the final record.
    pub(crate) finals: BTreeMap<(Millis, JobId), u64>,
    /// The sequence number of the entry that is being made.
    pub(crate) seq: u64,
}

impl Hot {
    /// Puts a job, or takes it away. Gives what was there, so that putting that back undoes it.
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
        self.dependents.note_parent(id, is_terminal);
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
                self.finals.insert((finished_at(job), id), self.seq);
            }
        }
        if let Some(at) = next_deadline(job) {
            self.deadlines.insert((at, id));
        }
        if let Some((key, until)) = held_key(job) {
            self.keys.hold(key, id, until);
        }
        // Also where it was evicted before, and its key was not.
        if let Some(key) = unique_key(&job.spec).filter(|_| job.is_deleted()) {
            self.keys.forget(&key, id);
        }
    }

    fn unindex(&mut self, job: &Arc<Job>) {
        let (id, status) = (job.id, &job.status);
        if let Some(queue) = self.queues.get_mut(&job.spec.queue) {
            queue.remove(job);
            if queue.is_forgettable() {
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
                self.finals.remove(&(finished_at(job), id));
            }
        }
        if let Some(at) = next_deadline(job) {
            self.deadlines.remove(&(at, id));
        }
        if let Some((key, until)) = held_key(job) {
            self.keys.release(&key, id, until);
        }
    }

    /// Forgets a final job. A key with a time of its own outlives it.
    pub(crate) fn evict(&mut self, id: JobId) {
        if let Some(job) = self.set(id, None)
            && let Some((key, until)) = held_key(&job)
        {
            self.keys.hold(key, id, until);
        }
    }

    /// The jobs of a queue in every index, made where there is none.
    pub(crate) fn queue_of(&mut self, name: &Name) -> &mut QueueIndex {
        if !self.queues.contains_key(name) {
            self.queues.insert(name.clone(), QueueIndex::new(name));
        }
        self.queues.get_mut(name).expect("was just put there")
    }

    /// Declares a queue, or takes the declaration away. Gives what was there.
    pub(crate) fn set_queue(&mut self, name: &Name, new: Option<Queue>) -> Option<Queue> {
        let jobs = &self.jobs;
        if !self.queues.contains_key(name) {
            self.queues.insert(name.clone(), QueueIndex::new(name));
        }
        let queue = self.queues.get_mut(name).expect("was just put there");
        let old = queue.declare(new, |id| jobs.get(&id).cloned());
        if queue.is_forgettable() {
            self.queues.remove(name);
        }
        old
    }

    /// The RUNNING jobs of a session, by id.
    pub(crate) fn session_jobs(&self, session: SessionId) -> Vec<Arc<Job>> {
        let ids = self.sessions.jobs(session);
        ids.filter_map(|id| self.jobs.get(&id).cloned()).collect()
    }
}

fn finished_at(job: &Job) -> Millis {
    job.status.finished_at.unwrap_or(job.status.updated_at)
}
