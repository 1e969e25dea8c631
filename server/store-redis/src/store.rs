//! The port.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Buf, Bytes};
use redis::Value;
use sentinel_domain::{Job, JobId, Millis, Name, Queue, SessionId, UniqueKey};
use sentinel_store::codec::{self, code};
use sentinel_store::{
    CommitRequest, CommitResult, Depth, DueWork, JournalEntry, JournalPage, PeerEvents, Position,
    ServerId, SessionInfo, SessionRow, Store, StoreError, StoreFuture, TrimRequest, TrimResult, Unblocked,
};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

use crate::address::Address;
use crate::args::{bound, session_bytes};
use crate::clock::StoreClock;
use crate::error::{OpenError, damaged};
use crate::head::Listener;
use crate::journal;
use crate::keys::Keys;
use crate::link::{Connector, Patience};
use crate::news::Board;
use crate::oldest;
use crate::open;
use crate::options::{OpenOptions, ReplicationOptions};
use crate::pulse::{StoreHealth, Pulse};
use crate::read::Reads;
use crate::record::{self, id_bytes, take};
use crate::reply;
use crate::script::Scripts;
use crate::writer::{self, Writer};

/// Sessions and finals that one script call changes at the most.
const BATCH: usize = 1_000;
/// Bytes of the journal that one read aims at.
const TAIL_BYTES: u64 = 4 << 20;
/// Entries that one read asks for at the most.
const TAIL_MAX: u64 = 1_024;

/// No lead lasts longer than this without being kept.
const LEAD_MAX_MS: u64 = 3_600_000;

/// What the pool needs beside its connections.
const POOL_SLACK: Duration = Duration::from_millis(500);

/// The hot truth on Redis.
pub struct RedisStore {
    keys: Keys,
    scripts: Scripts,
    reads: Reads,
    writer: Mutex<Writer>,
    pulse: Arc<Pulse>,
    board: Arc<Board>,
    clock: Arc<StoreClock>,
    listener: JoinHandle<()>,
    /// Bytes of a journal entry, as of the last read.
    entry_bytes: AtomicU64,
    journal_max_bytes: u64,
    replication: ReplicationOptions,
}

impl Drop for RedisStore {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl RedisStore {
    /// Connects, checks the server, and begins the store where there is none. Needs a tokio
    /// runtime, in which the subscriber goes on.
    pub async fn open(options: OpenOptions) -> Result<Self, OpenError> {
        Self::open_with(options, Scripts::new()).await
    }

    /// Changes when the store is not, or no longer, the one that was opened.
    pub fn health(&self) -> watch::Receiver<StoreHealth> {
        self.pulse.condition()
    }

    pub(crate) async fn open_with(
        options: OpenOptions,
        scripts: Scripts,
    ) -> Result<Self, OpenError> {
        let patience =
            Patience { connect: options.connect_timeout, answer: options.answer_timeout };
        let connector = Connector { address: Address::parse(&options.url)?, patience };
        let keys = Keys::new(&options.key_prefix, 0);
        let unreachable = |error: redis::RedisError| OpenError::Unreachable(error.to_string());
        let mut link = connector.link().await.map_err(unreachable)?;
        let (at, reading) = open::prepare(&mut link, &keys, &scripts, &options).await?;
        let pool = bb8::Pool::builder()
            .max_size(options.pool_size)
            // Room for a second try to connect: one that hangs must not be the end of a read.
            .connection_timeout(2 * options.connect_timeout + POOL_SLACK)
            .test_on_check_out(false)
            .build_unchecked(connector.clone());
        let pulse = Pulse::new(at);
        let clock = Arc::new(StoreClock::new(reading));
        let board = Arc::new(Board::default());
        let listener = Listener {
            connector: connector.clone(),
            keys: keys.clone(),
            pulse: pulse.clone(),
            board: board.clone(),
            clock: clock.clone(),
            shed_at_percent: options.shed_at_percent,
            journal_max_bytes: options.journal_max_bytes,
            replication: options.replication,
        };
        let writer = Writer::new(connector, keys.clone(), scripts.clone(), link);
        let reads = Reads::new(pool, keys.clone(), pulse.clone());
        Ok(Self {
            keys,
            scripts,
            reads,
            writer: Mutex::new(writer),
            pulse,
            board,
            clock,
            listener: tokio::spawn(listener.run()),
            entry_bytes: AtomicU64::new(0),
            journal_max_bytes: options.journal_max_bytes,
            replication: options.replication,
        })
    }

