//! The commit: one script call on a connection of its own, repeated under its number.

use foldhash::HashMap;
use redis::{RedisError, Value};
use sentinel_broker::codec::Names;
use sentinel_broker::{Call, Change, Outcome, Position, ServerId, StoreError};

use crate::args;
use crate::error::{Fate, damaged, fate};
use crate::journal;
use crate::keys::Keys;
use crate::link::{Connector, Link};
use crate::record;
use crate::reply;
use crate::script::Scripts;

/// The connection for writes, and which calls it does not know the fate of.
pub(crate) struct Writer {
    pub(crate) connector: Connector,
    pub(crate) keys: Keys,
    pub(crate) scripts: Scripts,
    link: Option<Link>,
    /// By writer: the number of a call that was sent and not answered.
    unsettled: HashMap<ServerId, u64>,
    names: Names,
}

impl Writer {
    pub(crate) fn new(connector: Connector, keys: Keys, scripts: Scripts, link: Link) -> Self {
        let (unsettled, names) = Default::default();
        Self { connector, keys, scripts, link: Some(link), unsettled, names }
    }

    /// A connection that is good, as far as anybody knows.
    async fn link(&mut self) -> Result<&mut Link, RedisError> {
        if self.link.as_ref().is_none_or(Link::is_broken) {
            self.link = None;
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
            _ => StoreError::Unavailable(error.to_string()),
        })
    }

    /// Commits a call. `seen` is how far this server saw the journal.
    pub(crate) async fn commit(
        &mut self,
        call: &Call,
        seen: Position,
    ) -> Result<Outcome, StoreError> {
        let (writer, number) = (call.writer, call.number);
        // An earlier try may have been applied, whatever becomes of this one. Noted before it
        // is sent, since whoever asked may stop waiting.
        let was_sent = self.unsettled.insert(writer, number) == Some(number);
        let unknown = |was_sent: bool, error: &RedisError| {
            let text = error.to_string();
            if was_sent { StoreError::Unknown(text) } else { StoreError::Unavailable(text) }
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
                self.unsettled.remove(&writer);
                return self.outcome(answer).await;
            }
            Err(error) => error,
        };
        let fate = fate(&error);
        if !was_sent && fate != Fate::Unknown {
            self.unsettled.remove(&writer);
        }
        Err(match fate {
            Fate::Damaged => rolled_back(&error),
            Fate::Full if !was_sent && has_new(call) => StoreError::Full(error.to_string()),
            Fate::Unknown => unknown(true, &error),
            Fate::Refused | Fate::Full => unknown(was_sent, &error),
            Fate::Old => StoreError::Unavailable(error.to_string()),
        })
    }

    async fn outcome(&mut self, answer: Value) -> Result<Outcome, StoreError> {
        let mut values = reply::array(answer)?.into_iter();
        let mut next = || values.next().ok_or_else(|| damaged("an answer without its end"));
        let is_repeat = reply::number(next()?)? == 1;
        let told = reply::told(reply::bytes(next()?)?, &mut self.names)?;
        if is_repeat {
            return self.again(told).await;
        }
        let ids: Vec<_> = told.claimed.iter().flatten().copied().collect();
        let mut jobs = Vec::with_capacity(ids.len());
        for id in ids {
            let (stored, spec) = (reply::bytes(next()?)?, reply::bytes(next()?)?);
            jobs.push(record::decode(id, stored, spec, &mut self.names)?.into());
        }
        Ok(told.with(jobs))
    }

    /// A repeat is answered with the jobs as they were claimed: the journal entry of the call
    /// has them at its end.
    async fn again(&mut self, told: reply::Told) -> Result<Outcome, StoreError> {
        let ids: Vec<_> = told.claimed.iter().flatten().copied().collect();
        if ids.is_empty() {
            return Ok(told.with(Vec::new()));
        }
        let at = journal::stream_id(told.position);
        let (entries, specs) = (self.keys.journal(), self.keys.spec());
        let mut pipeline = redis::pipe();
        pipeline.atomic().cmd("XRANGE").arg(entries).arg(&at).arg(&at);
        let read = pipeline.cmd("HMGET").arg(specs);
        for id in &ids {
            read.arg(&record::id_bytes(*id));
        }
        let lost = |why: String| StoreError::Unknown(why);
        let link = self.link().await.map_err(|error| lost(error.to_string()))?;
        let values = link.query_all(&pipeline).await.map_err(|error| lost(error.to_string()))?;
        let [entry, specs] =
            <[Value; 2]>::try_from(values).map_err(|_| damaged("an answer without its end"))?;
        let gone = || StoreError::Unavailable("the reply of the call is no longer kept".into());
        let entry = journal::entries(entry, &mut self.names)?.pop().ok_or_else(gone)?;
        let events = entry.jobs.iter().skip(entry.jobs.len().saturating_sub(ids.len()));
        let mut jobs = Vec::with_capacity(ids.len());
        for (event, spec) in events.zip(reply::array(specs)?) {
            let spec = reply::maybe_bytes(spec)?.ok_or_else(gone)?;
            let spec =
                sentinel_broker::codec::decode_spec(spec, &mut self.names).map_err(damaged)?;
            let status = event.status.clone();
            jobs.push(sentinel_domain::Job { id: event.id, spec: spec.into(), status }.into());
        }
        Ok(told.with(jobs))
    }
}

fn rolled_back(error: &RedisError) -> StoreError {
    match error.code() {
        Some("ROLLEDBACK") => StoreError::Damaged(format!(
            "STORE_ROLLED_BACK: {}",
            error.detail().unwrap_or_default()
        )),
        _ => damaged(error),
    }
}

/// The call makes jobs.
pub(crate) fn has_new(call: &Call) -> bool {
    let changes = call.groups.iter().flat_map(|group| &group.changes);
    changes.into_iter().any(|change| matches!(change, Change::Create { .. }))
}
