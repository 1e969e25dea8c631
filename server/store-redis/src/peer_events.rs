//! Events of other servers: decoding of their messages, and the queue of pending events.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes};
use sentinel_domain::{JobId, Name, SessionId};
use sentinel_store::codec::NamePool;
use sentinel_store::{PeerEvents, Position, ServerId, StoreError};
use tokio::sync::{Notify, watch};

use crate::error::damaged;
use crate::job_record::take;
use crate::reply;

/// The maximum number of pending events of each kind. Beyond it the server must reload everything.
const PENDING_MAX: usize = 4_096;

/// The events that this server has not taken yet.
#[derive(Debug)]
pub(crate) struct PeerEventQueue {
    pending: Mutex<PeerEvents>,
    added: Notify,
    /// The server that takes the events, once it is known.
    pub(crate) server: watch::Sender<Option<ServerId>>,
}

/// A message to all servers.
pub(crate) struct Broadcast {
    pub(crate) position: Position,
    /// The server that committed, if the call made jobs ready or declared queues.
    pub(crate) sender: Option<ServerId>,
    ready: Vec<(Name, Name)>,
    queues_changed: bool,
}

/// A message to one server.
pub(crate) struct DirectMessage {
    /// The number among all messages to this server.
    pub(crate) number: u64,
    jobs: Vec<(SessionId, JobId)>,
    sessions: Vec<SessionId>,
    /// The message contains parts that only a newer version can decode.
    is_incomplete: bool,
}

impl Default for PeerEventQueue {
    fn default() -> Self {
        let (pending, added) = Default::default();
        Self { pending, added, server: watch::Sender::new(None) }
    }
}

impl PeerEventQueue {
    fn lock(&self) -> MutexGuard<'_, PeerEvents> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, change: impl FnOnce(&mut PeerEvents)) {
        let mut pending = self.lock();
        change(&mut pending);
        if pending.ready.len().max(pending.jobs.len()).max(pending.sessions.len()) > PENDING_MAX {
            *pending = PeerEvents {
                is_incomplete: true,
                server_count: pending.server_count,
                ..PeerEvents::default()
            };
        }
        if !pending.is_empty() {
            self.added.notify_one();
        }
    }

    pub(crate) fn add_broadcast(&self, message: Broadcast) {
        if message.sender.is_none() || message.sender == *self.server.borrow() {
            return;
        }
        self.add(|events| {
            for class in message.ready {
                if !events.ready.contains(&class) {
                    events.ready.push(class);
                }
            }
            events.queues_changed |= message.queues_changed;
        });
    }

    pub(crate) fn add_direct(&self, message: DirectMessage) {
        self.add(|events| {
            events.jobs.extend(message.jobs);
            events.sessions.extend(message.sessions);
            events.is_incomplete |= message.is_incomplete;
        });
    }

    /// Records that messages were lost.
    pub(crate) fn mark_incomplete(&self) {
        self.add(|events| events.is_incomplete = true);
    }

    pub(crate) fn set_server_count(&self, count: usize) {
        self.add(|events| events.server_count = count);
    }

    fn take(&self) -> Option<PeerEvents> {
        let mut pending = self.lock();
        let server_count = pending.server_count;
        (!pending.is_empty()).then(|| {
            std::mem::replace(&mut *pending, PeerEvents { server_count, ..PeerEvents::default() })
        })
    }

    /// Waits for events. Dropping the future loses none.
    pub(crate) async fn next(&self, server: ServerId) -> PeerEvents {
        self.server.send_if_modified(|known| known.replace(server) != Some(server));
        loop {
            if let Some(events) = self.take() {
                return events;
            }
            self.added.notified().await;
        }
    }
}

/// Decodes a message of `publish_to_all`: the position, then the sender and its events.
pub(crate) fn decode_broadcast(
    mut message: Bytes,
    names: &mut NamePool,
) -> Result<Broadcast, StoreError> {
    let end = message.iter().position(|byte| *byte == 0).unwrap_or(message.len());
    let position = reply::text(&message.split_to(end))?.parse().map_err(damaged)?;
    let mut broadcast =
        Broadcast { position, sender: None, ready: Vec::new(), queues_changed: false };
    if message.is_empty() {
        return Ok(broadcast);
    }
    take(&mut message, 1)?;
    broadcast.sender = Some(ServerId(take(&mut message, 8)?.get_u64()));
    broadcast.queues_changed = take(&mut message, 1)?.get_u8() == b'q';
    broadcast.ready = reply::classes(&mut message, names)?;
    Ok(broadcast)
}

/// Decodes a message of `publish_to_owners`.
pub(crate) fn decode_direct(mut message: Bytes) -> Result<DirectMessage, StoreError> {
    let number = take(&mut message, 8)?.get_u64();
    let mut direct =
        DirectMessage { number, jobs: Vec::new(), sessions: Vec::new(), is_incomplete: false };
    while !message.is_empty() {
        let kind = take(&mut message, 1)?.get_u8();
        if !matches!(kind, b'j' | b's') {
            // Its length is unknown, so the rest is skipped and the server reloads everything.
            direct.is_incomplete = true;
            break;
        }
        let session = SessionId::from_u128(take(&mut message, 16)?.get_u128());
        match kind {
            b'j' => direct.jobs.push((session, reply::take_id(&mut message)?)),
            _ => direct.sessions.push(session),
        }
    }
    Ok(direct)
}

#[cfg(test)]
mod tests;
