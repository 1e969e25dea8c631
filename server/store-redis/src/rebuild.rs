//! Making the store anew, step by step, for somebody who knows what belongs into it.
//!
//! Everything is done under a lock in Redis and under an epoch of its own, so that neither a
//! server that still has the old store nor another rebuild can mix with it. A rebuild that
//! ends in the middle leaves a store that nobody opens, and can be begun again.

use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes};
use redis::{Cmd, Pipeline, Value};
use sentinel_domain::{Job, JobId, Millis, Queue, UniqueKey};
use sentinel_store::codec::NamePool;
use sentinel_store::{
    CommitRequest, IdempotencyRecord, JournalPage, Mutation, Position, ServerId, StoreError,
    Transaction,
};

use crate::OpenError;
use crate::address::Address;
use crate::error::{damaged, unread};
use crate::journal;
use crate::keys::Keys;
use crate::link::{Connector, Link, Patience};
use crate::open::{ask_info, check_server, info};
use crate::options::OpenOptions;
use crate::record::id_bytes;
use crate::reply;
use crate::script::Scripts;
use crate::writer::Writer;

/// How long the lock outlives an owner that ended without a word.
const LOCK: Duration = Duration::from_secs(20);
/// How often its owner renews it, between two steps.
const RENEW: Duration = Duration::from_secs(3);
/// Jobs and bytes of specs that one call puts.
const PUT_MAX: usize = 500;
const PUT_BYTES: usize = 4 << 20;
/// Keys of one step of a scan.
const SCAN: usize = 1_000;

/// Why a rebuild does not go on.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(
        "another rebuild is at work, or ended without a word: its lock ends in {expires_ms} ms"
    )]
    Locked { expires_ms: u64 },
    #[error(
        "the lock of the rebuild was lost: another one is at work, or Redis was emptied meanwhile"
    )]
    LockLost,
    #[error("Redis has no room for all jobs: {used} of {most} bytes are in use; raise maxmemory")]
    Full { used: u64, most: u64 },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is in Redis before a rebuild.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExistingStore {
    /// Where the store stands; none where there is none.
    pub position: Option<Position>,
    /// Jobs in it.
    pub jobs: u64,
    /// A rebuild began and has not ended.
    pub is_rebuilding: bool,
}

/// A rebuild under way.
pub struct Rebuild {
    keys: Keys,
    scripts: Scripts,
    link: Link,
    writer: Writer,
    owner: ServerId,
    renewed: Instant,
    epoch: u64,
    was: Option<Position>,
    number: u64,
    now: Millis,
    names: NamePool,
}

fn parts(options: &OpenOptions) -> Result<(Connector, Keys), OpenError> {
    let patience = Patience { connect: options.connect_timeout, answer: options.answer_timeout };
    let connector = Connector { address: Address::parse(&options.url)?, patience };
    Ok((connector, Keys::new(&options.key_prefix, 0)))
}

async fn connect(connector: &Connector) -> Result<Link, OpenError> {
    connector.link().await.map_err(|error| OpenError::Unreachable(error.to_string()))
}

/// Servers go by the clock of Redis, too.
async fn time(link: &mut Link, keys: &Keys) -> Result<Millis, RebuildError> {
    let mut ask = Pipeline::new();
    ask.cmd("TIME");
    let mut answers = link.query_on(&ask, &keys.meta()).await.map_err(unread)?;
    let time = reply::array(answers.pop().unwrap_or_default())?;
    let mut time = time.into_iter().map(reply::number);
    let mut part = || time.next().unwrap_or_else(|| Err(damaged("a time without its parts")));
    let ms = part()? * 1_000 + part()? / 1_000;
    Ok(ms.cast_signed())
}

impl ExistingStore {
    /// Looks at what is there, and changes nothing.
    pub async fn inspect(options: &OpenOptions) -> Result<Self, RebuildError> {
        let (connector, keys) = parts(options)?;
        let mut link = connect(&connector).await?;
        check_server(&mut link).await?;
        let mut pipeline = redis::pipe();
        pipeline.atomic().cmd("HMGET").arg(keys.meta()).arg("epoch").arg("seq");
        pipeline.cmd("HLEN").arg(keys.status());
        pipeline.cmd("HEXISTS").arg(keys.meta()).arg("rebuilding");
        let answers = link.query_all(&pipeline).await.map_err(unread)?;
        let [at, jobs, is_rebuilding] =
            <[Value; 3]>::try_from(answers).map_err(|_| damaged("expected three answers"))?;
        Ok(Self {
            position: reply::maybe_position(at)?,
            jobs: reply::number(jobs)?,
            is_rebuilding: reply::number(is_rebuilding)? == 1,
        })
    }
}

