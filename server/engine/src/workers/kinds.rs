//! The kinds that workers declare. Their descriptions are written to the ledger in the
//! background; the workers of a kind are counted over the live sessions.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use sentinel_domain::limits::{KIND_RETENTION_MS, KINDS_MAX};
use sentinel_domain::{Millis, Name};
use sentinel_ledger::{KnownKind, Ledger};
use tokio::sync::{Mutex, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::worker_registry::{Workers, decode_worker_info};
use crate::cluster::Leadership;
use crate::dispatch::ClaimScheduler;
use crate::{Clock, EngineError};

/// The most declarations that wait. Beyond it a declaration is dropped until the worker's next
/// Hello.
const WAITING_MAX: usize = 256;

/// The interval of writes. Workers that start together declare the same kinds.
const WRITE_EVERY: Duration = Duration::from_millis(250);

/// The most kinds of one write.
const WRITE_MAX: usize = 200;

/// How often live kinds are recorded as seen.
const TOUCH_EVERY: Duration = Duration::from_secs(60);

/// The workers of a kind are counted at most this often.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// The bytes of descriptions and schemas after which a page ends. A thousand schemas of 16 KiB
/// would not fit into a message.
const PAGE_BYTES: usize = 2 << 20;

/// A kind as a worker declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredKind {
    pub name: Name,
    pub description: Box<str>,
    /// The JSON Schema of the payload; empty when none is declared.
    pub input_schema: Box<str>,
}

/// A kind, and how many workers handle it.
#[derive(Clone, Debug)]
pub struct Kind {
    pub known: KnownKind,
    /// The number of live workers that handle it.
    pub workers: u64,
    /// The number of different schemas that they declare.
    pub schemas: u64,
}

/// A page of kinds, sorted by name.
#[derive(Clone, Debug, Default)]
pub struct KindsPage {
    pub kinds: Vec<Kind>,
    /// More kinds follow.
    pub has_more: bool,
}

/// The kinds of one session.
struct Declaration {
    since: Millis,
    kinds: Vec<DeclaredKind>,
}

/// Submits declarations. Cheap to clone.
#[derive(Clone)]
pub(crate) struct KindDeclarations(mpsc::Sender<Declaration>);

impl KindDeclarations {
    /// Submits the kinds of a session that began at `since`, without waiting.
    pub(crate) fn declare(&self, since: Millis, kinds: Vec<DeclaredKind>) {
        let _ = self.0.try_send(Declaration { since, kinds });
    }
}

/// The workers that handle one kind.
#[derive(Clone, Default)]
struct Handlers {
    workers: u64,
    schemas: HashSet<u64>,
}

type HandlersByKind = Arc<HashMap<Name, Handlers>>;

/// The kinds of the cluster.
pub struct Kinds {
    ledger: Ledger,
    clock: Clock,
    scheduler: Arc<ClaimScheduler>,
    leadership: Leadership,
    workers: Workers,
    counted: Mutex<Option<(Instant, HandlersByKind)>>,
}

impl Kinds {
    pub(crate) fn new(
        ledger: Ledger,
        clock: Clock,
        scheduler: Arc<ClaimScheduler>,
        leadership: Leadership,
        workers: Workers,
    ) -> Self {
        Self { ledger, clock, scheduler, leadership, workers, counted: Mutex::default() }
    }

    /// Records the kinds of the sessions here as seen. The leader also deletes the kinds that no
    /// worker had for a long time. The engine calls it every minute.
    pub async fn touch_live(&self) -> Result<(), EngineError> {
        let (now, names) = (self.clock.now(), self.scheduler.kinds());
        if !names.is_empty() {
            self.ledger.touch_kinds(names, now).await?;
        }
        if self.leadership.is_leader() {
            self.ledger.delete_unseen_kinds(now - KIND_RETENTION_MS.cast_signed()).await?;
        }
        Ok(())
    }

    /// Returns kinds sorted by name, after one, at most `limit`. A page with long descriptions
    /// may be shorter.
    pub async fn list(&self, after: &str, limit: usize) -> Result<KindsPage, EngineError> {
        // One more than asked for shows whether another page follows.
        let known = self.ledger.kinds(after.to_owned(), limit + 1).await?;
        let handlers = self.handlers().await?;
        let mut page = KindsPage::default();
        let mut bytes = 0;
        for known in known {
            if page.kinds.len() == limit || bytes > PAGE_BYTES {
                page.has_more = true;
                break;
            }
            bytes += known.description.len() + known.input_schema.len();
            page.kinds.push(with_handlers(known, &handlers, self.clock.now()));
        }
        Ok(page)
    }

