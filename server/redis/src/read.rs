//! Reads: through the pool, each a transaction or a script of its own, so that a reader sees
//! all of a call or nothing.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bb8::{Pool, PooledConnection};
use redis::{Pipeline, RedisError, Value};
use sentinel_broker::StoreError;
use sentinel_broker::codec::Names;

use crate::error::unread;
use crate::link::Connector;
use crate::script::Script;

/// The pool, and names that its readers share.
pub(crate) struct Reads {
    pub(crate) pool: Pool<Connector>,
    names: Mutex<Names>,
}

impl Reads {
    pub(crate) fn new(pool: Pool<Connector>) -> Self {
        Self { pool, names: Mutex::default() }
    }

    pub(crate) fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn link(&self) -> Result<PooledConnection<'_, Connector>, StoreError> {
        self.pool.get().await.map_err(unread)
    }

    /// Asks several commands at one moment of the store.
    pub(crate) async fn all(&self, pipeline: &Pipeline) -> Result<Vec<Value>, StoreError> {
        let mut tries = self.tries();
        loop {
            let answer = self.link().await?.query_all(pipeline).await;
            match answer {
                Err(error) if is_stale(&error) && tries > 0 => tries -= 1,
                answer => return answer.map_err(unread),
            }
        }
    }

    /// Runs a script that reads.
    pub(crate) async fn run(
        &self,
        script: &Script,
        key: &str,
        args: impl Fn(&mut redis::Cmd),
    ) -> Result<Value, StoreError> {
        let mut tries = self.tries();
        loop {
            let answer = script.call(&mut *self.link().await?, key, &args).await;
            match answer {
                Err(error) if is_stale(&error) && tries > 0 => tries -= 1,
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
