//! The steps of a rebuild, which recreates the store from the ledger.
//!
//! A rebuild holds a lock in Redis and uses a new epoch. This excludes other rebuilds, and servers
//! that still use the previous store. An interrupted rebuild leaves a store that servers refuse to
//! open, and can be started again.

use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes};
use redis::{Cmd, Pipeline, Value};
use sentinel_domain::{Job, JobId, Millis, Queue, UniqueKey};
use sentinel_store::codec::NamePool;
use sentinel_store::{
    CommitRequest, IdempotencyRecord, JournalPage, Mutation, Position, ServerId, StoreError,
    Transaction,
};

use crate::address::Address;
use crate::connection::{Connection, Connector, Timeouts};
use crate::error::{OpenError, damaged, read_error};
use crate::job_record::id_bytes;
use crate::journal;
use crate::keys::Keys;
use crate::open::{check_server, info_field, query_info};
use crate::options::OpenOptions;
use crate::reply;
use crate::script::Scripts;
use crate::writer::Writer;

/// The duration of the lock, which expires if its owner dies.
const LOCK_DURATION: Duration = Duration::from_secs(20);
/// The interval at which the owner renews the lock, between two steps.
const RENEW_INTERVAL: Duration = Duration::from_secs(3);
/// The maximum number of items and payload bytes of one call.
const PUT_MAX: usize = 500;
const PUT_BYTES: usize = 4 << 20;
/// The number of keys per step of a scan.
const SCAN: usize = 1_000;

/// The error of a rebuild.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("another rebuild is running, or was killed: its lock expires in {expires_ms} ms")]
    Locked { expires_ms: u64 },
    #[error("the lock of the rebuild was lost: another rebuild is running, or Redis was emptied")]
    LockLost,
    #[error(
        "Redis has not enough memory for all jobs: {used} of {max} bytes are in use; raise \
         maxmemory"
    )]
    Full { used: u64, max: u64 },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The store in Redis before a rebuild.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExistingStore {
    /// The position of the store; `None` if there is no store.
    pub position: Option<Position>,
    /// The number of jobs.
    pub jobs: u64,
    /// Whether a rebuild is unfinished.
    pub is_rebuilding: bool,
}

/// A running rebuild.
pub struct Rebuild {
    keys: Keys,
    scripts: Scripts,
    connection: Connection,
    writer: Writer,
    owner: ServerId,
    renewed: Instant,
    epoch: u64,
    previous: Option<Position>,
    number: u64,
    now: Millis,
    names: NamePool,
}

fn connector(options: &OpenOptions) -> Result<(Connector, Keys), OpenError> {
    let timeouts =
        Timeouts { connect: options.connect_timeout, response: options.response_timeout };
    let connector = Connector { address: Address::parse(&options.url)?, timeouts };
    Ok((connector, Keys::new(&options.key_prefix, 0)))
}

async fn connect(connector: &Connector) -> Result<Connection, OpenError> {
    connector.connection().await.map_err(|error| OpenError::Unreachable(error.to_string()))
}

/// Returns the time of Redis, which servers use, too.
async fn redis_time(connection: &mut Connection, keys: &Keys) -> Result<Millis, RebuildError> {
    let mut query = Pipeline::new();
    query.cmd("TIME");
    let mut replies = connection.query_on(&query, &keys.meta()).await.map_err(read_error)?;
    let time = reply::array(replies.pop().unwrap_or_default())?;
    let mut time = time.into_iter().map(reply::number);
    let mut part = || time.next().unwrap_or_else(|| Err(damaged("an incomplete time")));
    let ms = part()? * 1_000 + part()? / 1_000;
    Ok(ms.cast_signed())
}

impl ExistingStore {
    /// Inspects the store without changing it.
    pub async fn inspect(options: &OpenOptions) -> Result<Self, RebuildError> {
        let (connector, keys) = connector(options)?;
        let mut connection = connect(&connector).await?;
        check_server(&mut connection).await?;
        let mut pipeline = redis::pipe();
        pipeline.atomic().cmd("HMGET").arg(keys.meta()).arg("epoch").arg("seq");
        pipeline.cmd("HLEN").arg(keys.status());
        pipeline.cmd("HEXISTS").arg(keys.meta()).arg("rebuilding");
        let replies = connection.query_all(&pipeline).await.map_err(read_error)?;
        let [at, jobs, is_rebuilding] =
            <[Value; 3]>::try_from(replies).map_err(|_| damaged("expected three replies"))?;
        Ok(Self {
            position: reply::maybe_position(at)?,
            jobs: reply::number(jobs)?,
            is_rebuilding: reply::number(is_rebuilding)? == 1,
        })
    }
}

