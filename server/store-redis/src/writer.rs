//! The commit: one script call on a connection of its own, repeated under its number.

use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::HashMap;
use redis::{RedisError, Value};
use sentinel_domain::{Job, JobId, Spec, Status};
use sentinel_store::codec::{self, NamePool};
use sentinel_store::{
    CommitRequest, CommitResult, Position, ServerId, StoreError, TransactionResult,
};

use crate::args;
use crate::error::{Fate, damaged, fate};
use crate::journal;
use crate::keys::Keys;
use crate::link::{Connector, Link};
use crate::options::ReplicationOptions;
use crate::record;
use crate::reply;
use crate::script::Scripts;
use crate::specs::RecentSpecs;

/// The connection for writes, and which calls it does not know the fate of.
pub(crate) struct Writer {
    pub(crate) connector: Connector,
    pub(crate) keys: Keys,
    pub(crate) scripts: Scripts,
    link: Option<Link>,
    /// By writer: the number of a call that was sent and not answered.
    unsettled: HashMap<ServerId, u64>,
    names: NamePool,
    specs: RecentSpecs,
    /// The last call that was applied, and whether all of the link's life since then is known.
    applied: Option<Applied>,
    /// Since when replicas do not answer: the next waits are short for a while, so that those that
    /// are away do not hold up what does not need them.
    alone_since: Option<Instant>,
}

/// A call that was applied.
struct Applied {
    writer: ServerId,
    number: u64,
    position: Position,
    is_on_link: bool,
}

/// In front of a position that replicas have, where other messages are those of calls.
pub(crate) const SAFE: char = 's';

/// The longest WAIT after one that was in vain, and when a long one is tried again.
const ALONE: Duration = Duration::from_millis(50);
const ALONE_MAX: Duration = Duration::from_secs(5);

impl Writer {
    pub(crate) fn new(connector: Connector, keys: Keys, scripts: Scripts, link: Link) -> Self {
        let (unsettled, names, specs) = Default::default();
        let (applied, alone_since, link) = (None, None, Some(link));
        Self { connector, keys, scripts, link, unsettled, names, specs, applied, alone_since }
    }

    /// A connection that is good, as far as anybody knows.
    async fn link(&mut self) -> Result<&mut Link, RedisError> {
        if self.link.as_ref().is_none_or(Link::is_broken) {
            self.link = None;
            if let Some(applied) = &mut self.applied {
                applied.is_on_link = false;
            }
            self.link = Some(self.connector.link().await?);
        }
        Ok(self.link.as_mut().expect("was just made"))
    }

    /// Runs one of the other scripts that write. They may be repeated at will.
    pub(crate) async fn run(
        &mut self,
        script: impl FnOnce(&Scripts) -> &crate::script::Script,
        args: impl Fn(&mut redis::Cmd),
    ) -> Result<Value, StoreError> {
        let (script, meta) = (script(&self.scripts).clone(), self.keys.meta());
        let link = self.link().await.map_err(crate::error::unread)?;
        script.call(link, &meta, args).await.map_err(|error| match fate(&error) {
            Fate::Damaged => damaged(error),
            Fate::RolledBack => StoreError::RolledBack(error.detail().unwrap_or_default().into()),
            _ => StoreError::Unavailable(error.to_string()),
        })
    }