impl Rebuild {
    /// Takes the lock and shuts all servers out. The new epoch is above `ledger_epoch` and that
    /// of every store that was here.
    ///
    /// # Errors
    /// [`RebuildError::Locked`] when another one is at work, and those of Redis.
    pub async fn begin(
        options: &OpenOptions,
        owner: ServerId,
        ledger_epoch: u64,
    ) -> Result<Self, RebuildError> {
        let found = ExistingStore::inspect(options).await?;
        let (connector, keys) = parts(options)?;
        let mut link = connect(&connector).await?;
        let writing = connect(&connector).await?;
        let now = time(&mut link, &keys).await?;
        let former = ledger_epoch.max(found.position.map_or(0, |at| at.epoch));
        let mut rebuild = Self {
            writer: Writer::new(connector, keys.clone(), Scripts::quiet(), writing),
            scripts: Scripts::new(),
            keys,
            link,
            owner,
            renewed: Instant::now(),
            epoch: now.max(0).cast_unsigned().max(former + 1),
            was: None,
            number: 0,
            now,
            names: NamePool::default(),
        };
        rebuild.lock().await?;
        let epoch = rebuild.epoch;
        let was = rebuild
            .step("fence", |command| {
                command.arg(epoch);
            })
            .await?;
        let was = reply::bytes(was)?;
        rebuild.was = reply::text(&was)?.parse().ok();
        Ok(rebuild)
    }

    /// Where the store that was here stood, unless it is worth nothing any more.
    pub fn previous_position(&self) -> Option<Position> {
        self.was
    }

    /// By the clock of Redis, when it began.
    pub fn started_at(&self) -> Millis {
        self.now
    }

