//! All API keys of the cluster, cached in memory. Authentication needs no query, and cached keys
//! remain valid while the ledger is unavailable.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use http::HeaderValue;
use sentinel_domain::limits::AUDIT_REFUSALS;
use sentinel_domain::{ApiKey, KeyId, KeyRejection, Millis};
use sentinel_engine::{Clock, EngineError};
use sentinel_ledger::{Ledger, LedgerError, PutKeyResult};
use tokio_util::sync::CancellationToken;

use super::credential::Credential;

/// How often the keys are refreshed. Together with [`REFRESH_TIMEOUT`] it ensures that a revocation
/// takes effect on all servers within 5 s.
const REFRESH_INTERVAL: Duration = Duration::from_secs(2);
const REFRESH_TIMEOUT: Duration = Duration::from_secs(2);

/// How long cached keys are accepted without a successful refresh.
const STALE_AFTER_MS: Millis = 24 * 60 * 60 * 1_000;

/// The resolution of a key's last use.
const LAST_USED_RESOLUTION_MS: Millis = 60_000;

/// How many random ids are tried for a new key. A collision of 64 bits is not expected.
const MAX_IDS_TRIED: usize = 8;

/// Why a credential is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AuthError {
    Missing,
    Invalid,
    /// The key has expired or was revoked.
    Ended(KeyRejection),
    /// No refresh succeeded for [`STALE_AFTER_MS`].
    Stale,
}

/// Why a key could not be created.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CreateKeyError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(
        "the cluster has {max} API keys, the maximum; revoke unused keys, which are removed after \
         90 days"
    )]
    Full { max: u64 },
}

impl From<LedgerError> for CreateKeyError {
    fn from(error: LedgerError) -> Self {
        Self::Engine(error.into())
    }
}

/// A cached API key and its state on this server.
#[derive(Debug)]
pub(crate) struct CachedKey {
    pub(crate) key: ApiKey,
    last_used_at: AtomicI64,
    /// The last use that is saved in the ledger.
    saved_last_used_at: AtomicI64,
    end_reason: OnceLock<KeyRejection>,
    ended: CancellationToken,
    /// The rejected calls of one minute: the minute and their number.
    rejections: Mutex<(Millis, u64)>,
}

/// Whether the audit log records a rejected call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RejectionLogging {
    Record,
    /// One entry stands for this call and all further ones in this minute.
    RecordAsLast,
    Skip,
}

impl CachedKey {
    fn new(key: ApiKey) -> Arc<Self> {
        let last_used_at = key.last_used_at.unwrap_or(0);
        let cached = Self {
            key,
            last_used_at: AtomicI64::new(last_used_at),
            saved_last_used_at: AtomicI64::new(last_used_at),
            end_reason: OnceLock::new(),
            ended: CancellationToken::new(),
            rejections: Mutex::default(),
        };
        if cached.key.revoked_at.is_some() {
            cached.end(KeyRejection::Revoked);
        }
        Arc::new(cached)
    }

    /// Counts a rejected call and returns whether to record it. The number of entries per minute
    /// is limited, so that a client that retries in a loop does not fill the audit log.
    pub(super) fn count_rejection(&self, now: Millis) -> RejectionLogging {
        let mut rejections = self.rejections.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = now / 60_000;
        if rejections.0 != minute {
            *rejections = (minute, 0);
        }
        rejections.1 += 1;
        match rejections.1 {
            count if count <= AUDIT_REFUSALS => RejectionLogging::Record,
            count if count == AUDIT_REFUSALS + 1 => RejectionLogging::RecordAsLast,
            _ => RejectionLogging::Skip,
        }
    }

    fn end(&self, reason: KeyRejection) {
        // Only the first reason is kept.
        let _ = self.end_reason.set(reason);
        self.ended.cancel();
    }

    /// Returns why the key has ended, or `None` while it is active.
    pub(crate) fn end_reason(&self) -> Option<KeyRejection> {
        self.end_reason.get().copied()
    }

    /// Returns a token that is cancelled when the key ends.
    pub(crate) fn ended(&self) -> &CancellationToken {
        &self.ended
    }
}

#[derive(Default)]
struct Cache {
    by_id: HashMap<KeyId, Arc<CachedKey>>,
    /// The sequence number of the ledger's keys when they were read.
    seq: Option<u64>,
}

