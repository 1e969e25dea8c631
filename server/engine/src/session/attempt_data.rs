//! The data that an attempt stores apart from its report: checkpoints, log lines, output.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sentinel_domain::{Command, Job, decide};
use sentinel_ledger::{LogRow, OutputPosition};

use super::actor::{Completion, Session};
use super::context::SessionContext;
use super::frame::{LogLine, ReportVerdict};
use crate::dispatch::HeldLease;
use crate::history::AppendResult;
use crate::jobs::DecisionOutcome;

/// How often log lines are written until they are dropped.
const LOG_TRIES: usize = 3;

/// The pause between two tries.
const LOG_RETRY_AFTER: Duration = Duration::from_millis(300);

impl Session {
    pub(super) fn on_checkpoint(&mut self, held: HeldLease, seq: u64, data: Bytes) {
        let known = self.running(&held).map(|r| (r.job.clone(), r.checkpoint_order.clone()));
        let (job, order) = known.unzip();
        let context = self.context.clone();
        self.spawn(async move {
            // The mutex is fair: checkpoints of one attempt are stored in the order received.
            let _guard = match &order {
                Some(order) => Some(order.lock().await),
                None => None,
            };
            let (verdict, job) = context.store_checkpoint(&held, job, data).await;
            Completion::Checkpoint { held, seq, verdict, job }
        });
    }

    pub(super) fn on_log(&mut self, held: HeldLease, lines: Vec<LogLine>) {
        let Some(seq) = lines.iter().map(|line| line.seq).max() else { return };
        let job = self.running(&held).map(|running| running.job.clone());
        let row = |line: LogLine| LogRow {
            job: held.id,
            run: held.lease.run,
            attempt: held.lease.attempt,
            seq: LogRow::seq_of(held.lease.epoch, line.seq),
            at: line.at,
            level: line.level,
            text: line.text,
        };
        let rows: Arc<[LogRow]> = lines.into_iter().map(row).collect();
        let context = self.context.clone();
        self.spawn(async move {
            // Lines of a lost lease are dropped: another attempt may be writing.
            if let Some(job) = job {
                match context.append_logs(&rows).await {
                    AppendResult::Stored => context.fanout.offer_logs(&job, &rows),
                    AppendResult::Failed => {}
                    AppendResult::Closed => return Completion::Nothing,
                }
            }
            Completion::Logs { held, seq }
        });
    }

    pub(super) fn on_output(&mut self, held: HeldLease, offset: u64, data: Bytes) {
        let is_held = self.running(&held).is_some();
        let context = self.context.clone();
        self.spawn(async move {
            let (verdict, stored) = match is_held {
                true => context.store_output(&held, offset, data).await,
                false => (ReportVerdict::Fenced, 0),
            };
            Completion::Output { held, offset, verdict, stored }
        });
    }
}

impl SessionContext {
    /// Stores log lines. Lines that cannot be stored are dropped in the end: without an
    /// acknowledgement the worker would never send others.
    async fn append_logs(&self, rows: &Arc<[LogRow]>) -> AppendResult {
        for tries in 1..=LOG_TRIES {
            match self.logs.append(rows.to_vec()).await {
                AppendResult::Failed if tries < LOG_TRIES => {
                    tokio::time::sleep(LOG_RETRY_AFTER).await;
                }
                result => return result,
            }
        }
        AppendResult::Failed
    }

    async fn store_output(
        &self,
        held: &HeldLease,
        offset: u64,
        data: Bytes,
    ) -> (ReportVerdict, u64) {
        let HeldLease { id: job, lease } = *held;
        let (run, attempt, epoch) = (lease.run, lease.attempt, lease.epoch);
        let position = OutputPosition { job, run, attempt, epoch, offset };
        match self.ledger.append_output(position, data).await {
            Ok(stored) => (ReportVerdict::Recorded, stored),
            Err(error) => {
                tracing::warn!(%error, %job, "output could not be stored, the worker repeats it");
                (ReportVerdict::RetryLater, 0)
            }
        }
    }

    /// Stores a checkpoint under its lease.
    async fn store_checkpoint(
        &self,
        held: &HeldLease,
        job: Option<Arc<Job>>,
        data: Bytes,
    ) -> (ReportVerdict, Option<Arc<Job>>) {
        let Some(job) = job else { return (ReportVerdict::Fenced, None) };
        let command = Command::Checkpoint { lease: held.lease, data };
        let outcome = self
            .decisions
            .commit(job, None, |job, now| decide(job, &command, now).map(Into::into))
            .await;
        match outcome {
            Ok(DecisionOutcome::Committed(job)) => (ReportVerdict::Recorded, Some(job)),
            Ok(DecisionOutcome::Refused(..)) => (ReportVerdict::Fenced, None),
            Ok(DecisionOutcome::Replayed) | Err(_) => (ReportVerdict::RetryLater, None),
        }
    }
}
