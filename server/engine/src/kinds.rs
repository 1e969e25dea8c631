//! The kinds that workers have or had: their words go to the ledger behind the back of a Hello,
//! who has them now is counted from the cards of the sessions.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use sentinel_domain::limits::{KIND_KEEP_MS, KINDS_MAX};
use sentinel_domain::{Millis, Name};
use sentinel_ledger::KnownKind;
use tokio::sync::{Mutex, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{Engine, EngineError, registry};

/// Hellos whose kinds may wait; of one that comes then only the next is heard.
const WAITING_MAX: usize = 256;

/// Between two writes: fleets start at once and declare the same.
const WRITE_EVERY: Duration = Duration::from_millis(250);

/// Kinds of one write.
const WRITE_MAX: usize = 200;

/// How often live kinds are noted as seen.
const SEE_EVERY: Duration = Duration::from_secs(60);

/// Who has which kind is counted once in so long, however many ask.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// Words of a page: a thousand schemas of 16 KiB are more than a message holds.
const PAGE_BYTES: usize = 2 << 20;

/// A kind as a worker declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredKind {
    pub name: Name,
    pub description: Box<str>,
    /// JSON Schema of the payload; empty where none is declared.
    pub input_schema: Box<str>,
}

/// A kind with who has it.
#[derive(Clone, Debug)]
pub struct Kind {
    pub known: KnownKind,
    /// Live workers that have a handler for it.
    pub workers: u64,
    /// Different schemas that they declare.
    pub schemas: u64,
}

/// Kinds by name.
#[derive(Clone, Debug, Default)]
pub struct KindsPage {
    pub kinds: Vec<Kind>,
    /// There are more behind the last one.
    pub has_more: bool,
}

/// The words of one session.
pub(crate) struct Declaration {
    since: Millis,
    kinds: Vec<DeclaredKind>,
}

#[derive(Clone, Default)]
struct Holders {
    workers: u64,
    schemas: HashSet<u64>,
}

type Live = Arc<HashMap<Name, Holders>>;

pub(crate) struct Kinds {
    declared: mpsc::Sender<Declaration>,
    counted: Mutex<Option<(Instant, Live)>>,
}

pub(crate) fn channel() -> (Kinds, mpsc::Receiver<Declaration>) {
    let (declared, declarations) = mpsc::channel(WAITING_MAX);
    (Kinds { declared, counted: Mutex::default() }, declarations)
}

impl Kinds {
    /// Nobody waits for it. What finds no room is said again with the next Hello.
    pub(crate) fn declare(&self, since: Millis, kinds: Vec<DeclaredKind>) {
        let _ = self.declared.try_send(Declaration { since, kinds });
    }
}

/// What waits to be written: the last words about each kind, however many say the same.
#[derive(Default)]
struct Book(BTreeMap<Name, KnownKind>);

impl Book {
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

    /// Writes some. What fails waits on.
    async fn write(&mut self, engine: &Engine) {
        let some: Vec<KnownKind> = self.0.values().take(WRITE_MAX).cloned().collect();
        if some.is_empty() {
            return;
        }
        let names: Vec<Name> = some.iter().map(|kind| kind.name.clone()).collect();
        match engine.ledger.declare_kinds(some).await {
            Ok(()) => names.iter().for_each(|name| _ = self.0.remove(name)),
            Err(error) => tracing::debug!(%error, "kinds were not noted yet"),
        }
    }
}

/// The loop.
pub(crate) async fn run(
    engine: Engine,
    mut declarations: mpsc::Receiver<Declaration>,
    closing: CancellationToken,
) {
    let mut book = Book::default();
    let mut write = tokio::time::interval(WRITE_EVERY);
    let mut see = tokio::time::interval(SEE_EVERY);
    for timer in [&mut write, &mut see] {
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    }
    loop {
        tokio::select! {
            () = closing.cancelled() => return,
            Some(declaration) = declarations.recv() => book.add(declaration, engine.now()),
            _ = write.tick() => book.write(&engine).await,
            _ = see.tick() => {
                if let Err(error) = engine.see_kinds().await {
                    tracing::debug!(%error, "kinds were not noted as seen");
                }
            }
        }
    }
}

impl Engine {
    /// Notes the kinds of the sessions here as seen, and forgets those that nobody has had for
    /// long. It happens by itself every minute.
    pub async fn see_kinds(&self) -> Result<(), EngineError> {
        let (now, names) = (self.now(), self.demand.kinds());
        if !names.is_empty() {
            self.ledger.see_kinds(names, now).await?;
        }
        if self.leads() {
            self.ledger.drop_unseen_kinds(now - KIND_KEEP_MS.cast_signed()).await?;
        }
        Ok(())
    }

    /// Kinds by name, behind one: at most `limit`, and fewer where their words are long.
    pub async fn list_kinds(&self, after: &str, limit: usize) -> Result<KindsPage, EngineError> {
        // One more than asked for tells whether there is another page.
        let known = self.ledger.kinds(after.to_owned(), limit + 1).await?;
        let live = self.live_kinds().await?;
        let mut page = KindsPage::default();
        let mut bytes = 0;
        for known in known {
            if page.kinds.len() == limit || bytes > PAGE_BYTES {
                page.has_more = true;
                break;
            }
            bytes += known.description.len() + known.input_schema.len();
            page.kinds.push(with_holders(known, &live, self.now()));
        }
        Ok(page)
    }

    /// One kind.
    pub async fn get_kind(&self, name: &str) -> Result<Kind, EngineError> {
        let known = self.ledger.kind(name.to_owned()).await?;
        let known = known.ok_or_else(|| EngineError::KindNotFound(name.into()))?;
        Ok(with_holders(known, &self.live_kinds().await?, self.now()))
    }

    async fn live_kinds(&self) -> Result<Live, EngineError> {
        let mut counted = self.kinds.counted.lock().await;
        if let Some((at, live)) = &*counted
            && at.elapsed() < COUNT_EVERY
        {
            return Ok(live.clone());
        }
        let mut live: HashMap<Name, Holders> = HashMap::new();
        self.each_card(|card| {
            for kind in registry::decoded(card)?.kinds {
                let holders = live.entry(kind.name).or_default();
                holders.workers += 1;
                if kind.schema_hash != 0 {
                    holders.schemas.insert(kind.schema_hash);
                }
            }
            Ok(())
        })
        .await?;
        let live = Arc::new(live);
        *counted = Some((Instant::now(), live.clone()));
        Ok(live)
    }
}

fn with_holders(mut known: KnownKind, live: &Live, now: Millis) -> Kind {
    let holders = live.get(&known.name).cloned().unwrap_or_default();
    if holders.workers > 0 {
        known.seen_at = now;
    }
    Kind { known, workers: holders.workers, schemas: holders.schemas.len() as u64 }
}
