//! PeerEvents from other servers, as messages bring it in and until this server takes it out.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes};
use sentinel_domain::{JobId, Name, SessionId};
use sentinel_store::codec::NamePool;
use sentinel_store::{PeerEvents, Position, ServerId, StoreError};
use tokio::sync::{Notify, watch};

use crate::error::damaged;
use crate::record::take;
use crate::reply;

/// Of each sort; beyond, all is looked at anew.
const WAITING_MAX: usize = 4_096;

/// What waits for the server of this store.
#[derive(Debug)]
pub(crate) struct Board {
    waiting: Mutex<PeerEvents>,
    posted: Notify,
    /// Whose news they are, once that is known.
    pub(crate) reader: watch::Sender<Option<ServerId>>,
}

/// A message to all servers.
pub(crate) struct ToAll {
    pub(crate) position: Position,
    /// There when the call made jobs ready or declared queues.
    pub(crate) by: Option<ServerId>,
    ready: Vec<(Name, Name)>,
    queues_changed: bool,
}

/// A message to one server.
pub(crate) struct ToOne {
    /// Of all messages to this server.
    pub(crate) number: u64,
    jobs: Vec<(SessionId, JobId)>,
    sessions: Vec<SessionId>,
    /// The rest is of a sort that only a newer version knows.
    is_cut: bool,
}

impl Default for Board {
    fn default() -> Self {
        let (waiting, posted) = Default::default();
        Self { waiting, posted, reader: watch::Sender::new(None) }
    }
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, PeerEvents> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn post(&self, add: impl FnOnce(&mut PeerEvents)) {
        let mut waiting = self.lock();
        add(&mut waiting);
        if waiting.ready.len().max(waiting.jobs.len()).max(waiting.sessions.len()) > WAITING_MAX {
            *waiting = PeerEvents {
                is_incomplete: true,
                server_count: waiting.server_count,
                ..PeerEvents::default()
            };
        }
        if !waiting.is_empty() {
            self.posted.notify_one();
        }
    }

    pub(crate) fn to_all(&self, message: ToAll) {
        if message.by.is_none() || message.by == *self.reader.borrow() {
            return;
        }
        self.post(|news| {
            for class in message.ready {
                if !news.ready.contains(&class) {
                    news.ready.push(class);
                }
            }
            news.queues_changed |= message.queues_changed;
        });
    }

    pub(crate) fn to_one(&self, message: ToOne) {
        self.post(|news| {
            news.jobs.extend(message.jobs);
            news.sessions.extend(message.sessions);
            news.is_incomplete |= message.is_cut;
        });
    }

    /// Messages were missed.
    pub(crate) fn missed(&self) {
        self.post(|news| news.is_incomplete = true);
    }

    pub(crate) fn servers(&self, servers: usize) {
        self.post(|news| news.server_count = servers);
    }

    fn take(&self) -> Option<PeerEvents> {
        let mut waiting = self.lock();
        let servers = waiting.server_count;
        (!waiting.is_empty()).then(|| {
            std::mem::replace(&mut *waiting, PeerEvents { server_count: servers, ..PeerEvents::default() })
        })
    }

    /// Waits for news. Whoever stops waiting loses none.
    pub(crate) async fn next(&self, server: ServerId) -> PeerEvents {
        self.reader.send_if_modified(|reader| reader.replace(server) != Some(server));
        loop {
            if let Some(news) = self.take() {
                return news;
            }
            self.posted.notified().await;
        }
    }
}

/// Reads what `tell_all` wrote: the position, and behind it who made what ready.
pub(crate) fn to_all(mut message: Bytes, names: &mut NamePool) -> Result<ToAll, StoreError> {
    let end = message.iter().position(|byte| *byte == 0).unwrap_or(message.len());
    let position = reply::text(&message.split_to(end))?.parse().map_err(damaged)?;
    let mut all = ToAll { position, by: None, ready: Vec::new(), queues_changed: false };
    if message.is_empty() {
        return Ok(all);
    }
    take(&mut message, 1)?;
    all.by = Some(ServerId(take(&mut message, 8)?.get_u64()));
    all.queues_changed = take(&mut message, 1)?.get_u8() == b'q';
    all.ready = reply::classes(&mut message, names)?;
    Ok(all)
}

/// Reads what `tell_owners` wrote.
pub(crate) fn to_one(mut message: Bytes) -> Result<ToOne, StoreError> {
    let number = take(&mut message, 8)?.get_u64();
    let mut one = ToOne { number, jobs: Vec::new(), sessions: Vec::new(), is_cut: false };
    while !message.is_empty() {
        let sort = take(&mut message, 1)?.get_u8();
        if !matches!(sort, b'j' | b's') {
            // How long it is nobody can tell: what it says is found by looking at all.
            one.is_cut = true;
            break;
        }
        let session = SessionId::from_u128(take(&mut message, 16)?.get_u128());
        match sort {
            b'j' => one.jobs.push((session, reply::take_id(&mut message)?)),
            _ => one.sessions.push(session),
        }
    }
    Ok(one)
}

#[cfg(test)]
mod tests;
