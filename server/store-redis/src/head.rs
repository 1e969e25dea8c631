//! The head of the journal, moved by this server's own commits and by a subscriber, who also
//! brings in news from other servers.
//!
//! The subscriber first subscribes and then reads, so nothing falls in between. Messages are
//! numbered, and it reads the numbers once a second, so a lost message delays and never stalls.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use redis::{PushInfo, PushKind, RedisResult, Value};
use sentinel_store::codec::NamePool;
use sentinel_store::{Position, ServerId};
use tokio::sync::mpsc;

use crate::clock::{Reading, StoreClock};
use crate::keys::Keys;
use crate::link::{Connector, Link};
use crate::news::{self, Board};
use crate::open::{ask_info, info};
use crate::options::ReplicationOptions;
use crate::pulse::Pulse;
use crate::reply;
use crate::writer::SAFE;

/// Between two reads of the head without a message.
const BEAT: Duration = Duration::from_secs(1);
/// Between two tries to connect.
const PAUSE: Duration = Duration::from_millis(200);
/// Messages that wait; what is beyond is missed, and found by its number.
const WAITING_MAX: usize = 4_096;

/// Listens until the store is dropped.
pub(crate) struct Listener {
    pub(crate) connector: Connector,
    pub(crate) keys: Keys,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) board: Arc<Board>,
    pub(crate) clock: Arc<StoreClock>,
    pub(crate) shed_at_percent: u64,
    pub(crate) journal_max_bytes: u64,
    pub(crate) replication: ReplicationOptions,
}