impl Rebuild {
    /// Acquires the lock and shuts out all servers. The new epoch is higher than `ledger_epoch` and
    /// the epochs of all previous stores.
    ///
    /// # Errors
    /// [`RebuildError::Locked`] if another rebuild is running, and those of Redis.
    pub async fn begin(
        options: &OpenOptions,
        owner: ServerId,
        ledger_epoch: u64,
    ) -> Result<Self, RebuildError> {
        let existing = ExistingStore::inspect(options).await?;
        let (connector, keys) = connector(options)?;
        let mut connection = connect(&connector).await?;
        let writer_connection = connect(&connector).await?;
        let now = redis_time(&mut connection, &keys).await?;
        let last_epoch = ledger_epoch.max(existing.position.map_or(0, |at| at.epoch));
        let mut rebuild = Self {
            writer: Writer::new(
                connector,
                keys.clone(),
                Scripts::without_journal(),
                writer_connection,
            ),
            scripts: Scripts::new(),
            keys,
            connection,
            owner,
            renewed: Instant::now(),
            epoch: now.max(0).cast_unsigned().max(last_epoch + 1),
            previous: None,
            number: 0,
            now,
            names: NamePool::default(),
        };
        rebuild.lock().await?;
        let epoch = rebuild.epoch;
        let previous = rebuild
            .step("fence", |command| {
                command.arg(epoch);
            })
            .await?;
        let previous = reply::bytes(previous)?;
        rebuild.previous = reply::text(&previous)?.parse().ok();
        Ok(rebuild)
    }

    /// Returns the position of the previous store, until it is deleted.
    pub fn previous_position(&self) -> Option<Position> {
        self.previous
    }

    /// Returns when the rebuild started, by the clock of Redis.
    pub fn started_at(&self) -> Millis {
        self.now
    }

