//! The rows that a batch of journal entries produces.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use sentinel_domain::{AttemptEnd, Job, JobId, Label, Millis, Name, Spec, held_key};
use sentinel_store::codec::{self, NamePool};
use sentinel_store::{JobEvent, JournalEntry, Position};

use crate::database_error::DatabaseError;
use crate::sql::columns::{id_bytes, state_code};

/// A spec up to this size is stored in the row of its job. A larger one has a row of its own:
/// every change of state rewrites the row of the job, and lists read neighbouring rows.
const INLINE_SPEC_BYTES: usize = 1024;

/// The rows to write, sorted by key within each table, so that neighbouring rows are written
/// one after the other.
#[derive(Default)]
pub(crate) struct Batch<'a> {
    /// Deleted jobs. No rows of them are written.
    pub(crate) deleted: Vec<JobId>,
    /// Jobs whose spec changed. The rows of the old spec are deleted first.
    pub(crate) respecced: Vec<JobId>,
    /// Jobs whose entries include a spec: new ones, and existing ones after a rebuild.
    pub(crate) created: Vec<CreatedJob<'a>>,
    /// New states of existing jobs.
    pub(crate) changed: Vec<ChangedJob>,
    /// Specs that are too large for the row of their job.
    pub(crate) specs: Vec<([u8; 16], &'a [u8])>,
    pub(crate) labels: Vec<(Label, [u8; 16])>,
    pub(crate) failed_attempts: Vec<([u8; 16], &'a AttemptEnd)>,
    /// Unique keys with their holder and the time until which they are held.
    pub(crate) unique_keys: BTreeMap<Vec<u8>, ([u8; 16], Millis)>,
    pub(crate) queues: BTreeMap<&'a str, Vec<u8>>,
    /// Producer records with their expiry.
    pub(crate) producers: BTreeMap<&'a str, (&'a [u8], Millis)>,
}

/// A row of `jobs`.
pub(crate) struct CreatedJob<'a> {
    pub(crate) change: ChangedJob,
    pub(crate) queue: Name,
    pub(crate) kind: Name,
    /// `None` if the spec is too large for the row.
    pub(crate) spec: Option<&'a [u8]>,
    pub(crate) spec_bytes: usize,
}

/// The columns of `jobs` that a change updates, and the position of its journal entry.
pub(crate) struct ChangedJob {
    pub(crate) id: [u8; 16],
    pub(crate) state: i32,
    pub(crate) status: Vec<u8>,
    pub(crate) position: Position,
}

impl ChangedJob {
    /// Returns the error for a change of a job that the ledger does not contain.
    pub(crate) fn missing(&self) -> DatabaseError {
        let id = JobId::from_u128(u128::from_be_bytes(self.id));
        DatabaseError::MissingJob { id, position: self.position }
    }
}

impl<'a> Batch<'a> {
    /// Collects the rows of consecutive entries. Only the last state of each job is written.
    pub(crate) fn from_entries(entries: &'a [Arc<JournalEntry>]) -> Result<Self, DatabaseError> {
        let mut batch = Self::default();
        let mut names = NamePool::default();
        for events in events_by_job(entries).chunk_by(|(_, a), (_, b)| a.id == b.id) {
            batch.add_job(events, &mut names)?;
        }
        for queue in entries.iter().flat_map(|entry| &entry.queues) {
            batch.queues.insert(&queue.name, codec::encode_queue(queue));
        }
        let records = entries.iter().flat_map(|entry| &entry.idempotency_records);
        for record in records.filter(|record| record.is_producer_offset()) {
            batch.producers.insert(&record.id, (&record.response, record.expires_at));
        }
        batch.labels.sort_by(|a, b| (&a.0.key, &a.0.value, a.1).cmp(&(&b.0.key, &b.0.value, b.1)));
        Ok(batch)
    }

    fn add_job(
        &mut self,
        events: &[(Position, &'a JobEvent)],
        names: &mut NamePool,
    ) -> Result<(), DatabaseError> {
        let &(position, last) = events.last().expect("chunks are not empty");
        if last.status.is_deleted() {
            self.deleted.push(last.id);
            return Ok(());
        }
        let id = id_bytes(last.id);
        let state = state_code(last.status.state);
        let status = codec::encode_status(&last.status);
        let change = ChangedJob { id, state, status, position };
        let ends = events.iter().filter_map(|(_, event)| event.attempt_end.as_ref());
        self.failed_attempts.extend(ends.map(|end| (id, end)));
        // The newest spec: an update may have replaced the first one.
        let mut newest = events.iter().rev();
        let new = newest.find_map(|(_, event)| Some((event.encoded_spec.as_ref()?, &event.spec)));
        let Some((bytes, spec)) = new else {
            self.changed.push(change);
            return Ok(());
        };
        let spec = match spec {
            Some(spec) => spec.clone(),
            None => Arc::new(codec::decode_spec(bytes.clone(), names)?),
        };
        if last.status.revision > 0 {
            self.respecced.push(last.id);
        }
        self.add_spec(last, &spec, bytes, change);
        Ok(())
    }

    fn add_spec(
        &mut self,
        last: &JobEvent,
        spec: &Arc<Spec>,
        bytes: &'a Bytes,
        change: ChangedJob,
    ) {
        let id = change.id;
        let inline = (bytes.len() <= INLINE_SPEC_BYTES).then_some(&bytes[..]);
        if inline.is_none() {
            self.specs.push((id, bytes));
        }
        self.labels.extend(spec.labels.iter().map(|label| (label.clone(), id)));
        self.created.push(CreatedJob {
            change,
            queue: spec.queue.clone(),
            kind: spec.kind.clone(),
            spec: inline,
            spec_bytes: bytes.len(),
        });
        // A key with an expiry may outlive its job in the store. If the job was replaced, its
        // successor, which has a higher id, overwrites the holder.
        if spec.unique.is_some() {
            let job = Job { id: last.id, spec: spec.clone(), status: last.status.clone() };
            if let Some((unique, Some(until))) = held_key(&job) {
                self.unique_keys.insert(unique.as_bytes().to_vec(), (id, until));
            }
        }
    }
}

/// Returns all events grouped by job, in journal order within each job.
fn events_by_job(entries: &[Arc<JournalEntry>]) -> Vec<(Position, &JobEvent)> {
    let mut events: Vec<_> = entries
        .iter()
        .flat_map(|entry| entry.jobs.iter().map(|event| (entry.position, event)))
        .collect();
    events.sort_by_key(|(_, event)| event.id);
    events
}
