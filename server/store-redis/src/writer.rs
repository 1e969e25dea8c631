//! Commits: one script call each, on a dedicated connection, repeated under the same number.

use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::HashMap;
use redis::{RedisError, Value};
use sentinel_domain::{Job, JobId, Spec, Status};
use sentinel_store::codec::{self, NamePool};
use sentinel_store::{
    CommitRequest, CommitResult, Position, ServerId, StoreError, TransactionResult,
};

use crate::commit_args;
use crate::connection::{Connection, Connector};
use crate::error::{WriteFailure, damaged, read_error, write_failure};
use crate::job_record;
use crate::journal;
use crate::keys::Keys;
use crate::options::ReplicationOptions;
use crate::reply;
use crate::script::Scripts;
use crate::spec_cache::SpecCache;

/// The connection for writes, and the calls of unknown outcome.
pub(crate) struct Writer {
    pub(crate) connector: Connector,
    pub(crate) keys: Keys,
    pub(crate) scripts: Scripts,
    connection: Option<Connection>,
    /// By writer: the number of a call that was sent and not answered.
    unanswered: HashMap<ServerId, u64>,
    names: NamePool,
    specs: SpecCache,
    /// The last applied call.
    applied: Option<AppliedCall>,
    /// When a wait for replicas timed out. The next waits are short for a while, so that missing
    /// replicas do not delay calls that do not need them.
    replicas_missing_since: Option<Instant>,
}

/// A call that was applied.
struct AppliedCall {
    writer: ServerId,
    number: u64,
    position: Position,
    /// Whether it was applied over the current connection.
    is_same_connection: bool,
}

/// The prefix of a message with a replicated position. Other messages on the channel are of calls.
pub(crate) const REPLICATED: char = 's';

/// The maximum wait for missing replicas, and the period until a full wait is tried again.
const SHORT_WAIT: Duration = Duration::from_millis(50);
const SHORT_WAIT_PERIOD: Duration = Duration::from_secs(5);

impl Writer {
    pub(crate) fn new(
        connector: Connector,
        keys: Keys,
        scripts: Scripts,
        connection: Connection,
    ) -> Self {
        let (unanswered, names, specs) = Default::default();
        let (applied, replicas_missing_since, connection) = (None, None, Some(connection));
        Self {
            connector,
            keys,
            scripts,
            connection,
            unanswered,
            names,
            specs,
            applied,
            replicas_missing_since,
        }
    }

    /// Returns the connection, or a new one if it is broken.
    async fn connection(&mut self) -> Result<&mut Connection, RedisError> {
        if self.connection.as_ref().is_none_or(Connection::is_broken) {
            self.connection = None;
            if let Some(applied) = &mut self.applied {
                applied.is_same_connection = false;
            }
            self.connection = Some(self.connector.connection().await?);
        }
        Ok(self.connection.as_mut().expect("was just made"))
    }

    /// Runs another script that writes. All of them are idempotent.
    pub(crate) async fn run(
        &mut self,
        script: impl FnOnce(&Scripts) -> &crate::script::Script,
        args: impl Fn(&mut redis::Cmd),
    ) -> Result<Value, StoreError> {
        let (script, meta) = (script(&self.scripts).clone(), self.keys.meta());
        let connection = self.connection().await.map_err(read_error)?;
        script.call(connection, &meta, args).await.map_err(|error| match write_failure(&error) {
            WriteFailure::ScriptFailed => damaged(error),
            WriteFailure::RolledBack => {
                StoreError::RolledBack(error.detail().unwrap_or_default().into())
            }
            _ => StoreError::Unavailable(error.to_string()),
        })
    }

