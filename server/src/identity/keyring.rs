//! The keys of the installation, all of them, in memory: a call with a wrong key costs no
//! query, and while the ledger is away the keys that were known go on.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use http::HeaderValue;
use sentinel_domain::limits::AUDIT_REFUSALS;
use sentinel_domain::{ApiKey, KeyEnd, KeyId, Millis};
use sentinel_engine::{Clock, EngineError};
use sentinel_ledger::{KeyPut, Ledger, LedgerError};
use tokio_util::sync::CancellationToken;

use super::credential::Credential;

/// How often a server asks whether keys changed. With [`ASK_WITHIN`] it keeps the 5 s in which
/// a revocation holds everywhere.
const ASK_EVERY: Duration = Duration::from_secs(2);
const ASK_WITHIN: Duration = Duration::from_secs(2);

/// How long keys are taken that could not be asked about: the ledger is away longer than an
/// outage of it should last.
const STALE_MAX_MS: Millis = 24 * 60 * 60 * 1_000;

/// How exact the last use of a key is.
const USED_EVERY_MS: Millis = 60_000;

/// Throws of an id. Of 64 bits, even the second is not expected.
const THROWS: usize = 8;

/// Why a credential is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Missing,
    Invalid,
    Ended(KeyEnd),
    /// The ledger has not been there for so long that nothing known is trusted any more.
    Stale,
}

/// Why a key was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotMade {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("there are {max} keys: revoke some; they are forgotten after 90 days")]
    Full { max: u64 },
}

impl From<LedgerError> for NotMade {
    fn from(error: LedgerError) -> Self {
        Self::Engine(error.into())
    }
}

/// A key in use.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) key: ApiKey,
    used_at: AtomicI64,
    told_at: AtomicI64,
    end: OnceLock<KeyEnd>,
    ended: CancellationToken,
    /// In which minute calls were refused, and how many.
    refusals: Mutex<(Millis, u64)>,
}

/// Whether the audit trail takes one more refusal of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    Some,
    /// The next one in this minute is not taken.
    Last,
    None,
}

impl Held {
    fn new(key: ApiKey) -> Arc<Self> {
        let told_at = key.last_used_at.unwrap_or(0);
        let held = Self {
            key,
            used_at: AtomicI64::new(told_at),
            told_at: AtomicI64::new(told_at),
            end: OnceLock::new(),
            ended: CancellationToken::new(),
            refusals: Mutex::default(),
        };
        if held.key.revoked_at.is_some() {
            held.end(KeyEnd::Revoked);
        }
        Arc::new(held)
    }

    /// Counts a refusal: who tries in a loop must not fill the trail.
    pub(super) fn note_refusal(&self, now: Millis) -> Room {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = now / 60_000;
        if refusals.0 != minute {
            *refusals = (minute, 0);
        }
        refusals.1 += 1;
        match refusals.1 {
            count if count <= AUDIT_REFUSALS => Room::Some,
            count if count == AUDIT_REFUSALS + 1 => Room::Last,
            _ => Room::None,
        }
    }

    fn end(&self, how: KeyEnd) {
        // The first end counts.
        let _ = self.end.set(how);
        self.ended.cancel();
    }

    /// How it ended, once it did.
    pub(crate) fn how_ended(&self) -> Option<KeyEnd> {
        self.end.get().copied()
    }

    /// Cancelled when it ends.
    pub(crate) fn ended(&self) -> &CancellationToken {
        &self.ended
    }
}

#[derive(Default)]
struct Ring {
    by_id: HashMap<KeyId, Arc<Held>>,
    /// Of the ledger, when they were read.
    seq: Option<u64>,
}

/// The keys of the installation. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Keyring {
    shared: Arc<Shared>,
}

struct Shared {
    ledger: Ledger,
    clock: Clock,
    ring: RwLock<Ring>,
    /// When the ledger was asked last and answered.
    asked_at: AtomicI64,
}

impl Keyring {
    /// Reads all keys.
    pub(crate) async fn open(ledger: Ledger, clock: Clock) -> Result<Self, LedgerError> {
        let asked_at = AtomicI64::new(clock.now());
        let shared = Shared { ledger, clock, ring: RwLock::default(), asked_at };
        let keyring = Self { shared: Arc::new(shared) };
        keyring.refresh().await?;
        Ok(keyring)
    }

    /// How many keys can be used.
    pub(crate) fn usable(&self) -> usize {
        let now = self.shared.clock.now();
        let ring = self.shared.ring.read().unwrap_or_else(PoisonError::into_inner);
        ring.by_id.values().filter(|held| held.key.end_at(now).is_none()).count()
    }

    /// The holder of the key in `authorization: Bearer <key>`.
    pub(crate) fn identify(&self, header: Option<&HeaderValue>) -> Result<Arc<Held>, Refused> {
        let header = header.ok_or(Refused::Missing)?.as_bytes();
        let (scheme, text) = header.split_at_checked(7).ok_or(Refused::Invalid)?;
        if !scheme.eq_ignore_ascii_case(b"bearer ") {
            return Err(Refused::Invalid);
        }
        let credential = Credential::parse(text).ok_or(Refused::Invalid)?;
        let held = {
            let ring = self.shared.ring.read().unwrap_or_else(PoisonError::into_inner);
            ring.by_id.get(&credential.id).cloned()
        };
        let held = held.ok_or(Refused::Invalid)?;
        // Before its end: a stranger is not told that there was such a key.
        if !credential.fits(&held.key.secret_hash) {
            return Err(Refused::Invalid);
        }
        let now = self.shared.clock.now();
        if let Some(end) = held.how_ended().or(held.key.end_at(now)) {
            return Err(Refused::Ended(end));
        }
        if now - self.shared.asked_at.load(Ordering::Relaxed) > STALE_MAX_MS {
            return Err(Refused::Stale);
        }
        if now - held.used_at.load(Ordering::Relaxed) > USED_EVERY_MS {
            held.used_at.store(now, Ordering::Relaxed);
        }
        Ok(held)
    }

