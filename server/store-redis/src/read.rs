//! Reads: through the pool, each a transaction or a script of its own, so that a reader sees
//! all of a call or nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bb8::{Pool, PooledConnection};
use redis::{Pipeline, RedisError, Value};
use sentinel_store::Position;
use sentinel_store::StoreError;
use sentinel_store::codec::NamePool;

use crate::error::{Fate, damaged, fate, unread};
use crate::keys::Keys;
use crate::link::Connector;
use crate::pulse::Pulse;
use crate::reply;
use crate::script::Script;

/// The pool, and names that its readers share.
pub(crate) struct Reads {
    pool: Pool<Connector>,
    keys: Keys,
    pulse: Arc<Pulse>,
    names: Mutex<NamePool>,
}

impl Reads {
    pub(crate) fn new(pool: Pool<Connector>, keys: Keys, pulse: Arc<Pulse>) -> Self {
        Self { pool, keys, pulse, names: Mutex::default() }
    }

    /// What [`Self::all`] takes, with nothing asked yet.
    pub(crate) fn begin(&self) -> Pipeline {
        let mut pipeline = redis::pipe();
        pipeline.atomic().cmd("HMGET").arg(self.keys.meta()).arg("epoch").arg("seq");
        pipeline
    }

    pub(crate) fn names(&self) -> MutexGuard<'_, NamePool> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn link(&self) -> Result<PooledConnection<'_, Connector>, StoreError> {
        self.pool.get().await.map_err(unread)
    }

    /// Asks several commands at one moment of the store, which must be the one that was seen.
    /// Answers where it stood then.
    pub(crate) async fn all(
        &self,
        pipeline: &Pipeline,
    ) -> Result<(Position, Vec<Value>), StoreError> {
        let seen = self.pulse.seen()?;
        let mut tries = self.tries();
        let mut values = loop {
            let answer = self.link().await?.query_all(pipeline).await;
            match answer {
                Err(error) if is_stale(&error) && tries > 0 => tries -= 1,
                answer => break answer.map_err(unread)?,
            }
        };
        if values.is_empty() {
            return Err(damaged("a read without its position"));
        }
        let there = reply::maybe_position(values.remove(0))?;
        Ok((self.pulse.check(seen, there)?, values))
    }

    /// Runs a script that reads, the arguments behind where the store was seen.
    pub(crate) async fn run(
        &self,
        script: &Script,
        args: impl Fn(&mut redis::Cmd),
    ) -> Result<Value, StoreError> {
        let seen = self.pulse.seen()?;
        let meta = self.keys.meta();
        let args = |command: &mut redis::Cmd| {
            command.arg(seen.epoch).arg(seen.seq);
            args(command);
        };
        let mut tries = self.tries();
        loop {
            let answer = script.call(&mut *self.link().await?, &meta, &args).await;
            match answer {
                Err(error) if is_stale(&error) && tries > 0 => tries -= 1,
                Err(error) if fate(&error) == Fate::RolledBack => {
                    return Err(self.pulse.rolled_back(error.detail().unwrap_or_default()));
                }
                answer => return answer.map_err(unread),
            }
        }
    }

    /// After a restart of Redis every connection of the pool may be a dead one; each is
    /// dropped when it is found out, and the next read would meet the next.
    fn tries(&self) -> u32 {
        self.pool.state().connections
    }
}

/// The connection ended without an answer. Not a time that ran out: that was waited for.
fn is_stale(error: &RedisError) -> bool {
    error.is_connection_dropped() && !error.is_connection_refusal()
}
