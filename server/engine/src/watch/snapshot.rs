//! The snapshot at the start of a watch and after each gap.

use std::sync::Arc;

use sentinel_domain::limits::WATCH_SNAPSHOT_JOBS;
use sentinel_domain::{Filter, Job, JobId};

use super::stream::ShownVersion;
use super::{Cursor, Selector, Snapshot, Watch, WatchEvent};
use crate::EngineError;

impl Watch {
    pub(super) async fn snapshot(&mut self) -> Result<(), EngineError> {
        self.shown.clear();
        self.catch_up = None;
        self.resumed = None;
        self.settled = None;
        // Everything up to the head is in the reads below.
        let head = *self.context.store.head().borrow();
        let snapshot = match self.selector.clone() {
            Selector::Jobs(ids) => self.snapshot_of_jobs(&ids).await?,
            Selector::Filter(filter) => self.snapshot_of_filter(filter).await?,
        };
        for job in &snapshot.jobs {
            self.shown.insert(job.id, ShownVersion::of(job));
        }
        self.skip_old_lines(&snapshot.jobs).await;
        let cursor = match self.selector {
            Selector::Jobs(_) => Cursor::after(head.max(self.buffered_from)),
            Selector::Filter(_) => self.catch_up.unwrap_or(Cursor::after(self.buffered_from)),
        };
        self.out.push_back(WatchEvent::Snapshot(snapshot, cursor));
        Ok(())
    }

    async fn snapshot_of_jobs(&mut self, ids: &[JobId]) -> Result<Snapshot, EngineError> {
        let mut snapshot = Snapshot::default();
        for (id, job) in ids.iter().zip(self.context.reader.get_many(ids).await?) {
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

    /// Reads the jobs of a filter from the ledger. The journal leads from its checkpoint to the
    /// present.
    async fn snapshot_of_filter(&mut self, filter: Filter) -> Result<Snapshot, EngineError> {
        // The checkpoint first: what the ledger records meanwhile comes again from the journal, and
        // its version shows that it is known.
        let mut checkpoint = self.context.history.ledger.checkpoint().await?;
        checkpoint.epoch = self.buffered_from.epoch;
        let size = WATCH_SNAPSHOT_JOBS as usize;
        let has_counts = filter.kinds.is_empty() && filter.labels.is_empty();
        let (queues, within) = (filter.queues.clone(), filter.within.clone());
        let page = self.context.history.list(filter, None, size).await?;
        let mut counts = match has_counts {
            true => self.context.history.counts(queues).await?.counts,
            false => Vec::new(),
        };
        counts.retain(|count| within.contains(&count.queue));
        if checkpoint.seq < self.buffered_from.seq {
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
