//! Reads over a pool of connections. Each read is one transaction or script, so it sees all of a
//! commit or nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bb8::{Pool, PooledConnection};
use redis::{Pipeline, RedisError, Value};
use sentinel_store::Position;
use sentinel_store::StoreError;
use sentinel_store::codec::NamePool;

use crate::connection::Connector;
use crate::error::{WriteFailure, damaged, read_error, write_failure};
use crate::keys::Keys;
use crate::monitor::StoreMonitor;
use crate::reply;
use crate::script::Script;

/// Runs reads.
pub(crate) struct Reader {
    pool: Pool<Connector>,
    keys: Keys,
    monitor: Arc<StoreMonitor>,
    names: Mutex<NamePool>,
}

impl Reader {
    pub(crate) fn new(pool: Pool<Connector>, keys: Keys, monitor: Arc<StoreMonitor>) -> Self {
        Self { pool, keys, monitor, names: Mutex::default() }
    }

    /// Returns an empty pipeline for [`Self::query`].
    pub(crate) fn begin(&self) -> Pipeline {
        let mut pipeline = redis::pipe();
        pipeline.atomic().cmd("HMGET").arg(self.keys.meta()).arg("epoch").arg("seq");
        pipeline
    }

    pub(crate) fn names(&self) -> MutexGuard<'_, NamePool> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connection(&self) -> Result<PooledConnection<'_, Connector>, StoreError> {
        self.pool.get().await.map_err(read_error)
    }

    /// Runs a pipeline as one transaction, and checks that the store was not rolled back. Returns
    /// the store's position and the replies.
    pub(crate) async fn query(
        &self,
        pipeline: &Pipeline,
    ) -> Result<(Position, Vec<Value>), StoreError> {
        let observed = self.monitor.observed()?;
        let mut retries = self.max_retries();
        let mut values = loop {
            let reply = self.connection().await?.query_all(pipeline).await;
            match reply {
                Err(error) if is_stale(&error) && retries > 0 => retries -= 1,
                reply => break reply.map_err(read_error)?,
            }
        };
        if values.is_empty() {
            return Err(damaged("a read returned no position"));
        }
        let current = reply::maybe_position(values.remove(0))?;
        Ok((self.monitor.check_position(observed, current)?, values))
    }

    /// Runs a script that reads. The observed position precedes its arguments.
    pub(crate) async fn run(
        &self,
        script: &Script,
        args: impl Fn(&mut redis::Cmd),
    ) -> Result<Value, StoreError> {
        let observed = self.monitor.observed()?;
        let meta = self.keys.meta();
        let args = |command: &mut redis::Cmd| {
            command.arg(observed.epoch).arg(observed.seq);
            args(command);
        };
        let mut retries = self.max_retries();
        loop {
            let reply = script.call(&mut *self.connection().await?, &meta, &args).await;
            match reply {
                Err(error) if is_stale(&error) && retries > 0 => retries -= 1,
                Err(error) if write_failure(&error) == WriteFailure::RolledBack => {
                    return Err(self.monitor.mark_rolled_back(error.detail().unwrap_or_default()));
                }
                reply => return reply.map_err(read_error),
            }
        }
    }

    /// Returns the number of retries after a lost connection. After a restart of Redis every
    /// connection of the pool may be lost, and each one is detected by a separate attempt.
    fn max_retries(&self) -> u32 {
        self.pool.state().connections
    }
}

/// Returns whether the connection was lost before the reply. A timeout is not retried.
fn is_stale(error: &RedisError) -> bool {
    error.is_connection_dropped() && !error.is_connection_refusal()
}
