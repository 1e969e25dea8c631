//! Checkpoints and log lines: what an attempt keeps beside its report.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sentinel_domain::{Command, Job, decide};
use sentinel_ledger::{LogRow, OutputPlace};

use super::{Done, Held, LogLine, ReportVerdict, Session};
use crate::cancel::Applied;
use crate::logs::Appended;
use crate::{Engine, TRIES};

/// How often lines are offered to the ledger.
const LOG_TRIES: usize = 3;

/// Between two tries.
const LOG_PAUSE: Duration = Duration::from_millis(300);

impl Session {
    pub(super) fn on_checkpoint(&mut self, held: Held, seq: u64, data: Bytes) {
        let known = self.running(&held).map(|r| (r.job.clone(), r.turn.clone()));
        let (job, turn) = known.unzip();
        let engine = self.engine.clone();
        self.in_flight.push(Box::pin(async move {
            // First come, first served: those of one attempt are stored in the order sent.
            let _turn = match &turn {
                Some(turn) => Some(turn.lock().await),
                None => None,
            };
            let (verdict, job) = engine.store_checkpoint(&held, job, data).await;
            Done::Checkpoint { held, seq, verdict, job }
        }));
    }

    pub(super) fn on_log(&mut self, held: Held, lines: Vec<LogLine>) {
        let Some(seq) = lines.iter().map(|line| line.seq).max() else { return };
        let job = self.running(&held).map(|r| r.job.clone());
        let rows: Vec<LogRow> = lines
            .into_iter()
            .map(|line| LogRow {
                job: held.id,
                run: held.lease.run,
                attempt: held.lease.attempt,
                seq: LogRow::seq_of(held.lease.epoch, line.seq),
                at: line.at,
                level: line.level,
                text: line.text,
            })
            .collect();
        let engine = self.engine.clone();
        self.in_flight.push(Box::pin(async move {
            // Lines of a lease that is gone are not kept: another attempt may be writing.
            if let Some(job) = job {
                let shared: Arc<[LogRow]> = rows.into();
                match engine.append_or_drop(&shared).await {
                    Appended::Stored => engine.fanout.logs(&job, &shared),
                    Appended::Failed => {}
                    Appended::Closed => return Done::Nothing,
                }
            }
            Done::Logged { held, seq }
        }));
    }

    pub(super) fn on_output(&mut self, held: Held, offset: u64, data: Bytes) {
        let is_held = self.running(&held).is_some();
        let engine = self.engine.clone();
        self.in_flight.push(Box::pin(async move {
            let (verdict, stored) = match is_held {
                true => engine.store_output(&held, offset, data).await,
                false => (ReportVerdict::Fenced, 0),
            };
            Done::Handed { held, offset, verdict, stored }
        }));
    }
}

impl Engine {
    /// Lines that can not be stored are dropped in the end: without an acknowledgement the
    /// worker would never send another one.
    async fn append_or_drop(&self, rows: &Arc<[LogRow]>) -> Appended {
        for tries in 1..=LOG_TRIES {
            match self.logs.append(rows.to_vec()).await {
                Appended::Failed if tries < LOG_TRIES => tokio::time::sleep(LOG_PAUSE).await,
                appended => return appended,
            }
        }
        Appended::Failed
    }

    async fn store_output(&self, held: &Held, offset: u64, data: Bytes) -> (ReportVerdict, u64) {
        let Held { id: job, lease } = *held;
        let (run, attempt, epoch) = (lease.run, lease.attempt, lease.epoch);
        let place = OutputPlace { job, run, attempt, epoch, offset };
        match self.ledger.append_output(place, data).await {
            Ok(stored) => (ReportVerdict::Recorded, stored),
            Err(error) => {
                tracing::warn!(%error, job = %job, "output was not stored");
                (ReportVerdict::RetryLater, 0)
            }
        }
    }

    /// Stores a checkpoint under its lease.
    async fn store_checkpoint(
        &self,
        held: &Held,
        job: Option<Arc<Job>>,
        data: Bytes,
    ) -> (ReportVerdict, Option<Arc<Job>>) {
        let command = Command::Checkpoint { lease: held.lease, data };
        let Some(mut job) = job else { return (ReportVerdict::Fenced, None) };
        for _ in 0..TRIES {
            let Ok(decision) = decide(&job, &command, self.now()) else {
                return (ReportVerdict::Fenced, None);
            };
            match self.apply(&job, decision, Vec::new()).await {
                Ok(Applied::Done(job)) => return (ReportVerdict::Recorded, Some(job)),
                Ok(Applied::Changed(current)) => job = current,
                Err(_) => return (ReportVerdict::RetryLater, None),
            }
        }
        (ReportVerdict::RetryLater, None)
    }
}
