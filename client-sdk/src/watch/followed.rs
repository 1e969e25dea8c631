//! Which of the watched jobs still run: tells the end of a watch from a broken stream.

use std::collections::BTreeMap;

use super::{WatchEvent, is_terminal, watch_request};

/// The jobs of a watch by ids. A watch by filter follows no fixed set and is never complete.
pub(super) struct Followed {
    open: Option<BTreeMap<String, bool>>,
}

impl Followed {
    pub(super) fn new(selector: Option<&watch_request::Selector>) -> Self {
        let open = match selector {
            Some(watch_request::Selector::Jobs(jobs)) => {
                Some(jobs.ids.iter().map(|id| (id.clone(), true)).collect())
            }
            _ => None,
        };
        Self { open }
    }

    /// Whether every watched job was seen final (or is unknown to the server).
    pub(super) fn all_final(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.values().all(|open| !open))
    }

    pub(super) fn see(&mut self, event: &WatchEvent) {
        match event {
            WatchEvent::Snapshot(snapshot) => {
                for job in &snapshot.jobs {
                    self.set(&job.id, !is_terminal(job.state()));
                }
                for id in &snapshot.unknown_ids {
                    self.set(id, false);
                }
            }
            WatchEvent::Change(change) => {
                if let Some(job) = &change.job {
                    // A retry of a final job opens it again.
                    self.set(&job.id, !is_terminal(job.state()));
                }
            }
            _ => {}
        }
    }

    fn set(&mut self, id: &str, is_open: bool) {
        if let Some(entry) = self.open.as_mut().and_then(|open| open.get_mut(id)) {
            *entry = is_open;
        }
    }
}

#[cfg(test)]
mod tests {
    //! Complete, reopened and endless watches.

    use super::*;
    use crate::proto::jobs::v1::{Job, JobChange, JobIds, JobState, WatchSnapshot};

    fn job(id: &str, state: JobState) -> Job {
        Job { id: id.to_owned(), state: state.into(), ..Job::default() }
    }

    fn by_ids(ids: &[&str]) -> Followed {
        let ids = ids.iter().map(|id| (*id).to_owned()).collect();
        Followed::new(Some(&watch_request::Selector::Jobs(JobIds { ids })))
    }

    #[test]
    fn complete_when_all_are_final_or_unknown() {
        let mut followed = by_ids(&["a", "b", "c"]);
        followed.see(&WatchEvent::Snapshot(WatchSnapshot {
            jobs: vec![job("a", JobState::Succeeded), job("b", JobState::Running)],
            unknown_ids: vec!["c".to_owned()],
            ..WatchSnapshot::default()
        }));
        assert!(!followed.all_final());
        let change = JobChange { job: Some(job("b", JobState::Failed)) };
        followed.see(&WatchEvent::Change(change));
        assert!(followed.all_final());
        let change = JobChange { job: Some(job("a", JobState::Ready)) };
        followed.see(&WatchEvent::Change(change));
        assert!(!followed.all_final());
    }

    #[test]
    fn a_filter_is_never_complete() {
        let mut followed =
            Followed::new(Some(&watch_request::Selector::Filter(Default::default())));
        let change = JobChange { job: Some(job("a", JobState::Succeeded)) };
        followed.see(&WatchEvent::Change(change));
        assert!(!followed.all_final());
    }
}
