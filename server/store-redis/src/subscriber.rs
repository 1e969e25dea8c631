//! The subscriber: advances the head of the journal and receives events of other servers.
//!
//! It subscribes before it polls, so that it misses no message in between. Messages are numbered,
//! and it polls the numbers once per second. So a lost message causes a delay, never a stall.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use redis::{PushInfo, PushKind, RedisResult, Value};
use sentinel_store::codec::NamePool;
use sentinel_store::{Position, ServerId};
use tokio::sync::mpsc;

use crate::clock::{ClockReading, StoreClock};
use crate::connection::{Connection, Connector, RawConnection};
use crate::keys::Keys;
use crate::monitor::StoreMonitor;
use crate::open::{info_field, query_info};
use crate::options::ReplicationOptions;
use crate::peer_events::{self, PeerEventQueue};
use crate::reply;
use crate::writer::REPLICATED;

/// The interval between two polls.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The pause between two connection attempts.
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);
/// The capacity of the message channel. Messages beyond it are lost, and detected by their number.
const CHANNEL_CAPACITY: usize = 4_096;

/// The task that listens until the store is dropped.
pub(crate) struct Subscriber {
    pub(crate) connector: Connector,
    pub(crate) keys: Keys,
    pub(crate) monitor: Arc<StoreMonitor>,
    pub(crate) peer_events: Arc<PeerEventQueue>,
    pub(crate) clock: Arc<StoreClock>,
    pub(crate) shed_at_percent: u64,
    pub(crate) journal_max_bytes: u64,
    pub(crate) replication: ReplicationOptions,
}

/// The messages that one connection has received.
#[derive(Default)]
struct Received {
    head: Position,
    /// The server of the direct channel, and the number of its last message.
    direct: Option<(ServerId, u64)>,
    names: NamePool,
}