    /// Commits a call. `observed` is the head of the journal that this server has observed.
    pub(crate) async fn commit(
        &mut self,
        call: &CommitRequest,
        observed: Position,
    ) -> Result<CommitResult, StoreError> {
        let (writer, number) = (call.writer, call.number);
        // An earlier attempt may have been applied, whatever the outcome of this one. Recorded
        // before the call is sent, because the caller may drop this future.
        let was_sent = self.unanswered.insert(writer, number) == Some(number);
        let unknown = |was_sent: bool, error: &RedisError| {
            let text = error.to_string();
            if was_sent { StoreError::OutcomeUnknown(text) } else { StoreError::Unavailable(text) }
        };
        let (script, meta) = (self.scripts.commit.clone(), self.keys.meta());
        let connection = match self.connection().await {
            Ok(connection) => connection,
            Err(error) => {
                if !was_sent {
                    self.unanswered.remove(&writer);
                }
                return Err(unknown(was_sent, &error));
            }
        };
        let reply =
            script.call(connection, &meta, |command| commit_args::write(command, call, observed));
        let error = match reply.await {
            Ok(reply) => {
                let result = self.decode_result(call, reply).await;
                if let Ok(CommitResult { position, .. }) = &result {
                    self.applied = Some(AppliedCall {
                        writer,
                        number,
                        position: *position,
                        is_same_connection: true,
                    });
                }
                if !matches!(result, Err(StoreError::OutcomeUnknown(_))) {
                    self.unanswered.remove(&writer);
                }
                return result;
            }
            Err(error) => error,
        };
        let failure = write_failure(&error);
        if !was_sent && failure != WriteFailure::Unknown {
            self.unanswered.remove(&writer);
        }
        Err(match failure {
            WriteFailure::ScriptFailed => damaged(error),
            WriteFailure::RolledBack => {
                StoreError::RolledBack(error.detail().unwrap_or_default().into())
            }
            WriteFailure::Full if !was_sent && needs_space(call) => {
                StoreError::Full(error.to_string())
            }
            WriteFailure::Unknown => unknown(true, &error),
            WriteFailure::Rejected | WriteFailure::Full => unknown(was_sent, &error),
            WriteFailure::StaleNumber => StoreError::Unavailable(error.to_string()),
        })
    }

    /// Waits until replicas have the last applied call, and with it all earlier ones.
    pub(crate) async fn wait_replicated(
        &mut self,
        up_to: Position,
        options: &ReplicationOptions,
    ) -> Result<bool, StoreError> {
        let are_replicas_missing =
            self.replicas_missing_since.is_some_and(|since| since.elapsed() < SHORT_WAIT_PERIOD);
        let timeout =
            if are_replicas_missing { SHORT_WAIT.min(options.timeout) } else { options.timeout };
        let wait = options.wait(timeout);
        // If the connection broke since, the new one may lead to another primary without the call.
        self.connection().await.map_err(read_error)?;
        let Some(applied) = self.applied.as_ref().filter(|applied| applied.position >= up_to)
        else {
            return Err(StoreError::Unavailable(format!(
                "{up_to} was not committed by this server"
            )));
        };
        let (writer, number, is_same_connection) =
            (applied.writer, applied.number, applied.is_same_connection);
        let (writers, marker, meta) =
            (self.keys.writers(), self.keys.replication_marker(), self.keys.meta());
        let connection = self.connection().await.map_err(read_error)?;
        let acknowledged = if is_same_connection && connection.is_single_server() {
            connection.query(&wait).await.map_err(read_error)?
        } else {
            let mut pipeline = redis::pipe();
            pipeline.cmd("HGET").arg(writers).arg(&writer.0.to_be_bytes()[..]);
            pipeline.cmd("SET").arg(marker).arg(1);
            pipeline.add_command(wait);
            let replies = connection.query_on(&pipeline, &meta).await.map_err(read_error)?;
            let [kept, _, acknowledged] =
                <[Value; 3]>::try_from(replies).map_err(|_| damaged("expected three replies"))?;
            let kept = reply::maybe_bytes(kept)?;
            if kept.is_none_or(|kept| !kept.starts_with(&number.to_be_bytes())) {
                return Err(StoreError::Unavailable(
                    "the call was lost before it was replicated".into(),
                ));
            }
            acknowledged
        };
        let is_replicated = reply::number(acknowledged)? >= u64::from(options.min_replicas);
        if is_replicated {
            self.replicas_missing_since = None;
        } else if !are_replicas_missing {
            self.replicas_missing_since = Some(Instant::now());
        }
        Ok(is_replicated)
    }