    /// Returns the epoch of the new store.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    async fn run_step(
        &mut self,
        step: &str,
        args: impl Fn(&mut Cmd),
    ) -> Result<Value, RebuildError> {
        let (script, owner) = (self.scripts.rebuild.clone(), self.owner.0);
        let args = |command: &mut Cmd| {
            command.arg(step).arg(owner);
            args(command);
        };
        let reply = script.call(&mut self.connection, &self.keys.meta(), args).await;
        reply.map_err(|error| match error.code() {
            Some("LOSTLOCK") => RebuildError::LockLost,
            _ => read_error(error).into(),
        })
    }

    async fn lock(&mut self) -> Result<(), RebuildError> {
        let ms = LOCK_DURATION.as_millis() as u64;
        let reply = self
            .run_step("lock", |command| {
                command.arg(ms);
            })
            .await?;
        let mut values = reply::array(reply)?.into_iter();
        if reply::number(values.next().unwrap_or_default())? == 1 {
            self.renewed = Instant::now();
            return Ok(());
        }
        let expires_ms = reply::number(values.nth(1).unwrap_or_default()).unwrap_or(0);
        Err(RebuildError::Locked { expires_ms })
    }

    async fn step(&mut self, step: &str, args: impl Fn(&mut Cmd)) -> Result<Value, RebuildError> {
        if self.renewed.elapsed() >= RENEW_INTERVAL {
            self.lock().await?;
        }
        self.run_step(step, args).await
    }

    /// Reads at most `limit` journal entries of the previous store after a position.
    pub async fn read_previous_journal(
        &mut self,
        after: Position,
        limit: usize,
    ) -> Result<JournalPage, RebuildError> {
        let Some(previous) = self.previous else { return Ok(JournalPage::OtherEpoch) };
        let is_start = after == Position::default();
        if !is_start && (after.epoch != previous.epoch || after.seq > previous.seq) {
            return Ok(JournalPage::OtherEpoch);
        }
        let from =
            if is_start { "-".to_owned() } else { format!("({}", journal::stream_id(after)) };
        let mut read = redis::cmd("XRANGE");
        read.arg(self.keys.journal()).arg(from).arg("+").arg("COUNT").arg(limit);
        let entries = self.connection.query(&read).await.map_err(read_error)?;
        let entries = journal::entries(entries, &mut self.names)?;
        match entries.first() {
            Some(first) if first.position.seq != after.seq + 1 => Ok(JournalPage::Trimmed),
            None if after.seq < previous.seq => Ok(JournalPage::Trimmed),
            _ => Ok(JournalPage::Entries(entries)),
        }
    }

    /// Deletes the previous store, and returns its number of keys.
    pub async fn delete_previous(&mut self) -> Result<u64, RebuildError> {
        self.step("forget_previous", |_| {}).await?;
        self.previous = None;
        let pattern = format!("{}*", self.keys.prefix());
        let mut cursor = Bytes::from_static(b"0");
        let mut deleted = 0;
        loop {
            let mut scan = Pipeline::new();
            scan.cmd("SCAN").arg(&cursor[..]).arg("MATCH").arg(&pattern).arg("COUNT").arg(SCAN);
            let mut reply =
                self.connection.query_on(&scan, &self.keys.meta()).await.map_err(read_error)?;
            let mut reply = reply::array(reply.pop().unwrap_or_default())?.into_iter();
            cursor = reply::bytes(reply.next().unwrap_or_default())?;
            let found = reply::array(reply.next().unwrap_or_default())?;
            let keys: Vec<Bytes> = found.into_iter().map(reply::bytes).collect::<Result<_, _>>()?;
            if !keys.is_empty() {
                let count = self
                    .step("delete_keys", |command| {
                        for key in &keys {
                            command.arg(&key[..]);
                        }
                    })
                    .await?;
                deleted += reply::number(count)?;
            }
            if &cursor[..] == b"0" {
                return Ok(deleted);
            }
        }
    }

    /// Puts queues and jobs into the new store, without journal entries.
    pub async fn put_jobs(&mut self, queues: Vec<Queue>, jobs: &[Job]) -> Result<(), RebuildError> {
        let queues = queues.into_iter().map(Mutation::PutQueue).collect();
        self.commit_mutations(queues).await?;
        let mut mutations = Vec::new();
        let mut bytes = 0;
        for job in jobs {
            bytes += job.spec.payload.len();
            let job = std::sync::Arc::new(job.clone());
            mutations.push(Mutation::Update { job, attempt_end: None });
            if mutations.len() == PUT_MAX || bytes >= PUT_BYTES {
                self.commit_mutations(std::mem::take(&mut mutations)).await?;
                bytes = 0;
            }
        }
        self.commit_mutations(mutations).await
    }

    /// Puts idempotency records of the previous store into the new one.
    pub async fn put_idempotency_records(
        &mut self,
        records: &[IdempotencyRecord],
    ) -> Result<(), RebuildError> {
        let mut transactions = Vec::new();
        let mut bytes = 0;
        for record in records {
            bytes += record.response.len();
            transactions
                .push(Transaction { idempotency: Some(record.clone()), ..Transaction::default() });
            if transactions.len() == PUT_MAX || bytes >= PUT_BYTES {
                self.commit_transactions(std::mem::take(&mut transactions)).await?;
                bytes = 0;
            }
        }
        self.commit_transactions(transactions).await
    }

    async fn commit_mutations(&mut self, mutations: Vec<Mutation>) -> Result<(), RebuildError> {
        if mutations.is_empty() {
            return Ok(());
        }
        self.commit_transactions(vec![Transaction { mutations, ..Transaction::default() }]).await
    }

    async fn commit_transactions(
        &mut self,
        transactions: Vec<Transaction>,
    ) -> Result<(), RebuildError> {
        if transactions.is_empty() {
            return Ok(());
        }
        if self.renewed.elapsed() >= RENEW_INTERVAL {
            self.lock().await?;
            self.check_memory().await?;
        }
        self.number += 1;
        let call = CommitRequest {
            writer: self.owner,
            number: self.number,
            now: self.now,
            transactions,
            promote_limit: 0,
            claims: Vec::new(),
        };
        let observed = Position { epoch: self.epoch, seq: 0 };
        // A call of unknown outcome is repeated under its number.
        for _ in 0..3 {
            match self.writer.commit(&call, observed).await {
                Err(StoreError::OutcomeUnknown(_) | StoreError::Unavailable(_)) => {}
                result => return result.map(drop).map_err(Into::into),
            }
        }
        self.writer.commit(&call, observed).await.map(drop).map_err(Into::into)
    }

    /// Fails if memory is short: scripts that write would exceed the limit.
    async fn check_memory(&mut self) -> Result<(), RebuildError> {
        let text = query_info(&mut self.connection, "memory").await.map_err(read_error)?;
        let text = text.concat();
        let number =
            |name| info_field(&text, name).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        let (used, max) = (number("used_memory"), number("maxmemory"));
        if max > 0 && used >= max { Err(RebuildError::Full { used, max }) } else { Ok(()) }
    }

    /// Puts unexpired unique keys, whose jobs may be terminal.
    pub async fn hold_unique_keys(
        &mut self,
        keys: &[(UniqueKey, JobId, Millis)],
    ) -> Result<(), RebuildError> {
        for part in keys.chunks(PUT_MAX) {
            let args = |command: &mut Cmd| {
                for (key, id, until) in part {
                    let mut row = Vec::with_capacity(24);
                    row.put_slice(&id_bytes(*id));
                    row.put_i64(*until);
                    command.arg(key.as_bytes()).arg(row).arg(*until);
                }
            };
            self.step("hold_unique_keys", args).await?;
        }
        Ok(())
    }

    /// Returns those of the jobs that are not in the new store.
    pub async fn missing_jobs(&mut self, ids: &[JobId]) -> Result<Vec<JobId>, RebuildError> {
        let mut missing = Vec::new();
        for part in ids.chunks(PUT_MAX) {
            let mut read = redis::cmd("HMGET");
            read.arg(self.keys.status());
            for id in part {
                read.arg(&id_bytes(*id));
            }
            let found = reply::array(self.connection.query(&read).await.map_err(read_error)?)?;
            for (id, found) in part.iter().zip(found) {
                if found == Value::Nil {
                    missing.push(*id);
                }
            }
        }
        Ok(missing)
    }

    /// Completes the rebuild, so that servers can open the store. `last` is the last entry of the
    /// new epoch that the ledger contains.
    pub async fn finish(mut self, last: u64) -> Result<(), RebuildError> {
        self.step("finish", |command| {
            command.arg(last);
        })
        .await
        .map(drop)
    }

    /// Releases the lock after a failure, so that another rebuild can start at once.
    pub async fn release_lock(mut self) -> Result<(), RebuildError> {
        self.run_step("release", |_| {}).await.map(drop)
    }
}
