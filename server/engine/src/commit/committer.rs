//! The queue of submissions between the use cases and the commit loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sentinel_domain::Ack;
use sentinel_store::{Mutation, Position, StoreError, Transaction, TransactionResult};
use tokio::sync::{mpsc, oneshot};

use crate::EngineError;

/// The most submissions that wait. Reports wait for space; enqueues are refused earlier.
const WAITING_MAX: usize = 16_384;

/// The space that enqueues leave to reports and cancels.
const RESERVED: usize = 4_096;

/// The most bytes that wait before enqueues are refused.
const WAITING_BYTES_MAX: usize = 256 << 20;

/// The most transactions and bytes of one commit request. They limit the latency of a commit and
/// the size of a journal entry. The last submission may exceed them.
const TRANSACTIONS_MAX: usize = 2_048;
const REQUEST_BYTES_MAX: usize = 16 << 20;

/// The weight of a mutation without its payload.
const MUTATION_BYTES: usize = 256;

/// The result of a submission.
pub(crate) struct Submitted {
    /// One per transaction.
    pub(crate) results: Vec<TransactionResult>,
    /// The end of the journal after the commit.
    pub(crate) position: Position,
    /// Enough replicas have the commit. Only set when the submission asked for it.
    pub(crate) is_replicated: bool,
}

pub(super) type Reply = oneshot::Sender<Result<Submitted, StoreError>>;

/// The transactions of one use case.
pub(crate) struct Submission {
    pub(super) transactions: Vec<Transaction>,
    bytes: usize,
    pub(super) level: Ack,
    pub(super) reply: Reply,
}

/// Submits transactions to the commit loop. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Committer {
    waiting: mpsc::Sender<Submission>,
    waiting_bytes: Arc<AtomicUsize>,
}

/// The transactions that wait for the commit loop.
pub(crate) struct CommitQueue {
    waiting: mpsc::Receiver<Submission>,
    waiting_bytes: Arc<AtomicUsize>,
}

pub(crate) fn channel() -> (Committer, CommitQueue) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let waiting_bytes = Arc::new(AtomicUsize::new(0));
    let submissions = CommitQueue { waiting: receiver, waiting_bytes: waiting_bytes.clone() };
    (Committer { waiting: sender, waiting_bytes }, submissions)
}

fn weight(transactions: &[Transaction]) -> usize {
    let of_mutation = |mutation: &Mutation| match mutation {
        Mutation::Create { spec, .. } | Mutation::ReplaceSpec { spec, .. } => {
            MUTATION_BYTES + spec.len()
        }
        Mutation::Update { job, .. } => {
            let status = &job.status;
            let data = [&status.result, &status.checkpoint];
            MUTATION_BYTES + data.iter().filter_map(|b| b.as_ref()).map(|b| b.len()).sum::<usize>()
        }
        Mutation::PutIdempotencyRecord(record) => MUTATION_BYTES + record.response.len(),
        _ => MUTATION_BYTES,
    };
    transactions.iter().flat_map(|transaction| &transaction.mutations).map(of_mutation).sum()
}

impl Committer {
    fn submission(
        transactions: Vec<Transaction>,
        level: Ack,
    ) -> (Submission, oneshot::Receiver<Result<Submitted, StoreError>>) {
        let (reply, submitted) = oneshot::channel();
        (Submission { bytes: weight(&transactions), transactions, level, reply }, submitted)
    }

    fn enqueue(&self, permit: mpsc::Permit<'_, Submission>, submission: Submission) {
        self.waiting_bytes.fetch_add(submission.bytes, Ordering::Relaxed);
        permit.send(submission);
    }

    /// Commits transactions in order, in one commit request, and returns one result per
    /// transaction. Waits for space. The result has no durability level beyond the store.
    pub(crate) async fn submit_all(
        &self,
        transactions: Vec<Transaction>,
    ) -> Result<Vec<TransactionResult>, EngineError> {
        Ok(self.submit_at_level(transactions, Ack::Store).await?.results)
    }

    /// Commits one transaction.
    pub(crate) async fn submit(
        &self,
        transaction: Transaction,
    ) -> Result<TransactionResult, EngineError> {
        let mut results = self.submit_all(vec![transaction]).await?;
        results.pop().ok_or(EngineError::ShuttingDown)
    }

    /// As [`Self::submit_all`], for a caller that acknowledges at `level`: with
    /// [`Ack::Replicated`] the commit loop waits for the replicas.
    pub(crate) async fn submit_at_level(
        &self,
        transactions: Vec<Transaction>,
        level: Ack,
    ) -> Result<Submitted, EngineError> {
        let (submission, submitted) = Self::submission(transactions, level);
        let permit = self.waiting.reserve().await.map_err(|_| EngineError::ShuttingDown)?;
        self.enqueue(permit, submission);
        Ok(submitted.await.map_err(|_| EngineError::ShuttingDown)??)
    }

    /// Submits transactions without waiting for their result. They are committed before every
    /// later submission. Drops them when there is no space.
    pub(crate) fn offer(&self, transactions: Vec<Transaction>) {
        if transactions.is_empty() {
            return;
        }
        let (submission, _) = Self::submission(transactions, Ack::Store);
        if let Ok(permit) = self.waiting.try_reserve() {
            self.enqueue(permit, submission);
        }
    }

    /// Whether an enqueue may be submitted. Reports and cancels may always.
    pub(crate) fn accepts_jobs(&self) -> bool {
        self.waiting.capacity() > RESERVED
            && self.waiting_bytes.load(Ordering::Relaxed) < WAITING_BYTES_MAX
    }
}

impl CommitQueue {
    fn record_taken(&self, submission: &Submission) {
        self.waiting_bytes.fetch_sub(submission.bytes, Ordering::Relaxed);
    }

    /// Refuses submissions from now on. Those that wait can still be taken.
    pub(super) fn close(&mut self) {
        self.waiting.close();
    }

    pub(super) async fn next(&mut self) -> Option<Submission> {
        let next = self.waiting.recv().await?;
        self.record_taken(&next);
        Some(next)
    }

    /// Adds waiting submissions, up to the limits of a commit request.
    pub(super) fn fill(&mut self, batch: &mut Vec<Submission>) {
        let mut transactions: usize = batch.iter().map(|s| s.transactions.len()).sum();
        let mut bytes: usize = batch.iter().map(|s| s.bytes).sum();
        while transactions < TRANSACTIONS_MAX
            && bytes < REQUEST_BYTES_MAX
            && let Ok(next) = self.waiting.try_recv()
        {
            self.record_taken(&next);
            transactions += next.transactions.len();
            bytes += next.bytes;
            batch.push(next);
        }
    }
}