    /// Makes a key. The id is thrown here.
    pub(crate) async fn create(&self, key: ApiKey) -> Result<(Credential, ApiKey), NotMade> {
        let made = make(&self.shared.ledger, key).await?;
        self.refresh().await?;
        Ok(made)
    }

    /// Revokes a key; none when there is none. It holds here when this returns.
    pub(crate) async fn revoke(&self, id: KeyId) -> Result<Option<ApiKey>, EngineError> {
        let revoked = self.shared.ledger.revoke_key(id, self.shared.clock.now()).await?;
        if let Some(held) = self.held(id) {
            held.end(KeyEnd::Revoked);
        }
        Ok(revoked)
    }

    fn held(&self, id: KeyId) -> Option<Arc<Held>> {
        self.shared.ring.read().unwrap_or_else(PoisonError::into_inner).by_id.get(&id).cloned()
    }

    /// All keys as the ledger has them, the newest first.
    pub(crate) async fn list(&self) -> Result<Vec<ApiKey>, EngineError> {
        let mut keys =
            self.shared.ledger.keys(None).await?.map(|found| found.keys).unwrap_or_default();
        keys.sort_by_key(|key| std::cmp::Reverse((key.created_at, key.id)));
        Ok(keys)
    }

    /// Keeps up with the ledger until `closing`.
    pub(crate) async fn run(self, closing: CancellationToken) {
        let mut is_away = false;
        loop {
            tokio::select! {
                () = tokio::time::sleep(ASK_EVERY) => {}
                () = closing.cancelled() => break,
            }
            self.end_expired();
            let asked = tokio::time::timeout(ASK_WITHIN, self.refresh()).await;
            let failed = match asked {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some("no answer within 2 s".to_owned()),
            };
            match (&failed, is_away) {
                (Some(error), false) => {
                    tracing::warn!(%error, "the ledger does not tell of keys; those known are taken");
                }
                (None, true) => tracing::info!("the ledger tells of keys again"),
                _ => {}
            }
            is_away = failed.is_some();
            if !is_away && let Err(error) = self.tell_used(USED_EVERY_MS).await {
                tracing::debug!(%error, "the last use of keys was not noted");
            }
        }
        // The last minute of a server that stops.
        let _ = tokio::time::timeout(ASK_WITHIN, self.tell_used(0)).await;
    }

    async fn refresh(&self) -> Result<(), LedgerError> {
        let known = self.shared.ring.read().unwrap_or_else(PoisonError::into_inner).seq;
        let asked_at = self.shared.clock.now();
        let found = self.shared.ledger.keys(known).await?;
        self.shared.asked_at.store(asked_at, Ordering::Relaxed);
        let Some(found) = found else { return Ok(()) };
        let mut ring = self.shared.ring.write().unwrap_or_else(PoisonError::into_inner);
        // Two at once: the later one knows more.
        if ring.seq.is_some_and(|seq| seq > found.seq) {
            return Ok(());
        }
        let mut before = std::mem::take(&mut ring.by_id);
        for key in found.keys {
            let id = key.id;
            let held = match before.remove(&id) {
                Some(held) => {
                    if key.revoked_at.is_some() {
                        held.end(KeyEnd::Revoked);
                    }
                    held
                }
                None => Held::new(key),
            };
            ring.by_id.insert(id, held);
        }
        for held in before.into_values() {
            held.end(KeyEnd::Revoked);
        }
        ring.seq = Some(found.seq);
        Ok(())
    }

    /// Ends the streams of keys whose time is over.
    fn end_expired(&self) {
        let now = self.shared.clock.now();
        let ring = self.shared.ring.read().unwrap_or_else(PoisonError::into_inner);
        for held in ring.by_id.values() {
            if let Some(end) = held.key.end_at(now) {
                held.end(end);
            }
        }
    }

    async fn tell_used(&self, at_least_ms: Millis) -> Result<(), LedgerError> {
        let used: Vec<(Arc<Held>, Millis)> = {
            let ring = self.shared.ring.read().unwrap_or_else(PoisonError::into_inner);
            let of = |held: &Arc<Held>| (held.clone(), held.used_at.load(Ordering::Relaxed));
            let is_news = |(held, used): &(Arc<Held>, Millis)| {
                used - held.told_at.load(Ordering::Relaxed) > at_least_ms
            };
            ring.by_id.values().map(of).filter(is_news).collect()
        };
        if used.is_empty() {
            return Ok(());
        }
        let rows = used.iter().map(|(held, at)| (held.key.id, *at)).collect();
        self.shared.ledger.touch_keys(rows).await?;
        for (held, at) in used {
            held.told_at.store(at, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Makes a key in a ledger, beside or within a server.
pub(crate) async fn make(ledger: &Ledger, key: ApiKey) -> Result<(Credential, ApiKey), NotMade> {
    let violations = key.violations();
    if !violations.is_empty() {
        return Err(EngineError::Invalid(violations).into());
    }
    for _ in 0..THROWS {
        let credential = Credential::random();
        let key = ApiKey { id: credential.id, secret_hash: credential.hash(), ..key.clone() };
        match ledger.put_key(key.clone()).await? {
            KeyPut::Done => return Ok((credential, key)),
            KeyPut::IdTaken => {}
            KeyPut::Full => {
                return Err(NotMade::Full { max: sentinel_domain::limits::KEYS_MAX });
            }
        }
    }
    Err(EngineError::Contended.into())
}
