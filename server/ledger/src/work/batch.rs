//! What a batch of journal entries adds up to, as rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use sentinel_domain::{AttemptEnd, Job, JobId, Label, Millis, Name, Spec, held_key};
use sentinel_store::codec::{self, Names};
use sentinel_store::{JournalEntry, JobEvent, Position};

use crate::sql::{Fault, key, state_code};

/// A spec up to this size lives in the row of its job. A larger one would be copied by
/// every change of state, and would push the rows that lists read apart.
const INLINE_SPEC_BYTES: usize = 1024;

/// The rows, each kind by rising key, so that rows next to each other are written one
/// after another.
#[derive(Default)]
pub(crate) struct Batch<'a> {
    /// Jobs that were deleted: nothing of them is written.
    pub(crate) gone: Vec<JobId>,
    /// Jobs whose spec changed: what was written of it before goes first.
    pub(crate) respecced: Vec<JobId>,
    /// Jobs that are new here. A store that was rebuilt tells of its jobs anew.
    pub(crate) born: Vec<Created<'a>>,
    /// New states of jobs that are here.
    pub(crate) changed: Vec<Changed>,
    /// Specs that are too large for the row of their job.
    pub(crate) specs: Vec<([u8; 16], &'a [u8])>,
    pub(crate) labels: Vec<(Label, [u8; 16])>,
    pub(crate) ends: Vec<([u8; 16], &'a AttemptEnd)>,
    pub(crate) keys: BTreeMap<Vec<u8>, ([u8; 16], Millis)>,
    pub(crate) queues: BTreeMap<&'a str, Vec<u8>>,
    /// Where they stand, and until when that is remembered.
    pub(crate) producers: BTreeMap<&'a str, (&'a [u8], Millis)>,
}

/// A row of `jobs`.
pub(crate) struct Created<'a> {
    pub(crate) change: Changed,
    pub(crate) queue: Name,
    pub(crate) kind: Name,
    /// None when it is too large.
    pub(crate) spec: Option<&'a [u8]>,
    pub(crate) spec_bytes: usize,
}

/// What changes of such a row, and the entry that says so.
pub(crate) struct Changed {
    pub(crate) id: [u8; 16],
    pub(crate) state: i32,
    pub(crate) status: Vec<u8>,
    pub(crate) position: Position,
}

impl Changed {
    /// The journal says it of a job that is not here.
    pub(crate) fn missing(&self) -> Fault {
        let id = JobId::from_u128(u128::from_be_bytes(self.id));
        Fault::MissingJob { id, position: self.position }
    }
}

impl<'a> Batch<'a> {
    /// Only the last state of a job is a row.
    pub(crate) fn of(entries: &'a [Arc<JournalEntry>]) -> Result<Self, Fault> {
        let mut batch = Self::default();
        let mut names = Names::default();
        for events in by_job(entries).chunk_by(|(_, a), (_, b)| a.id == b.id) {
            batch.add_job(events, &mut names)?;
        }
        for queue in entries.iter().flat_map(|entry| &entry.queues) {
            batch.queues.insert(&queue.name, codec::encode_queue(queue));
        }
        let memories = entries.iter().flat_map(|entry| &entry.requests);
        for memory in memories.filter(|memory| memory.is_producer_offset()) {
            batch.producers.insert(&memory.id, (&memory.answer, memory.until));
        }
        batch.labels.sort_by(|a, b| (&a.0.key, &a.0.value, a.1).cmp(&(&b.0.key, &b.0.value, b.1)));
        Ok(batch)
    }

    fn add_job(
        &mut self,
        events: &[(Position, &'a JobEvent)],
        names: &mut Names,
    ) -> Result<(), Fault> {
        let &(position, last) = events.last().expect("chunks are not empty");
        if last.status.is_deleted() {
            self.gone.push(last.id);
            return Ok(());
        }
        let id = key(last.id);
        let state = state_code(last.status.state);
        let status = codec::encode_status(&last.status);
        let change = Changed { id, state, status, position };
        let ends = events.iter().filter_map(|(_, event)| event.end.as_ref());
        self.ends.extend(ends.map(|end| (id, end)));
        // The newest: it may have changed since the job was made.
        let mut newest = events.iter().rev();
        let new = newest.find_map(|(_, event)| Some((event.new.as_ref()?, &event.spec)));
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

    fn add_spec(&mut self, last: &JobEvent, spec: &Arc<Spec>, bytes: &'a Bytes, change: Changed) {
        let id = change.id;
        let inline = (bytes.len() <= INLINE_SPEC_BYTES).then_some(&bytes[..]);
        if inline.is_none() {
            self.specs.push((id, bytes));
        }
        self.labels.extend(spec.labels.iter().map(|label| (label.clone(), id)));
        self.born.push(Created {
            change,
            queue: spec.queue.clone(),
            kind: spec.kind.clone(),
            spec: inline,
            spec_bytes: bytes.len(),
        });
        // A key with a time of its own may outlive its job in the hot store. One whose holder
        // was replaced is taken over by the job that came in its place, whose id is higher.
        if spec.unique.is_some() {
            let job = Job { id: last.id, spec: spec.clone(), status: last.status.clone() };
            if let Some((unique, Some(until))) = held_key(&job) {
                self.keys.insert(unique.as_bytes().to_vec(), (id, until));
            }
        }
    }
}

/// All events, a job's together and in order.
fn by_job(entries: &[Arc<JournalEntry>]) -> Vec<(Position, &JobEvent)> {
    let mut events: Vec<_> = entries
        .iter()
        .flat_map(|entry| entry.jobs.iter().map(|event| (entry.position, event)))
        .collect();
    events.sort_by_key(|(_, event)| event.id);
    events
}
