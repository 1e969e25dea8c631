//! The implementation of [`Store`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Buf, Bytes};
use redis::Value;
use sentinel_domain::{Job, JobId, Millis, Name, Queue, SessionId, UniqueKey};
use sentinel_store::codec::{self, code};
use sentinel_store::{
    CommitRequest, CommitResult, Depth, DueWork, JournalEntry, JournalPage, PeerEvents, Position,
    ServerId, SessionInfo, SessionRow, Store, StoreError, StoreFuture, TrimRequest, TrimResult,
    Unblocked,
};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

use crate::address::Address;
use crate::clock::StoreClock;
use crate::commit_args::{redis_limit, session_bytes};
use crate::connection::{Connector, Timeouts};
use crate::error::{OpenError, damaged};
use crate::job_record::{self, id_bytes, take};
use crate::journal;
use crate::keys::Keys;
use crate::monitor::{StoreHealth, StoreMonitor};
use crate::oldest_ready;
use crate::open;
use crate::options::{OpenOptions, ReplicationOptions};
use crate::peer_events::PeerEventQueue;
use crate::reader::Reader;
use crate::reply;
use crate::script::Scripts;
use crate::subscriber::Subscriber;
use crate::writer::{self, Writer};

/// The maximum number of sessions or terminal jobs that one script call changes.
const BATCH: usize = 1_000;
/// The target size of one read of the journal.
const JOURNAL_PAGE_BYTES: u64 = 4 << 20;
/// The maximum number of entries of one read of the journal.
const JOURNAL_PAGE_ENTRIES: u64 = 1_024;

/// The maximum duration of a leader lease.
const LEADER_LEASE_MAX_MS: u64 = 3_600_000;

/// The time that a read may wait for the pool in addition to two connection attempts.
const POOL_SLACK: Duration = Duration::from_millis(500);

/// A store on Redis.
pub struct RedisStore {
    keys: Keys,
    scripts: Scripts,
    reader: Reader,
    writer: Mutex<Writer>,
    monitor: Arc<StoreMonitor>,
    peer_events: Arc<PeerEventQueue>,
    clock: Arc<StoreClock>,
    subscriber: JoinHandle<()>,
    /// The average size of a journal entry, as of the last read.
    entry_bytes: AtomicU64,
    journal_max_bytes: u64,
    replication: ReplicationOptions,
}

impl Drop for RedisStore {
    fn drop(&mut self) {
        self.subscriber.abort();
    }
}

impl RedisStore {
    /// Connects, checks the server, and creates the store if it does not exist. Must be called in a
    /// tokio runtime, which runs the subscriber.
    pub async fn open(options: OpenOptions) -> Result<Self, OpenError> {
        Self::open_with(options, Scripts::new()).await
    }

    /// Returns a receiver of the store's health.
    pub fn health(&self) -> watch::Receiver<StoreHealth> {
        self.monitor.health()
    }

    pub(crate) async fn open_with(
        options: OpenOptions,
        scripts: Scripts,
    ) -> Result<Self, OpenError> {
        let timeouts =
            Timeouts { connect: options.connect_timeout, response: options.response_timeout };
        let connector = Connector { address: Address::parse(&options.url)?, timeouts };
        let keys = Keys::new(&options.key_prefix, 0);
        let unreachable = |error: redis::RedisError| OpenError::Unreachable(error.to_string());
        let mut connection = connector.connection().await.map_err(unreachable)?;
        let (position, clock_reading) =
            open::prepare(&mut connection, &keys, &scripts, &options).await?;
        let pool = bb8::Pool::builder()
            .max_size(options.pool_size)
            // Enough for a second connection attempt, so that a read survives one that hangs.
            .connection_timeout(2 * options.connect_timeout + POOL_SLACK)
            .test_on_check_out(false)
            .build_unchecked(connector.clone());
        let monitor = StoreMonitor::new(position);
        let clock = Arc::new(StoreClock::new(clock_reading));
        let peer_events = Arc::new(PeerEventQueue::default());
        let subscriber = Subscriber {
            connector: connector.clone(),
            keys: keys.clone(),
            monitor: monitor.clone(),
            peer_events: peer_events.clone(),
            clock: clock.clone(),
            shed_at_percent: options.shed_at_percent,
            journal_max_bytes: options.journal_max_bytes,
            replication: options.replication,
        };
        let writer = Writer::new(connector, keys.clone(), scripts.clone(), connection);
        let reader = Reader::new(pool, keys.clone(), monitor.clone());
        Ok(Self {
            keys,
            scripts,
            reader,
            writer: Mutex::new(writer),
            monitor,
            peer_events,
            clock,
            subscriber: tokio::spawn(subscriber.run()),
            entry_bytes: AtomicU64::new(0),
            journal_max_bytes: options.journal_max_bytes,
            replication: options.replication,
        })
    }