    /// The time of the store, in milliseconds since the Unix epoch: all servers of it go by
    /// the clock of the Redis, whatever those of their machines say. Never runs backwards.
    pub fn clock(&self) -> impl Fn() -> Millis + Send + Sync + 'static {
        let clock = self.clock.clone();
        move || clock.now()
    }

    async fn call(&self, call: CommitRequest) -> Result<CommitResult, StoreError> {
        if writer::has_new(&call)
            && let Some(why) = self.pulse.refuses_new()
        {
            return Err(StoreError::Full(why.into()));
        }
        let mut writer = self.writer.lock().await;
        let seen = self.pulse.seen()?;
        let outcome = writer.commit(&call, seen).await.map_err(|error| self.noted(error))?;
        if !self.replication.show_only_replicated {
            self.pulse.reached(outcome.position);
        }
        Ok(outcome)
    }

    /// A store that was rolled back stays so.
    fn noted(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::RolledBack(what) => self.pulse.rolled_back(&what),
            error => error,
        }
    }

    async fn wait_for_replicas(&self, up_to: Position) -> Result<bool, StoreError> {
        let mut writer = self.writer.lock().await;
        self.pulse.seen()?;
        let is_safe = writer.wait(up_to, &self.replication).await.map_err(|e| self.noted(e))?;
        if is_safe && self.replication.show_only_replicated {
            self.pulse.reached(up_to);
            writer.tell(up_to).await;
        }
        Ok(is_safe)
    }

    async fn jobs(&self, ids: Vec<JobId>) -> Result<Vec<Option<Arc<Job>>>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = self.reads.begin();
        for key in [self.keys.status(), self.keys.spec()] {
            let read = pipeline.cmd("HMGET").arg(key);
            for id in &ids {
                read.arg(&id_bytes(*id));
            }
        }
        let (at, [jobs, specs]) = self.several(&pipeline).await?;
        self.shown_up_to(at).await?;
        let mut names = self.reads.names();
        let mut found = Vec::with_capacity(ids.len());
        for ((id, job), spec) in ids.into_iter().zip(reply::array(jobs)?).zip(reply::array(specs)?)
        {
            found.push(match (reply::maybe_bytes(job)?, reply::maybe_bytes(spec)?) {
                (Some(job), Some(spec)) => {
                    Some(Arc::new(record::decode(id, job, spec, &mut names)?))
                }
                _ => None,
            });
        }
        Ok(found)
    }

    /// Where the store stood, and the answers.
    async fn several<const N: usize>(
        &self,
        pipeline: &redis::Pipeline,
    ) -> Result<(Position, [Value; N]), StoreError> {
        let (at, values) = self.reads.all(pipeline).await?;
        let wrong = |_| damaged("another number of answers was expected");
        Ok((at, values.try_into().map_err(wrong)?))
    }

    async fn hash(&self, command: &str, key: String) -> Result<Vec<Bytes>, StoreError> {
        let mut pipeline = self.reads.begin();
        pipeline.cmd(command).arg(key);
        let (_, mut values) = self.reads.all(&pipeline).await?;
        let values = reply::array(values.pop().unwrap_or_default())?;
        values.into_iter().map(reply::bytes).collect()
    }

    async fn holders_at(
        &self,
        keys: Vec<UniqueKey>,
        now: Millis,
    ) -> Result<Vec<Option<JobId>>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = self.reads.begin();
        let read = pipeline.cmd("HMGET").arg(self.keys.held());
        for key in &keys {
            read.arg(key.as_bytes());
        }
        let (_, mut values) = self.reads.all(&pipeline).await?;
        let mut holders = Vec::with_capacity(keys.len());
        for value in reply::array(values.pop().unwrap_or_default())? {
            let holder = reply::maybe_bytes(value)?.map(holder_of).transpose()?;
            holders.push(holder.filter(|(_, until)| *until > now).map(|(id, _)| id));
        }
        Ok(holders)
    }

    async fn declared(&self) -> Result<Vec<Queue>, StoreError> {
        let rows = self.hash("HVALS", self.keys.queues()).await?;
        let mut names = self.reads.names();
        let mut queues = Vec::with_capacity(rows.len());
        for mut row in rows {
            // What scripts read of it is in front.
            take(&mut row, 9)?;
            queues.push(codec::decode_queue(row, &mut names).map_err(damaged)?);
        }
        queues.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(queues)
    }

    async fn counts(&self) -> Result<Vec<Depth>, StoreError> {
        let rows = self.hash("HGETALL", self.keys.depths()).await?;
        let mut names = self.reads.names();
        let mut depths = Vec::with_capacity(rows.len() / 2);
        for row in rows.chunks_exact(2) {
            let (name, count) = (reply::text(&row[0])?, reply::text(&row[1])?);
            let (queue, state) =
                name.split_once('\0').ok_or_else(|| damaged("a count without state"))?;
            let state = code::to_state(state.parse().map_err(damaged)?).map_err(damaged)?;
            let count = count.parse().map_err(damaged)?;
            depths.push(Depth { queue: names.intern(queue), state, count });
        }
        depths.sort_by(|a, b| (&a.queue, a.state).cmp(&(&b.queue, b.state)));
        Ok(depths)
    }

    async fn held_by(&self, session: SessionId) -> Result<Vec<Arc<Job>>, StoreError> {
        let args = |command: &mut redis::Cmd| {
            command.arg(&session_bytes(session));
        };
        let found = self.reads.run(&self.scripts.held, args).await?;
        let mut jobs = reply::jobs(found, &mut self.reads.names())?;
        jobs.sort_by_key(|job| job.id);
        Ok(jobs)
    }

    async fn rows(&self) -> Result<Vec<SessionRow>, StoreError> {
        let rows = self.hash("HGETALL", self.keys.sessions()).await?;
        rows.chunks_exact(2).map(|row| session_of(row[0].clone(), row[1].clone())).collect()
    }

    async fn cards_of(
        &self,
        sessions: Vec<SessionId>,
    ) -> Result<Vec<Option<SessionInfo>>, StoreError> {
        if sessions.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = self.reads.begin();
        for key in [self.keys.sessions(), self.keys.cards(), self.keys.drained()] {
            let read = pipeline.cmd("HMGET").arg(key);
            for session in &sessions {
                read.arg(&session_bytes(*session));
            }
        }
        for session in &sessions {
            pipeline.cmd("SCARD").arg(self.keys.running_of(*session));
        }
        let (_, values) = self.reads.all(&pipeline).await?;
        let mut values = values.into_iter();
        let mut list = || reply::array(values.next().unwrap_or_default());
        let (rows, cards, drained) = (list()?, list()?, list()?);
        let notes = cards.into_iter().zip(drained).zip(values);
        let mut found = Vec::with_capacity(sessions.len());
        for ((id, row), ((card, drained), running)) in sessions.iter().zip(rows).zip(notes) {
            let Some(row) = reply::maybe_bytes(row)? else {
                found.push(None);
                continue;
            };
            found.push(Some(SessionInfo {
                row: session_of(Bytes::copy_from_slice(&session_bytes(*id)), row)?,
                worker_info: reply::maybe_bytes(card)?.unwrap_or_default(),
                is_drained: reply::maybe_bytes(drained)?.is_some(),
                running: reply::number(running)?,
            }));
        }
        Ok(found)
    }

    async fn extend(&self, until: Millis) -> Result<(), StoreError> {
        loop {
            let args = |command: &mut redis::Cmd| {
                command.arg(&until.to_be_bytes()).arg(until).arg(BATCH);
            };
            self.pulse.seen()?;
            let mut writer = self.writer.lock().await;
            let done = reply::number(writer.run(|scripts| &scripts.extend, args).await?)?;
            drop(writer);
            if done < BATCH as u64 {
                return Ok(());
            }
        }
    }

    async fn needing(&self, now: Millis, limit: usize) -> Result<DueWork, StoreError> {
        let args = |command: &mut redis::Cmd| {
            command.arg(now).arg(bound(limit));
        };
        let found = self.reads.run(&self.scripts.due_work, args).await?;
        let [lost, expired, unblocked, deadlines] = <[Value; 4]>::try_from(reply::array(found)?)
            .map_err(|_| damaged("due_work without its parts"))?;
        let mut names = self.reads.names();
        let mut due_work = DueWork {
            past_deadline: reply::jobs(deadlines, &mut names)?,
            lost: reply::jobs(lost, &mut names)?,
            ..DueWork::default()
        };
        for row in reply::array(expired)?.chunks_exact(2) {
            due_work.expired_sessions.push(session_row(row)?);
        }
        for row in reply::array(unblocked)?.chunks_exact(5) {
            let parent = reply::take_id(&mut reply::bytes(row[0].clone())?)?;
            let outcome = reply::number(row[1].clone())? as u32;
            let outcome = code::to_state(outcome).map_err(damaged)?;
            let job = reply::jobs(Value::Array(row[2..].to_vec()), &mut names)?.pop();
            let job = job.ok_or_else(|| damaged("an edge without its job"))?;
            due_work.unblocked.push(Unblocked { job, parent, outcome });
        }
        Ok(due_work)
    }

    async fn after(&self, after: Position, limit: usize) -> Result<JournalPage, StoreError> {
        let typical = self.entry_bytes.load(Ordering::Relaxed);
        let count = (TAIL_BYTES / typical.max(1)).clamp(1, TAIL_MAX).min(limit.max(1) as u64);
        let is_start = after == Position::default();
        let mut pipeline = self.reads.begin();
        let from =
            if is_start { "-".to_owned() } else { format!("({}", journal::stream_id(after)) };
        pipeline.cmd("XRANGE").arg(self.keys.journal()).arg(from).arg("+").arg("COUNT").arg(count);
        let (head, [entries]) = self.several(&pipeline).await?;
        if !is_start && (after.epoch != head.epoch || after.seq > head.seq) {
            return Ok(JournalPage::OtherEpoch);
        }
        let size: usize = sizes(&entries);
        let entries = journal::entries(entries, &mut self.reads.names())?;
        if let Some(of_one) = size.checked_div(entries.len()) {
            self.entry_bytes.store(of_one as u64, Ordering::Relaxed);
        }
        let shown = *self.pulse.head.borrow();
        match entries.first() {
            Some(first) if self.replication.show_only_replicated && first.position.seq > shown.seq => {
                Ok(JournalPage::Entries(Vec::new()))
            }
            Some(first) if first.position.seq != after.seq + 1 => Ok(JournalPage::Trimmed),
            None if after.seq < head.seq => Ok(JournalPage::Trimmed),
            _ => Ok(JournalPage::Entries(self.shown(entries, shown))),
        }
    }

    /// Without what replicas may not have.
    fn shown(&self, mut entries: Vec<Arc<JournalEntry>>, head: Position) -> Vec<Arc<JournalEntry>> {
        if self.replication.show_only_replicated {
            entries.retain(|entry| entry.position.seq <= head.seq);
        }
        entries
    }

    /// What was read is told when the head is there.
    async fn shown_up_to(&self, at: Position) -> Result<(), StoreError> {
        if !self.replication.show_only_replicated {
            self.pulse.reached(at);
            return Ok(());
        }
        let mut head = self.pulse.head.subscribe();
        let there = head.wait_for(|head| *head >= at);
        match tokio::time::timeout(self.replication.timeout, there).await {
            Ok(_) => Ok(()),
            Err(_) => Err(StoreError::Unavailable(format!(
                "what is there, up to {at}, is not on enough replicas yet"
            ))),
        }
    }

    async fn take_lead(&self, server: ServerId, lasts: Duration) -> Result<bool, StoreError> {
        let lasts_ms = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX).min(LEAD_MAX_MS);
        let args = |command: &mut redis::Cmd| {
            command.arg(format!("{:016x}", server.0)).arg(lasts_ms);
        };
        let answer = self.reads.run(&self.scripts.lead, args).await?;
        Ok(reply::number(answer)? == 1)
    }

    async fn forget(&self, trim: TrimRequest) -> Result<TrimResult, StoreError> {
        let projected = trim.projected;
        let args = |command: &mut redis::Cmd| {
            command.arg(projected.epoch).arg(projected.seq).arg(trim.journal_before);
            command.arg(self.journal_max_bytes);
        };
        self.writer.lock().await.run(|scripts| &scripts.journal, args).await?;
        let mut finals = 0;
        while finals < trim.limit {
            let some = BATCH.min(trim.limit - finals);
            let args = |command: &mut redis::Cmd| {
                command.arg(projected.epoch).arg(projected.seq).arg(trim.terminal_before).arg(some);
            };
            // Commits go in between.
            let gone = self.writer.lock().await.run(|scripts| &scripts.trim, args).await?;
            let gone = reply::number(gone)? as usize;
            finals += gone;
            if gone < some {
                break;
            }
        }
        Ok(TrimResult { evicted: finals, more: finals > 0 && finals == trim.limit })
    }
}