    /// Of the new store.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    async fn ask(&mut self, step: &str, args: impl Fn(&mut Cmd)) -> Result<Value, RebuildError> {
        let (script, owner) = (self.scripts.rebuild.clone(), self.owner.0);
        let args = |command: &mut Cmd| {
            command.arg(step).arg(owner);
            args(command);
        };
        let answer = script.call(&mut self.link, &self.keys.meta(), args).await;
        answer.map_err(|error| match error.code() {
            Some("LOSTLOCK") => RebuildError::LockLost,
            _ => unread(error).into(),
        })
    }

    async fn lock(&mut self) -> Result<(), RebuildError> {
        let ms = LOCK.as_millis() as u64;
        let answer = self
            .ask("lock", |command| {
                command.arg(ms);
            })
            .await?;
        let mut words = reply::array(answer)?.into_iter();
        if reply::number(words.next().unwrap_or_default())? == 1 {
            self.renewed = Instant::now();
            return Ok(());
        }
        let expires_ms = reply::number(words.nth(1).unwrap_or_default()).unwrap_or(0);
        Err(RebuildError::Locked { expires_ms })
    }

    async fn step(&mut self, step: &str, args: impl Fn(&mut Cmd)) -> Result<Value, RebuildError> {
        if self.renewed.elapsed() >= RENEW {
            self.lock().await?;
        }
        self.ask(step, args).await
    }

    /// The journal of the old store after a position of its epoch, at most `limit` entries.
    pub async fn read_previous_journal(
        &mut self,
        after: Position,
        limit: usize,
    ) -> Result<JournalPage, RebuildError> {
        let Some(was) = self.was else { return Ok(JournalPage::OtherEpoch) };
        let is_start = after == Position::default();
        if !is_start && (after.epoch != was.epoch || after.seq > was.seq) {
            return Ok(JournalPage::OtherEpoch);
        }
        let from =
            if is_start { "-".to_owned() } else { format!("({}", journal::stream_id(after)) };
        let mut read = redis::cmd("XRANGE");
        read.arg(self.keys.journal()).arg(from).arg("+").arg("COUNT").arg(limit);
        let entries = self.link.query(&read).await.map_err(unread)?;
        let entries = journal::entries(entries, &mut self.names)?;
        match entries.first() {
            Some(first) if first.position.seq != after.seq + 1 => Ok(JournalPage::Trimmed),
            None if after.seq < was.seq => Ok(JournalPage::Trimmed),
            _ => Ok(JournalPage::Entries(entries)),
        }
    }

    /// The old store is worth nothing any more: drops it, and says how many keys it had.
    pub async fn delete_previous(&mut self) -> Result<u64, RebuildError> {
        self.step("carried", |_| {}).await?;
        self.was = None;
        let pattern = format!("{}*", self.keys.prefix());
        let mut cursor = Bytes::from_static(b"0");
        let mut gone = 0;
        loop {
            let mut scan = Pipeline::new();
            scan.cmd("SCAN").arg(&cursor[..]).arg("MATCH").arg(&pattern).arg("COUNT").arg(SCAN);
            let mut answer = self.link.query_on(&scan, &self.keys.meta()).await.map_err(unread)?;
            let mut answer = reply::array(answer.pop().unwrap_or_default())?.into_iter();
            cursor = reply::bytes(answer.next().unwrap_or_default())?;
            let found = reply::array(answer.next().unwrap_or_default())?;
            let keys: Vec<Bytes> = found.into_iter().map(reply::bytes).collect::<Result<_, _>>()?;
            if !keys.is_empty() {
                let dropped = self
                    .step("drop", |command| {
                        for key in &keys {
                            command.arg(&key[..]);
                        }
                    })
                    .await?;
                gone += reply::number(dropped)?;
            }
            if &cursor[..] == b"0" {
                return Ok(gone);
            }
        }
    }

    /// Puts queues and jobs into the new store, as they are and without a journal.
    pub async fn put_jobs(&mut self, queues: Vec<Queue>, jobs: &[Job]) -> Result<(), RebuildError> {
        let queues = queues.into_iter().map(Mutation::PutQueue).collect();
        self.commit(queues).await?;
        let mut mutations = Vec::new();
        let mut bytes = 0;
        for job in jobs {
            bytes += job.spec.payload.len();
            let job = std::sync::Arc::new(job.clone());
            mutations.push(Mutation::Update { job, attempt_end: None });
            if mutations.len() == PUT_MAX || bytes >= PUT_BYTES {
                self.commit(std::mem::take(&mut mutations)).await?;
                bytes = 0;
            }
        }
        self.commit(mutations).await
    }

    /// Answers that other stores gave and that may be asked for again.
    pub async fn put_idempotency_records(&mut self, requests: &[IdempotencyRecord]) -> Result<(), RebuildError> {
        let mut transactions = Vec::new();
        let mut bytes = 0;
        for request in requests {
            bytes += request.response.len();
            transactions.push(Transaction { idempotency: Some(request.clone()), ..Transaction::default() });
            if transactions.len() == PUT_MAX || bytes >= PUT_BYTES {
                self.call(std::mem::take(&mut transactions)).await?;
                bytes = 0;
            }
        }
        self.call(transactions).await
    }

    async fn commit(&mut self, mutations: Vec<Mutation>) -> Result<(), RebuildError> {
        if mutations.is_empty() {
            return Ok(());
        }
        self.call(vec![Transaction { mutations, ..Transaction::default() }]).await
    }

    async fn call(&mut self, transactions: Vec<Transaction>) -> Result<(), RebuildError> {
        if transactions.is_empty() {
            return Ok(());
        }
        if self.renewed.elapsed() >= RENEW {
            self.lock().await?;
            self.check_room().await?;
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
        let seen = Position { epoch: self.epoch, seq: 0 };
        // One whose fate is not known is repeated under its number.
        for _ in 0..3 {
            match self.writer.commit(&call, seen).await {
                Err(StoreError::OutcomeUnknown(_) | StoreError::Unavailable(_)) => {}
                done => return done.map(drop).map_err(Into::into),
            }
        }
        self.writer.commit(&call, seen).await.map(drop).map_err(Into::into)
    }

    /// Writes that pass when memory is short would take all of it.
    async fn check_room(&mut self) -> Result<(), RebuildError> {
        let text = ask_info(&mut self.link, "memory").await.map_err(unread)?;
        let text = text.concat();
        let number = |name| info(&text, name).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        let (used, most) = (number("used_memory"), number("maxmemory"));
        if most > 0 && used >= most { Err(RebuildError::Full { used, most }) } else { Ok(()) }
    }

    /// Unique keys of jobs that ended, with a time of their own.
    pub async fn hold_unique_keys(&mut self, keys: &[(UniqueKey, JobId, Millis)]) -> Result<(), RebuildError> {
        for some in keys.chunks(PUT_MAX) {
            let args = |command: &mut Cmd| {
                for (key, id, until) in some {
                    let mut row = Vec::with_capacity(24);
                    row.put_slice(&id_bytes(*id));
                    row.put_i64(*until);
                    command.arg(key.as_bytes()).arg(row).arg(*until);
                }
            };
            self.step("hold", args).await?;
        }
        Ok(())
    }

    /// Those of the jobs that are not in the new store.
    pub async fn missing_jobs(&mut self, ids: &[JobId]) -> Result<Vec<JobId>, RebuildError> {
        let mut missing = Vec::new();
        for some in ids.chunks(PUT_MAX) {
            let mut read = redis::cmd("HMGET");
            read.arg(self.keys.status());
            for id in some {
                read.arg(&id_bytes(*id));
            }
            let found = reply::array(self.link.query(&read).await.map_err(unread)?)?;
            for (id, found) in some.iter().zip(found) {
                if found == Value::Nil {
                    missing.push(*id);
                }
            }
        }
        Ok(missing)
    }

    /// The store is whole: servers may open it. `last` is the last entry of the new epoch that
    /// the ledger has.
    pub async fn finish(mut self, last: u64) -> Result<(), RebuildError> {
        self.step("finish", |command| {
            command.arg(last);
        })
        .await
        .map(drop)
    }

    /// Gives the lock back, so that another rebuild need not wait for its end.
    pub async fn release_lock(mut self) -> Result<(), RebuildError> {
        self.ask("release", |_| {}).await.map(drop)
    }
}