/// All API keys of the cluster. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ApiKeys {
    inner: Arc<Inner>,
}

struct Inner {
    ledger: Ledger,
    clock: Clock,
    cache: RwLock<Cache>,
    /// The start of the last successful refresh.
    refreshed_at: AtomicI64,
}

impl ApiKeys {
    /// Loads all keys from the ledger.
    pub(crate) async fn open(ledger: Ledger, clock: Clock) -> Result<Self, LedgerError> {
        let refreshed_at = AtomicI64::new(clock.now());
        let inner = Inner { ledger, clock, cache: RwLock::default(), refreshed_at };
        let api_keys = Self { inner: Arc::new(inner) };
        api_keys.refresh().await?;
        Ok(api_keys)
    }

    /// Returns the number of keys that are neither expired nor revoked.
    pub(crate) fn count_active(&self) -> usize {
        let now = self.inner.clock.now();
        let cache = self.inner.cache.read().unwrap_or_else(PoisonError::into_inner);
        cache.by_id.values().filter(|cached| cached.key.rejection_at(now).is_none()).count()
    }

    /// Returns the key in the header `authorization: Bearer <key>`.
    pub(crate) fn authenticate(
        &self,
        header: Option<&HeaderValue>,
    ) -> Result<Arc<CachedKey>, AuthError> {
        let header = header.ok_or(AuthError::Missing)?.as_bytes();
        let (scheme, text) = header.split_at_checked(7).ok_or(AuthError::Invalid)?;
        if !scheme.eq_ignore_ascii_case(b"bearer ") {
            return Err(AuthError::Invalid);
        }
        let credential = Credential::parse(text).ok_or(AuthError::Invalid)?;
        let cached = {
            let cache = self.inner.cache.read().unwrap_or_else(PoisonError::into_inner);
            cache.by_id.get(&credential.id).cloned()
        };
        let cached = cached.ok_or(AuthError::Invalid)?;
        // Checked before the end of the key: a caller without its secret must not learn that the
        // key existed.
        if !credential.matches(&cached.key.secret_hash) {
            return Err(AuthError::Invalid);
        }
        let now = self.inner.clock.now();
        if let Some(end) = cached.end_reason().or(cached.key.rejection_at(now)) {
            return Err(AuthError::Ended(end));
        }
        if now - self.inner.refreshed_at.load(Ordering::Relaxed) > STALE_AFTER_MS {
            return Err(AuthError::Stale);
        }
        if now - cached.last_used_at.load(Ordering::Relaxed) > LAST_USED_RESOLUTION_MS {
            cached.last_used_at.store(now, Ordering::Relaxed);
        }
        Ok(cached)
    }

    /// Creates a key with a random id.
    pub(crate) async fn create(&self, key: ApiKey) -> Result<(Credential, ApiKey), CreateKeyError> {
        let created = create(&self.inner.ledger, key).await?;
        self.refresh().await?;
        Ok(created)
    }

    /// Revokes a key. On this server the revocation is effective when this returns. Returns `None`
    /// if no key has the id.
    pub(crate) async fn revoke(&self, id: KeyId) -> Result<Option<ApiKey>, EngineError> {
        let revoked = self.inner.ledger.revoke_api_key(id, self.inner.clock.now()).await?;
        if let Some(cached) = self.cached(id) {
            cached.end(KeyRejection::Revoked);
        }
        Ok(revoked)
    }

    fn cached(&self, id: KeyId) -> Option<Arc<CachedKey>> {
        self.inner.cache.read().unwrap_or_else(PoisonError::into_inner).by_id.get(&id).cloned()
    }

    /// Reads all keys from the ledger, the newest first.
    pub(crate) async fn list(&self) -> Result<Vec<ApiKey>, EngineError> {
        let mut keys =
            self.inner.ledger.api_keys(None).await?.map(|found| found.keys).unwrap_or_default();
        keys.sort_by_key(|key| std::cmp::Reverse((key.created_at, key.id)));
        Ok(keys)
    }