fn sizes(value: &Value) -> usize {
    match value {
        Value::Array(values) => values.iter().map(sizes).sum(),
        Value::BulkString(bytes) => bytes.len(),
        _ => 0,
    }
}

fn holder_of(mut row: Bytes) -> Result<(JobId, Millis), StoreError> {
    Ok((reply::take_id(&mut row)?, take(&mut row, 8)?.get_i64()))
}

fn session_row(row: &[Value]) -> Result<SessionRow, StoreError> {
    session_of(reply::bytes(row[0].clone())?, reply::bytes(row[1].clone())?)
}

fn session_of(mut id: Bytes, mut row: Bytes) -> Result<SessionRow, StoreError> {
    let id = SessionId::from_u128(take(&mut id, 16)?.get_u128());
    let mut row = take(&mut row, 16)?;
    Ok(SessionRow { id, owner: ServerId(row.get_u64()), expires_at: row.get_i64() })
}

impl Store for RedisStore {
    fn commit(&self, call: CommitRequest) -> StoreFuture<'_, CommitResult> {
        Box::pin(self.call(call))
    }

    fn read(&self, ids: Vec<JobId>) -> StoreFuture<'_, Vec<Option<Arc<Job>>>> {
        Box::pin(self.jobs(ids))
    }

    fn holders(&self, keys: Vec<UniqueKey>, now: Millis) -> StoreFuture<'_, Vec<Option<JobId>>> {
        Box::pin(self.holders_at(keys, now))
    }

    fn queues(&self) -> StoreFuture<'_, Vec<Queue>> {
        Box::pin(self.declared())
    }

    fn depths(&self) -> StoreFuture<'_, Vec<Depth>> {
        Box::pin(self.counts())
    }

    fn oldest_ready(&self, queues: Vec<Name>) -> StoreFuture<'_, Vec<Option<Millis>>> {
        Box::pin(oldest::ready(&self.reads, &self.keys, queues))
    }

    fn session_jobs(&self, session: SessionId) -> StoreFuture<'_, Vec<Arc<Job>>> {
        Box::pin(self.held_by(session))
    }

    fn sessions(&self) -> StoreFuture<'_, Vec<SessionRow>> {
        Box::pin(self.rows())
    }

    fn session_infos(&self, sessions: Vec<SessionId>) -> StoreFuture<'_, Vec<Option<SessionInfo>>> {
        Box::pin(self.cards_of(sessions))
    }

    fn extend_sessions(&self, until: Millis) -> StoreFuture<'_, ()> {
        Box::pin(self.extend(until))
    }

    fn due_work(&self, now: Millis, limit: usize) -> StoreFuture<'_, DueWork> {
        Box::pin(self.needing(now, limit))
    }

    fn read_journal(&self, after: Position, limit: usize) -> StoreFuture<'_, JournalPage> {
        Box::pin(self.after(after, limit))
    }

    fn wait_replicated(&self, up_to: Position) -> StoreFuture<'_, bool> {
        Box::pin(self.wait_for_replicas(up_to))
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.pulse.head.subscribe()
    }

    fn trim(&self, trim: TrimRequest) -> StoreFuture<'_, TrimResult> {
        Box::pin(self.forget(trim))
    }

    fn peer_events(&self, server: ServerId) -> StoreFuture<'_, PeerEvents> {
        Box::pin(async move { Ok(self.board.next(server).await) })
    }

    fn acquire_leader_lease(&self, server: ServerId, lasts: Duration) -> StoreFuture<'_, bool> {
        Box::pin(self.take_lead(server, lasts))
    }
}
