//! Tracks which watched jobs are not terminal, to tell a finished watch from a lost stream.

use std::collections::BTreeMap;

use crate::is_terminal;
use crate::proto::jobs::v1::{watch_request, watch_response::Event as WatchEvent};

/// Whether each job of a watch by ids is open (not terminal). A watch by filter has no fixed set of
/// jobs and never finishes.
pub(super) struct OpenJobs {
    is_open: Option<BTreeMap<String, bool>>,
}

impl OpenJobs {
    pub(super) fn new(selector: Option<&watch_request::Selector>) -> Self {
        let is_open = match selector {
            Some(watch_request::Selector::Jobs(jobs)) => {
                Some(jobs.ids.iter().map(|id| (id.clone(), true)).collect())
            }
            _ => None,
        };
        Self { is_open }
    }

    /// Whether every watched job is terminal or unknown to the server.
    pub(super) fn all_terminal(&self) -> bool {
        self.is_open.as_ref().is_some_and(|jobs| jobs.values().all(|is_open| !is_open))
    }

    pub(super) fn apply(&mut self, event: &WatchEvent) {
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
                    // A retry reopens a terminal job.
                    self.set(&job.id, !is_terminal(job.state()));
                }
            }
            _ => {}
        }
    }

    fn set(&mut self, id: &str, is_open: bool) {
        if let Some(entry) = self.is_open.as_mut().and_then(|jobs| jobs.get_mut(id)) {
            *entry = is_open;
        }
    }
}

#[cfg(test)]
mod tests {
    //! Finished, reopened and endless watches.

    use super::*;
    use crate::proto::jobs::v1::{Job, JobChange, JobIds, JobState, WatchSnapshot};

    fn job(id: &str, state: JobState) -> Job {
        Job { id: id.to_owned(), state: state.into(), ..Job::default() }
    }

    fn by_ids(ids: &[&str]) -> OpenJobs {
        let ids = ids.iter().map(|id| (*id).to_owned()).collect();
        OpenJobs::new(Some(&watch_request::Selector::Jobs(JobIds { ids })))
    }

    #[test]
    fn a_watch_by_ids_finishes_when_all_jobs_are_terminal_or_unknown() {
        let mut jobs = by_ids(&["a", "b", "c"]);
        jobs.apply(&WatchEvent::Snapshot(WatchSnapshot {
            jobs: vec![job("a", JobState::Succeeded), job("b", JobState::Running)],
            unknown_ids: vec!["c".to_owned()],
            ..WatchSnapshot::default()
        }));
        assert!(!jobs.all_terminal());
        let change = JobChange { job: Some(job("b", JobState::Failed)) };
        jobs.apply(&WatchEvent::Change(change));
        assert!(jobs.all_terminal());
        let change = JobChange { job: Some(job("a", JobState::Ready)) };
        jobs.apply(&WatchEvent::Change(change));
        assert!(!jobs.all_terminal());
    }

    #[test]
    fn a_watch_by_filter_never_finishes() {
        let mut jobs = OpenJobs::new(Some(&watch_request::Selector::Filter(Default::default())));
        let change = JobChange { job: Some(job("a", JobState::Succeeded)) };
        jobs.apply(&WatchEvent::Change(change));
        assert!(!jobs.all_terminal());
    }
}