    /// Returns one kind.
    pub async fn get(&self, name: &str) -> Result<Kind, EngineError> {
        let known = self.ledger.kind(name.to_owned()).await?;
        let known = known.ok_or_else(|| EngineError::KindNotFound(name.into()))?;
        Ok(with_handlers(known, &self.handlers().await?, self.clock.now()))
    }

    async fn handlers(&self) -> Result<HandlersByKind, EngineError> {
        let mut counted = self.counted.lock().await;
        if let Some((at, handlers)) = &*counted
            && at.elapsed() < COUNT_EVERY
        {
            return Ok(handlers.clone());
        }
        let mut by_kind: HashMap<Name, Handlers> = HashMap::new();
        self.workers
            .for_each_live(|session| {
                for kind in decode_worker_info(session)?.kinds {
                    let handlers = by_kind.entry(kind.name).or_default();
                    handlers.workers += 1;
                    if kind.schema_hash != 0 {
                        handlers.schemas.insert(kind.schema_hash);
                    }
                }
                Ok(())
            })
            .await?;
        let by_kind = Arc::new(by_kind);
        *counted = Some((Instant::now(), by_kind.clone()));
        Ok(by_kind)
    }
}

fn with_handlers(mut known: KnownKind, by_kind: &HandlersByKind, now: Millis) -> Kind {
    let handlers = by_kind.get(&known.name).cloned().unwrap_or_default();
    if handlers.workers > 0 {
        known.seen_at = now;
    }
    Kind { known, workers: handlers.workers, schemas: handlers.schemas.len() as u64 }
}

/// The declarations that are not written yet: the latest of each kind.
#[derive(Default)]
struct Unwritten(BTreeMap<Name, KnownKind>);

impl Unwritten {
    fn add(&mut self, declaration: Declaration, now: Millis) {
        let declared_at = declaration.since;
        for DeclaredKind { name, description, input_schema } in declaration.kinds {
            let kind = KnownKind { name, description, input_schema, declared_at, seen_at: now };
            let is_full = self.0.len() >= KINDS_MAX as usize;
            match self.0.get(&kind.name) {
                Some(other) if other.declared_at > declared_at => {}
                None if is_full => {}
                _ => _ = self.0.insert(kind.name.clone(), kind),
            }
        }
    }

    /// Writes some of them. Those that could not be written stay.
    async fn write(&mut self, ledger: &Ledger) {
        let kinds: Vec<KnownKind> = self.0.values().take(WRITE_MAX).cloned().collect();
        if kinds.is_empty() {
            return;
        }
        let names: Vec<Name> = kinds.iter().map(|kind| kind.name.clone()).collect();
        match ledger.declare_kinds(kinds).await {
            Ok(()) => names.iter().for_each(|name| _ = self.0.remove(name)),
            Err(error) => tracing::debug!(%error, "kinds could not be stored, retrying"),
        }
    }
}

/// The loop that writes declarations.
pub(crate) struct KindLoop {
    kinds: Arc<Kinds>,
    declarations: mpsc::Receiver<Declaration>,
}

/// The ends of the channel of declarations.
pub(crate) struct KindReceiver(mpsc::Receiver<Declaration>);

pub(crate) fn kind_channel() -> (KindDeclarations, KindReceiver) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    (KindDeclarations(sender), KindReceiver(receiver))
}

impl KindLoop {
    pub(crate) fn new(kinds: Arc<Kinds>, KindReceiver(declarations): KindReceiver) -> Self {
        Self { kinds, declarations }
    }

    /// Runs until `closing` is cancelled.
    pub(crate) async fn run(mut self, closing: CancellationToken) {
        let mut unwritten = Unwritten::default();
        let mut write = tokio::time::interval(WRITE_EVERY);
        let mut touch = tokio::time::interval(TOUCH_EVERY);
        for timer in [&mut write, &mut touch] {
            timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        }
        loop {
            tokio::select! {
                () = closing.cancelled() => return,
                Some(declaration) = self.declarations.recv() => {
                    unwritten.add(declaration, self.kinds.clock.now());
                }
                _ = write.tick() => unwritten.write(&self.kinds.ledger).await,
                _ = touch.tick() => {
                    if let Err(error) = self.kinds.touch_live().await {
                        tracing::debug!(%error, "live kinds could not be recorded, retrying");
                    }
                }
            }
        }
    }
}