    /// Commits a call. `seen` is how far this server saw the journal.
    pub(crate) async fn commit(
        &mut self,
        call: &CommitRequest,
        seen: Position,
    ) -> Result<CommitResult, StoreError> {
        let (writer, number) = (call.writer, call.number);
        // An earlier try may have been applied, whatever becomes of this one. Noted before it
        // is sent, since whoever asked may stop waiting.
        let was_sent = self.unsettled.insert(writer, number) == Some(number);
        let unknown = |was_sent: bool, error: &RedisError| {
            let text = error.to_string();
            if was_sent { StoreError::OutcomeUnknown(text) } else { StoreError::Unavailable(text) }
        };
        let (script, meta) = (self.scripts.commit.clone(), self.keys.meta());
        let link = match self.link().await {
            Ok(link) => link,
            Err(error) => {
                if !was_sent {
                    self.unsettled.remove(&writer);
                }
                return Err(unknown(was_sent, &error));
            }
        };
        let answer = script.call(link, &meta, |command| args::write(command, call, seen));
        let error = match answer.await {
            Ok(answer) => {
                let outcome = self.outcome(call, answer).await;
                if let Ok(CommitResult { position, .. }) = &outcome {
                    self.applied =
                        Some(Applied { writer, number, position: *position, is_on_link: true });
                }
                if !matches!(outcome, Err(StoreError::OutcomeUnknown(_))) {
                    self.unsettled.remove(&writer);
                }
                return outcome;
            }
            Err(error) => error,
        };
        let fate = fate(&error);
        if !was_sent && fate != Fate::Unknown {
            self.unsettled.remove(&writer);
        }
        Err(match fate {
            Fate::Damaged => damaged(error),
            Fate::RolledBack => StoreError::RolledBack(error.detail().unwrap_or_default().into()),
            Fate::Full if !was_sent && has_new(call) => StoreError::Full(error.to_string()),
            Fate::Unknown => unknown(true, &error),
            Fate::Refused | Fate::Full => unknown(was_sent, &error),
            Fate::Old => StoreError::Unavailable(error.to_string()),
        })
    }

    /// Waits until replicas have the last call that was applied, and so all up to it.
    pub(crate) async fn wait(
        &mut self,
        up_to: Position,
        replicas: &ReplicationOptions,
    ) -> Result<bool, StoreError> {
        let unread = crate::error::unread;
        let is_alone = self.alone_since.is_some_and(|since| since.elapsed() < ALONE_MAX);
        let timeout = if is_alone { ALONE.min(replicas.timeout) } else { replicas.timeout };
        let wait = replicas.wait(timeout);
        // A link that broke since may lead to another primary, which may not have the call.
        self.link().await.map_err(unread)?;
        let Some(applied) = self.applied.as_ref().filter(|applied| applied.position >= up_to)
        else {
            return Err(StoreError::Unavailable(format!("{up_to} was not committed from here")));
        };
        let (writer, number, is_on_link) = (applied.writer, applied.number, applied.is_on_link);
        let (last, beat, meta) = (self.keys.writers(), self.keys.beat(), self.keys.meta());
        let link = self.link().await.map_err(unread)?;
        let acknowledged = if is_on_link && link.is_one() {
            link.query(&wait).await.map_err(unread)?
        } else {
            let mut pipeline = redis::pipe();
            pipeline.cmd("HGET").arg(last).arg(&writer.0.to_be_bytes()[..]);
            pipeline.cmd("SET").arg(beat).arg(1);
            pipeline.add_command(wait);
            let answers = link.query_on(&pipeline, &meta).await.map_err(unread)?;
            let [kept, _, acknowledged] =
                <[Value; 3]>::try_from(answers).map_err(|_| damaged("expected three answers"))?;
            let kept = reply::maybe_bytes(kept)?;
            if kept.is_none_or(|kept| !kept.starts_with(&number.to_be_bytes())) {
                return Err(StoreError::Unavailable("the call was lost before it was safe".into()));
            }
            acknowledged
        };
        let is_safe = reply::number(acknowledged)? >= u64::from(replicas.min_replicas);
        if is_safe {
            self.alone_since = None;
        } else if !is_alone {
            self.alone_since = Some(Instant::now());
        }
        Ok(is_safe)
    }

    /// Tells other servers of a position. One that is not told is found by their next beat.
    pub(crate) async fn tell(&mut self, at: Position) {
        let mut publish = redis::cmd("SPUBLISH");
        publish.arg(self.keys.head()).arg(format!("{SAFE}{at}"));
        if let Ok(link) = self.link().await {
            let _ = link.query(&publish).await;
        }
    }

