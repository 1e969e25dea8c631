//! The dependents of each job, and the terminal jobs that still have dependents.

use std::collections::BTreeSet;

use foldhash::HashMap;
use sentinel_domain::JobId;

/// Dependent jobs by dependency.
#[derive(Default)]
pub(crate) struct Dependents {
    children: HashMap<JobId, BTreeSet<JobId>>,
    /// Terminal parents that still have dependents.
    unblocking: BTreeSet<JobId>,
}

impl Dependents {
    pub(crate) fn add(&mut self, parent: JobId, child: JobId, is_terminal: bool) {
        self.children.entry(parent).or_default().insert(child);
        if is_terminal {
            self.unblocking.insert(parent);
        }
    }

    pub(crate) fn remove(&mut self, parent: JobId, child: JobId) {
        let Some(children) = self.children.get_mut(&parent) else { return };
        children.remove(&child);
        if children.is_empty() {
            self.children.remove(&parent);
            self.unblocking.remove(&parent);
        }
    }

    /// Updates `unblocking` after a change of a parent.
    pub(crate) fn update_parent(&mut self, id: JobId, is_terminal: bool) {
        if self.children.is_empty() {
            return;
        }
        if is_terminal && self.children.contains_key(&id) {
            self.unblocking.insert(id);
        } else {
            self.unblocking.remove(&id);
        }
    }

    /// Returns whether a job has dependents.
    pub(crate) fn is_awaited(&self, parent: JobId) -> bool {
        self.children.contains_key(&parent)
    }

    pub(crate) fn has_unblocking(&self) -> bool {
        !self.unblocking.is_empty()
    }

    /// Returns the terminal parents with each of their children.
    pub(crate) fn unblocking(&self) -> impl Iterator<Item = (JobId, JobId)> + '_ {
        self.unblocking.iter().flat_map(|parent| {
            self.children.get(parent).into_iter().flatten().map(|child| (*parent, *child))
        })
    }

    /// Returns all pairs of parent and child.
    pub(crate) fn edges(&self) -> impl Iterator<Item = (JobId, JobId)> + '_ {
        self.children
            .iter()
            .flat_map(|(parent, children)| children.iter().map(|child| (*parent, *child)))
    }
}
