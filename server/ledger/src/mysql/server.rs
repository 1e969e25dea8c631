//! The connections to one database, and how a transaction gets one: with every wait bounded,
//! and run again where another server was in the way.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::address::Address;
use super::arrival::refuse_half;
use super::fault::{Conflict, conflict, is_loss, told};
use super::migrate::refuse_other_format;
use super::session::{Access, Session, within};
use crate::sql::Fault;
use crate::{LedgerError, LedgerOptions};

/// Transactions that write at the same time: projection, logs, retention, and one to spare.
const WRITERS: usize = 4;

/// How long to wait for a connection that others use.
const PERMIT: Duration = Duration::from_secs(10);

/// How long a connection that lay idle may take to answer.
const BEGIN: Duration = Duration::from_secs(2);

/// What one transaction may take in all.
const READ: Duration = Duration::from_secs(35);
const WRITE: Duration = Duration::from_secs(60);

/// How often a transaction is run, if others are in its way. A wait for a lock counts as some,
/// since it took seconds.
const TRIES: u32 = 16;
const WAIT_TRIES: u32 = 4;

/// The pause before the second run. It doubles, so that of many one gets through.
const PAUSE: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(256);

/// A row beside its payload: headers, status, labels.
const ROOM_BYTES: u64 = 2 << 20;

/// One database that is shared with other servers.
pub(crate) struct Server {
    address: Address,
    readers: Slots,
    writers: Slots,
}

/// Connections that wait to be used.
struct Slots {
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Session>>,
}

impl Slots {
    fn new(count: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(count)), idle: Mutex::new(Vec::new()) }
    }

    fn take(&self) -> Option<Session> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn put(&self, session: Session) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
    }

    /// What broke one connection may have broken all.
    fn clear(&self) {
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        drop(idle);
    }
}

impl Server {
    /// Reaches a database that is in the format of this version.
    pub(crate) async fn connect(
        url: &str,
        options: LedgerOptions,
    ) -> Result<Arc<Self>, LedgerError> {
        let address = Address::parse(url)?;
        let server = Self {
            address,
            readers: Slots::new(options.readers.max(1)),
            writers: Slots::new(WRITERS),
        };
        let told = |fault| told(fault, server.address.shown());
        let mut session = server.open(Access::Write).await.map_err(told)?;
        refuse_unfit(&session, options).map_err(told)?;
        if !options.allow_unfinished_import {
            within(BEGIN, refuse_half(&mut session)).await.map_err(told)?;
        }
        server.writers.put(session);
        Ok(Arc::new(server))
    }

    /// A transaction that only reads.
    pub(crate) fn read(&self) -> Turn<'_> {
        Turn { server: self, access: Access::Read, tries: 0, held: None }
    }

    /// A transaction that writes.
    pub(crate) fn write(&self) -> Turn<'_> {
        Turn { server: self, access: Access::Write, tries: 0, held: None }
    }

    fn slots(&self, access: Access) -> &Slots {
        match access {
            Access::Read => &self.readers,
            Access::Write => &self.writers,
        }
    }

    async fn open(&self, access: Access) -> Result<Session, Fault> {
        let mut session = Session::open(&self.address, access).await?;
        within(BEGIN, refuse_other_format(&mut session)).await?;
        Ok(session)
    }

    async fn permitted(&self, access: Access) -> Result<(Session, OwnedSemaphorePermit), Fault> {
        let permits = self.slots(access).permits.clone();
        let permit = within(PERMIT, async {
            Ok(permits.acquire_owned().await.expect("the semaphore is never closed"))
        });
        let permit = permit.await.map_err(|_| {
            Fault::Away(format!("all connections were in use for {} s", PERMIT.as_secs()))
        })?;
        Ok((self.begin(access).await?, permit))
    }

    /// A connection in a transaction. The first statement tells whether one that lay idle
    /// still works; nothing is lost when it does not.
    async fn begin(&self, access: Access) -> Result<Session, Fault> {
        let slots = self.slots(access);
        if let Some(mut session) = slots.take() {
            if within(BEGIN, session.run("START TRANSACTION")).await.is_ok() {
                return Ok(session);
            }
            slots.clear();
        }
        let mut session = self.open(access).await?;
        within(BEGIN, session.run("START TRANSACTION")).await?;
        Ok(session)
    }
}