    /// Publishes a replicated position to the other servers. If the message is lost, they find the
    /// position with their next poll.
    pub(crate) async fn publish_replicated(&mut self, at: Position) {
        let mut publish = redis::cmd("SPUBLISH");
        publish.arg(self.keys.head()).arg(format!("{REPLICATED}{at}"));
        if let Ok(connection) = self.connection().await {
            let _ = connection.query(&publish).await;
        }
    }

    async fn decode_result(
        &mut self,
        call: &CommitRequest,
        reply: Value,
    ) -> Result<CommitResult, StoreError> {
        let mut values = reply::array(reply)?.into_iter();
        let mut next = || values.next().ok_or_else(|| damaged("a truncated reply"));
        let is_repeat = reply::number(next()?)? == 1;
        let reply = reply::decode(reply::bytes(next()?)?, &mut self.names)?;
        let ids: Vec<JobId> = reply.claimed.iter().flatten().copied().collect();
        for (transaction, result) in call.transactions.iter().zip(&reply.results) {
            if *result == TransactionResult::Committed {
                self.specs.insert(transaction);
            }
        }
        let statuses: Vec<Status> = if is_repeat {
            self.read_statuses(reply.position, ids.len()).await?
        } else {
            let values = values.map(reply::bytes);
            let decoded = values.map(|stored| job_record::decode_status(stored?, &mut self.names));
            decoded.collect::<Result<_, _>>()?
        };
        let specs = self.specs_of(&ids, &statuses).await?;
        let jobs = ids.into_iter().zip(specs).zip(statuses);
        let jobs = jobs.map(|((id, spec), status)| Arc::new(Job { id, spec, status }));
        Ok(reply.with_jobs(jobs.collect()))
    }

    /// Returns the specs of jobs that were just claimed. If it fails, nothing is lost: the call is
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
        let mut is_complete = true;
        for (id, _) in ids.iter().zip(&found).filter(|(_, spec)| spec.is_none()) {
            read.arg(&job_record::id_bytes(*id));
            is_complete = false;
        }
        if !is_complete {
            let values = self.read(&read).await?;
            let missing = found.iter_mut().filter(|spec| spec.is_none());
            for (slot, spec) in missing.zip(reply::array(values)?) {
                let spec = reply::maybe_bytes(spec)?.ok_or_else(reply_expired)?;
                let spec = codec::decode_spec(spec, &mut self.names).map_err(damaged)?;
                *slot = Some(spec.into());
            }
        }
        found.into_iter().map(|spec| spec.ok_or_else(reply_expired)).collect()
    }

    /// Reads the last `count` jobs of a journal entry: those that its call claimed.
    async fn read_statuses(
        &mut self,
        at: Position,
        count: usize,
    ) -> Result<Vec<Status>, StoreError> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let id = journal::stream_id(at);
        let mut read = redis::cmd("XRANGE");
        read.arg(self.keys.journal()).arg(&id).arg(&id);
        let entry = self.read(&read).await?;
        let entry = journal::entries(entry, &mut self.names)?.pop().ok_or_else(reply_expired)?;
        let before = entry.jobs.len().saturating_sub(count);
        Ok(entry.jobs[before..].iter().map(|event| event.status.clone()).collect())
    }

    /// Reads data that belongs to a reply. The call was applied, so a failure means an unknown
    /// outcome.
    async fn read(&mut self, command: &redis::Cmd) -> Result<Value, StoreError> {
        let unknown = |error: RedisError| StoreError::OutcomeUnknown(error.to_string());
        self.connection().await.map_err(unknown)?.query(command).await.map_err(unknown)
    }
}

fn reply_expired() -> StoreError {
    StoreError::Unavailable("the reply of the call is no longer stored".into())
}

/// Returns whether a call stores new specs.
pub(crate) fn needs_space(call: &CommitRequest) -> bool {
    let mutations = call.transactions.iter().flat_map(|transaction| &transaction.mutations);
    mutations.into_iter().any(|mutation| mutation.needs_space())
}
