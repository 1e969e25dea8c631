//! The workers of all servers: who they are, and to give one no more jobs.

use ring::digest::{SHA256, digest};
use sentinel_domain::{Millis, SessionId, WorkerId};
use sentinel_store::codec::Names;
use sentinel_store::{
    Mutation, SessionInfo, SessionRow, StoreError, Transaction, TransactionResult, WorkerInfo,
};

use crate::{Engine, EngineError};

/// Cards of one read; one is 1 KiB as a rule and 160 KiB at the most.
const READ: usize = 64;

/// A page is not filled further once its cards have so many bytes.
const PAGE_BYTES: usize = 2 << 20;

/// A live worker.
#[derive(Clone, Debug)]
pub struct WorkerCard {
    pub id: WorkerId,
    pub about: WorkerInfo,
    /// It gets no more jobs, because it was told to or because it said so.
    pub is_draining: bool,
    /// As of the last time that its server noted it.
    pub heard_at: Millis,
    /// Jobs that run on it.
    pub running: u64,
}

/// Workers by id.
#[derive(Clone, Debug, Default)]
pub struct WorkersPage {
    pub workers: Vec<WorkerCard>,
    /// There are more behind the last one.
    pub has_more: bool,
}

/// What stands for a session where its nonce must not be shown.
pub(crate) fn worker_id(session: SessionId) -> WorkerId {
    let text = [b"sentinel worker ".as_slice(), &session.as_u128().to_be_bytes()].concat();
    let mut bits = [0; 16];
    bits.copy_from_slice(&digest(&SHA256, &text).as_ref()[..16]);
    WorkerId::from_u128(u128::from_be_bytes(bits))
}

impl Engine {
    /// Live workers of all servers by id, after one, at most `limit`; fewer when they have much
    /// to say.
    pub async fn list_workers(
        &self,
        after: Option<WorkerId>,
        limit: usize,
    ) -> Result<WorkersPage, EngineError> {
        let mut live: Vec<_> = self.live_sessions().await?.map(|id| (worker_id(id), id)).collect();
        live.retain(|(id, _)| after.is_none_or(|after| *id > after));
        live.sort_unstable();
        let mut page = WorkersPage::default();
        let mut bytes = 0;
        for some in live.chunks(READ) {
            for (card, (id, _)) in self.read_cards(some).await?.into_iter().zip(some) {
                // It ended since.
                let Some(card) = card else { continue };
                if page.workers.len() == limit || bytes > PAGE_BYTES {
                    page.has_more = true;
                    return Ok(page);
                }
                bytes += card.announcement.len();
                page.workers.push(self.worker_of(*id, card)?);
            }
        }
        Ok(page)
    }

    /// Lets a worker end what it runs and gives it nothing else, for as long as its session
    /// lives. When this returns, no job is claimed for it any more.
    pub async fn drain_worker(&self, id: WorkerId) -> Result<WorkerCard, EngineError> {
        let session = self.live_sessions().await?.find(|session| worker_id(*session) == id);
        let session = session.ok_or(EngineError::WorkerNotFound(id))?;
        let changes = vec![Mutation::DrainSession(session)];
        let group = Transaction { changes, ..Transaction::default() };
        let verdict = self.acknowledge(group, self.settings.ack).await?;
        debug_assert_eq!(verdict, TransactionResult::Committed, "nothing guards it");
        // Another server is told by the store.
        self.roster.doubt(session);
        let card = self.read_cards(&[(id, session)]).await?.into_iter().next().flatten();
        self.worker_of(id, card.ok_or(EngineError::WorkerNotFound(id))?)
    }

    pub(crate) async fn live_sessions(
        &self,
    ) -> Result<impl Iterator<Item = SessionId>, EngineError> {
        let now = self.now();
        let is_live = move |row: &SessionRow| row.expires_at > now;
        Ok(self.store.sessions().await?.into_iter().filter(is_live).map(|row| row.id))
    }

    /// Every live session, one after another.
    pub(crate) async fn each_card(
        &self,
        mut look: impl FnMut(&SessionInfo) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        let live: Vec<SessionId> = self.live_sessions().await?.collect();
        for some in live.chunks(READ) {
            for card in self.store.cards(some.to_vec()).await?.iter().flatten() {
                look(card)?;
            }
        }
        Ok(())
    }

    async fn read_cards(
        &self,
        workers: &[(WorkerId, SessionId)],
    ) -> Result<Vec<Option<SessionInfo>>, EngineError> {
        let sessions = workers.iter().map(|(_, session)| *session).collect();
        Ok(self.store.cards(sessions).await?)
    }

    fn worker_of(&self, id: WorkerId, card: SessionInfo) -> Result<WorkerCard, EngineError> {
        let about = decoded(&card)?;
        // A row lives for one session_ttl after its worker was heard.
        let heard_at = card.row.expires_at - self.settings.session_ttl_ms;
        Ok(WorkerCard {
            id,
            is_draining: card.is_drained || about.is_leaving,
            heard_at: heard_at.min(self.now()).max(about.since),
            running: card.running,
            about,
        })
    }
}

/// What a card says.
pub(crate) fn decoded(card: &SessionInfo) -> Result<WorkerInfo, StoreError> {
    WorkerInfo::decode(card.announcement.clone(), &mut Names::default())
        .map_err(|error| StoreError::Damaged(error.to_string()))
}