    /// Returns a clock that yields the time of the store, in milliseconds since the Unix epoch. It
    /// follows the clock of Redis, so all servers agree on it, and it never goes back.
    pub fn clock(&self) -> impl Fn() -> Millis + Send + Sync + 'static {
        let clock = self.clock.clone();
        move || clock.now()
    }

    async fn commit_request(&self, call: CommitRequest) -> Result<CommitResult, StoreError> {
        if writer::needs_space(&call)
            && let Some(reason) = self.monitor.new_jobs_refusal()
        {
            return Err(StoreError::Full(reason.into()));
        }
        let mut writer = self.writer.lock().await;
        let observed = self.monitor.observed()?;
        let result = writer.commit(&call, observed).await;
        let result = result.map_err(|error| self.record_rollback(error))?;
        if !self.replication.show_only_replicated {
            self.monitor.advance_head(result.position);
        }
        Ok(result)
    }

    /// Records that the store was rolled back, so that all later calls fail.
    fn record_rollback(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::RolledBack(what) => self.monitor.mark_rolled_back(&what),
            error => error,
        }
    }

    async fn wait_for_replicas(&self, up_to: Position) -> Result<bool, StoreError> {
        let mut writer = self.writer.lock().await;
        self.monitor.observed()?;
        let is_replicated = writer
            .wait_replicated(up_to, &self.replication)
            .await
            .map_err(|e| self.record_rollback(e))?;
        if is_replicated && self.replication.show_only_replicated {
            self.monitor.advance_head(up_to);
            writer.publish_replicated(up_to).await;
        }
        Ok(is_replicated)
    }

    async fn read_jobs(&self, ids: Vec<JobId>) -> Result<Vec<Option<Arc<Job>>>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = self.reader.begin();
        for key in [self.keys.status(), self.keys.spec()] {
            let read = pipeline.cmd("HMGET").arg(key);
            for id in &ids {
                read.arg(&id_bytes(*id));
            }
        }
        let (at, [jobs, specs]) = self.query_n(&pipeline).await?;
        self.wait_until_shown(at).await?;
        let mut names = self.reader.names();
        let mut found = Vec::with_capacity(ids.len());
        for ((id, job), spec) in ids.into_iter().zip(reply::array(jobs)?).zip(reply::array(specs)?)
        {
            found.push(match (reply::maybe_bytes(job)?, reply::maybe_bytes(spec)?) {
                (Some(job), Some(spec)) => {
                    Some(Arc::new(job_record::decode(id, job, spec, &mut names)?))
                }
                _ => None,
            });
        }
        Ok(found)
    }

    /// Runs a pipeline. Returns the store's position and exactly `N` replies.
    async fn query_n<const N: usize>(
        &self,
        pipeline: &redis::Pipeline,
    ) -> Result<(Position, [Value; N]), StoreError> {
        let (at, values) = self.reader.query(pipeline).await?;
        let unexpected = |_| damaged(format!("expected {N} replies"));
        Ok((at, values.try_into().map_err(unexpected)?))
    }

    async fn read_hash(&self, command: &str, key: String) -> Result<Vec<Bytes>, StoreError> {
        let mut pipeline = self.reader.begin();
        pipeline.cmd(command).arg(key);
        let (_, mut values) = self.reader.query(&pipeline).await?;
        let values = reply::array(values.pop().unwrap_or_default())?;
        values.into_iter().map(reply::bytes).collect()
    }

    async fn read_holders(
        &self,
        keys: Vec<UniqueKey>,
        now: Millis,
    ) -> Result<Vec<Option<JobId>>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = self.reader.begin();
        let read = pipeline.cmd("HMGET").arg(self.keys.unique_keys());
        for key in &keys {
            read.arg(key.as_bytes());
        }
        let (_, mut values) = self.reader.query(&pipeline).await?;
        let mut holders = Vec::with_capacity(keys.len());
        for value in reply::array(values.pop().unwrap_or_default())? {
            let holder = reply::maybe_bytes(value)?.map(decode_holder).transpose()?;
            holders.push(holder.filter(|(_, until)| *until > now).map(|(id, _)| id));
        }
        Ok(holders)
    }

    async fn read_queues(&self) -> Result<Vec<Queue>, StoreError> {
        let rows = self.read_hash("HVALS", self.keys.queues()).await?;
        let mut names = self.reader.names();
        let mut queues = Vec::with_capacity(rows.len());
        for mut row in rows {
            // Skip the prefix that scripts read.
            take(&mut row, 9)?;
            queues.push(codec::decode_queue(row, &mut names).map_err(damaged)?);
        }
        queues.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(queues)
    }

    async fn read_depths(&self) -> Result<Vec<Depth>, StoreError> {
        let rows = self.read_hash("HGETALL", self.keys.depths()).await?;
        let mut names = self.reader.names();
        let mut depths = Vec::with_capacity(rows.len() / 2);
        for row in rows.chunks_exact(2) {
            let (name, count) = (reply::text(&row[0])?, reply::text(&row[1])?);
            let (queue, state) =
                name.split_once('\0').ok_or_else(|| damaged("a depth has no state"))?;
            let state = code::to_state(state.parse().map_err(damaged)?).map_err(damaged)?;
            let count = count.parse().map_err(damaged)?;
            depths.push(Depth { queue: names.intern(queue), state, count });
        }
        depths.sort_by(|a, b| (&a.queue, a.state).cmp(&(&b.queue, b.state)));
        Ok(depths)
    }

    async fn read_session_jobs(&self, session: SessionId) -> Result<Vec<Arc<Job>>, StoreError> {
        let args = |command: &mut redis::Cmd| {
            command.arg(&session_bytes(session));
        };
        let found = self.reader.run(&self.scripts.session_jobs, args).await?;
        let mut jobs = reply::jobs(found, &mut self.reader.names())?;
        jobs.sort_by_key(|job| job.id);
        Ok(jobs)
    }

    async fn read_sessions(&self) -> Result<Vec<SessionRow>, StoreError> {
        let rows = self.read_hash("HGETALL", self.keys.sessions()).await?;
        rows.chunks_exact(2).map(|row| decode_session(row[0].clone(), row[1].clone())).collect()
    }

    async fn read_session_infos(
        &self,
        sessions: Vec<SessionId>,
    ) -> Result<Vec<Option<SessionInfo>>, StoreError> {
        if sessions.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = self.reader.begin();
        for key in [self.keys.sessions(), self.keys.worker_infos(), self.keys.drained()] {
            let read = pipeline.cmd("HMGET").arg(key);
            for session in &sessions {
                read.arg(&session_bytes(*session));
            }
        }
        for session in &sessions {
            pipeline.cmd("SCARD").arg(self.keys.running_of(*session));
        }
        let (_, values) = self.reader.query(&pipeline).await?;
        let mut values = values.into_iter();
        let mut list = || reply::array(values.next().unwrap_or_default());
        let (rows, worker_infos, drained) = (list()?, list()?, list()?);
        let extras = worker_infos.into_iter().zip(drained).zip(values);
        let mut found = Vec::with_capacity(sessions.len());
        for ((id, row), ((worker_info, drained), running)) in sessions.iter().zip(rows).zip(extras)
        {
            let Some(row) = reply::maybe_bytes(row)? else {
                found.push(None);
                continue;
            };
            found.push(Some(SessionInfo {
                row: decode_session(Bytes::copy_from_slice(&session_bytes(*id)), row)?,
                worker_info: reply::maybe_bytes(worker_info)?.unwrap_or_default(),
                is_drained: reply::maybe_bytes(drained)?.is_some(),
                running: reply::number(running)?,
            }));
        }
        Ok(found)
    }

    async fn extend_all_sessions(&self, until: Millis) -> Result<(), StoreError> {
        loop {
            let args = |command: &mut redis::Cmd| {
                command.arg(&until.to_be_bytes()).arg(until).arg(BATCH);
            };
            self.monitor.observed()?;
            let mut writer = self.writer.lock().await;
            let done = reply::number(writer.run(|scripts| &scripts.extend_sessions, args).await?)?;
            drop(writer);
            if done < BATCH as u64 {
                return Ok(());
            }
        }
    }

    async fn read_due_work(&self, now: Millis, limit: usize) -> Result<DueWork, StoreError> {
        let args = |command: &mut redis::Cmd| {
            command.arg(now).arg(redis_limit(limit));
        };
        let found = self.reader.run(&self.scripts.due_work, args).await?;
        let [lost, expired, unblocked, deadlines] = <[Value; 4]>::try_from(reply::array(found)?)
            .map_err(|_| damaged("the due work has not four parts"))?;
        let mut names = self.reader.names();
        let mut due_work = DueWork {
            past_deadline: reply::jobs(deadlines, &mut names)?,
            lost: reply::jobs(lost, &mut names)?,
            ..DueWork::default()
        };
        for row in reply::array(expired)?.chunks_exact(2) {
            due_work.expired_sessions.push(decode_session_row(row)?);
        }
        for row in reply::array(unblocked)?.chunks_exact(5) {
            let parent = reply::take_id(&mut reply::bytes(row[0].clone())?)?;
            let outcome = reply::number(row[1].clone())? as u32;
            let outcome = code::to_state(outcome).map_err(damaged)?;
            let job = reply::jobs(Value::Array(row[2..].to_vec()), &mut names)?.pop();
            let job = job.ok_or_else(|| damaged("a dependency has no job"))?;
            due_work.unblocked.push(Unblocked { job, parent, outcome });
        }
        Ok(due_work)
    }

    async fn read_entries(&self, after: Position, limit: usize) -> Result<JournalPage, StoreError> {
        let entry_bytes = self.entry_bytes.load(Ordering::Relaxed);
        let count = (JOURNAL_PAGE_BYTES / entry_bytes.max(1))
            .clamp(1, JOURNAL_PAGE_ENTRIES)
            .min(limit.max(1) as u64);
        let is_start = after == Position::default();
        let mut pipeline = self.reader.begin();
        let from =
            if is_start { "-".to_owned() } else { format!("({}", journal::stream_id(after)) };
        pipeline.cmd("XRANGE").arg(self.keys.journal()).arg(from).arg("+").arg("COUNT").arg(count);
        let (head, [entries]) = self.query_n(&pipeline).await?;
        if !is_start && (after.epoch != head.epoch || after.seq > head.seq) {
            return Ok(JournalPage::OtherEpoch);
        }
        let bytes: usize = total_bytes(&entries);
        let entries = journal::entries(entries, &mut self.reader.names())?;
        if let Some(average) = bytes.checked_div(entries.len()) {
            self.entry_bytes.store(average as u64, Ordering::Relaxed);
        }
        let shown = *self.monitor.head.borrow();
        match entries.first() {
            Some(first)
                if self.replication.show_only_replicated && first.position.seq > shown.seq =>
            {
                Ok(JournalPage::Entries(Vec::new()))
            }
            Some(first) if first.position.seq != after.seq + 1 => Ok(JournalPage::Trimmed),
            None if after.seq < head.seq => Ok(JournalPage::Trimmed),
            _ => Ok(JournalPage::Entries(self.only_shown(entries, shown))),
        }
    }

    /// Removes the entries after the head, if only replicated entries are shown.
    fn only_shown(
        &self,
        mut entries: Vec<Arc<JournalEntry>>,
        head: Position,
    ) -> Vec<Arc<JournalEntry>> {
        if self.replication.show_only_replicated {
            entries.retain(|entry| entry.position.seq <= head.seq);
        }
        entries
    }

    /// Waits until the head includes a position that was read.
    async fn wait_until_shown(&self, at: Position) -> Result<(), StoreError> {
        if !self.replication.show_only_replicated {
            self.monitor.advance_head(at);
            return Ok(());
        }
        let mut head = self.monitor.head.subscribe();
        let reached = head.wait_for(|head| *head >= at);
        match tokio::time::timeout(self.replication.timeout, reached).await {
            Ok(_) => Ok(()),
            Err(_) => Err(StoreError::Unavailable(format!(
                "the changes up to {at} are not on enough replicas yet"
            ))),
        }
    }

    async fn acquire_lease(
        &self,
        server: ServerId,
        duration: Duration,
    ) -> Result<bool, StoreError> {
        let duration_ms =
            u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).min(LEADER_LEASE_MAX_MS);
        let args = |command: &mut redis::Cmd| {
            command.arg(format!("{:016x}", server.0)).arg(duration_ms);
        };
        let reply = self.reader.run(&self.scripts.leader, args).await?;
        Ok(reply::number(reply)? == 1)
    }

    async fn trim_store(&self, trim: TrimRequest) -> Result<TrimResult, StoreError> {
        let projected = trim.projected;
        let args = |command: &mut redis::Cmd| {
            command.arg(projected.epoch).arg(projected.seq).arg(trim.journal_before);
            command.arg(self.journal_max_bytes);
        };
        self.writer.lock().await.run(|scripts| &scripts.trim_journal, args).await?;
        let mut evicted = 0;
        while evicted < trim.limit {
            let batch = BATCH.min(trim.limit - evicted);
            let args = |command: &mut redis::Cmd| {
                command
                    .arg(projected.epoch)
                    .arg(projected.seq)
                    .arg(trim.terminal_before)
                    .arg(batch);
            };
            // The lock is released after each batch, so commits can run in between.
            let count = self.writer.lock().await.run(|scripts| &scripts.trim_jobs, args).await?;
            let count = reply::number(count)? as usize;
            evicted += count;
            if count < batch {
                break;
            }
        }
        Ok(TrimResult { evicted, more: evicted > 0 && evicted == trim.limit })
    }
}

