//! What all sessions of a server use.

use std::sync::Arc;

use sentinel_ledger::Ledger;
use sentinel_store::{ServerId, Store};

use crate::cluster::StoreHealth;
use crate::commit::{Committer, Durability};
use crate::dispatch::{AssignmentReturner, ClaimScheduler, SessionRegistry};
use crate::history::LogWriter;
use crate::jobs::{DecisionCommitter, JobReader};
use crate::watch::Fanout;
use crate::workers::KindDeclarations;
use crate::{Clock, Observer, Rng, Settings};

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