/// What a database server must be set to, before anything is entrusted to it.
fn refuse_unfit(session: &Session, options: LedgerOptions) -> Result<(), Fault> {
    let needed = options.max_payload_bytes + ROOM_BYTES;
    if session.packet_bytes < needed {
        return Err(Fault::Unfit(format!(
            "max_allowed_packet of the server is {} bytes, and the largest payload needs \
             {needed}: raise it there, or lower payload_max_bytes",
            session.packet_bytes
        )));
    }
    // What was projected may be forgotten everywhere else.
    if session.flush_at_commit != 1 {
        return Err(Fault::Unfit(format!(
            "innodb_flush_log_at_trx_commit of the server is {}: a loss of power would lose \
             what was acknowledged; set it to 1",
            session.flush_at_commit
        )));
    }
    Ok(())
}

/// One transaction, run until it is done or can not be. Dropped in the middle, it is undone.
pub(crate) struct Turn<'a> {
    server: &'a Server,
    access: Access,
    tries: u32,
    held: Option<(Session, OwnedSemaphorePermit)>,
}

impl Turn<'_> {
    /// A transaction to work in.
    pub(crate) async fn begin(&mut self) -> Result<&mut Session, LedgerError> {
        self.tries += 1;
        let server = self.server;
        let begun = server.permitted(self.access).await;
        self.held = Some(begun.map_err(|fault| told(fault, server.address.shown()))?);
        let (session, _) = self.held.as_mut().expect("just put there");
        Ok(session)
    }

    /// What the work may take.
    pub(crate) const fn limit(&self) -> Duration {
        match self.access {
            Access::Read => READ,
            Access::Write => WRITE,
        }
    }

    /// Commits what went well. None: it is to be run once more.
    pub(crate) async fn end<T>(
        &mut self,
        done: Result<T, Fault>,
    ) -> Option<Result<T, LedgerError>> {
        let (mut session, permit) = self.held.take().expect("begun");
        let (done, verb) = match done {
            Ok(done) => (Ok(done), "COMMIT"),
            Err(fault) => (Err(fault), "ROLLBACK"),
        };
        let is_lost = done.as_ref().is_err_and(is_loss);
        let ended = if is_lost { Ok(()) } else { within(BEGIN * 5, session.run(verb)).await };
        let is_ended = !is_lost && ended.is_ok();
        let done = done.and_then(|done| ended.map(|()| done));
        let server = self.server;
        let slots = server.slots(self.access);
        let Err(fault) = done else {
            slots.put(session);
            return Some(done.map_err(|fault| told(fault, self.server.address.shown())));
        };
        let conflict = conflict(&fault);
        if is_loss(&fault) {
            slots.clear();
        } else if is_ended && (conflict.is_some() || !fault.spoils_connection()) {
            slots.put(session);
        }
        let is_worth_it = match conflict {
            Some(Conflict::Deadlock) => true,
            Some(Conflict::Wait) => {
                self.tries += WAIT_TRIES - 1;
                true
            }
            // What was read is read again; what was written is not known to have failed.
            None => {
                let is_cut = is_loss(&fault) && !matches!(fault, Fault::Away(_));
                self.access == Access::Read && is_cut && self.tries == 1
            }
        };
        drop(permit);
        if is_worth_it && self.tries < TRIES {
            let doubled = PAUSE * (1 << self.tries.min(8));
            tokio::time::sleep(doubled.min(PAUSE_MAX)).await;
            return None;
        }
        Some(Err(told(fault, self.server.address.shown())))
    }
}
