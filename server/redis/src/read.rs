//! Reads: through the pool, each a transaction or a script of its own, so that a reader sees
//! all of a call or nothing.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bb8::{Pool, PooledConnection};
use redis::{Pipeline, Value};
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
        self.link().await?.query_all(pipeline).await.map_err(unread)
    }

    /// Runs a script that reads.
    pub(crate) async fn run(
        &self,
        script: &Script,
        key: &str,
        args: impl Fn(&mut redis::Cmd),
    ) -> Result<Value, StoreError> {
        let mut link = self.link().await?;
        script.call(&mut link, key, args).await.map_err(unread)
    }
}
