//! Which jobs wait for which, and which of the waited-for are final: those release somebody.

use std::collections::BTreeSet;

use foldhash::HashMap;
use sentinel_domain::JobId;

/// Children by parent.
#[derive(Default)]
pub(crate) struct Dependents {
    children: HashMap<JobId, BTreeSet<JobId>>,
    /// Final parents that somebody still waits for.
    released: BTreeSet<JobId>,
}

impl Dependents {
    pub(crate) fn add(&mut self, parent: JobId, child: JobId, is_terminal: bool) {
        self.children.entry(parent).or_default().insert(child);
        if is_terminal {
            self.released.insert(parent);
        }
    }

    pub(crate) fn remove(&mut self, parent: JobId, child: JobId) {
        let Some(children) = self.children.get_mut(&parent) else { return };
        children.remove(&child);
        if children.is_empty() {
            self.children.remove(&parent);
            self.released.remove(&parent);
        }
    }

    /// Keeps `released` right when a parent changes.
    pub(crate) fn note_parent(&mut self, id: JobId, is_terminal: bool) {
        if self.children.is_empty() {
            return;
        }
        if is_terminal && self.children.contains_key(&id) {
            self.released.insert(id);
        } else {
            self.released.remove(&id);
        }
    }

    /// Somebody waits for it.
    pub(crate) fn is_awaited(&self, parent: JobId) -> bool {
        self.children.contains_key(&parent)
    }

    pub(crate) fn has_released(&self) -> bool {
        !self.released.is_empty()
    }

    /// Final parents with each of their children.
    pub(crate) fn released(&self) -> impl Iterator<Item = (JobId, JobId)> + '_ {
        self.released.iter().flat_map(|parent| {
            self.children.get(parent).into_iter().flatten().map(|child| (*parent, *child))
        })
    }

    /// Parents and children, for the check at open.
    pub(crate) fn edges(&self) -> impl Iterator<Item = (JobId, JobId)> + '_ {
        self.children
            .iter()
            .flat_map(|(parent, children)| children.iter().map(|child| (*parent, *child)))
    }
}
