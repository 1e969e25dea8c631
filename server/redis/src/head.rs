//! The head of the journal, moved by this server's own commits and by a subscriber.
//!
//! The subscriber first subscribes and then reads, so nothing falls in between; and it reads
//! once a second whatever it heard, so a lost message delays and never stalls.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::{PushInfo, PushKind, RedisResult, Value};
use sentinel_broker::Position;
use tokio::sync::{mpsc, watch};

use crate::keys::Keys;
use crate::link::{Connector, Link};
use crate::open::{ask_info, info};

/// Between two reads of the head without a message.
const BEAT: Duration = Duration::from_secs(1);
/// Between two tries to connect.
const PAUSE: Duration = Duration::from_millis(200);
/// Messages that wait; one is as good as many.
const WAITING_MAX: usize = 64;

/// What the subscriber tells the store.
#[derive(Debug)]
pub(crate) struct Pulse {
    pub(crate) head: watch::Sender<Position>,
    /// Memory is short: new jobs are refused.
    pub(crate) is_full: AtomicBool,
}

impl Pulse {
    pub(crate) fn new(at: Position) -> Arc<Self> {
        Arc::new(Self { head: watch::Sender::new(at), is_full: AtomicBool::new(false) })
    }

    /// Moves the head forward, never back: an epoch that changes is found by the next call.
    pub(crate) fn reached(&self, at: Position) {
        self.head.send_if_modified(|head| {
            let is_ahead = at > *head;
            if is_ahead {
                *head = at;
            }
            is_ahead
        });
    }
}

/// Listens until the store is dropped.
pub(crate) struct Listener {
    pub(crate) connector: Connector,
    pub(crate) keys: Keys,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) shed_at_percent: u64,
}

impl Listener {
    /// Never ends by itself.
    pub(crate) async fn run(self) {
        loop {
            if let Err(error) = self.listen().await {
                tracing::warn!(%error, "the subscriber lost its connection");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn listen(&self) -> RedisResult<()> {
        let (client, config) = self.connector.listener(&self.keys.meta()).await?;
        let (sender, mut messages) = mpsc::channel(WAITING_MAX);
        let config = config.set_push_sender(move |push: PushInfo| {
            // Full: there is something to read already.
            let _ = sender.try_send(push);
            Ok::<(), redis::aio::SendError>(())
        });
        let wire = client.get_multiplexed_async_connection_with_config(&config).await?;
        let mut link = Link::new(crate::link::Wire::One(wire));
        let mut subscribe = redis::cmd("SSUBSCRIBE");
        subscribe.arg(self.keys.head());
        link.query(&subscribe).await?;
        loop {
            self.look(&mut link).await?;
            let wait = tokio::time::timeout(BEAT, self.next(&mut messages));
            if let Ok(is_over) = wait.await
                && is_over
            {
                return Ok(());
            }
        }
    }

    /// Waits for a message that does not say all by itself. True when the connection is gone.
    async fn next(&self, messages: &mut mpsc::Receiver<PushInfo>) -> bool {
        while let Some(push) = messages.recv().await {
            match push.kind {
                PushKind::Disconnection => return true,
                PushKind::SMessage => {
                    if let Some(at) = told(&push.data) {
                        self.pulse.reached(at);
                    }
                }
                // Also a channel that was taken away because its slot moved.
                PushKind::SUnsubscribe => return true,
                _ => {}
            }
        }
        true
    }

    /// Reads what a lost message would have said, and how much memory is left.
    async fn look(&self, link: &mut Link) -> RedisResult<()> {
        let mut read = redis::cmd("HMGET");
        read.arg(self.keys.meta()).arg("epoch").arg("seq");
        let found: Vec<Option<u64>> = redis::from_redis_value(link.query(&read).await?)?;
        if let [Some(epoch), Some(seq)] = found[..] {
            self.pulse.reached(Position { epoch, seq });
        }
        let text = ask_info(link, "memory").await?.pop().unwrap_or_default();
        let number = |name| info(&text, name).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        let (used, most) = (number("used_memory"), number("maxmemory"));
        let is_full = most > 0 && used >= most / 100 * self.shed_at_percent;
        if is_full != self.pulse.is_full.swap(is_full, Ordering::Relaxed) {
            tracing::warn!(used, most, is_full, "the memory of Redis");
        }
        Ok(())
    }
}

/// The position in a message.
fn told(data: &[Value]) -> Option<Position> {
    let Some(Value::BulkString(text)) = data.last() else { return None };
    std::str::from_utf8(text).ok()?.parse().ok()
}
