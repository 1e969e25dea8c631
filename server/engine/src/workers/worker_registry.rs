//! Lists and drains the workers of all servers.

use std::sync::Arc;

use ring::digest::{SHA256, digest};
use sentinel_domain::{Millis, SessionId, WorkerId};
use sentinel_store::codec::NamePool;
use sentinel_store::{
    Mutation, SessionInfo, SessionRow, Store, StoreError, Transaction, TransactionResult,
    WorkerInfo,
};

use crate::commit::Durability;
use crate::dispatch::SessionRegistry;
use crate::{Clock, EngineError, Settings};

/// The sessions of one read. Each has usually 1 KiB, at most 160 KiB.
const READ_MAX: usize = 64;

/// The bytes of worker information after which a page ends.
const PAGE_BYTES: usize = 2 << 20;

/// A live worker.
#[derive(Clone, Debug)]
pub struct WorkerEntry {
    pub id: WorkerId,
    pub info: WorkerInfo,
    /// The worker gets no more jobs, because it or an operator asked for it.
    pub is_draining: bool,
    /// The last heartbeat that its server recorded.
    pub last_heartbeat_at: Millis,
    /// The number of jobs that run on it.
    pub running: u64,
}

/// A page of workers, sorted by id.
#[derive(Clone, Debug, Default)]
pub struct WorkersPage {
    pub workers: Vec<WorkerEntry>,
    /// More workers follow.
    pub has_more: bool,
}

/// The workers of all servers. Cheap to clone.
#[derive(Clone)]
pub struct Workers {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) durability: Durability,
    pub(crate) registry: Arc<SessionRegistry>,
    pub(crate) clock: Clock,
    pub(crate) settings: Settings,
}

impl Workers {
    /// Returns live workers sorted by id, after one, at most `limit`. A page with much
    /// information may be shorter.
    pub async fn list(
        &self,
        after: Option<WorkerId>,
        limit: usize,
    ) -> Result<WorkersPage, EngineError> {
        let mut live: Vec<_> = self.live_sessions().await?.map(|id| (worker_id(id), id)).collect();
        live.retain(|(id, _)| after.is_none_or(|after| *id > after));
        live.sort_unstable();
        let mut page = WorkersPage::default();
        let mut bytes = 0;
        for some in live.chunks(READ_MAX) {
            for (info, (id, _)) in self.read(some).await?.into_iter().zip(some) {
                // The session ended meanwhile.
                let Some(info) = info else { continue };
                if page.workers.len() == limit || bytes > PAGE_BYTES {
                    page.has_more = true;
                    return Ok(page);
                }
                bytes += info.worker_info.len();
                page.workers.push(self.entry(*id, info)?);
            }
        }
        Ok(page)
    }

    /// Drains a worker: it finishes its running jobs and gets no others, for as long as its
    /// session lives. When this returns, no more jobs are claimed for it.
    pub async fn drain(&self, id: WorkerId) -> Result<WorkerEntry, EngineError> {
        let session = self.live_sessions().await?.find(|session| worker_id(*session) == id);
        let session = session.ok_or(EngineError::WorkerNotFound(id))?;
        let mutations = vec![Mutation::DrainSession(session)];
        let transaction = Transaction { mutations, ..Transaction::default() };
        let level = self.durability.default_level();
        let result = self.durability.commit(transaction, level).await?;
        debug_assert_eq!(result, TransactionResult::Committed, "it has no precondition");
        // A peer that owns the session learns of it from the store.
        self.registry.recheck_owner(session);
        let info = self.read(&[(id, session)]).await?.into_iter().next().flatten();
        self.entry(id, info.ok_or(EngineError::WorkerNotFound(id))?)
    }

    pub(crate) async fn live_sessions(
        &self,
    ) -> Result<impl Iterator<Item = SessionId>, EngineError> {
        let now = self.clock.now();
        let is_live = move |row: &SessionRow| row.expires_at > now;
        Ok(self.store.sessions().await?.into_iter().filter(is_live).map(|row| row.id))
    }

    /// Calls `visit` with every live session.
    pub(super) async fn for_each_live(
        &self,
        mut visit: impl FnMut(&SessionInfo) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        let live: Vec<SessionId> = self.live_sessions().await?.collect();
        for sessions in live.chunks(READ_MAX) {
            for info in self.store.session_infos(sessions.to_vec()).await?.iter().flatten() {
                visit(info)?;
            }
        }
        Ok(())
    }

    async fn read(
        &self,
        workers: &[(WorkerId, SessionId)],
    ) -> Result<Vec<Option<SessionInfo>>, EngineError> {
        let sessions = workers.iter().map(|(_, session)| *session).collect();
        Ok(self.store.session_infos(sessions).await?)
    }

    fn entry(&self, id: WorkerId, session: SessionInfo) -> Result<WorkerEntry, EngineError> {
        let info = decode_worker_info(&session)?;
        // A heartbeat extends the row to one session TTL from then.
        let heartbeat_at = session.row.expires_at - self.settings.session_ttl_ms;
        Ok(WorkerEntry {
            id,
            is_draining: session.is_drained || info.is_draining,
            last_heartbeat_at: heartbeat_at.min(self.clock.now()).max(info.since),
            running: session.running,
            info,
        })
    }
}

/// Returns the public id of a worker. It is a hash, because whoever knows a session id can resume
/// the session.
fn worker_id(session: SessionId) -> WorkerId {
    let text = [b"sentinel worker ".as_slice(), &session.as_u128().to_be_bytes()].concat();
    let mut bits = [0; 16];
    bits.copy_from_slice(&digest(&SHA256, &text).as_ref()[..16]);
    WorkerId::from_u128(u128::from_be_bytes(bits))
}

/// Decodes the worker information of a session.
pub(crate) fn decode_worker_info(session: &SessionInfo) -> Result<WorkerInfo, StoreError> {
    WorkerInfo::decode(session.worker_info.clone(), &mut NamePool::default())
        .map_err(|error| StoreError::Damaged(error.to_string()))
}