    async fn outcome(
        &mut self,
        call: &CommitRequest,
        answer: Value,
    ) -> Result<CommitResult, StoreError> {
        let mut values = reply::array(answer)?.into_iter();
        let mut next = || values.next().ok_or_else(|| damaged("an answer without its end"));
        let is_repeat = reply::number(next()?)? == 1;
        let told = reply::told(reply::bytes(next()?)?, &mut self.names)?;
        let ids: Vec<JobId> = told.claimed.iter().flatten().copied().collect();
        for (group, verdict) in call.transactions.iter().zip(&told.results) {
            if *verdict == TransactionResult::Committed {
                self.specs.note(group);
            }
        }
        let statuses: Vec<Status> = if is_repeat {
            self.statuses_at(told.position, ids.len()).await?
        } else {
            let values = values.map(reply::bytes);
            let decoded = values.map(|stored| record::decode_status(stored?, &mut self.names));
            decoded.collect::<Result<_, _>>()?
        };
        let specs = self.specs_of(&ids, &statuses).await?;
        let jobs = ids.into_iter().zip(specs).zip(statuses);
        let jobs = jobs.map(|((id, spec), status)| Arc::new(Job { id, spec, status }));
        Ok(told.with(jobs.collect()))
    }

    /// The specs of jobs that were just claimed. Nothing is lost when that fails: the call is
    /// repeated under its number.
    async fn specs_of(
        &mut self,
        ids: &[JobId],
        statuses: &[Status],
    ) -> Result<Vec<Arc<Spec>>, StoreError> {
        let claimed = ids.iter().zip(statuses);
        let mut found: Vec<Option<Arc<Spec>>> =
            claimed.map(|(id, status)| self.specs.take(*id, status.revision)).collect();
        let mut read = redis::cmd("HMGET");
        read.arg(self.keys.spec());
        let mut is_all = true;
        for (id, _) in ids.iter().zip(&found).filter(|(_, spec)| spec.is_none()) {
            read.arg(&record::id_bytes(*id));
            is_all = false;
        }
        if !is_all {
            let values = self.ask(&read).await?;
            let missing = found.iter_mut().filter(|spec| spec.is_none());
            for (slot, spec) in missing.zip(reply::array(values)?) {
                let spec = reply::maybe_bytes(spec)?.ok_or_else(forgotten)?;
                let spec = codec::decode_spec(spec, &mut self.names).map_err(damaged)?;
                *slot = Some(spec.into());
            }
        }
        found.into_iter().map(|spec| spec.ok_or_else(forgotten)).collect()
    }

    /// The last `count` jobs of a journal entry: those that its call claimed, as it left them.
    async fn statuses_at(&mut self, at: Position, count: usize) -> Result<Vec<Status>, StoreError> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let id = journal::stream_id(at);
        let mut read = redis::cmd("XRANGE");
        read.arg(self.keys.journal()).arg(&id).arg(&id);
        let entry = self.ask(&read).await?;
        let entry = journal::entries(entry, &mut self.names)?.pop().ok_or_else(forgotten)?;
        let before = entry.jobs.len().saturating_sub(count);
        Ok(entry.jobs[before..].iter().map(|event| event.status.clone()).collect())
    }

    /// Reads what belongs to an answer. The call was applied, so a failure is no refusal.
    async fn ask(&mut self, command: &redis::Cmd) -> Result<Value, StoreError> {
        let unknown = |error: RedisError| StoreError::OutcomeUnknown(error.to_string());
        self.link().await.map_err(unknown)?.query(command).await.map_err(unknown)
    }
}

fn forgotten() -> StoreError {
    StoreError::Unavailable("the reply of the call is no longer kept".into())
}

/// The call makes jobs.
pub(crate) fn has_new(call: &CommitRequest) -> bool {
    let mutations = call.transactions.iter().flat_map(|group| &group.mutations);
    mutations.into_iter().any(|change| change.needs_space())
}
