//! The head of the journal, moved by this server's own commits and by a subscriber.
//!
//! The subscriber first subscribes and then reads, so nothing falls in between; and it reads
//! once a second whatever it heard, so a lost message delays and never stalls.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::{PushInfo, PushKind, RedisResult, Value};
use sentinel_broker::Position;
use tokio::sync::mpsc;

use crate::keys::Keys;
use crate::link::{Connector, Link};
use crate::open::{ask_info, info};
use crate::options::Replicas;
use crate::pulse::Pulse;
use crate::reply;

/// Between two reads of the head without a message.
const BEAT: Duration = Duration::from_secs(1);
/// Between two tries to connect.
const PAUSE: Duration = Duration::from_millis(200);
/// Messages that wait; one is as good as many.
const WAITING_MAX: usize = 64;

/// Listens until the store is dropped.
pub(crate) struct Listener {
    pub(crate) connector: Connector,
    pub(crate) keys: Keys,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) shed_at_percent: u64,
    pub(crate) journal_max_bytes: u64,
    pub(crate) replicas: Replicas,
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

    /// Reads what a lost message would have said, and how much room is left.
    async fn look(&self, link: &mut Link) -> RedisResult<()> {
        self.look_at_store(link).await?;
        let text = ask_info(link, "memory").await?.pop().unwrap_or_default();
        let number = |name| info(&text, name).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        let (used, most) = (number("used_memory"), number("maxmemory"));
        let is_full = most > 0 && used >= most / 100 * self.shed_at_percent;
        if is_full != self.pulse.is_full.swap(is_full, Ordering::Relaxed) {
            tracing::warn!(used, most, is_full, "the memory of Redis");
        }
        Ok(())
    }

    async fn look_at_store(&self, link: &mut Link) -> RedisResult<()> {
        // What is there after it was seen is not behind it.
        let seen = *self.pulse.head.borrow();
        let mut read = redis::cmd("HMGET");
        read.arg(self.keys.meta());
        for field in ["epoch", "seq", "rebuilding", "bytes", "carried"] {
            read.arg(field);
        }
        let found: Vec<Option<String>> = redis::from_redis_value(link.query(&read).await?)?;
        let number = |at: usize| found.get(at)?.as_ref()?.parse::<u64>().ok();
        let there = number(0).zip(number(1)).map(|(epoch, seq)| Position { epoch, seq });
        let is_whole = found.get(2).is_some_and(Option::is_none);
        if there.is_some_and(|there| there.epoch > seen.epoch) && is_whole {
            self.pulse.rebuilt();
            return Ok(());
        }
        let Ok(there) = self.pulse.check(seen, there) else { return Ok(()) };
        if !self.replicas.before_head {
            self.pulse.reached(there);
        } else if there.seq > seen.seq && self.are_up_to_date(link).await? {
            self.pulse.reached(there);
        }
        let unrecorded = number(3).unwrap_or(0).saturating_sub(number(4).unwrap_or(0));
        let is_behind = unrecorded > self.journal_max_bytes;
        if is_behind != self.pulse.is_behind.swap(is_behind, Ordering::Relaxed) {
            tracing::warn!(
                unrecorded,
                is_behind,
                "the journal that waits for the ledger, in bytes"
            );
        }
        Ok(())
    }

    /// Enough replicas have all that was there before this.
    async fn are_up_to_date(&self, link: &mut Link) -> RedisResult<bool> {
        let mut write = redis::cmd("SET");
        write.arg(self.keys.beat()).arg(1);
        link.query(&write).await?;
        let acknowledged = link.query(&self.replicas.wait(self.replicas.timeout)).await?;
        Ok(reply::number(acknowledged).is_ok_and(|count| count >= self.replicas.wanted.into()))
    }
}

/// The position in a message.
fn told(data: &[Value]) -> Option<Position> {
    let Some(Value::BulkString(text)) = data.last() else { return None };
    std::str::from_utf8(text).ok()?.parse().ok()
}