fn total_bytes(value: &Value) -> usize {
    match value {
        Value::Array(values) => values.iter().map(total_bytes).sum(),
        Value::BulkString(bytes) => bytes.len(),
        _ => 0,
    }
}

fn decode_holder(mut row: Bytes) -> Result<(JobId, Millis), StoreError> {
    Ok((reply::take_id(&mut row)?, take(&mut row, 8)?.get_i64()))
}

fn decode_session_row(row: &[Value]) -> Result<SessionRow, StoreError> {
    decode_session(reply::bytes(row[0].clone())?, reply::bytes(row[1].clone())?)
}

fn decode_session(mut id: Bytes, mut row: Bytes) -> Result<SessionRow, StoreError> {
    let id = SessionId::from_u128(take(&mut id, 16)?.get_u128());
    let mut row = take(&mut row, 16)?;
    Ok(SessionRow { id, owner: ServerId(row.get_u64()), expires_at: row.get_i64() })
}

impl Store for RedisStore {
    fn commit(&self, call: CommitRequest) -> StoreFuture<'_, CommitResult> {
        Box::pin(self.commit_request(call))
    }

    fn read(&self, ids: Vec<JobId>) -> StoreFuture<'_, Vec<Option<Arc<Job>>>> {
        Box::pin(self.read_jobs(ids))
    }

    fn holders(&self, keys: Vec<UniqueKey>, now: Millis) -> StoreFuture<'_, Vec<Option<JobId>>> {
        Box::pin(self.read_holders(keys, now))
    }

    fn queues(&self) -> StoreFuture<'_, Vec<Queue>> {
        Box::pin(self.read_queues())
    }

    fn depths(&self) -> StoreFuture<'_, Vec<Depth>> {
        Box::pin(self.read_depths())
    }

    fn oldest_ready(&self, queues: Vec<Name>) -> StoreFuture<'_, Vec<Option<Millis>>> {
        Box::pin(oldest_ready::oldest_ready(&self.reader, &self.keys, queues))
    }

    fn session_jobs(&self, session: SessionId) -> StoreFuture<'_, Vec<Arc<Job>>> {
        Box::pin(self.read_session_jobs(session))
    }

    fn sessions(&self) -> StoreFuture<'_, Vec<SessionRow>> {
        Box::pin(self.read_sessions())
    }

    fn session_infos(&self, sessions: Vec<SessionId>) -> StoreFuture<'_, Vec<Option<SessionInfo>>> {
        Box::pin(self.read_session_infos(sessions))
    }

    fn extend_sessions(&self, until: Millis) -> StoreFuture<'_, ()> {
        Box::pin(self.extend_all_sessions(until))
    }

    fn due_work(&self, now: Millis, limit: usize) -> StoreFuture<'_, DueWork> {
        Box::pin(self.read_due_work(now, limit))
    }

    fn read_journal(&self, after: Position, limit: usize) -> StoreFuture<'_, JournalPage> {
        Box::pin(self.read_entries(after, limit))
    }

    fn wait_replicated(&self, up_to: Position) -> StoreFuture<'_, bool> {
        Box::pin(self.wait_for_replicas(up_to))
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.monitor.head.subscribe()
    }

    fn trim(&self, trim: TrimRequest) -> StoreFuture<'_, TrimResult> {
        Box::pin(self.trim_store(trim))
    }

    fn peer_events(&self, server: ServerId) -> StoreFuture<'_, PeerEvents> {
        Box::pin(async move { Ok(self.peer_events.next(server).await) })
    }

    fn acquire_leader_lease(&self, server: ServerId, duration: Duration) -> StoreFuture<'_, bool> {
        Box::pin(self.acquire_lease(server, duration))
    }
}