/// How far one connection has heard.
#[derive(Default)]
struct Heard {
    head: Position,
    /// Whose channel this is, and the number of its last message.
    own: Option<(ServerId, u64)>,
    names: NamePool,
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
            // Full: that a message is missing is found by its number.
            let _ = sender.try_send(push);
            Ok::<(), redis::aio::SendError>(())
        });
        let wire = client.get_multiplexed_async_connection_with_config(&config).await?;
        let mut link = Link::new(crate::link::Wire::One(wire));
        subscribe(&mut link, &self.keys.head()).await?;
        let mut reader = self.board.reader.subscribe();
        let mut heard = Heard::default();
        loop {
            let own = *reader.borrow_and_update();
            if let Some(own) = own
                && heard.own.is_none_or(|(known, _)| known != own)
            {
                subscribe(&mut link, &self.keys.to(own)).await?;
                // What came before the subscription is not missed by number: all is looked at.
                heard.own = Some((own, 0));
                self.board.missed();
            }
            self.look(&mut link, &mut messages, &mut heard).await?;
            let until = tokio::time::Instant::now() + BEAT;
            loop {
                tokio::select! {
                    push = messages.recv() => match push {
                        Some(push) if !is_end(&push) => self.take(&push, &mut heard),
                        _ => return Ok(()),
                    },
                    _ = reader.changed() => break,
                    () = tokio::time::sleep_until(until) => break,
                }
            }
        }
    }

    /// A message: whoever finds that one is missing has everything looked at anew.
    fn take(&self, push: &PushInfo, heard: &mut Heard) {
        let [Value::BulkString(channel), Value::BulkString(message)] = &push.data[..] else {
            return;
        };
        if push.kind != PushKind::SMessage {
            return;
        }
        let message = Bytes::copy_from_slice(message);
        if let Some(safe) = message.strip_prefix(&[SAFE as u8]) {
            if let Some(at) = std::str::from_utf8(safe).ok().and_then(|text| text.parse().ok()) {
                self.pulse.reached(at);
            }
        } else if *channel != self.keys.head().into_bytes() {
            if let Ok(message) = news::to_one(message) {
                self.hear_own(message.number, heard);
                self.board.to_one(message);
            }
        } else if let Ok(message) = news::to_all(message, &mut heard.names) {
            let at = message.position;
            if at.epoch != heard.head.epoch || at.seq > heard.head.seq + 1 {
                self.board.missed();
            }
            heard.head = heard.head.max(at);
            if !self.replication.show_only_replicated {
                self.pulse.reached(at);
            }
            self.board.to_all(message);
        }
    }

    fn hear_own(&self, number: u64, heard: &mut Heard) {
        if let Some((_, last)) = &mut heard.own {
            if number > *last + 1 {
                self.board.missed();
            }
            *last = (*last).max(number);
        }
    }

    /// Reads what a lost message would have said, who else listens, what time it is, and how
    /// much memory is left. Messages of before the read lie in front of its answer, so that what is missing
    /// then was lost.
    async fn look(
        &self,
        link: &mut Link,
        messages: &mut mpsc::Receiver<PushInfo>,
        heard: &mut Heard,
    ) -> RedisResult<()> {
        // What is there after it was seen is not behind it.
        let seen = *self.pulse.head.borrow();
        let mut pipeline = redis::pipe();
        pipeline.cmd("TIME");
        pipeline.cmd("HMGET").arg(self.keys.meta());
        for field in ["epoch", "seq", "rebuilding", "bytes", "carried", "now"] {
            pipeline.arg(field);
        }
        pipeline.cmd("PUBSUB").arg("SHARDNUMSUB").arg(self.keys.head());
        if let Some((own, _)) = heard.own {
            pipeline.cmd("GET").arg(self.keys.to(own));
        }
        let asked = Instant::now();
        let mut answers = link.query_all(&pipeline).await?.into_iter();
        let answered = Instant::now();
        let mut next = || answers.next().unwrap_or_default();
        let (time, found, listeners, told) = (next(), next(), next(), next());
        let (seconds, micros): (i64, i64) = redis::from_redis_value(time)?;
        while let Ok(push) = messages.try_recv() {
            if !is_end(&push) {
                self.take(&push, heard);
            }
        }
        let found: Vec<Option<String>> = redis::from_redis_value(found)?;
        if let Some(told) = found.get(5).and_then(|told| told.as_ref()?.parse().ok()) {
            let time_us = seconds * 1_000_000 + micros;
            self.clock.lead(&Reading { time_us, told, asked, answered });
        }
        if let Some(at) = self.look_at_store(link, seen, &found).await?
            && at > heard.head
        {
            self.board.missed();
            heard.head = at;
        }
        let told: Option<u64> = redis::from_redis_value(told)?;
        if let Some((_, last)) = &mut heard.own {
            // None: nobody told this server anything for long, and the numbers begin anew.
            let number = told.unwrap_or(0);
            if number > *last {
                self.board.missed();
            }
            *last = number;
        }
        let (_, servers): (String, usize) = redis::from_redis_value(listeners)?;
        self.board.servers(servers);
        self.look_at_memory(link).await
    }

    async fn look_at_memory(&self, link: &mut Link) -> RedisResult<()> {
        let text = ask_info(link, "memory").await?.pop().unwrap_or_default();
        let number = |name| info(&text, name).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        let (used, most) = (number("used_memory"), number("maxmemory"));
        let is_full = most > 0 && used >= most / 100 * self.shed_at_percent;
        if is_full != self.pulse.is_full.swap(is_full, Ordering::Relaxed) {
            tracing::warn!(used, most, is_full, "the memory of Redis");
        }
        Ok(())
    }

    /// Where the store stands, if it is the one that was seen.
    async fn look_at_store(
        &self,
        link: &mut Link,
        seen: Position,
        found: &[Option<String>],
    ) -> RedisResult<Option<Position>> {
        let number = |at: usize| found.get(at)?.as_ref()?.parse::<u64>().ok();
        let there = number(0).zip(number(1)).map(|(epoch, seq)| Position { epoch, seq });
        let is_whole = found.get(2).is_some_and(Option::is_none);
        if there.is_some_and(|there| there.epoch > seen.epoch) && is_whole {
            self.pulse.rebuilt();
            return Ok(None);
        }
        let Ok(there) = self.pulse.check(seen, there) else { return Ok(None) };
        if !self.replication.show_only_replicated || there.seq > seen.seq && self.are_up_to_date(link).await? {
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
        Ok(Some(there))
    }

    /// Enough replicas have all that was there before this.
    async fn are_up_to_date(&self, link: &mut Link) -> RedisResult<bool> {
        let mut write = redis::cmd("SET");
        write.arg(self.keys.beat()).arg(1);
        link.query(&write).await?;
        let acknowledged = link.query(&self.replication.wait(self.replication.timeout)).await?;
        Ok(reply::number(acknowledged).is_ok_and(|count| count >= self.replication.min_replicas.into()))
    }
}

async fn subscribe(link: &mut Link, channel: &str) -> RedisResult<()> {
    let mut subscribe = redis::cmd("SSUBSCRIBE");
    subscribe.arg(channel);
    link.query(&subscribe).await.map(drop)
}

/// The connection is gone, or a channel was taken away because its slot moved.
fn is_end(push: &PushInfo) -> bool {
    matches!(push.kind, PushKind::Disconnection | PushKind::SUnsubscribe)
}
