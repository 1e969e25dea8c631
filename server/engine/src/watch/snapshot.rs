//! What the selected jobs look like when a watch begins, and after each gap.

use std::sync::Arc;

use sentinel_domain::limits::WATCH_SNAPSHOT_JOBS;
use sentinel_domain::{Filter, Job, JobId};

use super::{Cursor, Known, Selector, Snapshot, Watch, WatchEvent};
use crate::EngineError;

impl Watch {
    pub(super) async fn snapshot(&mut self) -> Result<(), EngineError> {
        self.known.clear();
        self.catch_up = None;
        self.resumed = None;
        self.settled = None;
        // All up to here is in what is read below.
        let head = *self.engine.store.head().borrow();
        let snapshot = match self.selector.clone() {
            Selector::Jobs(ids) => self.snapshot_of_jobs(&ids).await?,
            Selector::Filter(filter) => self.snapshot_of_ledger(filter).await?,
        };
        for job in &snapshot.jobs {
            self.known.insert(job.id, Known::of(job));
        }
        self.pass_over_lines(&snapshot.jobs).await;
        let cursor = match self.selector {
            Selector::Jobs(_) => Cursor::after(head.max(self.live_from)),
            Selector::Filter(_) => self.catch_up.unwrap_or(Cursor::after(self.live_from)),
        };
        self.out.push_back(WatchEvent::Snapshot(snapshot, cursor));
        Ok(())
    }

    async fn snapshot_of_jobs(&mut self, ids: &[JobId]) -> Result<Snapshot, EngineError> {
        let mut snapshot = Snapshot::default();
        for (id, job) in ids.iter().zip(self.engine.get_many(ids).await?) {
            match job {
                Some(job) => snapshot.jobs.push(job),
                None => snapshot.unknown.push(*id),
            }
        }
        let is_live = |job: &&Arc<Job>| !job.status.state.is_terminal();
        self.open = snapshot.jobs.iter().filter(is_live).map(|job| job.id).collect();
        match (snapshot.jobs.is_empty(), snapshot.unknown.first()) {
            (true, Some(id)) => Err(EngineError::JobNotFound(*id)),
            _ => Ok(snapshot),
        }
    }

    async fn snapshot_of_ledger(&mut self, filter: Filter) -> Result<Snapshot, EngineError> {
        // The checkpoint first: what the ledger records meanwhile comes again and is known.
        let mut checkpoint = self.engine.ledger.checkpoint().await?;
        checkpoint.epoch = self.live_from.epoch;
        let size = WATCH_SNAPSHOT_JOBS as usize;
        let is_counted = filter.kinds.is_empty() && filter.labels.is_empty();
        let (queues, within) = (filter.queues.clone(), filter.within.clone());
        let page = self.engine.list(filter, None, size).await?;
        let mut counts =
            if is_counted { self.engine.counts(queues).await?.counts } else { Vec::new() };
        counts.retain(|count| within.has(&count.queue));
        if checkpoint.seq < self.live_from.seq {
            self.catch_up = Some(Cursor::after(checkpoint));
        }
        Ok(Snapshot {
            jobs: page.jobs.into_iter().map(Arc::new).collect(),
            is_truncated: page.next.is_some(),
            unknown: Vec::new(),
            counts,
        })
    }
}
