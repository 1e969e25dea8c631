//! Runs the streams of workers.

use std::pin::pin;
use std::sync::Arc;

use futures_util::Stream;
use sentinel_ledger::Ledger;
use sentinel_store::{ServerId, Store};
use tokio_util::sync::CancellationToken;

use super::actor::Session;
use super::frame::{FromWorker, Hello, StreamEnd};
use super::outbound_queue::OutboundQueue;
use crate::cluster::StoreHealth;
use crate::commit::{Committer, Durability};
use crate::dispatch::{AssignmentReturner, ClaimScheduler, SessionRegistry};
use crate::history::LogWriter;
use crate::jobs::{DecisionCommitter, JobReader};
use crate::watch::Fanout;
use crate::workers::KindDeclarations;
use crate::{Clock, EngineError, Observer, Rng, Settings};

/// What all sessions of a server use.
pub(crate) struct SessionContext {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) ledger: Ledger,
    pub(crate) server: ServerId,
    pub(crate) clock: Clock,
    pub(crate) rng: Rng,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) settings: Settings,
    pub(crate) health: Arc<StoreHealth>,
    pub(crate) committer: Committer,
    pub(crate) durability: Durability,
    pub(crate) reader: JobReader,
    pub(crate) decisions: DecisionCommitter,
    pub(crate) scheduler: Arc<ClaimScheduler>,
    pub(crate) registry: Arc<SessionRegistry>,
    pub(crate) returner: AssignmentReturner,
    pub(crate) fanout: Arc<Fanout>,
    pub(crate) logs: LogWriter,
    pub(crate) kinds: KindDeclarations,
}

/// The worker sessions of this server.
pub struct Sessions(pub(crate) Arc<SessionContext>);

impl Sessions {
    /// Runs one stream of a session until it closes.
    ///
    /// An error means that the session was not opened, and is the status of the stream. After
    /// Welcome every end is a [`StreamEnd`].
    pub async fn run(
        &self,
        hello: Hello,
        incoming: impl Stream<Item = FromWorker>,
        outbound: OutboundQueue,
        closing: CancellationToken,
    ) -> Result<StreamEnd, EngineError> {
        let mut session = Session::open(self.0.clone(), hello, outbound).await?;
        let end = session.run(pin!(incoming), closing).await;
        session.close(end).await;
        Ok(end)
    }

    /// Returns the number of connected sessions, and the jobs that they have credits for.
    pub fn load(&self) -> (usize, u64) {
        (self.0.registry.count(), self.0.scheduler.free_slots())
    }
}
