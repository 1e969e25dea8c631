//! What all use-cases and loops of one engine share.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use sentinel_ledger::Ledger;
use sentinel_store::{ServerId, Store};

use crate::ack::Recorded;
use crate::commit::Committer;
use crate::demand::Demand;
use crate::fanout::Fanout;
use crate::ingest::Producing;
use crate::kinds::Kinds;
use crate::logs::LogWriter;
use crate::queue::Queues;
use crate::reach::Reach;
use crate::roster::Roster;
use crate::summary::Summing;
use crate::{Chance, Clock, Observer, Settings};

/// The shared parts; only this crate sees them.
pub struct Shared {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) ledger: Ledger,
    pub(crate) clock: Clock,
    pub(crate) chance: Chance,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) settings: Settings,
    pub(crate) server: ServerId,
    pub(crate) commits: Committer,
    pub(crate) demand: Arc<Demand>,
    pub(crate) roster: Roster,
    pub(crate) queues: Queues,
    pub(crate) fanout: Arc<Fanout>,
    pub(crate) logs: LogWriter,
    pub(crate) kinds: Kinds,
    pub(crate) recorded: Recorded,
    /// This server is the one that carries the journal over and lets go of what is old.
    pub(crate) leads: AtomicBool,
    pub(crate) reach: Reach,
    pub(crate) summing: Summing,
    pub(crate) producing: Producing,
}