impl Subscriber {
    /// Runs until the task is aborted.
    pub(crate) async fn run(self) {
        loop {
            if let Err(error) = self.listen().await {
                tracing::warn!(%error, "the subscriber lost its connection");
            }
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
    }

    async fn listen(&self) -> RedisResult<()> {
        let (client, config) = self.connector.subscriber(&self.keys.meta()).await?;
        let (sender, mut messages) = mpsc::channel(CHANNEL_CAPACITY);
        let config = config.set_push_sender(move |push: PushInfo| {
            // If the channel is full, the message is lost and detected by its number.
            let _ = sender.try_send(push);
            Ok::<(), redis::aio::SendError>(())
        });
        let raw = client.get_multiplexed_async_connection_with_config(&config).await?;
        let mut connection = Connection::new(RawConnection::One(raw));
        subscribe(&mut connection, &self.keys.head()).await?;
        let mut server = self.peer_events.server.subscribe();
        let mut received = Received::default();
        loop {
            let current = *server.borrow_and_update();
            if let Some(current) = current
                && received.direct.is_none_or(|(known, _)| known != current)
            {
                subscribe(&mut connection, &self.keys.direct_channel(current)).await?;
                // Messages before the subscription are lost without a number.
                received.direct = Some((current, 0));
                self.peer_events.mark_incomplete();
            }
            self.poll(&mut connection, &mut messages, &mut received).await?;
            let until = tokio::time::Instant::now() + POLL_INTERVAL;
            loop {
                tokio::select! {
                    push = messages.recv() => match push {
                        Some(push) if !is_end(&push) => self.receive(&push, &mut received),
                        _ => return Ok(()),
                    },
                    _ = server.changed() => break,
                    () = tokio::time::sleep_until(until) => break,
                }
            }
        }
    }

    /// Processes a message. If one before it is missing, the server must reload everything.
    fn receive(&self, push: &PushInfo, received: &mut Received) {
        let [Value::BulkString(channel), Value::BulkString(message)] = &push.data[..] else {
            return;
        };
        if push.kind != PushKind::SMessage {
            return;
        }
        let message = Bytes::copy_from_slice(message);
        if let Some(position) = message.strip_prefix(&[REPLICATED as u8]) {
            let position = std::str::from_utf8(position).ok().and_then(|text| text.parse().ok());
            if let Some(position) = position {
                self.monitor.advance_head(position);
            }
        } else if *channel != self.keys.head().into_bytes() {
            if let Ok(message) = peer_events::decode_direct(message) {
                self.check_direct_number(message.number, received);
                self.peer_events.add_direct(message);
            }
        } else if let Ok(message) = peer_events::decode_broadcast(message, &mut received.names) {
            let at = message.position;
            if at.epoch != received.head.epoch || at.seq > received.head.seq + 1 {
                self.peer_events.mark_incomplete();
            }
            received.head = received.head.max(at);
            if !self.replication.show_only_replicated {
                self.monitor.advance_head(at);
            }
            self.peer_events.add_broadcast(message);
        }
    }

    fn check_direct_number(&self, number: u64, received: &mut Received) {
        if let Some((_, last)) = &mut received.direct {
            if number > *last + 1 {
                self.peer_events.mark_incomplete();
            }
            *last = (*last).max(number);
        }
    }

    /// Polls the position, the message numbers, the number of servers, the time and the memory.
    ///
    /// Messages that were sent before the poll precede its reply, so a message that is missing
    /// then was lost.
    async fn poll(
        &self,
        connection: &mut Connection,
        messages: &mut mpsc::Receiver<PushInfo>,
        received: &mut Received,
    ) -> RedisResult<()> {
        // Read before the poll: the polled position must not be behind it.
        let observed = *self.monitor.head.borrow();
        let mut pipeline = redis::pipe();
        pipeline.cmd("TIME");
        pipeline.cmd("HMGET").arg(self.keys.meta());
        for field in ["epoch", "seq", "rebuilding", "bytes", "carried", "now"] {
            pipeline.arg(field);
        }
        pipeline.cmd("PUBSUB").arg("SHARDNUMSUB").arg(self.keys.head());
        if let Some((server, _)) = received.direct {
            pipeline.cmd("GET").arg(self.keys.direct_channel(server));
        }
        let sent_at = Instant::now();
        let mut replies = connection.query_all(&pipeline).await?.into_iter();
        let received_at = Instant::now();
        let mut next = || replies.next().unwrap_or_default();
        let (time, meta, subscribers, direct_number) = (next(), next(), next(), next());
        let (seconds, micros): (i64, i64) = redis::from_redis_value(time)?;
        while let Ok(push) = messages.try_recv() {
            if !is_end(&push) {
                self.receive(&push, received);
            }
        }
        let meta: Vec<Option<String>> = redis::from_redis_value(meta)?;
        if let Some(store_now) = meta.get(5).and_then(|now| now.as_ref()?.parse().ok()) {
            let time_us = seconds * 1_000_000 + micros;
            self.clock.adjust(&ClockReading { time_us, store_now, sent_at, received_at });
        }
        if let Some(at) = self.check_store(connection, observed, &meta).await?
            && at > received.head
        {
            self.peer_events.mark_incomplete();
            received.head = at;
        }
        let direct_number: Option<u64> = redis::from_redis_value(direct_number)?;
        if let Some((_, last)) = &mut received.direct {
            // None: the counter expired without messages, so the numbers restart.
            let number = direct_number.unwrap_or(0);
            if number > *last {
                self.peer_events.mark_incomplete();
            }
            *last = number;
        }
        let (_, servers): (String, usize) = redis::from_redis_value(subscribers)?;
        self.peer_events.set_server_count(servers);
        self.check_memory(connection).await
    }

    async fn check_memory(&self, connection: &mut Connection) -> RedisResult<()> {
        let text = query_info(connection, "memory").await?.pop().unwrap_or_default();
        let number =
            |name| info_field(&text, name).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        let (used_bytes, max_bytes) = (number("used_memory"), number("maxmemory"));
        let is_short = max_bytes > 0 && used_bytes >= max_bytes / 100 * self.shed_at_percent;
        if is_short != self.monitor.memory_is_short.swap(is_short, Ordering::Relaxed) {
            tracing::warn!(used_bytes, max_bytes, is_short, "Redis memory usage crossed the limit");
        }
        Ok(())
    }

    /// Returns the store's position, if it is the observed store. Updates its health and the head.
    async fn check_store(
        &self,
        connection: &mut Connection,
        observed: Position,
        meta: &[Option<String>],
    ) -> RedisResult<Option<Position>> {
        let number = |at: usize| meta.get(at)?.as_ref()?.parse::<u64>().ok();
        let current = number(0).zip(number(1)).map(|(epoch, seq)| Position { epoch, seq });
        let is_rebuilding = meta.get(2).is_none_or(Option::is_some);
        if current.is_some_and(|at| at.epoch > observed.epoch) && !is_rebuilding {
            self.monitor.mark_rebuilt();
            return Ok(None);
        }
        let Ok(at) = self.monitor.check_position(observed, current) else { return Ok(None) };
        let show_only_replicated = self.replication.show_only_replicated;
        if !show_only_replicated || at.seq > observed.seq && self.is_replicated(connection).await? {
            self.monitor.advance_head(at);
        }
        let unprojected_bytes = number(3).unwrap_or(0).saturating_sub(number(4).unwrap_or(0));
        let is_behind = unprojected_bytes > self.journal_max_bytes;
        if is_behind != self.monitor.ledger_is_behind.swap(is_behind, Ordering::Relaxed) {
            tracing::warn!(
                unprojected_bytes,
                is_behind,
                "the unprojected part of the journal crossed the size limit"
            );
        }
        Ok(Some(at))
    }

    /// Returns whether enough replicas have everything up to now.
    async fn is_replicated(&self, connection: &mut Connection) -> RedisResult<bool> {
        let mut write = redis::cmd("SET");
        write.arg(self.keys.replication_marker()).arg(1);
        connection.query(&write).await?;
        let wait = self.replication.wait(self.replication.timeout);
        let acknowledged = connection.query(&wait).await?;
        let min_replicas = u64::from(self.replication.min_replicas);
        Ok(reply::number(acknowledged).is_ok_and(|count| count >= min_replicas))
    }
}

async fn subscribe(connection: &mut Connection, channel: &str) -> RedisResult<()> {
    let mut subscribe = redis::cmd("SSUBSCRIBE");
    subscribe.arg(channel);
    connection.query(&subscribe).await.map(drop)
}

/// Returns whether the subscription ended: the connection was lost, or the channel's slot moved.
fn is_end(push: &PushInfo) -> bool {
    matches!(push.kind, PushKind::Disconnection | PushKind::SUnsubscribe)
}