    /// Refreshes the keys and saves their last use until `closing` is cancelled.
    pub(crate) async fn run(self, closing: CancellationToken) {
        let mut has_failed = false;
        loop {
            tokio::select! {
                () = tokio::time::sleep(REFRESH_INTERVAL) => {}
                () = closing.cancelled() => break,
            }
            self.end_expired();
            let refreshed = tokio::time::timeout(REFRESH_TIMEOUT, self.refresh()).await;
            let failure = match refreshed {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some("timed out after 2 s".to_owned()),
            };
            match (&failure, has_failed) {
                (Some(error), false) => {
                    tracing::warn!(%error, "API key refresh failed, using cached keys");
                }
                (None, true) => tracing::info!("API key refresh recovered"),
                _ => {}
            }
            has_failed = failure.is_some();
            if !has_failed && let Err(error) = self.save_last_used(LAST_USED_RESOLUTION_MS).await {
                tracing::debug!(%error, "saving the last use of API keys failed, retrying");
            }
        }
        // The uses since the last save.
        let _ = tokio::time::timeout(REFRESH_TIMEOUT, self.save_last_used(0)).await;
    }

    async fn refresh(&self) -> Result<(), LedgerError> {
        let known = self.inner.cache.read().unwrap_or_else(PoisonError::into_inner).seq;
        let started_at = self.inner.clock.now();
        let found = self.inner.ledger.api_keys(known).await?;
        self.inner.refreshed_at.store(started_at, Ordering::Relaxed);
        let Some(found) = found else { return Ok(()) };
        let mut cache = self.inner.cache.write().unwrap_or_else(PoisonError::into_inner);
        // A concurrent refresh may have read a newer state.
        if cache.seq.is_some_and(|seq| seq > found.seq) {
            return Ok(());
        }
        let mut previous = std::mem::take(&mut cache.by_id);
        for key in found.keys {
            let id = key.id;
            let cached = match previous.remove(&id) {
                Some(cached) => {
                    if key.revoked_at.is_some() {
                        cached.end(KeyRejection::Revoked);
                    }
                    cached
                }
                None => CachedKey::new(key),
            };
            cache.by_id.insert(id, cached);
        }
        for cached in previous.into_values() {
            cached.end(KeyRejection::Revoked);
        }
        cache.seq = Some(found.seq);
        Ok(())
    }

    /// Ends the keys that have expired, and with them their streams.
    fn end_expired(&self) {
        let now = self.inner.clock.now();
        let cache = self.inner.cache.read().unwrap_or_else(PoisonError::into_inner);
        for cached in cache.by_id.values() {
            if let Some(end) = cached.key.rejection_at(now) {
                cached.end(end);
            }
        }
    }

    /// Saves the last use of each key for which the ledger is behind by more than `min_lag_ms`.
    async fn save_last_used(&self, min_lag_ms: Millis) -> Result<(), LedgerError> {
        let used: Vec<(Arc<CachedKey>, Millis)> = {
            let cache = self.inner.cache.read().unwrap_or_else(PoisonError::into_inner);
            let last_use = |cached: &Arc<CachedKey>| {
                (cached.clone(), cached.last_used_at.load(Ordering::Relaxed))
            };
            let is_unsaved = |(cached, used): &(Arc<CachedKey>, Millis)| {
                used - cached.saved_last_used_at.load(Ordering::Relaxed) > min_lag_ms
            };
            cache.by_id.values().map(last_use).filter(is_unsaved).collect()
        };
        if used.is_empty() {
            return Ok(());
        }
        let rows = used.iter().map(|(cached, at)| (cached.key.id, *at)).collect();
        self.inner.ledger.touch_api_keys(rows).await?;
        for (cached, at) in used {
            cached.saved_last_used_at.store(at, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Creates a key in a ledger. The command line calls this without a server.
pub(crate) async fn create(
    ledger: &Ledger,
    key: ApiKey,
) -> Result<(Credential, ApiKey), CreateKeyError> {
    let violations = key.violations();
    if !violations.is_empty() {
        return Err(EngineError::Invalid(violations).into());
    }
    for _ in 0..MAX_IDS_TRIED {
        let credential = Credential::random();
        let key = ApiKey { id: credential.id, secret_hash: credential.hash(), ..key.clone() };
        match ledger.put_api_key(key.clone()).await? {
            PutKeyResult::Added => return Ok((credential, key)),
            PutKeyResult::IdTaken => {}
            PutKeyResult::Full => {
                return Err(CreateKeyError::Full { max: sentinel_domain::limits::KEYS_MAX });
            }
        }
    }
    Err(EngineError::Contended.into())
}
