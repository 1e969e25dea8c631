//! Writes the audit log to the ledger in the background. At most 10,000 entries are buffered in
//! memory; each entry is also logged, so that a lost one can be recovered from the log.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sentinel_domain::limits::AUDIT_MAX;
use sentinel_domain::{AuditEntry, JobId};
use sentinel_engine::Clock;
use sentinel_ledger::Ledger;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::api_keys::RejectionLogging;
use super::caller::{AuditDetails, Caller};
use super::rules::Rule;

/// Maximum number of buffered entries.
const BUFFER_MAX: usize = 10_000;

/// The outcome of an entry that stands for all further rejected calls of its key in this minute.
const NOT_ALL_NOTED: &str = "NOT_ALL_NOTED";

/// Number of written entries after which the ledger is trimmed.
const TRIM_EVERY: usize = 10_000;

/// Maximum number of entries per write.
const BATCH_MAX: usize = 100;

/// The pause after a failed write.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// How long a graceful shutdown waits for the last write.
const FINAL_WRITE_TIMEOUT: Duration = Duration::from_secs(3);

/// Records audit entries. Cheap to clone.
#[derive(Clone)]
pub(crate) struct AuditLog {
    sender: mpsc::Sender<AuditEntry>,
    clock: Clock,
    /// The id of the last entry.
    last_id: Arc<Mutex<JobId>>,
}

/// Writes recorded entries to the ledger.
pub(crate) struct AuditWriter {
    receiver: mpsc::Receiver<AuditEntry>,
    ledger: Ledger,
}

impl AuditLog {
    pub(crate) fn new(ledger: Ledger, clock: Clock) -> (Self, AuditWriter) {
        let (sender, receiver) = mpsc::channel(BUFFER_MAX);
        let last_id = Arc::new(Mutex::new(JobId::from_u128(0)));
        (Self { sender, clock, last_id }, AuditWriter { receiver, ledger })
    }

    /// Returns an id above all previous ones, also within a millisecond: entries are read in the
    /// order of their ids.
    fn next_id(&self) -> JobId {
        let mut last = self.last_id.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = JobId::new(self.clock.now(), 0, rand::random());
        *last = fresh.max(JobId::from_u128(last.as_u128() + 1));
        *last
    }

    /// Records a call that a person made. `outcome` is `OK` or the reason of its error.
    pub(super) fn record(&self, caller: &Caller, rule: &Rule, outcome: &str) {
        let Some(cached) = caller.key.as_ref().filter(|cached| cached.key.role.is_audited()) else {
            return;
        };
        let outcome = match outcome {
            "OK" => "OK",
            reason => match cached.count_rejection(self.clock.now()) {
                RejectionLogging::Record => reason,
                RejectionLogging::RecordAsLast => NOT_ALL_NOTED,
                RejectionLogging::Skip => return,
            },
        };
        let details = caller.notes.as_ref().and_then(|notes| notes.audit.get());
        let text = |field: fn(&AuditDetails) -> &String| details.map(field).cloned();
        let on_behalf_of = text(|details| &details.on_behalf_of).unwrap_or_default();
        let entry = AuditEntry {
            id: self.next_id(),
            actor: sentinel_domain::actor(&cached.key.name, &on_behalf_of),
            key: Some(cached.key.id),
            action: rule.name(),
            target: text(|details| &details.target).unwrap_or_default(),
            peer: caller.peer.map(|peer| peer.to_string()).unwrap_or_default(),
            request_id: text(|details| &details.request_id).unwrap_or_default(),
            outcome: outcome.to_owned(),
        };
        let AuditEntry { actor, action, target, peer, request_id, .. } = &entry;
        let key = &cached.key.id;
        tracing::info!(%actor, %key, %action, %target, %peer, %request_id, outcome, "audit");
        if self.sender.try_send(entry).is_err() {
            tracing::error!("audit buffer full, the previous entry is not written to the ledger");
        }
    }
}

impl AuditWriter {
    /// Writes entries until `closing` is cancelled, then writes the remaining ones.
    pub(crate) async fn run(mut self, closing: CancellationToken) {
        let mut entries = Vec::with_capacity(BATCH_MAX);
        // The first write trims, too.
        let mut untrimmed = TRIM_EVERY;
        loop {
            tokio::select! {
                count = self.receiver.recv_many(&mut entries, BATCH_MAX) => if count == 0 { return },
                () = closing.cancelled() => break,
            }
            while let Err(error) = self.ledger.append_audit(entries.clone()).await {
                tracing::warn!(%error, count = entries.len(), "audit log write failed, retrying");
                tokio::select! {
                    () = tokio::time::sleep(RETRY_DELAY) => {}
                    () = closing.cancelled() => break,
                }
            }
            if closing.is_cancelled() {
                break;
            }
            untrimmed += entries.len();
            entries.clear();
            if untrimmed >= TRIM_EVERY {
                match self.ledger.trim_audit(AUDIT_MAX).await {
                    Ok(()) => untrimmed = 0,
                    Err(error) => {
                        tracing::warn!(%error, "audit log trim failed, retrying")
                    }
                }
            }
        }
        while let Ok(entry) = self.receiver.try_recv() {
            entries.push(entry);
        }
        let count = entries.len();
        if count > 0
            && !matches!(
                tokio::time::timeout(FINAL_WRITE_TIMEOUT, self.ledger.append_audit(entries)).await,
                Ok(Ok(()))
            )
        {
            tracing::error!(count, "audit entries not written to the ledger before shutdown");
        }
    }
}
