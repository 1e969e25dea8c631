//! The audit trail on its way to the ledger. A call does not wait for it: what is not written
//! yet is in memory, at most 10,000 entries, and each is in the log too.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sentinel_domain::limits::AUDIT_MAX;
use sentinel_domain::{AuditEntry, JobId};
use sentinel_engine::Clock;
use sentinel_ledger::Ledger;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::caller::Caller;
use super::keyring::Room;
use super::rules::Rule;

/// Entries that wait for the ledger.
const WAITING_MAX: usize = 10_000;

/// The outcome of an entry that stands for all the refusals of its key in the rest of a minute.
const NOT_ALL_NOTED: &str = "NOT_ALL_NOTED";

/// Entries after which the oldest are looked for.
const TRIM_EVERY: usize = 10_000;

/// Entries of one write.
const WRITE_MAX: usize = 100;

/// After a write that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// What a server that stops waits for its last entries.
const LAST_WRITE: Duration = Duration::from_secs(3);

/// Takes entries. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Trail {
    waiting: mpsc::Sender<AuditEntry>,
    clock: Clock,
    /// The last id that was given out.
    last: Arc<Mutex<JobId>>,
}

/// The other end.
pub(crate) struct Writer {
    waiting: mpsc::Receiver<AuditEntry>,
    ledger: Ledger,
}

impl Trail {
    pub(crate) fn new(ledger: Ledger, clock: Clock) -> (Self, Writer) {
        let (sender, waiting) = mpsc::channel(WAITING_MAX);
        let last = Arc::new(Mutex::new(JobId::from_u128(0)));
        (Self { waiting: sender, clock, last }, Writer { waiting, ledger })
    }

    /// Rises with each entry, also within a millisecond: the trail is read in this order.
    fn next_id(&self) -> JobId {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = JobId::new(self.clock.now(), 0, rand::random());
        *last = fresh.max(JobId::from_u128(last.as_u128() + 1));
        *last
    }

    /// Notes what a person did or tried.
    pub(super) fn note(&self, caller: &Caller, rule: &Rule, outcome: &str) {
        let Some(held) = caller.held.as_ref().filter(|held| held.key.role.is_person()) else {
            return;
        };
        let outcome = match outcome {
            "OK" => "OK",
            refused => match held.note_refusal(self.clock.now()) {
                Room::Some => refused,
                Room::Last => NOT_ALL_NOTED,
                Room::None => return,
            },
        };
        let about = caller.note.as_ref().and_then(|note| note.about.get());
        let text = |of: fn(&super::caller::About) -> &String| about.map(of).cloned();
        let acts_for = text(|about| &about.acts_for).unwrap_or_default();
        let entry = AuditEntry {
            id: self.next_id(),
            actor: sentinel_domain::actor(&held.key.name, &acts_for),
            key: Some(held.key.id),
            action: rule.name(),
            target: text(|about| &about.target).unwrap_or_default(),
            peer: caller.peer.map(|peer| peer.to_string()).unwrap_or_default(),
            request_id: text(|about| &about.request_id).unwrap_or_default(),
            outcome: outcome.to_owned(),
        };
        let AuditEntry { actor, action, target, peer, request_id, .. } = &entry;
        tracing::info!(%actor, key = %held.key.id, %action, %target, %peer, %request_id, outcome, "audit");
        if self.waiting.try_send(entry).is_err() {
            tracing::error!(
                "the audit trail is full: the ledger is away; the entry is in the log alone"
            );
        }
    }
}

impl Writer {
    /// Writes until `closing`, then what is left.
    pub(crate) async fn run(mut self, closing: CancellationToken) {
        let mut entries = Vec::with_capacity(WRITE_MAX);
        // The first write looks.
        let mut untrimmed = TRIM_EVERY;
        loop {
            tokio::select! {
                count = self.waiting.recv_many(&mut entries, WRITE_MAX) => if count == 0 { return },
                () = closing.cancelled() => break,
            }
            while let Err(error) = self.ledger.put_audit(entries.clone()).await {
                tracing::warn!(%error, count = entries.len(), "the audit trail waits");
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => {}
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
                    Err(error) => tracing::warn!(%error, "the audit trail was not trimmed"),
                }
            }
        }
        while let Ok(entry) = self.waiting.try_recv() {
            entries.push(entry);
        }
        let count = entries.len();
        if count > 0
            && !matches!(
                tokio::time::timeout(LAST_WRITE, self.ledger.put_audit(entries)).await,
                Ok(Ok(()))
            )
        {
            tracing::error!(count, "entries of the audit trail are in the log alone");
        }
    }
}
