//! Enqueue and EnqueueBatch: new jobs, durable when the call returns.

use sentinel_domain::NewJob;
use sentinel_domain::limits::{BATCH_BYTES, BATCH_JOBS};

use super::{BatchItemResult, BatchRecord, Enqueued, Jobs, Submitter, check_new_job};
use crate::EngineError;
use crate::commit::IdempotencyKey;

impl Jobs {
    /// Enqueues one job.
    pub async fn enqueue(
        &self,
        new: NewJob,
        submitter: Submitter<'_>,
        key: Option<IdempotencyKey>,
    ) -> Result<Enqueued, EngineError> {
        check_new_job(submitter.scopes, "spec", &new)?;
        self.enqueuer.check_load()?;
        let record = BatchRecord::Single(key.as_ref());
        let mut items = self.enqueue_all(vec![new], true, submitter, record).await?;
        // A record of another shape belongs to another request.
        match items.pop() {
            Some(Ok(enqueued)) if items.is_empty() => Ok(enqueued),
            _ => Err(EngineError::RequestIdReused),
        }
    }

    /// Enqueues up to 1,000 jobs in one transaction. With `atomic`, one bad item refuses all.
    pub async fn enqueue_batch(
        &self,
        items: Vec<NewJob>,
        atomic: bool,
        submitter: Submitter<'_>,
        key: Option<IdempotencyKey>,
    ) -> Result<Vec<BatchItemResult>, EngineError> {
        for (at, new) in items.iter().enumerate() {
            check_new_job(submitter.scopes, &format!("specs[{at}]"), new)?;
        }
        self.enqueuer.check_load()?;
        check_size(&items)?;
        let record = BatchRecord::Batch(key.as_ref());
        self.enqueue_all(items, atomic, submitter, record).await
    }

    async fn enqueue_all(
        &self,
        items: Vec<NewJob>,
        atomic: bool,
        submitter: Submitter<'_>,
        record: BatchRecord<'_>,
    ) -> Result<Vec<BatchItemResult>, EngineError> {
        let items = items.into_iter().map(Ok).collect();
        let enqueued = match self.enqueuer.draft(items, atomic, submitter, record).await {
            Ok(mut drafts) => self.enqueuer.commit(&mut drafts, atomic, submitter, record).await,
            Err(error) => Err(error),
        };
        match enqueued {
            // A repeat of a request may be refused because of the job that the first try created.
            Err(error) if error.is_refusal() => {
                match self.idempotency.lookup(record.key()).await? {
                    Some(response) => self.enqueuer.replay(&response).await,
                    None => Err(error),
                }
            }
            enqueued => enqueued,
        }
    }
}

fn check_size(items: &[NewJob]) -> Result<(), EngineError> {
    let count = items.len();
    if count == 0 || count as u64 > BATCH_JOBS {
        let description = format!("{count} jobs is out of range: 1..={BATCH_JOBS}");
        return Err(EngineError::invalid("specs", description));
    }
    let bytes: usize = items.iter().map(|item| item.payload.len()).sum();
    if bytes as u64 > BATCH_BYTES {
        let description = format!("payloads of {bytes} bytes: at most {BATCH_BYTES} in all");
        return Err(EngineError::invalid("specs", description));
    }
    Ok(())
}
